// What an agent sends: text and typing.

import assert from 'node:assert/strict';
import { NOWHERE, without } from './case.mjs';
import { subject } from './tests.mjs';
import { typingEvent } from './settings.mjs';

const send = (t, conversation, agent, body) =>
	t.api.postConversationsMessageCommunicationMessages(conversation, agent, body);
const type = (t, conversation, agent, body) =>
	t.api.postConversationsMessageCommunicationTyping(conversation, agent, body);
const TYPING = { typing: { type: 'On', duration: 4000 } };

subject('agent', (test) => {
	test('the answer and the webhook tell the same', async (t) => {
		const talk = await t.talk();
		const text = 'Good morning, Noor: here is “it” 🚢';
		const sent = await t.says(talk, text);
		assert.deepEqual(
			[sent.conversationId, sent.direction, sent.messengerType, sent.fromAddress, sent.toAddress],
			[talk.conversation, 'outbound', 'open', talk.integration.id, 'noor'],
		);
		assert.ok(['queued', 'sent'].includes(sent.status));
		assert.ok(sent.createdBy.id);
		const message = await t.hookedMessage(sent.id);
		assert.deepEqual([message.type, message.direction, message.originatingEntity], ['Text', 'Outbound', 'Human']);
		assert.deepEqual([message.text, sent.normalizedMessage.text], [text, text]);
		const { channel } = message;
		assert.deepEqual([channel.id, channel.platform, channel.type], [talk.integration.id, 'Open', 'Private']);
		assert.equal(channel.to.id, 'noor');
		assert.deepEqual([channel.from.id, channel.from.nickname], [talk.integration.id, talk.integration.name]);
		assert.equal(channel.time, sent.normalizedMessage.channel.time);
		await t.eventually("the webhook's answer", async () => (await t.details(sent.id)).status === 'sent');
	});

	test('a bot is told from a person', async (t) => {
		const { integration } = await t.talk();
		const sent = await t.sandbox.agent('send', 'noor', integration.id, { text: 'I am a machine', from: 'bot' });
		assert.equal((await t.hookedMessage(sent.id)).originatingEntity, 'Bot');
	});

	test('messages of a conversation arrive in order', async (t) => {
		const talk = await t.talk();
		const sent = [];
		for (let n = 0; n < 5; n += 1) sent.push((await t.says(talk, `Number ${n}`)).id);
		await t.hookedMessage(sent.at(-1));
		assert.deepEqual(t.calls.map((each) => each.body.id), sent);
	});

	test('what is wrong is 400', async (t) => {
		const { conversation, agent } = await t.talk();
		const wrong = {
			nothing: {},
			'an empty text': { textBody: '' },
			'text that is none': { textBody: 7 },
			'too long a text': { textBody: 'x'.repeat(4_001) },
			'text and medium': { textBody: 'Hello', mediaIds: [NOWHERE] },
			'two media': { textBody: '', mediaIds: [NOWHERE, NOWHERE] },
			'text and template': { textBody: 'Hello', messagingTemplate: { responseId: 'greeting' } },
		};
		for (const [what, body] of Object.entries(wrong)) {
			const error = await t.refused(400, 'bad.request', () => send(t, conversation, agent, body));
			assert.equal(error.body.status, 400, what);
		}
		assert.deepEqual(t.calls, [], 'nothing was sent');
		await send(t, conversation, agent, { textBody: 'x'.repeat(4_000) });
	});

	test('who is not there cannot be written to', async (t) => {
		const { integration, conversation, agent } = await t.talk();
		const hello = { textBody: 'Hello' };
		const customer = (await t.present(conversation, 'customer')).id;
		for (const [where, who] of [[NOWHERE, agent], [conversation, NOWHERE], [conversation, customer]]) {
			await t.refused(404, 'not.found', () => send(t, where, who, hello));
			await t.refused(404, 'not.found', () => type(t, where, who, TYPING));
		}
		await t.sandbox.agent('end', 'noor', integration.id);
		await t.refused(409, 'conflict', () => send(t, conversation, agent, hello));
	});

	test('typing reaches the webhook', async (t) => {
		const { conversation, agent } = await t.talk();
		await type(t, conversation, agent, TYPING);
		const event = t.normalized((await t.hooked('the typing', (body) => body.type === 'Event')).body);
		assert.deepEqual([event.direction, event.channel.to.id], ['Outbound', 'noor']);
		assert.deepEqual(event.events, [{ eventType: 'Typing', ...TYPING }]);
	});

	test('typing may be switched off', async (t) => {
		await t.switch({ typing: false });
		const talk = await t.talk();
		await type(t, talk.conversation, talk.agent, TYPING);
		await t.hookedMessage((await t.says(talk)).id);
		assert.deepEqual(t.calls.map((each) => each.body.type), ['Text']);
	});

	test('typing that is wrong is 400', async (t) => {
		const { conversation, agent } = await t.talk();
		for (const body of [
			{ typing: { type: 'Sometimes' } },
			{ duration: 4000 },
			{ typing: { type: 'On', duration: 'long' } },
		]) {
			await t.refused(400, 'bad.request', () => type(t, conversation, agent, body));
		}
	});

	test("a customer's typing is answered", async (t) => {
		const { integration } = await t.talk();
		const post = t.api.postConversationsMessageInboundOpenEvent;
		const answer = await post(integration.id, typingEvent('noor'));
		assert.deepEqual([answer.type, answer.channel.id, answer.channel.from.id], ['Event', integration.id, 'noor']);
		assert.deepEqual(answer.events.map((each) => each.eventType), ['Typing']);
		const good = typingEvent('noor');
		for (const body of [
			without(good, 'channel'),
			{ ...good, channel: without(good.channel, 'from') },
			{ ...good, events: [{ eventType: 'Presence' }] },
			{ ...good, events: 'Typing' },
		]) {
			await t.refused(400, 'bad.request', () => post(integration.id, body));
		}
		await t.refused(404, 'not.found', () => post(NOWHERE, good));
	});
});
