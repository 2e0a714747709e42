// Roles: which permission each call wants.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { NOWHERE } from './case.mjs';
import { subject } from './tests.mjs';

const RECEIVE = ['conversation:message:receive'];
const VIEW = ['conversation:message:view', 'conversation:webmessaging:view'];
const INTEGRATION = 'ConversationsMessagingIntegrationsOpen';
const IDENTITY = 'ConversationsMessagingIdentityresolutionIntegrationsOpenIntegrationId';
const [SETTING, CONTENT] = ['ConversationsMessagingSetting', 'ConversationsMessagingSupportedcontent'];

// For each call that wants any: what it is given, and the permissions of which it wants one. The arguments name
// nothing that is there: whoever may call is told that it is not found or wrong, or gets an answer.
const CALLS = [
	[`get${INTEGRATION}`, [], ['messaging:integration:view']],
	[`post${INTEGRATION}`, [{}], ['messaging:integration:add']],
	[`get${INTEGRATION}IntegrationId`, [NOWHERE], ['messaging:integration:view']],
	[`patch${INTEGRATION}IntegrationId`, [NOWHERE, {}], ['messaging:integration:edit']],
	[`delete${INTEGRATION}IntegrationId`, [NOWHERE], ['messaging:integration:delete']],
	[`get${IDENTITY}`, [NOWHERE], ['messaging:integration:view', 'messaging:identityResolutionOpen:view']],
	[`put${IDENTITY}`, [NOWHERE, {}], ['messaging:integration:edit', 'messaging:identityResolutionOpen:edit']],
	[`get${SETTING}s`, [], ['messaging:setting:view']],
	[`post${SETTING}s`, [{}], ['messaging:setting:add']],
	[`get${SETTING}`, [NOWHERE], ['messaging:setting:view']],
	[`patch${SETTING}`, [NOWHERE, {}], ['messaging:setting:edit']],
	[`delete${SETTING}`, [NOWHERE], ['messaging:setting:delete']],
	[`get${SETTING}sDefault`, [], ['messaging:setting:view']],
	[`put${SETTING}sDefault`, [{}], ['messaging:setting:edit']],
	[`delete${SETTING}sDefault`, [], ['messaging:setting:edit', 'messaging:setting:delete']],
	[`get${CONTENT}`, [], ['messaging:supportedContent:view']],
	[`post${CONTENT}`, [{}], ['messaging:supportedContent:add']],
	[`get${CONTENT}SupportedContentId`, [NOWHERE], ['messaging:supportedContent:view']],
	[`patch${CONTENT}SupportedContentId`, [NOWHERE, {}], ['messaging:supportedContent:edit']],
	[`delete${CONTENT}SupportedContentId`, [NOWHERE], ['messaging:supportedContent:delete']],
	[`get${CONTENT}Default`, [], ['messaging:supportedContent:view']],
	[`put${CONTENT}Default`, [{}], ['messaging:supportedContent:edit']],
	['getConversationsMessagingThreadingtimeline', [], ['conversation:threadingTimeline:view']],
	['putConversationsMessagingThreadingtimeline', [{}], ['conversation:threadingTimeline:edit']],
	['postConversationsMessageInboundOpenMessage', [NOWHERE, {}], RECEIVE],
	['postConversationsMessageInboundOpenReceipt', [NOWHERE, {}], RECEIVE],
	['postConversationsMessageInboundOpenEvent', [NOWHERE, {}], RECEIVE],
	['postConversationsMessageInboundOpenStructuredResponse', [NOWHERE, {}], RECEIVE],
	['postConversationsMessagesInboundOpen', [{}], RECEIVE],
	['getConversationsMessageDetails', [NOWHERE], VIEW],
	['getConversationsMessageMessage', [NOWHERE, NOWHERE], VIEW],
	['postConversationsMessageMessagesBulk', [NOWHERE], VIEW],
	[
		'patchConversationsMessage',
		[NOWHERE, { state: 'disconnected' }],
		['conversation:communication:disconnect', 'conversation:message:park'],
	],
];
const EVERYTHING = [...new Set(CALLS.flatMap(([, , permissions]) => permissions))];

/** From now on a client with these permissions only calls. */
async function actsAs(t, permissions) {
	const client = { id: `role-${randomUUID()}`, secret: 'secret-of-the-role' };
	await t.sandbox.role(client, permissions);
	t.use(await t.login(client));
	return client;
}

const status = (t, call, given = []) => t.status(() => t.api[call](...given));

subject('roles', (test) => {
	for (const [call, given, permissions] of CALLS) {
		test(`${call} wants ${permissions.join(' or ')}`, async (t) => {
			await actsAs(t, EVERYTHING.filter((each) => !permissions.includes(each)));
			const error = await t.api[call](...given).then(() => assert.fail('it may'), (failure) => failure);
			assert.equal(error.status, 403);
			assert.match(error.body.code, /^missing\./);
			for (const permission of permissions) {
				await actsAs(t, [permission]);
				assert.ok([200, 400, 404].includes(await status(t, call, given)), permission);
			}
		});
	}

	test('a star stands for all of a kind', async (t) => {
		await actsAs(t, ['messaging:integration:*']);
		const { id } = await t.integration();
		await t.api.deleteConversationsMessagingIntegrationsOpenIntegrationId(id);
		assert.equal(await status(t, 'getConversationsMessagingSettings'), 403);
	});

	test('a receiver needs no more', async (t) => {
		const integration = await t.integration();
		await actsAs(t, RECEIVE);
		const { conversationId } = await t.writes(integration);
		// These want no permission.
		const { id } = await t.present(conversationId, 'customer');
		await t.api.patchConversationsMessageParticipant(conversationId, id, { body: { state: 'disconnected' } });
		assert.ok((await t.sdk.notifications.postNotificationsChannels()).connectUri);
	});

	test('a role may change', async (t) => {
		const client = await actsAs(t, []);
		assert.equal(await status(t, 'getConversationsMessagingIntegrationsOpen'), 403);
		// Without `permissions` it has all.
		await t.sandbox.role(client);
		t.use(await t.login(client));
		assert.equal(await status(t, 'getConversationsMessagingIntegrationsOpen'), 200);
	});
});
