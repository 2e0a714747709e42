// What is asked before something is done: end, transfer, quick replies, cards.

import { end, say, transfer } from './calls.js';
import { showWrong } from './composer.js';
import { byId } from './dom.js';

const lines = (id) => [...new Set(byId(id).value.split('\n').map((line) => line.trim()).filter((line) => line !== ''))];

// Opens the dialog by the button; `act` is called with the conversation once a person agrees.
function ask(name, chosen, act) {
  const dialog = byId(`dialog-${name}`);
  byId(name).addEventListener('click', () => {
    dialog.returnValue = '';
    dialog.showModal();
  });
  dialog.addEventListener('close', async () => {
    const id = chosen();
    if (dialog.returnValue !== 'yes' || id === null) return;
    try {
      await act(id);
      showWrong(null);
    } catch (error) {
      showWrong(`It was not done: ${error.message}`);
    }
  });
}

// `chosen` tells the conversation's id, or null.
export function startDialogs(chosen) {
  ask('end', chosen, end);
  ask('transfer', chosen, (id) => transfer(id, byId('transfer-to').value));
  ask('replies', chosen, (id) => {
    const quickReply = (line) => ({ contentType: 'QuickReply', quickReply: { text: line, payload: line, action: 'Message' } });
    return say(id, { text: byId('replies-question').value, content: lines('replies-options').map(quickReply) });
  });
  ask('card', chosen, (id) => {
    const actions = lines('card-actions').map((line) => ({ type: 'Postback', text: line, payload: line }));
    const card = { title: byId('card-name').value, description: byId('card-text').value, actions };
    return say(id, { content: [{ contentType: 'Card', card }] });
  });
}
