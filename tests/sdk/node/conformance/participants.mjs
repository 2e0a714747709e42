// Who is in a conversation, who leaves it, and how.

import assert from 'node:assert/strict';
import { NOWHERE } from './case.mjs';
import { isMoment } from './declared.mjs';
import { subject } from './tests.mjs';

// As the API has them; the agent and the customer themselves end by `client` and `peer`.
const ENDS = [
	'endpoint',
	'endpoint.donotdisturb',
	'system',
	'transport.failure',
	'error',
	'other',
	'spam',
	'inactivity',
	'session.expired',
	'takeover',
];
const TRANSFERS = [
	'transfer',
	'transfer.conference',
	'transfer.consult',
	'transfer.donotdisturb',
	'transfer.forward',
	'transfer.noanswer',
	'transfer.notavailable',
];

const patch = ({ api }, conversation, participant, state = 'disconnected') =>
	api.patchConversationsMessageParticipant(conversation, participant, { body: { state } });

async function all({ api }, conversation, purpose) {
	const { participants } = await api.getConversationsMessage(conversation);
	return participants.filter((each) => each.purpose === purpose);
}

/** State and disconnect type of the agent and the customer. */
async function left(t, conversation) {
	const [[agent], [customer]] = [await all(t, conversation, 'agent'), await all(t, conversation, 'customer')];
	for (const each of [agent, customer]) assert.ok(isMoment(each.endTime) && each.endTime >= each.startTime);
	assert.deepEqual([agent.state, customer.state], ['disconnected', 'disconnected']);
	return [agent.disconnectType, customer.disconnectType];
}

subject('participants', (test) => {
	test('an agent who leaves ends it', async (t) => {
		const { conversation, agent } = await t.talk();
		await patch(t, conversation, agent);
		assert.ok([202, 204].includes(t.sdk.last.status));
		assert.deepEqual(await left(t, conversation), ['client', 'peer']);
	});

	test('a customer who leaves ends it', async (t) => {
		const { conversation } = await t.talk();
		await patch(t, conversation, (await t.present(conversation, 'customer')).id);
		assert.deepEqual(await left(t, conversation), ['peer', 'client']);
	});

	test('the whole conversation is ended', async (t) => {
		const { conversation } = await t.talk();
		const answer = await t.api.patchConversationsMessage(conversation, { state: 'disconnected' });
		assert.equal(answer.id, conversation);
		const purposes = new Set(answer.participants.map((each) => each.purpose));
		assert.deepEqual([...purposes], ['customer', 'workflow', 'acd', 'agent']);
		const { participants } = await t.api.getConversationsMessage(conversation);
		for (const each of participants) assert.equal(each.state, 'disconnected', each.purpose);
	});

	test('a conversation is torn down, once and for all', async (t) => {
		const { conversation } = await t.talk();
		const open = await t.api.getConversation(conversation);
		assert.deepEqual([open.id, open.endTime], [conversation, undefined]);
		await t.api.postConversationDisconnect(conversation);
		assert.ok([202, 204].includes(t.sdk.last.status));
		assert.deepEqual(await left(t, conversation), ['system', 'system']);
		const ended = await t.api.getConversation(conversation);
		assert.ok(isMoment(ended.endTime));
		await t.api.postConversationDisconnect(conversation);
		assert.deepEqual(await t.api.getConversation(conversation), ended);
	});

	for (const disconnectType of TRANSFERS) {
		test(`a ${disconnectType} brings the next agent`, async (t) => {
			const talk = await t.talk();
			const { integration, conversation } = talk;
			await t.sandbox.agent('transfer', 'noor', integration.id, { disconnectType });
			const next = (await t.present(conversation, 'agent')).id;
			assert.notEqual(next, talk.agent);
			const [before] = (await all(t, conversation, 'agent')).filter((each) => each.id === talk.agent);
			assert.deepEqual([before.state, before.disconnectType], ['disconnected', disconnectType]);
			assert.equal((await all(t, conversation, 'acd')).length, 2, 'it goes by way of the queue');
			assert.equal((await t.present(conversation, 'customer')).endTime, undefined);
			await t.hookedMessage((await t.says({ conversation, agent: next }, 'I take over')).id);
			await t.refused(404, 'not.found', () => t.says(talk, 'I am gone'));
		});
	}

	test('an agent hands over', async (t) => {
		const { conversation, agent } = await t.talk();
		const replace = (participant, body) =>
			t.api.postConversationsMessageParticipantReplace(conversation, participant, body);
		await replace(agent, { userName: 'Agent Two', transferType: 'Unattended' });
		const [before, after] = await all(t, conversation, 'agent');
		assert.deepEqual([before.id, before.state, before.disconnectType], [agent, 'disconnected', 'transfer']);
		assert.deepEqual([after.name, after.state], ['Agent Two', 'connected']);
		await t.hookedMessage((await t.says({ conversation, agent: after.id }, 'I take over')).id);
		await t.refused(404, 'not.found', () => replace(agent, { userName: 'Agent Two' }));
		await t.refused(400, 'bad.request', () => replace(after.id, {}));
		await patch(t, conversation, after.id);
		await t.refused(409, 'conflict', () => replace(after.id, { userName: 'Agent Two' }));
	});

	for (const disconnectType of ENDS) {
		test(`Genesys ends it by ${disconnectType}`, async (t) => {
			const { integration, conversation } = await t.talk();
			await t.sandbox.agent('end', 'noor', integration.id, { disconnectType });
			assert.equal((await left(t, conversation))[0], disconnectType);
		});
	}

	test('who is idle is disconnected', async (t) => {
		await t.switch({ inactivity_timeout: '10m' });
		const { integration, conversation, agent } = await t.talk();
		await t.sandbox.advance('9m');
		// Any message restarts the time.
		await t.writes(integration);
		await t.sandbox.advance('9m');
		assert.equal((await t.present(conversation, 'agent')).id, agent);
		await t.sandbox.advance('2m');
		const ended = async () => (await all(t, conversation, 'agent'))[0].disconnectType;
		assert.equal(await t.eventually('the end', ended), 'inactivity');
	});

	test('a webhook that refuses may end it', async (t) => {
		await t.switch({ refused_webhook: 'conversation' });
		const talk = await t.talk();
		t.webhook.hooks.get(t.path).status = 404;
		await t.says(talk);
		const found = await t.eventually('the end', async () => {
			const { participants } = await t.api.getConversationsMessage(talk.conversation);
			return participants.every((each) => each.state === 'disconnected') && participants;
		});
		const infos = found.flatMap((each) => each.errorInfo ?? []);
		assert.ok(infos.length, 'no participant has the error');
		assert.ok(infos[0].message.includes('Request failed with status code 404'));
	});

	test('what is wrong', async (t) => {
		const { conversation, agent } = await t.talk();
		await t.refused(404, 'not.found', () => patch(t, NOWHERE, agent));
		await t.refused(404, 'not.found', () => t.api.postConversationDisconnect(NOWHERE));
		await t.refused(404, 'not.found', () => patch(t, conversation, NOWHERE));
		await t.refused(400, 'bad.request', () => patch(t, conversation, agent, 'asleep'));
		const whole = (where, state) => () => t.api.patchConversationsMessage(where, { state });
		await t.refused(404, 'not.found', whole(NOWHERE, 'disconnected'));
		await t.refused(400, 'bad.request', whole(conversation, 'asleep'));
		assert.equal((await t.present(conversation, 'agent')).id, agent);
	});
});
