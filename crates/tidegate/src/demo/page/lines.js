// What was said, as the customer sees it. Texts go in as text, never as markup.

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

function file(attachment) {
  const name = attachment.filename ?? 'File';
  let url = null;
  try {
    url = new URL(attachment.url);
  } catch {
    // No address at all.
  }
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return el('p', {}, `File: ${name}`);
  return el('a', { class: 'file', href: url.href, target: '_blank', rel: 'noopener noreferrer' }, `File: ${name}`);
}

const button = (words, say) => el('button', { class: 'reply', type: 'button', click: () => say(words) }, words);

function card(shown, say) {
  const actions = (shown.actions ?? []).map((action) => button(action.text ?? '?', say));
  return el('div', { class: 'card' }, el('strong', {}, shown.title ?? ''), el('p', {}, shown.description ?? ''), el('div', { class: 'replies' }, actions));
}

function content(elements, say) {
  const replies = elements.filter((each) => each.contentType === 'QuickReply').map((each) => button(each.quickReply?.text ?? '?', say));
  const others = elements
    .filter((each) => each.contentType !== 'QuickReply')
    .map((each) => {
      if (each.contentType === 'Attachment') return file(each.attachment ?? {});
      if (each.contentType === 'Card') return card(each.card ?? {}, say);
      if (each.contentType === 'Carousel') return el('div', {}, (each.carousel?.cards ?? []).map((one) => card(one, say)));
      return el('p', { class: 'note' }, `Content of the type ${each.contentType}`);
    });
  return [...others, replies.length > 0 ? el('div', { class: 'replies' }, replies) : null];
}

// `say` writes in the customer's name: what a quick reply does.
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
