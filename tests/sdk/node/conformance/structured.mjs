// Structured responses: what a customer tapped.

import assert from 'node:assert/strict';
import { NOWHERE, inbound, without } from './case.mjs';
import { subject } from './tests.mjs';

const reply = (text, payload) => ({ contentType: 'QuickReply', quickReply: { text, payload, action: 'Message' } });

/** A conversation whose customer was asked by quick replies, and the question's id. */
async function asked(t) {
	const talk = await t.talk();
	const question = await t.sandbox.agent('send', 'noor', talk.integration.id, {
		text: 'Did it arrive?',
		content: [reply('Yes', 'yes'), reply('No', 'no')],
	});
	return { ...talk, question: question.id };
}

function tapped(question, buttonResponse) {
	return { channel: inbound('noor').channel, buttonResponse, originatingMessageId: question };
}

const post = (t, id, body) => t.api.postConversationsMessageInboundOpenStructuredResponse(id, body);

subject('structured', (test) => {
	test('quick replies reach the webhook', async (t) => {
		const { question } = await asked(t);
		const message = await t.hookedMessage(question);
		assert.deepEqual([message.type, message.text], ['Structured', 'Did it arrive?']);
		assert.deepEqual(message.content, [reply('Yes', 'yes'), reply('No', 'no')]);
	});

	test('what was tapped comes in', async (t) => {
		const { integration, conversation, question } = await asked(t);
		const slot = '2026-12-01T09:00:00.000Z';
		for (const given of [
			{ type: 'QuickReply', text: 'Yes', payload: 'yes' },
			{ type: 'Button', text: 'Track it', payload: 'track' },
			{ type: 'DatePicker', text: slot, payload: slot },
		]) {
			const answer = await post(t, integration.id, tapped(question, given));
			assert.deepEqual([answer.type, answer.channel.from.id], ['Structured', 'noor']);
			assert.equal(answer.content.length, 1);
			const { contentType, buttonResponse } = answer.content[0];
			const { type, text, payload } = buttonResponse;
			assert.deepEqual([contentType, { type, text, payload }], ['ButtonResponse', given]);
			const details = await t.details(answer.id);
			assert.deepEqual([details.conversationId, details.direction], [conversation, 'inbound']);
			assert.equal(details.normalizedMessage.content[0].buttonResponse.payload, given.payload);
		}
	});

	test('what is wrong is 400', async (t) => {
		const { integration, question } = await asked(t);
		const button = { type: 'Button', text: 'Yes', payload: 'yes' };
		const good = tapped(question, button);
		const wrong = [
			...['channel', 'buttonResponse', 'originatingMessageId'].map((field) => without(good, field)),
			...['type', 'text', 'payload'].map((field) => tapped(question, without(button, field))),
			tapped(question, { ...button, type: 'Lever' }),
		];
		for (const body of wrong) await t.refused(400, 'bad.request', () => post(t, integration.id, body));
		await t.refused(404, 'not.found', () => post(t, NOWHERE, good));
	});
});
