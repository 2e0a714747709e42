// Who the customer is, and who takes part.

import { byId, el } from './dom.js';
import { exactTime } from './words.js';

const PURPOSE = { customer: 'Customer', workflow: 'Flow', acd: 'Queue', agent: 'Agent' };

function facts(rows) {
  const shown = rows.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return el('dl', { class: 'facts' }, shown.flatMap(([name, value]) => [el('dt', {}, name), el('dd', { dir: 'auto' }, value)]));
}

function participant(each) {
  const gone = each.state === 'disconnected';
  const how = gone ? `left: ${each.disconnectType ?? '?'}` : 'connected';
  return el(
    'li',
    { class: gone ? 'gone' : null },
    el('strong', {}, each.name),
    el('span', {}, `${PURPOSE[each.purpose] ?? each.purpose}, ${how}`),
    el('small', {}, exactTime(each.startTime)),
  );
}

export function showDetails({ row, conversation, messages }) {
  const customer = conversation.participants.findLast((each) => each.purpose === 'customer');
  const from = messages.findLast((each) => each.direction === 'inbound')?.normalizedMessage.channel.from ?? {};
  const outbound = messages.filter((each) => each.direction === 'outbound');
  const delivered = outbound.filter((each) => ['delivery-success', 'read'].includes(each.status)).length;
  const attributes = Object.entries(customer?.attributes ?? {});
  byId('details-body').replaceChildren(
    facts([
      ['Name', row.customer.name],
      ['Address', el('code', {}, row.customer.id)],
      ['Email', from.email],
      ['Integration', row.integration.name],
      ['Conversation', el('code', {}, row.id)],
    ]),
    el('h3', {}, 'To the customer'),
    el(
      'ul',
      { class: 'figures' },
      [
        [outbound.length, 'written'],
        [delivered, 'delivered'],
        [row.failed, 'failed'],
      ].map(([count, name]) => el('li', { class: name === 'failed' && count > 0 ? 'bad' : null }, el('strong', {}, String(count)), ` ${name}`)),
    ),
    ...(attributes.length > 0 ? [el('h3', {}, 'Attributes'), facts(attributes)] : []),
    el('h3', {}, 'Participants'),
    el('ol', { class: 'participants' }, conversation.participants.toReversed().map(participant)),
  );
}

// On a wide screen the pane stands beside the conversation; on a narrow one it lies over it.
export function unfoldDetails(open) {
  byId('details').hidden = !open;
  byId('about').setAttribute('aria-expanded', String(open));
}
