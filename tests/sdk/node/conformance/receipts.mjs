// Receipts: each status and reason, and where it shows.

import assert from 'node:assert/strict';
import { NOWHERE, without } from './case.mjs';
import { isMoment } from './declared.mjs';
import { subject } from './tests.mjs';

const REASONS = [
	'MessageExpired',
	'RateLimited',
	'MessageNotAllowed',
	'GeneralError',
	'UnsupportedMessage',
	'UnknownMessage',
	'InvalidMessageStructure',
	'InvalidDestination',
	'ServerError',
	'MediaTypeNotAllowed',
	'InvalidMediaContentLength',
	'RecipientOptedOut',
	'DataFiltered',
];

/** A receipt for a message, final unless it says otherwise. */
function receipt(id, status, more = {}) {
	const channel = { to: { id: 'noor', idType: 'Opaque' }, time: new Date().toISOString() };
	return { id, status, channel, isFinalReceipt: true, ...more };
}

const post = (t, { integration }, body) => t.api.postConversationsMessageInboundOpenReceipt(integration.id, body);

/** The message as its conversation shows it. */
async function shown(t, { conversation }, id) {
	const { participants } = await t.api.getConversationsMessage(conversation);
	const found = participants.flatMap((each) => each.messages).filter((each) => each.messageId === id);
	assert.equal(found.length, 1);
	return found[0];
}

