// Notifications: channels, topics, and what they tell.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { AGENT, QUEUE, connect, event, listens, ownClient, topics } from './channel.mjs';
import { isMoment } from './declared.mjs';
import { subject } from './tests.mjs';

const ids = (listing) => listing.entities.map((each) => each.id);
const leaves = (t, conversation, participant) =>
	t.api.patchConversationsMessageParticipant(conversation, participant, { body: { state: 'disconnected' } });

subject('notifications', (test) => {
	test('a channel is made and listed', async (t) => {
		await ownClient(t);
		const { notifications } = t.sdk;
		const made = await notifications.postNotificationsChannels();
		assert.ok(made.connectUri.startsWith('ws://') && made.connectUri.includes(made.id), made.connectUri);
		assert.ok(isMoment(made.expires));
		assert.deepEqual(ids(await notifications.getNotificationsChannels()), [made.id]);
		for (const includechannels of ['token', 'oauthclient']) {
			assert.ok(ids(await notifications.getNotificationsChannels({ includechannels })).includes(made.id));
		}
	});

	test('topics are set, added, listed and taken away', async (t) => {
		const { notifications } = t.sdk;
		const { id } = await notifications.postNotificationsChannels();
		const [first, second] = [event(randomUUID(), 'user.end'), event(randomUUID(), 'customer.end')];
		const answer = await notifications.putNotificationsChannelSubscriptions(id, topics(first));
		assert.deepEqual(answer.entities.map((each) => [each.id, each.state]), [[first, 'Permitted']]);
		await notifications.postNotificationsChannelSubscriptions(id, topics(second));
		const there = async () => ids(await notifications.getNotificationsChannelSubscriptions(id)).sort();
		assert.deepEqual(await there(), [first, second].sort());
		await notifications.putNotificationsChannelSubscriptions(id, topics(QUEUE));
		assert.deepEqual(await there(), [QUEUE]);
		await notifications.deleteNotificationsChannelSubscriptions(id);
		assert.deepEqual(await there(), []);
	});

	test('an unknown topic is rejected', async (t) => {
		const { notifications } = t.sdk;
		const { id } = await notifications.postNotificationsChannels();
		const wanted = topics('v2.weather.rain', AGENT);
		const { entities } = await notifications.putNotificationsChannelSubscriptions(id, wanted);
		const states = Object.fromEntries(entities.map((each) => [each.id, each.state]));
		assert.deepEqual(states, { 'v2.weather.rain': 'Rejected', [AGENT]: 'Permitted' });
		assert.ok(entities.find((each) => each.state === 'Rejected').rejectionReason);
		assert.deepEqual(ids(await notifications.getNotificationsChannelSubscriptions(id)), [AGENT]);
	});

	test('an unknown channel is 404', async (t) => {
		const { notifications } = t.sdk;
		for (const call of [
			() => notifications.getNotificationsChannelSubscriptions('nowhere'),
			() => notifications.putNotificationsChannelSubscriptions('nowhere', topics(AGENT)),
			() => notifications.postNotificationsChannelSubscriptions('nowhere', topics(AGENT)),
			() => notifications.deleteNotificationsChannelSubscriptions('nowhere'),
		]) {
			await t.refused(404, 'not.found', call);
		}
		const connectUri = `${t.sandbox.url.replace('http', 'ws')}/channels/nowhere`;
		assert.equal(await t.status(() => connect(t, { connectUri })), 404);
	});

	test('twenty channels and a thousand topics are the most', async (t) => {
		await ownClient(t);
		const { notifications } = t.sdk;
		const made = [];
		for (let n = 0; n < 21; n += 1) made.push((await notifications.postNotificationsChannels()).id);
		const there = ids(await notifications.getNotificationsChannels());
		assert.deepEqual(there.sort(), made.slice(1).sort(), 'the oldest went');
		const many = topics(...Array.from({ length: 1000 }, () => event(randomUUID(), 'user.end')));
		await notifications.putNotificationsChannelSubscriptions(made[20], many);
		const add = () => notifications.postNotificationsChannelSubscriptions(made[20], topics(AGENT));
		await t.refused(400, 'bad.request', add);
	});

	test('the end of a conversation is told', async (t) => {
		const { integration, conversation, agent } = await t.talk();
		const customer = (await t.present(conversation, 'customer')).id;
		const ends = ['user.end', 'customer.end', 'acw'].map((what) => event(conversation, what));
		const { listener } = await listens(t, ...ends);
		await t.sandbox.agent('end', 'noor', integration.id);
		const user = t.declared(await listener.frame(ends[0]), 'UserEndDetailEventTopicUserEndEvent');
		assert.deepEqual([user.conversationId, user.participantId], [conversation, agent]);
		assert.deepEqual([user.disconnectType, user.mediaType, user.messageType], ['CLIENT', 'MESSAGE', 'OPEN']);
		assert.deepEqual([user.addressFrom, user.addressTo], ['noor', integration.id]);
		assert.ok(Number.isInteger(user.eventTime) && user.userId && user.queueId);
		const over = t.declared(await listener.frame(ends[1]), 'CustomerEndDetailEventTopicCustomerEndEvent');
		assert.deepEqual([over.conversationId, over.participantId], [conversation, customer]);
		const work = t.declared(await listener.frame(ends[2]), 'AcwDetailEventTopicAfterCallWorkEvent');
		assert.deepEqual([work.conversationId, work.participantId], [conversation, agent]);
		const [{ version, metadata }] = listener.of(ends[0]);
		assert.ok(version && metadata.CorrelationId);
	});

	test('a customer who leaves is told as peer', async (t) => {
		const { conversation } = await t.talk();
		const { listener } = await listens(t, event(conversation, 'user.end'), event(conversation, 'customer.end'));
		await leaves(t, conversation, (await t.present(conversation, 'customer')).id);
		assert.equal((await listener.frame(event(conversation, 'user.end'))).disconnectType, 'PEER');
		await listener.frame(event(conversation, 'customer.end'));
	});

	test('a transfer is no end', async (t) => {
		const kinds = {
			transfer: 'TRANSFER',
			'transfer.consult': 'CONSULT_TRANSFER',
			'transfer.forward': 'FORWARD_TRANSFER',
			'transfer.noanswer': 'NO_ANSWER_TRANSFER',
			'transfer.notavailable': 'NOT_AVAILABLE_TRANSFER',
			'transfer.conference': 'CONFERENCE_TRANSFER',
		};
		const { integration, conversation } = await t.talk();
		const ends = ['user.end', 'acd.end', 'customer.end'].map((what) => event(conversation, what));
		const [userEnd, acdEnd, customerEnd] = ends;
		const { listener } = await listens(t, ...ends);
		let number = 0;
		for (const [disconnectType, told] of Object.entries(kinds)) {
			const leaver = (await t.present(conversation, 'agent')).id;
			await t.sandbox.agent('transfer', 'noor', integration.id, { disconnectType });
			number += 1;
			const user = t.declared(await listener.frame(userEnd, number), 'UserEndDetailEventTopicUserEndEvent');
			assert.deepEqual([user.disconnectType, user.participantId], [told, leaver]);
			const acd = t.declared(await listener.frame(acdEnd, number), 'AcdEndDetailEventTopicAcdEndEvent');
			assert.equal(acd.conversationId, conversation);
		}
		await t.sandbox.agent('end', 'noor', integration.id);
		await listener.frame(customerEnd);
		assert.equal(listener.of(customerEnd).length, 1, 'a transfer passed for an end');
	});

	test('inactivity is told', async (t) => {
		await t.switch({ inactivity_timeout: '10m' });
		const { conversation } = await t.talk();
		const { listener } = await listens(t, event(conversation, 'user.end'), event(conversation, 'customer.end'));
		await t.sandbox.advance('11m');
		assert.equal((await listener.frame(event(conversation, 'user.end'))).disconnectType, 'INACTIVITY');
		await listener.frame(event(conversation, 'customer.end'));
	});

	test('a queue and an agent are told of every change', async (t) => {
		const { listener } = await listens(t, QUEUE, AGENT);
		const talk = await t.talk();
		const { id } = await t.says(talk);
		const mine = (topic) =>
			listener.of(topic).map((frame) => frame.eventBody).filter((body) => body.id === talk.conversation);
		for (const [topic, model] of [
			[QUEUE, 'QueueConversationMessageEventTopicMessageConversation'],
			[AGENT, 'ConversationMessageEventTopicMessageConversation'],
		]) {
			const heard = () => mine(topic).find((body) => JSON.stringify(body).includes(id));
			const body = t.declared(await t.eventually('the message', heard), model);
			const purposes = body.participants.map((each) => each.purpose);
			assert.ok(purposes.includes('customer') && purposes.includes('agent'));
		}
		await t.sandbox.agent('end', 'noor', talk.integration.id);
		const over = () => mine(QUEUE).at(-1).participants.every((each) => each.state === 'disconnected');
		await t.eventually('the end', over);
	});

	test('what was not asked for is not told', async (t) => {
		const { integration, conversation } = await t.talk();
		const { channel, listener } = await listens(t, event(conversation, 'customer.end'));
		const added = topics(event(conversation, 'acw'));
		await t.sdk.notifications.postNotificationsChannelSubscriptions(channel.id, added);
		await t.sandbox.agent('end', 'noor', integration.id);
		await listener.frame(event(conversation, 'acw'));
		await listener.frame(event(conversation, 'customer.end'));
		assert.deepEqual(listener.of(event(conversation, 'user.end')), []);
	});
});
