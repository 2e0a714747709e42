// Canned responses that an agent sends.

import assert from 'node:assert/strict';
import { subject } from './tests.mjs';

/** The message as the webhook got it. */
async function sends(t, messagingTemplate) {
	const { conversation, agent } = await t.talk();
	const sent = await t.api.postConversationsMessageCommunicationMessages(conversation, agent, { messagingTemplate });
	assert.equal(sent.normalizedMessage.type, 'Structured');
	return t.hookedMessage(sent.id);
}

subject('templates', (test) => {
	for (const kind of ['parameters', 'bodyParameters']) {
		test(`one is filled in by ${kind}`, async (t) => {
			const text = 'Hello {{name}}, box {{box}}';
			await t.sandbox.response('greeting', { text, header: 'Harbour', footer: 'Good bye', language: 'en' });
			const values = [{ id: 'name', value: 'Noor' }, { id: 'box', value: '7' }];
			const message = await sends(t, { responseId: 'greeting', [kind]: values });
			assert.deepEqual([message.type, message.text], ['Structured', 'Hello Noor, box 7']);
			assert.equal(message.content.length, 1);
			const { contentType, template } = message.content[0];
			assert.deepEqual([contentType, template.id, template.language], ['Notification', 'greeting', 'en']);
			assert.deepEqual([template.header.text, template.footer.text], ['Harbour', 'Good bye']);
			const parameters = Object.fromEntries(template.body.parameters.map(({ name, text }) => [name, text]));
			assert.deepEqual(parameters, { name: 'Noor', box: '7' });
		});
	}

	test('one with content of its own', async (t) => {
		const reply = { contentType: 'QuickReply', quickReply: { text: 'Yes', payload: 'yes', action: 'Message' } };
		await t.sandbox.response('question', { text: 'Did it arrive, {{name}}?', content: [reply] });
		const message = await sends(t, { responseId: 'question', parameters: [{ id: 'name', value: 'Noor' }] });
		assert.deepEqual([message.text, message.content], ['Did it arrive, Noor?', [reply]]);
	});

	test('cards', async (t) => {
		const action = { type: 'Postback', text: 'Track', payload: 'track' };
		const card = { title: 'Two parcels', description: 'One is late', actions: [action] };
		await t.sandbox.response('cards', { text: 'Your parcels', content: [{ contentType: 'Card', card }] });
		assert.deepEqual((await sends(t, { responseId: 'cards' })).content, [{ contentType: 'Card', card }]);
	});

	test('what is wrong', async (t) => {
		await t.refused(404, 'not.found', () => sends(t, { responseId: 'nobody-wrote-it' }));
		await t.refused(400, 'bad.request', () => sends(t, {}));
		assert.deepEqual(t.calls, [], 'nothing was sent');
	});
});
