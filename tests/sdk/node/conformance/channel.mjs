// Notification channels with a listener at their sockets.
//
// The SDK for JavaScript makes channels and their topics, but has no helper for the socket, and Node has a WebSocket of
// its own from version 22 only: so `ws` listens, as in Genesys's own samples.

import { randomUUID } from 'node:crypto';
import WebSocket from 'ws';
import { eventually } from './waiting.mjs';

export const QUEUE = 'v2.routing.queues.33333333-aaaa-4bbb-8ccc-000000000009.conversations.messages';
export const AGENT = 'v2.users.44444444-aaaa-4bbb-8ccc-000000000007.conversations.messages';
export const HEARTBEAT = 'channel.metadata';

export const event = (conversation, what) => `v2.detail.events.conversation.${conversation}.${what}`;
export const topics = (...names) => names.map((id) => ({ id }));

/** Keeps every frame of the socket at `connectUri`. */
export class Listener {
	frames = [];
	closed = false;

	constructor(connectUri) {
		this.socket = new WebSocket(connectUri);
		this.socket.on('message', (text) => this.frames.push(JSON.parse(text)));
		this.socket.on('close', () => (this.closed = true));
		// Rejects with the status when the sandbox refuses the socket.
		this.open = new Promise((opened, refused) => {
			this.socket.on('open', () => opened(this));
			this.socket.on('unexpected-response', (_, response) => refused({ status: response.statusCode }));
			this.socket.on('error', refused);
		});
	}

	of(topic) {
		return this.frames.filter((frame) => frame.topicName === topic);
	}

	/** The body of the n-th frame of a topic. */
	async frame(topic, number = 1) {
		await eventually(`${topic} (${number})`, () => this.of(topic).length >= number);
		return this.of(topic)[number - 1].eventBody;
	}

	ended() {
		return eventually("the socket's end", () => this.closed);
	}

	/** Waits for the answer to a ping: it is alive. */
	alive() {
		const before = this.of(HEARTBEAT).length;
		this.socket.send(JSON.stringify({ message: 'ping' }));
		return this.frame(HEARTBEAT, before + 1);
	}
}

/** A socket at a channel, which is closed when the test ends. */
export async function connect(t, channel) {
	const listener = new Listener(channel.connectUri);
	t.after(() => listener.socket.terminate());
	return listener.open;
}

/** The test goes on as a client of its own, whose channels and sockets are its own. */
export async function ownClient(t) {
	const client = { id: `listener-${randomUUID()}`, secret: 'secret-of-the-listener' };
	await t.sandbox.role(client);
	t.use(await t.login(client));
	return client;
}

/** A channel with these topics, and a listener at its socket. */
export async function listens(t, ...names) {
	const channel = await t.sdk.notifications.postNotificationsChannels();
	if (names.length) await t.sdk.notifications.putNotificationsChannelSubscriptions(channel.id, topics(...names));
	return { channel, listener: await connect(t, channel) };
}
