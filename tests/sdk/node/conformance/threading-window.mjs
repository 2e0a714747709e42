// The threading window: who comes back within it lands in the same conversation.

import assert from 'node:assert/strict';
import { subject } from './tests.mjs';

const body = (...minutes) => ({
	settings: minutes.map((timeoutInMinutes) => ({ messengerType: 'open', timeoutInMinutes })),
});

function minutes(answer) {
	const set = answer.settings.find((each) => each.messengerType === 'open');
	return set?.timeoutInMinutes ?? answer.defaultTimeoutMinutes;
}

/** Sets it for this test; nothing sets it back to the default. */
function put(t, ...given) {
	t.after(async () => (await t.login()).conversations.putConversationsMessagingThreadingtimeline(body()));
	return t.api.putConversationsMessagingThreadingtimeline(body(...given));
}

async function agentEnds(t, conversation) {
	const { id } = await t.present(conversation, 'agent');
	await t.api.patchConversationsMessageParticipant(conversation, id, { body: { state: 'disconnected' } });
}

/** Whether a customer who returns so long after the end lands in the same conversation. */
async function comesBack(t, after) {
	const integration = await t.integration();
	const { conversationId } = await t.writes(integration);
	await agentEnds(t, conversationId);
	await t.sandbox.advance(after);
	// A token lives for a day.
	t.use(await t.login());
	return (await t.writes(integration)).conversationId === conversationId;
}

subject('threading window', (test) => {
	test('it is read and set', async (t) => {
		const get = t.api.getConversationsMessagingThreadingtimeline;
		const found = await get();
		assert.deepEqual([found.defaultTimeoutMinutes, minutes(found)], [4320, 4320]);
		assert.equal(minutes(await put(t, 90)), 90);
		assert.equal(minutes(await get()), 90);
		assert.equal(minutes(await put(t)), 4320, 'what is left out goes back');
		assert.equal(minutes(await get()), 4320);
	});

	test('it is at most 72 hours', async (t) => {
		const set = (given) => () => t.api.putConversationsMessagingThreadingtimeline(body(given));
		for (const given of [-1, 4321, 1.5]) await t.refused(400, 'bad.request', set(given));
		for (const given of [0, 4320]) assert.equal(minutes(await put(t, given)), given);
	});

	test('it is 72 hours at first', async (t) => {
		assert.equal(await comesBack(t, '71h'), true);
		assert.equal(await comesBack(t, '73h'), false);
	});

	test('it decides who lands where', async (t) => {
		await put(t, 60);
		assert.equal(await comesBack(t, '59m'), true);
		assert.equal(await comesBack(t, '61m'), false);
	});

	test('zero is a new conversation each time', async (t) => {
		await put(t, 0);
		assert.equal(await comesBack(t, '1s'), false);
	});

	test('it plays no part while the conversation lives', async (t) => {
		await put(t, 0);
		const { integration, conversation } = await t.talk();
		await t.sandbox.advance('1h');
		assert.equal((await t.writes(integration)).conversationId, conversation);
	});

	test('who comes back gets new participants', async (t) => {
		const { integration, conversation } = await t.talk();
		const { participants } = await t.api.getConversationsMessage(conversation);
		await agentEnds(t, conversation);
		assert.equal((await t.writes(integration)).conversationId, conversation);
		for (const purpose of ['agent', 'customer']) {
			const { id } = await t.present(conversation, purpose);
			assert.ok(!participants.some((each) => each.id === id), `the ${purpose} came back from the dead`);
		}
	});
});
