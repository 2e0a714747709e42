// The chosen conversation: what was said, and who came and went.

import { byId, el, keep } from './dom.js';
import { message } from './message.js';
import { day, exactTime, hue, initials, clockTime } from './words.js';

const scroll = byId('scroll');

// Whether the newest message is in sight: then it stays so, whatever grows (a picture that arrives, typing).
let atEnd = true;
const toEnd = () => {
  scroll.scrollTop = scroll.scrollHeight;
};
scroll.addEventListener('scroll', () => {
  atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
});
// Somebody who unfolds something wants to see that.
scroll.addEventListener('click', (event) => {
  if (event.target.closest('button, summary')) atEnd = false;
});
const growth = new ResizeObserver(() => atEnd && toEnd());
for (const each of [scroll, byId('messages'), byId('typing')]) growth.observe(each);

const STATE = { open: 'Connected', ended: 'Ended', failed: 'Ended in error' };

// How an agent's part ended, in words.
function left(agent, next) {
  switch (agent.disconnectType) {
    case 'transfer':
      return `${agent.name} transferred to ${next?.name ?? 'the queue'}`;
    case 'client':
      return `${agent.name} ended the conversation`;
    case 'error':
      return `The conversation failed. ${agent.errorInfo?.message ?? ''}`;
    default:
      return 'The customer left';
  }
}

function comings(participants) {
  const agents = participants.filter((each) => each.purpose === 'agent');
  return agents.flatMap((agent, index) => {
    const came = agents[index - 1]?.disconnectType === 'transfer' ? null : { key: `${agent.id}+`, at: agent.startTime, words: `${agent.name} joined` };
    const went = agent.endTime ? { key: `${agent.id}-`, at: agent.endTime, words: left(agent, agents[index + 1]), error: agent.disconnectType === 'error' } : null;
    return [came, went].filter((each) => each !== null);
  });
}

// Messages with what Genesys says of their failure, comings and goings, and days, in order.
function items({ conversation, messages, leftOut }) {
  const errors = new Map(
    conversation.participants.flatMap((each) => each.messages.map((one) => [one.messageId, one.errorInfo])),
  );
  const said = messages.map((each) => ({ key: each.id, at: each.timestamp, message: { ...each, errorInfo: errors.get(each.id) } }));
  const since = leftOut > 0 ? (said[0]?.at ?? '') : '';
  const events = comings(conversation.participants).filter((each) => each.at >= since);
  // What happened at once: the customer writes, then the agent joins, then the agent writes.
  const rank = (item) => (item.message?.direction === 'inbound' ? 0 : item.message ? 2 : 1);
  const all = [...said, ...events].sort((a, b) => a.at.localeCompare(b.at) || rank(a) - rank(b));
  let today = null;
  return all.flatMap((item) => {
    const its = day(item.at);
    const first = its !== today;
    today = its;
    return first ? [{ key: `day ${its}`, day: its }, item] : [item];
  });
}

const build = (name, again) => (item, before) => {
  if (item.day) return el('li', { class: 'day' }, el('span', {}, item.day));
  if (item.message) {
    const who = item.message.direction === 'inbound' ? name : 'You';
    return message(item.message, who, again, before);
  }
  return el('li', { class: item.error ? 'event error' : 'event' }, el('time', { datetime: item.at, title: exactTime(item.at) }, clockTime(item.at)), ` ${item.words}`);
};

// `again` sends a message that failed once more.
export function showThread(thread, fresh, again) {
  const { row } = thread;
  const follow = fresh || atEnd;
  byId('thread-none').hidden = true;
  byId('thread').hidden = false;
  byId('thread-title').textContent = row.customer.name;
  byId('thread-avatar').textContent = initials(row.customer.name);
  byId('thread-avatar').className = `avatar ${hue(row.customer.id)}`;
  const state = byId('thread-state');
  state.textContent = `${STATE[row.state]} · ${row.integration.name}`;
  state.className = `state ${row.state}`;
  byId('transfer').disabled = byId('end').disabled = row.state !== 'open';
  byId('left-out').hidden = thread.leftOut === 0;
  byId('left-out').textContent = `${thread.leftOut} older messages are not shown`;
  if (fresh) byId('messages').replaceChildren();
  keep(byId('messages'), items(thread), (item) => item.key, build(row.customer.name, row.state === 'open' ? again : null));
  atEnd = follow;
  if (follow) toEnd();
}

export function showTyping(name) {
  byId('typing').hidden = name === null;
  byId('typing-who').textContent = name === null ? '' : `${name} types…`;
}

export function showNone() {
  byId('thread').hidden = true;
  byId('thread-none').hidden = false;
}