subject('receipts', (test) => {
	test('delivered', async (t) => {
		const talk = await t.talk();
		const sent = await t.sent(talk);
		const answer = await post(t, talk, receipt(sent, 'Delivered'));
		assert.deepEqual([answer.id, answer.type, answer.status], [sent, 'Receipt', 'Delivered']);
		assert.deepEqual([answer.direction, answer.isFinalReceipt], ['Outbound', true]);
		assert.deepEqual([answer.channel.to.id, answer.channel.id], ['noor', talk.integration.id]);
		const details = await t.details(sent);
		assert.equal(details.status, 'delivery-success');
		assert.equal(details.normalizedReceipts.length, 1);
		const [kept] = details.normalizedReceipts;
		assert.deepEqual([kept.id, kept.type, kept.status, kept.isFinalReceipt], [sent, 'Receipt', 'Delivered', true]);
		assert.ok(isMoment(kept.channel.time));
		const { messageStatus, errorInfo } = await shown(t, talk, sent);
		assert.deepEqual([messageStatus, errorInfo], ['delivery-success', undefined]);
	});

	for (const code of REASONS) {
		test(`failed because of ${code}`, async (t) => {
			const talk = await t.talk();
			const sent = await t.sent(talk);
			const reasons = [{ code, message: 'the chat was not there' }];
			assert.deepEqual((await post(t, talk, receipt(sent, 'Failed', { reasons }))).reasons, reasons);
			const details = await t.details(sent);
			assert.equal(details.status, 'delivery-failed');
			assert.deepEqual(details.normalizedReceipts[0].reasons, reasons);
			const { messageStatus, errorInfo } = await shown(t, talk, sent);
			assert.equal(messageStatus, 'delivery-failed');
			const payload = `${code} - the chat was not there`;
			assert.equal(errorInfo.code, 'DELIVERY_FAILED');
			assert.equal(errorInfo.message, `Message delivery failed with the following payload: [${payload}]`);
			assert.deepEqual(errorInfo.messageParams, { errorPayload: payload });
			assert.ok(errorInfo.messageWithParams.includes('{errorPayload}'));
		});
	}

	test('failed without a code', async (t) => {
		const talk = await t.talk();
		const sent = await t.sent(talk);
		await post(t, talk, receipt(sent, 'Failed', { reasons: [{ message: 'something else' }] }));
		assert.equal((await t.details(sent)).status, 'delivery-failed');
		assert.ok((await shown(t, talk, sent)).errorInfo.message.includes('something else'));
	});

	for (const [status, stored] of [['Sent', 'sent'], ['Published', 'published'], ['Removed', 'removed']]) {
		test(`${status}, which is not final`, async (t) => {
			const talk = await t.talk();
			const sent = await t.sent(talk);
			const answer = await post(t, talk, receipt(sent, status, { isFinalReceipt: false }));
			assert.deepEqual([answer.status, answer.isFinalReceipt], [status, false]);
			assert.equal((await t.details(sent)).status, stored);
			assert.equal((await shown(t, talk, sent)).messageStatus, stored);
			if (status === 'Removed') return;
			await post(t, talk, receipt(sent, 'Delivered'));
			const details = await t.details(sent);
			assert.equal(details.status, 'delivery-success');
			const kept = details.normalizedReceipts.map((each) => [each.status, each.isFinalReceipt]);
			assert.deepEqual(kept, [[status, false], ['Delivered', true]]);
		});
	}

	test('interim ones may be without effect', async (t) => {
		await t.switch({ interim_receipts: false });
		const talk = await t.talk();
		const sent = await t.sent(talk);
		await post(t, talk, receipt(sent, 'Published', { isFinalReceipt: false }));
		assert.equal((await t.details(sent)).status, 'sent');
	});

	test('a second final one changes nothing', async (t) => {
		const talk = await t.talk();
		const sent = await t.sent(talk);
		await post(t, talk, receipt(sent, 'Delivered'));
		const failed = receipt(sent, 'Failed', { reasons: [{ code: 'GeneralError', message: 'too late' }] });
		await post(t, talk, failed);
		assert.equal((await t.details(sent)).status, 'delivery-success');
		assert.equal((await shown(t, talk, sent)).errorInfo, undefined);
		await t.switch({ second_final_receipt: 'refuse' });
		await t.refused(409, 'conflict', () => post(t, talk, failed));
	});

	test('an unknown message is 404 unless it is taken', async (t) => {
		const talk = await t.talk();
		const unknown = receipt('0'.repeat(32), 'Delivered');
		await t.refused(404, 'not.found', () => post(t, talk, unknown));
		await t.switch({ unknown_receipt: 'accept' });
		assert.equal((await post(t, talk, unknown)).status, 'Delivered');
		await t.refused(404, 'not.found', () => post(t, { integration: { id: NOWHERE } }, unknown));
	});

	test('after the end it still counts unless it is refused', async (t) => {
		const talk = await t.talk();
		const [first, second] = [await t.sent(talk), await t.sent(talk)];
		await t.sandbox.agent('end', 'noor', talk.integration.id);
		await post(t, talk, receipt(first, 'Delivered'));
		assert.equal((await t.details(first)).status, 'delivery-success');
		await t.switch({ receipt_after_end: 'refuse' });
		await t.refused(409, 'conflict', () => post(t, talk, receipt(second, 'Delivered')));
		assert.equal((await t.details(second)).status, 'sent');
	});

	test('there may be a time limit', async (t) => {
		await t.switch({ receipt_window: '10m' });
		const talk = await t.talk();
		const [early, late] = [await t.sent(talk), await t.sent(talk)];
		await t.sandbox.advance('9m');
		await post(t, talk, receipt(early, 'Delivered'));
		await t.sandbox.advance('2m');
		await t.refused(409, 'conflict', () => post(t, talk, receipt(late, 'Delivered')));
		assert.equal((await t.details(late)).status, 'sent');
	});

	test('what is wrong is 400 and has no effect', async (t) => {
		const talk = await t.talk();
		const sent = await t.sent(talk);
		const good = receipt(sent, 'Failed', { reasons: [{ code: 'GeneralError', message: 'no' }] });
		const wrong = [
			...['id', 'channel', 'status'].map((field) => without(good, field)),
			...['to', 'time'].map((field) => ({ ...good, channel: without(good.channel, field) })),
			{ ...good, status: 'Read' },
			{ ...good, status: 'Eaten' },
			{ ...good, reasons: [{ code: 'Error', message: 'no' }] },
			{ ...good, reasons: [{ code: 'GeneralError' }] },
		];
		for (const body of wrong) await t.refused(400, 'bad.request', () => post(t, talk, body));
		assert.equal((await t.details(sent)).status, 'sent');
	});

	test('a webhook that refuses shows as failed', async (t) => {
		await t.switch({ refused_webhook: 'message' });
		const talk = await t.talk();
		t.webhook.hooks.get(t.path).status = 404;
		const { id } = await t.says(talk);
		await t.eventually('the failure', async () => (await t.details(id)).status === 'delivery-failed');
		const { errorInfo } = await shown(t, talk, id);
		assert.equal(errorInfo.messageParams.errorPayload, 'GeneralError - Request failed with status code 404');
		assert.equal((await t.present(talk.conversation, 'agent')).id, talk.agent);
	});
});
