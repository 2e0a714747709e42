// Messages without an agent.

import assert from 'node:assert/strict';
import { NOWHERE, without } from './case.mjs';
import { isMoment } from './declared.mjs';
import { subject } from './tests.mjs';

function request(fromAddress, more = {}) {
	const textBody = 'Your parcel leaves our depot today.';
	return { fromAddress, toAddress: 'noor', toAddressMessengerType: 'open', textBody, ...more };
}

const post = ({ api }, body) => api.postConversationsMessagesAgentless(body);

subject('agentless', (test) => {
	test('one reaches a customer who never wrote', async (t) => {
		const { id } = await t.integration();
		const answer = await post(t, request(id, { toAddress: 'yusuf' }));
		assert.deepEqual([answer.fromAddress, answer.toAddress, answer.messengerType], [id, 'yusuf', 'open']);
		assert.equal(answer.useExistingActiveConversation, false);
		assert.ok(isMoment(answer.timestamp));
		const message = await t.hookedMessage(answer.id);
		assert.deepEqual([message.type, message.direction, message.channel.to.id], ['Text', 'Outbound', 'yusuf']);
		assert.equal(message.text, 'Your parcel leaves our depot today.');
		const details = await t.details(answer.id);
		assert.deepEqual([details.conversationId, details.direction], [answer.conversationId, 'outbound']);
	});

	test('an active conversation may be used', async (t) => {
		const { integration, conversation } = await t.talk();
		const existing = (useExistingActiveConversation) =>
			post(t, request(integration.id, { useExistingActiveConversation }));
		const answer = await existing(true);
		assert.deepEqual([answer.conversationId, answer.useExistingActiveConversation], [conversation, true]);
		assert.notEqual((await existing(false)).conversationId, conversation);
	});

	test('what is wrong', async (t) => {
		const { id } = await t.integration();
		await t.sandbox.response('parcel', { text: 'It leaves today' });
		const good = request(id);
		const wrong = [
			{ ...without(good, 'textBody'), messagingTemplate: { responseId: 'parcel' } },
			{ ...good, toAddressMessengerType: 'sms' },
			...['textBody', 'toAddress', 'fromAddress', 'toAddressMessengerType'].map((field) => without(good, field)),
		];
		for (const body of wrong) await t.refused(400, 'bad.request', () => post(t, body));
		await t.refused(404, 'not.found', () => post(t, request(NOWHERE)));
		assert.deepEqual(t.calls, [], 'nothing was sent');
	});
});
