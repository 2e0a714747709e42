// A small chat service that opens a WebSocket to Tidegate and needs no address (docs/socket.md).
import { createHmac, randomUUID } from 'node:crypto';
import { appendFileSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

type Message = { conversation: string; id: string; text: string | null };
type Event = { type: string; id: string; [field: string]: unknown };
type Line = { message?: Message; event?: Event; sent?: string }; // of the file
type Body = { id?: string; text?: string | null; content?: object[]; session?: string;
  customer?: { id: string } };
type Call = { id: string; call: string; conversation: string; body: Body };
type Answer = { id: string | null; status: number; body: object };
type Frame = Partial<Omit<Call, 'id' | 'body'>> & Partial<Answer> & { hello?: { node: string } };

const { values: options } = parseArgs({ options: {
  integration: { type: 'string', default: 'acme' },
  // Once for each node of the gateway, at the node's own address.
  gateway: { type: 'string', multiple: true, default: ['ws://127.0.0.1:8080'] },
  handshake: { type: 'string', default: '5' }, // seconds until a session is open
  delay: { type: 'string', default: '1' }, // seconds until a message is reported as delivered
  store: { type: 'string', default: 'chat.jsonl' },
} });
const key = Buffer.from(process.env.CHAT_SECRET?.match(/^whsec_(\S+)$/)?.[1] ?? '', 'base64');
if (key.length === 0) throw new Error('CHAT_SECRET must be whsec_ followed by base64');

// The file keeps messages and unsent events. Sessions are lost, and the gateway is told so.
const messages = new Map<string, Message>(); // by the gateway's id
const unsent = new Map<string, Event>();
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

// At any time one socket for each node. All share the sessions and messages of this process.
class Socket {
  static all: Socket[] = [];
  #socket: WebSocket | undefined; // the one that counts; nothing that an earlier one says does
  #pause = 250; // ms until a lost socket is opened again
  #heard = 0; // when the last frame came, by performance.now()
  isOpen = false; // after `hello`
  constructor(readonly url: string) { this.#connect(); }

  #connect(): void {
    const [id, at] = [randomUUID(), String(Math.floor(Date.now() / 1000))];
    const signature = createHmac('sha256', key).update(`${id}.${at}.`).digest('base64');
    const socket = this.#socket = new WebSocket(this.url, { headers: {
      'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${signature}` } });
    this.#heard = performance.now();
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#hear(String(data)); };
    socket.onclose = ({ code, reason }) => this.#lost(socket, `closed, ${code} ${reason}`);
    socket.onerror = () => this.#lost(socket, 'cannot be reached'); // Node 20 tells no more
  }

  #lost(socket: WebSocket | undefined, why: string): void {
    if (!socket || socket !== this.#socket) return; // told before
    [this.#socket, this.isOpen] = [undefined, false];
    socket.close();
    console.error('%s: %s', this.url, why);
    setTimeout(() => this.#connect(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, 16_000);
  }

  #hear(data: string): void {
    this.#heard = performance.now();
    const frame: Frame = JSON.parse(data);
    if (frame.hello) {
      console.error('%s: open, node %s', this.url, frame.hello.node);
      [this.isOpen, this.#pause] = [true, 250];
      unsent.forEach((event) => this.send(event)); // whatever the last socket did with them
    } else if (frame.call) {
      const [status, body] = respond(frame as Call);
      this.#socket?.send(JSON.stringify({ id: frame.id, status, body }));
    } else if (frame.id && unsent.has(frame.id)) {
      const final = [202, 400, 413].includes(frame.status ?? 0); // 400, 413: for good
      if (frame.status !== 202) console.error('the gateway says %j', frame);
      if (final) { unsent.delete(frame.id); append({ sent: frame.id }); }
      else setTimeout(() => { const event = unsent.get(frame.id!); if (event) tell(event); }, 2000);
    }
  }

  send(event: Event): void { this.#socket?.send(JSON.stringify({ id: event.id, events: event })); }

  beat(): void { // this client shows no pings, so it asks for an answer
    const limit = this.isOpen ? 45_000 : 10_000; // Node 20 may never tell that a request failed
    if (performance.now() - this.#heard > limit) this.#lost(this.#socket, 'silent');
    else if (this.isOpen) this.#socket?.send('{"id":"beat","events":[]}');
  }
}

const tell = (event: Event): void => {
  unsent.set(event.id, event); // until the gateway has it, over whichever socket
  Socket.all.find((socket) => socket.isOpen)?.send(event);
};

const sessions = new Map<string, { id: string; customer: string; isOpen: boolean }>();
const refuse = (status: number, message: string, code?: string): [number, object] =>
  [status, { reason: { code, message } }];

function respond({ call, conversation, body }: Call): [status: number, body: object] {
  const known = sessions.get(conversation);
  if (call === 'open') {
    if (known) return known.isOpen ? [200, { session: known.id }] : [202, {}];
    const session = { id: randomUUID(), customer: body.customer?.id ?? '', isOpen: false };
    sessions.set(conversation, session);
    setTimeout(() => {
      if (sessions.get(conversation) !== session) return; // closed meanwhile
      session.isOpen = true;
      tell({ type: 'session.opened', id: randomUUID(), conversation, session: session.id });
    }, Number(options.handshake) * 1000);
    return [202, {}];
  }
  if (call === 'close') sessions.delete(conversation);
  if (call !== 'messages') return [202, {}];
  const { id = '', text = null, content = [] } = body;
  if (messages.has(id)) return [202, { status: 'sent', message_id: id }]; // the answer was lost
  if (!known?.isOpen || body.session !== known.id) return refuse(409, 'no such session');
  if (content.length > 0) return refuse(422, 'only texts', 'UnsupportedMessage');
  const message = { conversation, id, text };
  const event = { type: 'message.delivered', id: randomUUID(), message: id };
  append({ message, event });
  messages.set(id, message);
  setTimeout(tell, Number(options.delay) * 1000, event);
  console.log('agent to %s: %s', known.customer, text);
  return [202, { status: 'sent', message_id: id }];
}

const lost = { type: 'session.lost', id: randomUUID() };
unsent.set(lost.id, lost);
Socket.all.push(...options.gateway.map((node) =>
  new Socket(`${node}/connectors/${options.integration}/socket`)));
setInterval(() => Socket.all.forEach((socket) => socket.beat()), 15_000);
// A line of the standard input, such as `noor: Where is my parcel?`, is a customer's message.
createInterface({ input: process.stdin }).on('line', (line) => {
  const [, customer = 'noor', text = line] = line.match(/^(\S+): (.*\S)/) ?? [];
  const event = { type: 'message.created', id: randomUUID(), customer: { id: customer }, text };
  append({ event });
  tell(event);
});
