// The socket of a channel: its heartbeat, its ends, and frames that go astray.

import assert from 'node:assert/strict';
import { AGENT, HEARTBEAT, connect, event, listens, ownClient, topics } from './channel.mjs';
import { subject } from './tests.mjs';

const CLOSING = 'v2.system.socket_closing';

subject('sockets', (test) => {
	test('it beats every half minute', async (t) => {
		t.after(() => t.sandbox.clock(1));
		await t.sandbox.clock(60);
		const { listener } = await listens(t, AGENT);
		const begin = performance.now();
		assert.equal((await listener.frame(HEARTBEAT)).message, 'WebSocket Heartbeat');
		await listener.frame(HEARTBEAT, 3);
		// Three times 30 s at sixty times the speed.
		assert.ok(performance.now() - begin > 1200);
	});

	test('it answers a ping', async (t) => {
		const { listener } = await listens(t);
		assert.equal((await listener.alive()).message, 'pong');
	});

	test('it may be closed at once', async (t) => {
		const other = (await listens(t)).listener;
		const client = await ownClient(t);
		const { conversation, agent } = await t.talk();
		const { channel, listener } = await listens(t, event(conversation, 'user.end'));
		assert.deepEqual(await t.sandbox.closeSockets({ client: client.id }), { sockets: 1 });
		await listener.ended();
		await other.alive();
		// The channel is still there, and its topics: a new socket hears again.
		const again = await connect(t, channel);
		await t.api.patchConversationsMessageParticipant(conversation, agent, { body: { state: 'disconnected' } });
		await again.frame(event(conversation, 'user.end'));
	});

	test('it may be warned a minute ahead', async (t) => {
		const client = await ownClient(t);
		const { listener } = await listens(t, AGENT);
		await t.sandbox.closeSockets({ warn: true, client: client.id });
		assert.ok((await listener.frame(CLOSING)).message);
		await listener.alive();
		await t.sandbox.advance('61s');
		await listener.ended();
	});

	test('what happens without a socket is not told later', async (t) => {
		const client = await ownClient(t);
		const { integration, conversation } = await t.talk();
		const { channel, listener } = await listens(t, event(conversation, 'user.end'));
		await t.sandbox.closeSockets({ client: client.id });
		await listener.ended();
		await t.sandbox.agent('transfer', 'noor', integration.id);
		const again = await connect(t, channel);
		await t.sandbox.agent('end', 'noor', integration.id);
		assert.equal((await again.frame(event(conversation, 'user.end'))).disconnectType, 'CLIENT');
		assert.equal(again.of(event(conversation, 'user.end')).length, 1);
	});

	test('a second one takes over or is refused', async (t) => {
		const { channel, listener } = await listens(t, AGENT);
		const second = await connect(t, channel);
		await listener.ended();
		await second.alive();
		await t.switch({ second_socket: 'refused' });
		assert.equal(await t.status(() => connect(t, channel)), 409);
		await second.alive();
	});

	test('a channel lives for a day from its last topics', async (t) => {
		const client = await ownClient(t);
		const { channel, listener } = await listens(t, AGENT);
		const { now } = await t.sandbox.call('GET', '/sandbox/clock');
		const life = Date.parse(channel.expires) - Date.parse(now);
		assert.ok(Math.abs(life - 24 * 3600 * 1000) < 10_000, channel.expires);
		await t.sandbox.advance('23h');
		await t.sdk.notifications.putNotificationsChannelSubscriptions(channel.id, topics(AGENT));
		await t.sandbox.advance('23h');
		await listener.alive();
		t.use(await t.login(client));
		const there = async () => (await t.sdk.notifications.getNotificationsChannels()).entities.map((each) => each.id);
		assert.deepEqual(await there(), [channel.id]);
		await t.sandbox.advance('2h');
		await listener.ended();
		assert.deepEqual(await there(), []);
		await t.refused(404, 'not.found', () => t.sdk.notifications.getNotificationsChannelSubscriptions(channel.id));
		assert.equal(await t.status(() => connect(t, channel)), 404);
	});

	test('a frame may be lost, doubled, or end the socket', async (t) => {
		const { integration, conversation } = await t.talk();
		const userEnd = event(conversation, 'user.end');
		const { listener } = await listens(t, userEnd);
		const transfer = () => t.sandbox.agent('transfer', 'noor', integration.id);
		await t.fault('notification', 'lose');
		await transfer();
		await transfer();
		const first = await listener.frame(userEnd);
		await t.fault('notification', 'duplicate');
		await transfer();
		const third = await listener.frame(userEnd, 3);
		const second = await listener.frame(userEnd, 2);
		assert.deepEqual(second, third);
		assert.notDeepEqual(first, second);
		await t.fault('notification', 'close');
		await transfer();
		await listener.ended();
		assert.equal(listener.of(userEnd).length, 3);
	});
});
