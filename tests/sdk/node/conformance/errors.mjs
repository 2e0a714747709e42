// Errors as the SDK throws them: status, code, context.

import assert from 'node:assert/strict';
import genesys from 'purecloud-platform-client-v2';
import { NOWHERE, inbound } from './case.mjs';
import { Sdk } from './sdk.mjs';
import { subject } from './tests.mjs';

const CODES = {
	400: 'bad.request',
	403: 'missing.any.permissions',
	404: 'not.found',
	408: 'request.timeout',
	409: 'conflict',
	413: 'request.entity.too.large',
	415: 'unsupported.media.type',
	500: 'internal.server.error',
	503: 'service.unavailable',
	504: 'gateway.timeout',
};

const list = (t) => () => t.api.getConversationsMessagingIntegrationsOpen();

/** A client of the test alone, whose tokens may die. */
async function ownClient(t) {
	const client = { id: 'errors', secret: 'secret-of-the-errors' };
	await t.sandbox.role(client);
	t.use(await t.login(client));
	return client;
}

subject('errors', (test) => {
	for (const [status, code] of Object.entries(CODES)) {
		test(`${status} has its code`, async (t) => {
			await t.fault('api', { status: Number(status) });
			const { body } = await t.refused(Number(status), code, list(t));
			assert.deepEqual([body.status, body.details, body.errors], [Number(status), [], []]);
			assert.ok(body.message);
			// The fault struck once.
			await list(t)();
		});
	}

	test('without the extended answers the SDK throws the body', async (t) => {
		t.sdk.client.setReturnExtendedResponses(false);
		const api = new genesys.ConversationsApi(t.sdk.client);
		const get = api.getConversationsMessage(NOWHERE);
		const body = await get.then(() => assert.fail('it is not there'), (error) => error);
		t.declared(body, 'ErrorBody');
		assert.deepEqual([body.status, body.code], [404, 'not.found']);
		assert.ok(body.contextId);
	});

	test('each answer has a context of its own', async (t) => {
		const contexts = new Set();
		for (let n = 0; n < 3; n += 1) {
			const error = await t.refused(404, 'not.found', () => t.api.getConversationsMessage('nowhere'));
			contexts.add(error.body.contextId);
			await list(t)();
			contexts.add(t.sdk.last.headers['inin-correlation-id']);
		}
		assert.equal(contexts.size, 6);
		assert.ok(!contexts.has(undefined));
	});

	test('without a token it is 401', async (t) => {
		const sdk = new Sdk(t.sandbox.url);
		for (const call of [
			() => sdk.conversations.getConversationsMessagingIntegrationsOpen(),
			() => sdk.conversations.getConversationsMessagingSupportedcontentDefault(),
			() => sdk.notifications.getNotificationsChannels(),
		]) {
			await t.refused(401, 'bad.credentials', call);
		}
	});

	test('a dead token is 401', async (t) => {
		const client = await ownClient(t);
		await list(t)();
		await t.sandbox.revoke(client.id);
		await t.refused(401, 'bad.credentials', list(t));
		// The SDK gets a new token by itself only where it has a refresh token, which this grant never gives.
		await t.sdk.login(client);
		await list(t)();
	});

	test('a token dies of age', async (t) => {
		await t.switch({ token_life: '10m' });
		const before = Date.now();
		const client = await ownClient(t);
		const { tokenExpiryTime } = t.sdk.client.authData;
		// By `expires_in`.
		assert.ok(tokenExpiryTime >= before + 600_000 && tokenExpiryTime <= Date.now() + 600_000);
		await t.sandbox.advance('9m');
		await list(t)();
		await t.sandbox.advance('2m');
		await t.refused(401, 'bad.credentials', list(t));
		await t.sdk.login(client);
		await list(t)();
	});

	test('one call may kill its token', async (t) => {
		await ownClient(t);
		await t.fault('api', 'revoke_token');
		await t.refused(401, 'bad.credentials', list(t));
		await t.refused(401, 'bad.credentials', list(t));
	});

	test('without the secret there is no token', async (t) => {
		for (const client of [
			{ id: 'sandbox-client', secret: 'wrong' },
			{ id: 'nobody', secret: 'sandbox-secret' },
		]) {
			const error = await t.login(client).then(() => assert.fail('there is a token'), (failure) => failure);
			assert.deepEqual([error.response.status, error.response.data.error], [401, 'invalid_client']);
		}
	});

	test('the login may fail', async (t) => {
		await t.fault('token', { status: 503 });
		const error = await t.login().then(() => assert.fail('there is a token'), (failure) => failure);
		assert.equal(error.response.status, 503);
		await t.login();
	});

	test('a lost answer had its effect', async (t) => {
		const integration = await t.integration();
		await t.fault('message', 'drop_answer');
		const message = inbound('noor', 'Hello');
		const post = () =>
			t.api.postConversationsMessageInboundOpenMessage(integration.id, message, { prefetchConversationId: true });
		const error = await post().then(() => assert.fail('there is an answer'), (failure) => failure);
		assert.equal(error.body, undefined);
		// The SDK does not try again by itself; whoever does it has the message twice.
		const { conversationId } = await post();
		assert.equal((await t.present(conversationId, 'customer')).messages.length, 2);
	});
});
