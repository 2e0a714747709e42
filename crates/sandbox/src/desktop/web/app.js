// The agent's desktop: which conversation is open, what is read when, and what is said aloud.

import { conversations, listen, thread } from './calls.js';
import { sendAgain, writeTo } from './composer.js';
import { showDetails, unfoldDetails } from './details.js';
import { startDialogs } from './dialogs.js';
import { byId } from './dom.js';
import { markSeen, showList } from './list.js';
import { showNone, showThread, showTyping } from './thread.js';
import { contentName } from './words.js';

// How long a word about typing stays, as in Genesys's documentation.
const TYPING = 5_000;
// However much happens, the page reads no more often than this.
const PAUSE = 150;

const wide = matchMedia('(min-width: 70rem)');
const typing = new Map();
let list = { conversations: [], total: 0 };
let chosen = null;
let shown = null;
let last = null;

const tell = (words) => {
  byId('news').textContent = words;
};

function draw() {
  const waiting = showList(list, chosen, typing);
  document.title = waiting > 0 ? `(${waiting}) Agent desktop` : 'Agent desktop';
}

// What somebody who does not see the page should hear: a customer's words, a message that failed.
function tellNews(read) {
  if (last?.id === chosen) {
    const known = new Map(last.messages);
    for (const { id, direction, status, normalizedMessage } of read.messages) {
      const words = normalizedMessage.text ?? contentName(normalizedMessage.content?.[0]?.contentType);
      if (direction === 'inbound' && !known.has(id)) tell(`${read.row.customer.name}: ${words}`);
      if (status === 'delivery-failed' && known.get(id) !== status) tell(`Not delivered: ${words}`);
    }
  }
  last = { id: chosen, messages: read.messages.map(({ id, status }) => [id, status]) };
}

async function readThread() {
  if (chosen === null) return;
  const id = chosen;
  const read = await thread(id).catch(() => null);
  if (id !== chosen) return;
  if (read === null) {
    // It is not there, perhaps since the sandbox was started anew.
    location.hash = '';
    return;
  }
  const fresh = shown !== id;
  shown = id;
  showThread(read, fresh, sendAgain);
  writeTo(read.row);
  showDetails(read);
  tellNews(read);
  if (!document.hidden) markSeen(read.row);
  if (fresh) {
    unfoldDetails(wide.matches);
    if (read.row.state === 'open') byId('text').focus({ preventScroll: true });
    else byId('thread-title').focus({ preventScroll: true });
  }
}

async function readList() {
  const before = new Map(list.conversations.map((row) => [row.id, row.inbound]));
  list = await conversations().catch(() => list);
  // Whoever has written types no longer.
  for (const row of list.conversations) if (typing.has(row.id) && row.inbound !== before.get(row.id)) stopTyping(row.id);
  draw();
}

// Reads what changed; what changes meanwhile is read afterwards, all at once.
let due = { list: false, thread: false };
let reading = false;
async function read(what) {
  due = { list: due.list || what.list, thread: due.thread || what.thread };
  if (reading) return;
  reading = true;
  while (due.list || due.thread) {
    const now = due;
    due = { list: false, thread: false };
    if (now.thread) await readThread();
    if (now.list) await readList();
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  reading = false;
}

function stopTyping(id) {
  clearTimeout(typing.get(id));
  typing.delete(id);
  if (id === chosen) showTyping(null);
}

function startTyping(id) {
  clearTimeout(typing.get(id));
  const stop = setTimeout(() => {
    stopTyping(id);
    draw();
  }, TYPING);
  typing.set(id, stop);
  const row = list.conversations.find((each) => each.id === id);
  if (id === chosen && row) showTyping(row.customer.name);
}

function told({ all, changed, typing: who }) {
  for (const id of who) startTyping(id);
  if (who.length > 0) draw();
  if (all || changed.length > 0) read({ list: true, thread: all || changed.includes(chosen) });
}

function choose() {
  const id = decodeURIComponent(location.hash.slice(1));
  // The link that skips to the message box is no conversation.
  if (id === 'text') return;
  chosen = id === '' ? null : id;
  byId('panes').classList.toggle('reading', chosen !== null);
  const row = list.conversations.find((each) => each.id === chosen);
  showTyping(typing.has(chosen) ? (row?.customer.name ?? null) : null);
  if (chosen === null) {
    shown = null;
    unfoldDetails(false);
    showNone();
  }
  read({ list: true, thread: true });
}

byId('back').addEventListener('click', (event) => {
  event.preventDefault();
  const row = byId('list').querySelector('[aria-current]');
  location.hash = '';
  row?.focus();
});
byId('about').addEventListener('click', () => {
  unfoldDetails(byId('details').hidden);
  if (!byId('details').hidden && !wide.matches) byId('details-close').focus();
});
byId('details-close').addEventListener('click', () => {
  unfoldDetails(false);
  byId('about').focus();
});
byId('details').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') byId('details-close').click();
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('text').focus();
});
document.addEventListener('visibilitychange', () => !document.hidden && read({ list: true, thread: true }));
wide.addEventListener('change', () => unfoldDetails(wide.matches && chosen !== null));
window.addEventListener('hashchange', choose);

startDialogs(() => chosen);
listen(told, (connected) => {
  byId('connection').textContent = connected ? 'Connected' : 'Connecting…';
  byId('connection').classList.toggle('on', connected);
});
choose();
