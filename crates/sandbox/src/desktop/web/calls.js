// What the desktop asks of the sandbox, and what it is told.

const BASE = '/sandbox/desktop';

async function call(path, options = {}) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `The sandbox answers ${answer.status}`);
  }
  return answer.headers.get('content-type')?.startsWith('application/json') ? answer.json() : null;
}

const post = (path, body) =>
  call(`${BASE}/conversations/${path}`, { method: 'POST', body: body === undefined ? null : JSON.stringify(body) });

export const conversations = () => call(`${BASE}/conversations`);
export const thread = (id) => call(`${BASE}/conversations/${encodeURIComponent(id)}`);
export const say = (id, said) => post(`${encodeURIComponent(id)}/messages`, said);
export const types = (id) => post(`${encodeURIComponent(id)}/typing`);
export const transfer = (id, to) => post(`${encodeURIComponent(id)}/transfer`, { to });
export const end = (id) => post(`${encodeURIComponent(id)}/end`);

// Answers the attachment as it stands in a message.
export const upload = (file) =>
  call(`/sandbox/media?filename=${encodeURIComponent(file.name)}`, {
    method: 'POST',
    headers: { 'content-type': file.type || 'application/octet-stream' },
    body: file,
  });

// Calls `told` with every piece of news, and `connected` with whether there is a connection. The browser connects
// again by itself.
export function listen(told, connected) {
  const events = new EventSource(`${BASE}/events`);
  events.onopen = () => connected(true);
  events.onerror = () => connected(false);
  events.onmessage = (event) => told(JSON.parse(event.data));
}
