// The list of conversations: who, their last words, what the agent has not seen yet.

import { byId, el, icon, keep } from './dom.js';
import { contentName, hue, initials, shortTime, STATES } from './words.js';

const SEEN = 'tidegate-desktop-seen';

// How many of each conversation's messages the agent has seen, over reloads.
const seen = new Map(Object.entries(JSON.parse(sessionStorage.getItem(SEEN) ?? '{}')));

export function markSeen(row) {
  if (seen.get(row.id) === row.inbound) return;
  seen.set(row.id, row.inbound);
  sessionStorage.setItem(SEEN, JSON.stringify(Object.fromEntries(seen)));
}

const unread = (row) => Math.max(0, row.inbound - (seen.get(row.id) ?? 0));

function lastWords(last) {
  const words = last.text || contentName(last.content);
  const tick = last.outbound ? STATES[last.status] : null;
  return el(
    'span',
    { class: 'last' },
    tick ? el('span', { class: `tick ${tick.icon}`, title: tick.name }, icon(tick.icon), el('span', { class: 'hidden' }, `${tick.name}: `)) : null,
    el('span', { class: 'last-words', dir: 'auto' }, words),
  );
}

function row({ row: shown, news, chosen, types }) {
  const name = shown.customer.name;
  const badge = news > 0 ? el('span', { class: 'badge' }, String(news), el('span', { class: 'hidden' }, ' unread')) : null;
  const mark = shown.state === 'open' ? null : el('span', { class: `mark ${shown.state}` }, shown.state === 'ended' ? 'Ended' : 'Failed');
  const failed =
    shown.failed > 0 && shown.last?.status !== 'delivery-failed'
      ? el('span', { class: 'tick failed', title: 'Not delivered' }, icon('failed'), el('span', { class: 'hidden' }, `${shown.failed} not delivered`))
      : null;
  return el(
    'li',
    {},
    el(
      'a',
      { class: `row${news > 0 ? ' unread' : ''}`, href: `#${shown.id}`, 'aria-current': chosen ? 'true' : null },
      el('span', { class: `avatar ${hue(shown.customer.id)}`, 'aria-hidden': 'true' }, initials(name)),
      el('span', { class: 'row-name', dir: 'auto' }, name),
      shown.last ? el('time', { datetime: shown.last.at }, shortTime(shown.last.at)) : null,
      el(
        'span',
        { class: 'second' },
        types ? el('span', { class: 'last typing-now' }, 'types…') : shown.last ? lastWords(shown.last) : null,
        failed,
        mark,
        badge,
      ),
    ),
  );
}

// Returns how many conversations have something unread.
export function showList({ conversations, total }, chosen, typing) {
  const items = conversations.map((each) => ({
    row: each,
    news: each.id === chosen ? 0 : unread(each),
    chosen: each.id === chosen,
    types: typing.has(each.id),
  }));
  keep(byId('list'), items, (item) => item.row.id, row);
  byId('list-empty').hidden = items.length > 0;
  byId('list-count').textContent = items.length < total ? `${items.length} of ${total}` : String(total);
  return items.filter((item) => item.news > 0).length;
}

// Up and Down go from row to row.
byId('list').addEventListener('keydown', (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const rows = [...byId('list').querySelectorAll('a')];
  const next = rows[rows.indexOf(document.activeElement) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});
