// The messages as the customer sees them. Text is inserted as text, never as markup.

export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// A link if `address` is one of the web, otherwise the words alone.
function link(address, words, kind) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // It is not a URL.
  }
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return el('p', {}, words);
  return el('a', { class: kind, href: url.href, target: '_blank', rel: 'noopener noreferrer' }, words);
}

const file = (attachment) => link(attachment.url, `File: ${attachment.filename ?? 'File'}`, 'file');

const button = (words, say) => el('button', { class: 'reply', type: 'button', click: () => say(words) }, words);

function card(shown, say) {
  const isLink = (action) => action.type === 'Link';
  const actions = shown.actions ?? [];
  const links = [shown.defaultAction, ...actions].filter((action) => action && isLink(action));
  const buttons = actions.filter((action) => !isLink(action)).map((action) => button(action.text ?? '?', say));
  return el(
    'div',
    { class: 'card' },
    el('strong', {}, shown.title ?? ''),
    shown.description ? el('p', {}, shown.description) : null,
    shown.image ? link(shown.image, 'Picture', 'link') : null,
    links.map((action) => link(action.url, action.text ?? action.url, 'link')),
    el('div', { class: 'replies' }, buttons),
  );
}

function content(elements, say) {
  const replies = elements.filter((each) => each.contentType === 'QuickReply').map((each) => button(each.quickReply?.text ?? '?', say));
  const others = elements
    .filter((each) => each.contentType !== 'QuickReply')
    .map((each) => {
      if (each.contentType === 'Attachment') return file(each.attachment ?? {});
      if (each.contentType === 'Card') return card(each.card ?? {}, say);
      if (each.contentType === 'Carousel') return el('div', { class: 'cards' }, (each.carousel?.cards ?? []).map((one) => card(one, say)));
      return el('p', { class: 'note' }, `Content of the type ${each.contentType}`);
    });
  return [...others, replies.length > 0 ? el('div', { class: 'replies' }, replies) : null];
}

// `say` writes in the customer's name, as a quick reply does.
export function line(shown, say) {
  const at = new Date(shown.at);
  const time = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const text = shown.text === '' ? null : el('p', { class: 'text', dir: 'auto' }, shown.text);
  return el(
    'li',
    { class: shown.agent ? 'agent' : 'me', 'data-id': shown.id },
    el('div', { class: 'bubble' }, el('span', { class: 'hidden' }, shown.agent ? 'Agent: ' : 'You: '), text, content(shown.content ?? [], say)),
    el('time', { datetime: shown.at }, time),
  );
}
