// A small chat service that speaks Tidegate's connector protocol, version 1 (docs/connectors.md).
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { appendFileSync, openSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

type Content = { contentType: string; attachment?: { mime?: string } };
type Message = { conversation: string; id: string; text: string | null; content: Content[] };
type Event = { type: string; id: string; [field: string]: unknown };
type Line = { message?: Message; event?: Event; sent?: string }; // of the file
type Answer = [status: number, body: object];

const { values: options } = parseArgs({ options: {
  listen: { type: 'string', default: '127.0.0.1:9000' },
  gateway: { type: 'string', default: 'http://127.0.0.1:8080/connectors/acme/events' },
  handshake: { type: 'string', default: '5' }, // seconds until a session is open
  delay: { type: 'string', default: '1' }, // seconds until a message is reported as delivered
  store: { type: 'string', default: 'chat.jsonl' },
} });
const key = Buffer.from(process.env.CHAT_SECRET?.match(/^whsec_(\S+)$/)?.[1] ?? '', 'base64');
if (key.length === 0) throw new Error('CHAT_SECRET must be whsec_ followed by base64');
const [TOLERANCE, MAX_TEXT] = [5 * 60, 4000]; // seconds between the clocks; characters
const capabilities = { reports_delivery: true, max_text: MAX_TEXT, media: ['image/*'] };

// The file keeps messages and unsent events. Sessions are lost, and the gateway is told so.
const messages = new Map<string, Message>(); // by the gateway's id, in the order of arrival
const unsent = new Map<string, Event>([['', { type: 'session.lost', id: randomUUID() }]]);
const file = openSync(options.store, 'a+');
for (const { message, event, sent } of readFileSync(file, 'utf8').split('\n').map(parse)) {
  if (message) messages.set(message.id, message);
  if (event) unsent.set(event.id, event);
  if (sent) unsent.delete(sent);
}

function parse(line: string): Line {
  try { return JSON.parse(line); } catch { return {}; } // empty, or cut off by a crash
}

function append(line: Line): void { // on disk when it returns, and never joined to a cut-off line
  appendFileSync(file, `\n${JSON.stringify(line)}\n`, { flush: true });
}

// Signatures are the same in both directions.
function sign(id: string, at: string, body: string | Buffer): string {
  return 'v1,' + createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest('base64');
}

function isSigned({ headers }: IncomingMessage, body: Buffer): boolean {
  const header = (name: string) => String(headers[`webhook-${name}`]);
  const expected = Buffer.from(sign(header('id'), header('timestamp'), body));
  const given = header('signature').split(' ').map((signature) => Buffer.from(signature));
  return Math.abs(Date.now() / 1000 - Number(header('timestamp'))) <= TOLERANCE &&
    given.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}

// Events go to the gateway one after the other, each again and again until the gateway has it.
let sending = Promise.resolve();
const tell = (event: Event): void => { sending = sending.then(() => send(event)); };

async function send(event: Event): Promise<void> {
  const body = JSON.stringify(event);
  for (let pause = 100; ; pause = Math.min(2 * pause, 2000)) {
    const at = String(Math.floor(Date.now() / 1000)); // each try has its own signature
    const headers = { 'content-type': 'application/json', 'webhook-id': event.id,
      'webhook-timestamp': at, 'webhook-signature': sign(event.id, at, body) };
    const call = { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) };
    const status = await fetch(options.gateway, { ...call, redirect: 'manual' })
      .then((answer) => answer.text().then(() => answer.status)).catch(() => 0);
    if (status !== 202) console.error('%s: the gateway says %s', event.type, status || 'nothing');
    if ([202, 400, 413].includes(status)) return append({ sent: event.id }); // 400, 413: for good
    await sleep(pause);
  }
}

const sessions = new Map<string, { id: string; customer: string; isOpen: boolean }>();
const typingUntil = new Map<string, number>(); // by performance.now()
const refuse = (status: number, message: string, code?: string): Answer =>
  [status, { reason: { code, message } }];

function open(conversation: string, { customer: { id } }: { customer: { id: string } }): Answer {
  const known = sessions.get(conversation);
  if (known) return known.isOpen ? [200, { session: known.id }] : [202, {}];
  const session = { id: randomUUID(), customer: id, isOpen: false };
  sessions.set(conversation, session);
  setTimeout(() => {
    if (sessions.get(conversation) !== session) return; // closed meanwhile
    session.isOpen = true;
    tell({ type: 'session.opened', id: randomUUID(), conversation, session: session.id });
  }, Number(options.handshake) * 1000);
  return [202, {}];
}

function accept(conversation: string, call: Message & { session: string }): Answer {
  const { id, text = null, content = [] } = call;
  const answer: Answer = [202, { status: 'sent', message_id: id }];
  if (messages.has(id)) return answer; // the gateway did not get the first one
  const session = sessions.get(conversation);
  if (!session?.isOpen || call.session !== session.id) return refuse(409, 'no such session');
  const isImage = (one: Content) => /^image\//i.test(one.attachment?.mime ?? '');
  if ([...(text ?? '')].length > MAX_TEXT || !content.every(isImage)) {
    return refuse(422, 'only images, and texts up to 4,000 characters', 'UnsupportedMessage');
  }
  const message = { conversation, id, text, content };
  const event = { type: 'message.delivered', id: randomUUID(), message: id };
  append({ message, event });
  messages.set(id, message);
  setTimeout(tell, Number(options.delay) * 1000, event);
  console.log('agent to %s: %j', session.customer, text ?? content);
  return answer;
}

function say(customer: string, { text }: { text: string }): Answer {
  if (!text.trim()) return refuse(400, 'the text is empty');
  const event = { type: 'message.created', id: randomUUID(), customer: { id: customer }, text };
  append({ event });
  tell(event);
  return [202, { id: event.id }];
}

function respond(request: IncomingMessage, body: Buffer): Answer {
  const [, kind, id = '', call = ''] = (request.url ?? '').split('/');
  const route = `${request.method} /${kind}/${call}`;
  if (route === 'POST /customers/say') return say(decodeURIComponent(id), JSON.parse(`${body}`));
  if (!isSigned(request, body)) return refuse(401, 'wrong signature');
  if (route === 'GET //') return [200, { capabilities }];
  if (route === 'GET /conversations/') {
    const seen = [...messages.values()].filter((message) => message.conversation === id);
    return [200, { messages: seen, typing: performance.now() < (typingUntil.get(id) ?? 0) }];
  }
  const fields = JSON.parse(`${body}`);
  if (route === 'POST /conversations/open') return open(id, fields);
  if (route === 'POST /conversations/messages') return accept(id, fields);
  if (route === 'POST /conversations/typing') {
    typingUntil.set(id, fields.state === 'on' ? performance.now() + fields.duration_ms : 0);
  } else if (route === 'POST /conversations/close') sessions.delete(id);
  else return refuse(404, 'no such call');
  return [202, {}];
}

// The gateway closes idle connections after 10 s. If this side were first, a call could be lost.
const server = createServer({ keepAliveTimeout: 30_000 }, async (request, response) => {
  const [status, answer] = await buffer(request).then((body) => respond(request, body))
    .catch(({ code }) => refuse(code ? 503 : 400, code ?? 'the body cannot be read'));
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});
const [host, port] = options.listen.split(':');
server.listen(Number(port), host, () => unsent.forEach((event) => tell(event)));
