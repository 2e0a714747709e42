// Where the agent writes.

import { filesWait, giveBack, startAttaching, takeFiles } from './attach.js';
import { say, types, upload } from './calls.js';
import { byId } from './dom.js';

// How long one word about typing is shown at the other end, less what it takes to get there.
const TYPING_AGAIN = 4_000;

const drafts = new Map();
const text = byId('text');
let current = null;
let toldTyping = 0;

export function showWrong(words) {
  byId('wrong').hidden = words === null;
  byId('wrong').textContent = words ?? '';
}

function fit() {
  text.style.height = 'auto';
  text.style.height = `${Math.min(text.scrollHeight + 2, 180)}px`;
}

// The composer belongs to this conversation now; what was begun in another one stays there.
export function writeTo(row) {
  if (row.id !== current) {
    if (current !== null) drafts.set(current, text.value);
    current = row.id;
    text.value = drafts.get(row.id) ?? '';
    toldTyping = 0;
    takeFiles();
    showWrong(null);
    fit();
  }
  const open = row.state === 'open';
  byId('closed').hidden = open;
  for (const id of ['text', 'attach', 'replies', 'card', 'send']) byId(id).disabled = !open;
}

async function send(event) {
  event.preventDefault();
  const words = text.value.trim();
  if (words === '' && !filesWait()) return;
  const to = current;
  const files = takeFiles();
  text.value = '';
  drafts.delete(to);
  toldTyping = 0;
  fit();
  showWrong(null);
  try {
    // At Genesys one message carries one thing.
    while (files.length > 0) {
      await say(to, { content: [{ contentType: 'Attachment', attachment: await upload(files[0]) }] });
      files.shift();
    }
    if (words !== '') await say(to, { text: words });
  } catch (error) {
    showWrong(`It was not sent: ${error.message}`);
    // Nothing that somebody wrote is lost.
    if (current === to && text.value === '') text.value = words;
    else drafts.set(to, words);
    if (current === to) giveBack(files);
    fit();
  }
}

// What failed goes out once more, as a new message.
export async function sendAgain(message) {
  const { text: words, content } = message.normalizedMessage;
  try {
    await say(message.conversationId, { text: words ?? null, content: content ?? [] });
    showWrong(null);
    text.focus();
  } catch (error) {
    showWrong(`It was not sent: ${error.message}`);
  }
}

function typed() {
  fit();
  const now = Date.now();
  if (text.value === '' || now - toldTyping < TYPING_AGAIN) return;
  toldTyping = now;
  // Typing is told once and has no consequences.
  types(current).catch(() => {});
}

byId('composer').addEventListener('submit', send);
text.addEventListener('input', typed);
text.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId('composer').requestSubmit();
  }
});
startAttaching(showWrong);
