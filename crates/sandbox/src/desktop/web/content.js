// The parts of a message beside its text: files, quick replies, cards. What is not known is named, never left out.

import { el, icon, link } from './dom.js';
import { size } from './words.js';

// Pictures that the sandbox keeps are shown. Those that lie elsewhere are links: nothing is loaded from other hosts.
const SHOWN = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

function local(address) {
  try {
    const url = new URL(address);
    return url.origin === location.origin && url.pathname.startsWith('/sandbox/media/') ? url.pathname : null;
  } catch {
    return null;
  }
}

function attachment(file) {
  const name = file.filename ?? file.text ?? 'File';
  const here = local(file.url);
  if (here && SHOWN.includes(file.mime)) {
    return link(file.url, el('img', { class: 'picture', src: here, alt: name }));
  }
  const about = [file.mime, size(file.contentSizeBytes)].filter((part) => part).join(', ');
  const words = el('span', { class: 'file-words' }, el('span', {}, name), el('small', {}, about));
  return el('div', { class: 'file' }, icon('file'), link(file.url, words));
}

const chip = (words) => el('li', { class: 'chip' }, words ?? '?');

function card(shown) {
  const actions = (shown.actions ?? []).map((action) => chip(action.text));
  return el(
    'div',
    { class: 'card' },
    el('strong', {}, shown.title ?? ''),
    shown.description ? el('p', {}, shown.description) : null,
    actions.length > 0 ? el('ul', { class: 'chips', 'aria-label': 'Buttons' }, actions) : null,
  );
}

function one(element) {
  switch (element.contentType) {
    case 'Attachment':
      return attachment(element.attachment ?? {});
    case 'Card':
      return card(element.card ?? {});
    case 'Carousel':
      return el('div', { class: 'cards' }, (element.carousel?.cards ?? []).map(card));
    case 'QuickReplyV2': {
      const replies = (element.quickReplyV2?.actions ?? []).map((action) => chip(action.text));
      return el('div', {}, element.quickReplyV2?.title ?? '', el('ul', { class: 'chips' }, replies));
    }
    case 'ButtonResponse':
      return el('p', { class: 'pressed' }, element.buttonResponse?.text ?? element.buttonResponse?.payload ?? '?');
    default:
      return el('p', { class: 'note' }, `Content of the type ${element.contentType}`);
  }
}

export function content(elements = []) {
  const replies = elements.filter((element) => element.contentType === 'QuickReply');
  const others = elements.filter((element) => element.contentType !== 'QuickReply').map(one);
  if (replies.length > 0) {
    const chips = replies.map((element) => chip(element.quickReply?.text));
    others.push(el('ul', { class: 'chips', 'aria-label': 'Quick replies' }, chips));
  }
  return others;
}
