// Builds what a page shows. Texts go in as text, never as markup: what customers write is hostile.

const SVG = 'http://www.w3.org/2000/svg';

// An element. `props`: attributes; a function is a listener, `true` an empty attribute, null and false none at all.
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// One of the page's own icons.
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

export const byId = (id) => document.getElementById(id);

// A link where the address can be trusted to be a page; else its text alone.
export function link(address, ...children) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // No address at all.
  }
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return el('span', {}, ...children);
  return el('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...children);
}

// Brings the children of `parent` into line with `items`, keeping the nodes of those that are as they were, and with
// them focus and what is unfolded.
export function keep(parent, items, keyOf, build) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const focus = parent.contains(document.activeElement) ? document.activeElement : null;
  const place = focus && {
    key: focus.closest('[data-key]')?.dataset.key,
    part: focus.dataset.part,
  };
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const state = JSON.stringify(item);
    let node = before.get(key);
    before.delete(key);
    if (node?.dataset.state !== state) {
      const made = build(item, node);
      made.dataset.key = key;
      made.dataset.state = state;
      if (node === at) at = node?.nextElementSibling ?? null;
      node?.remove();
      node = made;
    }
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  for (const node of before.values()) node.remove();
  // Moving or replacing a node loses its focus.
  if (place?.key && !parent.contains(document.activeElement)) {
    const node = [...parent.children].find((child) => child.dataset.key === place.key);
    const parts = place.part ? node?.querySelector(`[data-part="${place.part}"]`) : node?.querySelector('a, button');
    parts?.focus({ preventScroll: true });
  }
}
