// Files that wait to be sent: chosen by a button, dropped, or pasted.

import { byId, el, icon } from './dom.js';
import { size } from './words.js';

const MOST = 25 * 1024 * 1024;

let files = [];

function show() {
  byId('staged').hidden = files.length === 0;
  byId('staged').replaceChildren(
    ...files.map((file) =>
      el(
        'li',
        {},
        icon('file'),
        el('span', {}, file.name),
        el('small', {}, size(file.size)),
        el('button', { class: 'button plain round', type: 'button', 'aria-label': `Remove ${file.name}`, click: () => remove(file) }, icon('close')),
      ),
    ),
  );
}

function remove(file) {
  files = files.filter((each) => each !== file);
  show();
  byId('text').focus();
}

// Hands over what waits; nothing waits afterwards.
export function takeFiles() {
  const taken = files;
  files = [];
  show();
  return taken;
}

// Takes back what was not sent after all.
export function giveBack(unsent) {
  files = [...unsent, ...files];
  show();
}

export const filesWait = () => files.length > 0;

// `wrong` shows what a person should know.
export function startAttaching(wrong) {
  const add = (added) => {
    const large = [...added].filter((file) => file.size > MOST);
    if (large.length > 0) wrong(`${large[0].name} is larger than 25 MB`);
    files = [...files, ...[...added].filter((file) => file.size <= MOST)];
    show();
  };
  const input = byId('file');
  byId('attach').addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    add(input.files);
    input.value = '';
    byId('text').focus();
  });
  byId('text').addEventListener('paste', (event) => add(event.clipboardData.files));

  const thread = byId('thread');
  const open = () => !byId('text').disabled;
  const holdsFiles = (event) => event.dataTransfer?.types.includes('Files');
  // A file that misses the thread must not replace the page.
  for (const kind of ['dragover', 'drop']) {
    window.addEventListener(kind, (event) => holdsFiles(event) && event.preventDefault());
  }
  thread.addEventListener('dragenter', (event) => {
    if (holdsFiles(event) && open()) byId('drop').hidden = false;
  });
  thread.addEventListener('dragleave', (event) => {
    if (!thread.contains(event.relatedTarget)) byId('drop').hidden = true;
  });
  thread.addEventListener('drop', (event) => {
    byId('drop').hidden = true;
    if (holdsFiles(event) && open()) add(event.dataTransfer.files);
  });
}
