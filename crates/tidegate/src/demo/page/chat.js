// The customer's side of the demo: several customers, one at a time on the screen, with the state
// of the handshake.

import { el, line } from './lines.js';

const TYPING_AGAIN = 4_000;

const byId = (id) => document.getElementById(id);
const drafts = new Map();
const seen = new Map();
const added = [];
let customers = [];
let readAt = 0;
let chosen = null;
let toldTyping = 0;
let known = null;

const title = (name) => {
  const words = name.replaceAll(/[-_]/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
};
const current = () => customers.find((each) => each.name === chosen) ?? { name: chosen, handshake: { state: 'none' }, lines: [], typing_ms: 0 };
const everybody = () => [...customers.map((each) => each.name), ...added.filter((name) => !customers.some((each) => each.name === name))];

async function post(path, body) {
  const answer = await fetch(`/customers/${encodeURIComponent(chosen)}/${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
}

async function say(text) {
  try {
    await post('say', { text });
    byId('wrong').hidden = true;
  } catch (error) {
    byId('wrong').textContent = `It was not sent: ${error.message}`;
    byId('wrong').hidden = false;
    if (byId('text').value === '') byId('text').value = text;
  }
}

function showPeople() {
  const focused = document.activeElement?.dataset?.name;
  byId('people').replaceChildren(
    ...everybody().map((name) => {
      const lines = customers.find((each) => each.name === name)?.lines.filter((each) => each.agent) ?? [];
      const news = name === chosen ? 0 : lines.length - (seen.get(name) ?? 0);
      const badge = news > 0 ? el('span', { class: 'badge' }, String(news), el('span', { class: 'hidden' }, ' new')) : null;
      return el('li', {}, el('button', { class: 'person', type: 'button', 'data-name': name, 'aria-pressed': String(name === chosen), click: () => choose(name) }, title(name), badge));
    }),
  );
  if (focused) [...byId('people').querySelectorAll('button')].find((each) => each.dataset.name === focused)?.focus();
}

// Lines are only added. Those on the screen stay.
function showLines() {
  const { lines } = current();
  const list = byId('lines');
  if (known !== chosen) list.replaceChildren();
  for (const each of lines.slice(list.children.length)) {
    list.append(line(each, say));
    if (known === chosen && each.agent) byId('news').textContent = `Agent: ${each.text || 'sent something'}`;
  }
  known = chosen;
  seen.set(chosen, lines.filter((each) => each.agent).length);
  byId('empty').hidden = lines.length > 0;
  byId('scroll').scrollTop = byId('scroll').scrollHeight;
}

const STATES = {
  none: 'Not connected yet',
  opening: 'Connecting',
  open: 'Connected to an agent',
  closed: 'The chat has ended. Write to begin again.',
};

function setWords(id, words) {
  if (byId(id).textContent !== words) byId(id).textContent = words;
}

// Updates the countdown, and whether the agent still types.
function tick() {
  const { handshake, typing_ms: typing } = current();
  const since = performance.now() - readAt;
  setWords('state', STATES[handshake.state]);
  byId('state').className = `state ${handshake.state}`;
  byId('handshake').hidden = handshake.state !== 'opening';
  if (handshake.state === 'opening') {
    const gone = (handshake.gone_ms + since) / 1000;
    const progress = byId('progress');
    if (handshake.takes_ms === null) {
      progress.removeAttribute('value');
      setWords('handshake-words', 'The handshake goes on…');
      setWords('handshake-note', `${Math.floor(gone)} s so far. For this customer it never ends: watch what the agent is told.`);
    } else {
      const takes = handshake.takes_ms / 1000;
      progress.max = takes;
      progress.value = Math.min(gone, takes);
      setWords('handshake-words', 'The handshake goes on…');
      setWords('handshake-note', `${Math.max(0, Math.ceil(takes - gone))} s to go. What the agent writes now is held, and arrives afterwards.`);
    }
  }
  byId('typing').hidden = typing - since <= 0;
}

function show() {
  setWords('title', title(chosen));
  showPeople();
  showLines();
  tick();
}

function choose(name) {
  if (chosen !== null) drafts.set(chosen, byId('text').value);
  chosen = name;
  byId('text').value = drafts.get(name) ?? '';
  toldTyping = 0;
  history.replaceState(null, '', `#${encodeURIComponent(name)}`);
  show();
  byId('text').focus({ preventScroll: true });
}

async function read() {
  const answer = await fetch('/customers').catch(() => null);
  if (!answer?.ok) return;
  customers = await answer.json();
  readAt = performance.now();
  if (chosen === null) choose(decodeURIComponent(location.hash.slice(1)) || customers[0].name);
  else show();
}

byId('write').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = byId('text').value.trim();
  byId('text').value = '';
  toldTyping = 0;
  if (text !== '') say(text);
});
byId('text').addEventListener('input', () => {
  const now = Date.now();
  // Before the first message there is no conversation in which to show it.
  if (current().lines.length === 0 || byId('text').value === '' || now - toldTyping < TYPING_AGAIN) return;
  toldTyping = now;
  post('typing', {}).catch(() => {});
});
byId('new').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = byId('new-name').value.trim().toLowerCase();
  byId('new-name').value = '';
  if (name === '') return;
  if (!everybody().includes(name)) added.push(name);
  choose(name);
});

new EventSource('/customers/events').onmessage = read;
setInterval(tick, 100);
