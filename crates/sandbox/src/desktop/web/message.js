// One message with its state as an agent sees it, and behind the state what Genesys knows of it.

import { content } from './content.js';
import { el, icon } from './dom.js';
import { clockTime, exactTime, REASONS, STATES } from './words.js';

const facts = (rows) =>
  el('dl', { class: 'facts' }, rows.filter(([, value]) => value).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));

// The reason as `errorInfo` has it: `<code> - <message>`.
function reason(message) {
  const told = message.errorInfo?.messageParams?.errorPayload;
  if (!told) return null;
  const [code, ...words] = told.split(' - ');
  return { code, words: words.join(' - ') };
}

function receipt(each) {
  const words = each.isFinalReceipt ? `${each.status}, final` : each.status;
  return el('li', {}, el('time', { datetime: each.channel.time, title: exactTime(each.channel.time) }, clockTime(each.channel.time)), ` ${words}`);
}

function details(message, again) {
  const state = STATES[message.status];
  const why = reason(message);
  const receipts = message.normalizedReceipts ?? [];
  const raw = { errorInfo: message.errorInfo, normalizedReceipts: receipts };
  return [
    el('p', { class: 'why' }, why ? (REASONS[why.code] ?? state.about) : state.about),
    facts([
      ['Reason', why && `${why.code}: ${why.words}`],
      ['Receipts', receipts.length > 0 ? el('ol', { class: 'receipts' }, receipts.map(receipt)) : 'None yet'],
      ['Message', el('code', {}, message.id)],
      ['Time', exactTime(message.timestamp)],
    ]),
    el('details', { class: 'raw' }, el('summary', {}, 'As Genesys has it'), el('p', { class: 'note' }, 'Genesys Cloud shows an agent the sign only. What stands behind it is read from errorInfo of the conversation and normalizedReceipts of the message.'), el('pre', { tabindex: 0 }, JSON.stringify(raw, null, 2))),
    message.status === 'delivery-failed' && again
      ? el('button', { class: 'button', type: 'button', click: () => again(message) }, 'Send again')
      : null,
  ];
}

// All of it if there is room, else its beginning.
function show(behind) {
  behind.scrollIntoView({ block: 'nearest' });
  const above = behind.getBoundingClientRect().top - behind.closest('.scroll').getBoundingClientRect().top;
  if (above < 0) behind.scrollIntoView({ block: 'start' });
}

function state(message, again, unfolded) {
  const known = STATES[message.status] ?? STATES.queued;
  const id = `state-${message.id}`;
  const behind = el('div', { id, class: 'behind', hidden: !unfolded }, details(message, again));
  const failed = known.icon === 'failed';
  const button = el(
    'button',
    {
      class: `tick ${known.icon}`,
      type: 'button',
      'data-part': 'state',
      'aria-expanded': String(unfolded),
      'aria-controls': id,
      title: known.name,
      click: () => {
        behind.hidden = !behind.hidden;
        button.setAttribute('aria-expanded', String(!behind.hidden));
        if (!behind.hidden) show(behind);
      },
    },
    failed ? el('span', {}, known.name) : el('span', { class: 'hidden' }, known.name),
    icon(known.icon),
    failed ? el('span', { class: 'more' }, 'Why?') : null,
  );
  return { button, behind };
}

// `before` is the node that stands there now.
export function message(shown, who, again, before) {
  const outbound = shown.direction === 'outbound';
  const said = shown.normalizedMessage;
  const unfolded = before?.querySelector('.behind')?.hidden === false;
  const parts = outbound ? state(shown, again, unfolded) : null;
  const text = said.text ? el('p', { class: 'text', dir: 'auto' }, said.text) : null;
  const failed = shown.status === 'delivery-failed';
  const bot = said.originatingEntity === 'Bot';
  return el(
    'li',
    { class: `message ${outbound ? 'out' : 'in'}${failed ? ' failed' : ''}` },
    el('div', { class: 'bubble' }, el('span', { class: 'hidden' }, `${bot ? 'The bot' : who}: `), text, content(said.content)),
    el('div', { class: 'under' }, bot ? el('span', {}, 'Bot') : null, el('time', { datetime: shown.timestamp, title: exactTime(shown.timestamp) }, clockTime(shown.timestamp)), parts?.button),
    parts?.behind,
  );
}
