// Reads: a conversation, a message in three ways.

import assert from 'node:assert/strict';
import { NOWHERE } from './case.mjs';
import { isMoment } from './declared.mjs';
import { subject } from './tests.mjs';

const bulk = ({ api }, conversation, body) => api.postConversationsMessageMessagesBulk(conversation, { body });

subject('reads', (test) => {
	test('a conversation with everybody in it', async (t) => {
		const { integration, conversation, agent } = await t.talk();
		const found = await t.api.getConversationsMessage(conversation);
		assert.equal(found.id, conversation);
		assert.ok(found.selfUri.endsWith(conversation));
		assert.deepEqual(found.otherMediaUris, []);
		const { participants } = found;
		assert.deepEqual(participants.map((each) => each.purpose), ['customer', 'workflow', 'acd', 'agent']);
		for (const each of participants) {
			assert.deepEqual([each.type, each.provider], ['open', 'PureCloud Messaging'], each.purpose);
			assert.ok(isMoment(each.startTime) && isMoment(each.connectedTime), each.purpose);
			if (['customer', 'agent'].includes(each.purpose)) {
				assert.deepEqual([each.state, each.endTime], ['connected', undefined], each.purpose);
			} else {
				assert.deepEqual([each.state, each.disconnectType], ['disconnected', 'transfer'], each.purpose);
				assert.ok(isMoment(each.endTime), each.purpose);
			}
		}
		const [customer, , acd, person] = participants;
		assert.equal(person.id, agent);
		assert.ok(person.user.id && acd.queue.id);
		assert.equal(customer.fromAddress.addressNormalized, 'noor');
		assert.equal(customer.toAddress.addressNormalized, integration.id);
		assert.equal(customer.name, 'Noor');
	});

	test('a conversation by all of its media', async (t) => {
		const { conversation, agent } = await t.talk();
		const found = await t.api.getConversation(conversation);
		assert.ok(isMoment(found.startTime));
		assert.deepEqual(found.participants.map((each) => each.purpose), ['customer', 'workflow', 'acd', 'agent']);
		const person = found.participants.at(-1);
		assert.deepEqual([person.id, person.messages[0].state], [agent, 'connected']);
		assert.equal(found.participants[0].messages[0].messages.length, 1);
	});

	test('messages stand with who wrote them', async (t) => {
		const talk = await t.talk();
		const { id } = await t.says(talk);
		const { messages } = await t.present(talk.conversation, 'agent');
		assert.deepEqual(messages.map((each) => [each.messageId, each.messageMetadata.type]), [[id, 'Text']]);
		assert.ok(isMoment(messages[0].messageTime));
		assert.ok(messages[0].messageURI.includes(id));
		const written = (await t.present(talk.conversation, 'customer')).messages;
		assert.deepEqual(written.map((each) => each.messageStatus), ['received']);
	});

	test('a message is the same by each call', async (t) => {
		const talk = await t.talk();
		const question = (await t.writes(talk.integration, 'noor', 'And?')).id;
		const answer = await t.sent(talk);
		for (const [id, direction] of [[question, 'inbound'], [answer, 'outbound']]) {
			const details = await t.details(id);
			assert.deepEqual(await t.api.getConversationsMessageMessage(talk.conversation, id), details);
			assert.deepEqual((await bulk(t, talk.conversation, [id])).entities, [details]);
			assert.deepEqual([details.id, details.direction, details.messengerType], [id, direction, 'open']);
			assert.ok(isMoment(details.timestamp));
			assert.equal(details.normalizedMessage.id, id);
		}
		const { fromAddress, toAddress, status } = await t.details(question);
		assert.deepEqual([fromAddress, toAddress, status], ['noor', talk.integration.id, 'received']);
	});

	test('bulk leaves out what is not there', async (t) => {
		const talk = await t.talk();
		const sent = [];
		for (let n = 0; n < 3; n += 1) sent.push((await t.says(talk, `Number ${n}`)).id);
		const missing = '0'.repeat(32);
		const ids = async (body) => (await bulk(t, talk.conversation, body)).entities.map((each) => each.id);
		assert.deepEqual(await ids([sent[2], missing, sent[0]]), [sent[2], sent[0]]);
		assert.deepEqual(await ids([missing]), []);
		assert.deepEqual(await ids([...sent, ...Array(997).fill(missing)]), sent);
		for (const body of [Array(1001).fill(missing), [7], undefined]) {
			await t.refused(400, 'bad.request', () => bulk(t, talk.conversation, body));
		}
	});

	test('what is not there is 404', async (t) => {
		const talk = await t.talk();
		const { id } = await t.says(talk);
		const other = (await t.writes(talk.integration, 'yusuf')).conversationId;
		const missing = '0'.repeat(32);
		for (const call of [
			() => t.api.getConversationsMessage(NOWHERE),
			() => t.api.getConversation(NOWHERE),
			() => t.api.getConversationsMessageDetails(missing),
			() => t.api.getConversationsMessageMessage(talk.conversation, missing),
			() => t.api.getConversationsMessageMessage(NOWHERE, id),
			() => t.api.getConversationsMessageMessage(other, id),
			() => bulk(t, NOWHERE, [id]),
		]) {
			await t.refused(404, 'not.found', call);
		}
	});
});
