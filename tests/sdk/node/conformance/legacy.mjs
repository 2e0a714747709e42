// The deprecated path: messages and receipts by one call.

import assert from 'node:assert/strict';
import { NOWHERE, without } from './case.mjs';
import { subject } from './tests.mjs';

function normalized(type, from, to, more = {}) {
	const channel = { platform: 'Open', type: 'Private', from: { id: from, idType: 'Opaque' }, to: { id: to } };
	return { type, channel: { ...channel, time: new Date().toISOString() }, ...more };
}

const post = ({ api }, body) => api.postConversationsMessagesInboundOpen(body);

subject('legacy', (test) => {
	test('a message', async (t) => {
		const integration = await t.integration();
		const answer = await post(t, normalized('Text', 'noor', integration.id, { text: 'Where is my parcel?' }));
		assert.deepEqual([answer.type, answer.text], ['Text', 'Where is my parcel?']);
		assert.deepEqual([answer.channel.from.id, answer.channel.to.id], ['noor', integration.id]);
		const details = await t.details(answer.id);
		assert.deepEqual([details.direction, details.status], ['inbound', 'received']);
		assert.equal(details.conversationId, (await t.writes(integration)).conversationId);
	});

	for (const [status, stored] of [['Delivered', 'delivery-success'], ['Read', 'read'], ['Failed', 'delivery-failed']]) {
		test(`a receipt that says ${status}`, async (t) => {
			const talk = await t.talk();
			const id = await t.sent(talk);
			const more = { id, status, isFinalReceipt: true, direction: 'Outbound' };
			if (status === 'Failed') more.reasons = [{ code: 'ServerError', message: 'down' }];
			const answer = await post(t, normalized('Receipt', talk.integration.id, 'noor', more));
			assert.deepEqual([answer.id, answer.type, answer.status], [id, 'Receipt', status]);
			const details = await t.details(id);
			assert.equal(details.status, stored);
			assert.deepEqual(details.normalizedReceipts.map((each) => each.status), [status]);
		});
	}

	test('what is wrong', async (t) => {
		const { id } = await t.integration();
		const good = normalized('Text', 'noor', id, { text: 'Hello' });
		const wrong = [
			...['type', 'channel'].map((field) => without(good, field)),
			...['from', 'to'].map((field) => ({ ...good, channel: without(good.channel, field) })),
		];
		for (const body of wrong) await t.refused(400, 'bad.request', () => post(t, body));
		await t.refused(404, 'not.found', () => post(t, normalized('Text', 'noor', NOWHERE, { text: 'Hello' })));
	});
});
