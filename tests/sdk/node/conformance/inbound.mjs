// Inbound messages: what a customer writes, and what comes back.

import assert from 'node:assert/strict';
import { NOWHERE, inbound, without } from './case.mjs';
import { subject } from './tests.mjs';
import { attached } from './supported-content.mjs';

const post = (t, { id }, message, options) => t.api.postConversationsMessageInboundOpenMessage(id, message, options);

subject('inbound', (test) => {
	test('the answer is the normalized message', async (t) => {
		const [integration, message] = [await t.integration(), inbound('noor', 'Where is my parcel?')];
		Object.assign(message.channel.from, { firstName: 'Noor', lastName: 'Haddad' });
		message.metadata = { shop: 'harbour' };
		const answer = await post(t, integration, message, { prefetchConversationId: true });
		assert.deepEqual([answer.type, answer.text], ['Text', 'Where is my parcel?']);
		assert.deepEqual(answer.metadata, { shop: 'harbour' });
		const { channel } = answer;
		assert.deepEqual([channel.id, channel.platform, channel.type], [integration.id, 'Open', 'Private']);
		assert.deepEqual([channel.messageId, channel.to.id], [message.channel.messageId, integration.id]);
		assert.deepEqual(channel.from, message.channel.from);
		assert.equal(Date.parse(channel.time), Date.parse(message.channel.time));
		assert.ok(answer.conversationId);
	});

	test("the conversation's id comes only if wanted", async (t) => {
		const integration = await t.integration();
		assert.equal((await post(t, integration, inbound('noor', 'Hello'))).conversationId, undefined);
		const unwanted = await post(t, integration, inbound('noor', 'Hello?'), { prefetchConversationId: false });
		assert.equal(unwanted.conversationId, undefined);
		const wanted = await post(t, integration, inbound('noor', 'Hello!'), { prefetchConversationId: true });
		assert.equal((await t.details(unwanted.id)).conversationId, wanted.conversationId);
	});

	test('each customer has a conversation', async (t) => {
		const [other, integration] = [await t.integration(), await t.integration()];
		const conversation = async (...who) => (await t.writes(...who)).conversationId;
		const first = await conversation(integration, 'noor');
		assert.equal(await conversation(integration, 'noor'), first);
		assert.notEqual(await conversation(integration, 'yusuf'), first);
		assert.notEqual(await conversation(other, 'noor'), first, 'the integration is another');
	});

	test('a customer may be an email address or a number', async (t) => {
		const integration = await t.integration();
		for (const [idType, id] of [['Email', 'noor@example.net'], ['Phone', '+15550100'], ['Opaque', 'c-48213']]) {
			const message = inbound('noor', 'Hello');
			Object.assign(message.channel.from, { id, idType });
			assert.equal((await post(t, integration, message)).channel.from.idType, idType);
		}
	});

	test('custom attributes become participant data', async (t) => {
		const message = { ...inbound('noor', 'Where is my parcel?'), metadata: { shop: 'harbour' } };
		message.channel.metadata = { customAttributes: { orderNumber: 'A-10077' } };
		const answer = await post(t, await t.integration(), message, { prefetchConversationId: true });
		const { attributes } = await t.present(answer.conversationId, 'customer');
		assert.equal(attributes.orderNumber, 'A-10077');
		assert.equal(attributes.shop, undefined, 'metadata is no participant data');
	});

	test('an attachment is kept', async (t) => {
		const attachment = attached('image/jpeg', 'Image', 'parcel.jpg');
		const message = { ...without(inbound('noor', ''), 'text'), content: [attachment] };
		const { content } = await post(t, await t.integration(), message);
		assert.deepEqual(content, [attachment]);
	});

	test('what is unknown is ignored', async (t) => {
		const message = { ...inbound('noor', 'Hello'), weather: { rain: true } };
		message.channel.weather = 'rain';
		assert.equal((await post(t, await t.integration(), message)).text, 'Hello');
	});

	test('what is wrong is 400', async (t) => {
		const integration = await t.integration();
		const good = inbound('noor', 'Hello');
		const { channel } = good;
		const from = (fields) => ({ ...good, channel: { ...channel, from: fields } });
		const wrong = {
			'no channel': without(good, 'channel'),
			'no customer': { ...good, channel: without(channel, 'from') },
			"no customer's id": from({ idType: 'Opaque' }),
			'no idType': from({ id: 'noor' }),
			'an idType that there is not': from({ id: 'noor', idType: 'Pigeon' }),
			'no time': { ...good, channel: without(channel, 'time') },
			'a time that is none': { ...good, channel: { ...channel, time: 'yesterday' } },
			'neither text nor content': without(good, 'text'),
			'text that is none': { ...good, text: 7 },
			'metadata that is not flat': { ...good, metadata: { shop: { name: 'harbour' } } },
			'an attachment without url': { ...good, content: [{ attachment: { mediaType: 'Image', mime: 'a/b' } }] },
			'no JSON object': [good],
		};
		const fields = [
			'channel',
			'channel.from',
			'channel.from.id',
			'channel.from.idType',
			'channel.from.idType',
			'channel.time',
			'channel.time',
			'text',
			'text',
			'metadata.shop',
			'content[0].attachment.url',
			'body',
		];
		for (const [n, [what, body]] of Object.entries(wrong).entries()) {
			const error = await t.refused(400, 'bad.request', () => post(t, integration, body)).catch((failure) => {
				throw new Error(what, { cause: failure });
			});
			assert.deepEqual(error.body.details.map((each) => each.fieldName), [fields[n]], what);
			assert.ok(error.body.messageParams.reason.startsWith(fields[n]), what);
		}
	});

	test('too large is 413', async (t) => {
		const integration = await t.integration();
		const message = inbound('noor', 'x'.repeat(512_000));
		await t.refused(413, 'request.entity.too.large', () => post(t, integration, message));
	});

	test('an unknown integration is 404', async (t) => {
		await t.refused(404, 'not.found', () => post(t, { id: NOWHERE }, inbound('noor', 'Hello')));
	});

	test('limits may be set', async (t) => {
		await t.switch({ max_inbound_text: 10, max_custom_attributes: 1 });
		const integration = await t.integration();
		await post(t, integration, inbound('noor', 'x'.repeat(10)));
		await t.refused(400, 'bad.request', () => post(t, integration, inbound('noor', 'x'.repeat(11))));
		const message = inbound('noor', 'Hello');
		message.channel.metadata = { customAttributes: { one: '1', two: '2' } };
		await t.refused(400, 'bad.request', () => post(t, integration, message));
	});

	test('the same message again is another unless it is swallowed', async (t) => {
		const [integration, message] = [await t.integration(), inbound('noor', 'Hello')];
		const [first, second] = [await post(t, integration, message), await post(t, integration, message)];
		assert.notEqual(first.id, second.id);
		await t.switch({ dedupe_inbound: true });
		const again = inbound('noor', 'Hello again');
		const { conversationId } = await post(t, integration, again, { prefetchConversationId: true });
		await post(t, integration, again);
		const { messages } = await t.present(conversationId, 'customer');
		assert.equal(messages.length, 3, 'two without, one with the switch');
	});

	test('success may be 202', async (t) => {
		await t.switch({ inbound_status: 202 });
		await post(t, await t.integration(), inbound('noor', 'Hello'));
		assert.equal(t.sdk.last.status, 202);
	});

	test('the webhook may be told that it was published', async (t) => {
		await t.switch({ published_receipts: true });
		const { id } = await post(t, await t.integration(), inbound('noor', 'Hello'));
		const receipt = t.normalized((await t.hooked('the receipt', (body) => body.type === 'Receipt')).body);
		assert.deepEqual([receipt.id, receipt.status], [id, 'Published']);
	});
});
