// Webhooks: signed, tried again, and what goes wrong with them on purpose.

import assert from 'node:assert/strict';
import { subject } from './tests.mjs';

const AUTHORIZATION = 'Bearer of-the-tests';

/** The calls of the webhook, once there are so many. */
async function calls(t, number) {
	await t.eventually(`${number} calls`, () => t.calls.length >= number);
	return t.calls;
}

function changeSecret(t, { id, name }, secret) {
	const change = { name, outboundNotificationWebhookSignatureSecretToken: secret };
	return t.api.patchConversationsMessagingIntegrationsOpenIntegrationId(id, change);
}

subject('webhooks', (test) => {
	test("each has the integration's headers and a signature", async (t) => {
		await t.says(await t.talk({ webhookHeaders: { Authorization: AUTHORIZATION } }));
		const [{ authentic, headers }] = await calls(t, 1);
		assert.ok(authentic);
		assert.match(headers['x-hub-signature-256'], /^sha256=[A-Za-z0-9+/]{43}=$/);
		assert.equal(headers.authorization, AUTHORIZATION);
		assert.equal(headers['content-type'].split(';')[0], 'application/json');
	});

	test('a patch changes the secret that signs', async (t) => {
		const talk = await t.talk();
		await changeSecret(t, talk.integration, 'another-secret-of-the-tests');
		await t.says(talk);
		assert.equal((await calls(t, 1))[0].authentic, false);
		t.webhook.hooks.get(t.path).secret = 'another-secret-of-the-tests';
		await t.says(talk);
		assert.equal((await calls(t, 2))[1].authentic, true);
	});

	test('one that fails is tried again', async (t) => {
		await t.switch({ webhook_pause: '100ms' });
		const talk = await t.talk();
		const hook = t.webhook.hooks.get(t.path);
		hook.status = 503;
		const { id } = await t.says(talk);
		await calls(t, 2);
		assert.equal((await t.details(id)).status, 'queued');
		hook.status = 200;
		await t.eventually("the webhook's answer", async () => (await t.details(id)).status === 'sent');
		for (const { authentic, body } of t.calls) {
			assert.ok(authentic);
			assert.deepEqual(body, t.calls[0].body);
		}
	});

	test('one that always fails is given up', async (t) => {
		await t.switch({ webhook_pause: '10ms', webhook_retries: 2, exhausted_webhook: 'message' });
		const talk = await t.talk();
		t.webhook.hooks.get(t.path).status = 503;
		const { id } = await t.says(talk);
		await t.eventually('the failure', async () => (await t.details(id)).status === 'delivery-failed');
		assert.equal(t.calls.length, 3);
	});

	test('one may come twice', async (t) => {
		const talk = await t.talk();
		await t.fault('webhook', 'duplicate');
		const { id } = await t.says(talk);
		const [first, second] = await calls(t, 2);
		assert.deepEqual([first.body.id, second.body], [id, first.body]);
	});

	test('the signature may be wrong or old', async (t) => {
		const talk = await t.talk();
		await changeSecret(t, talk.integration, 'another-secret-of-the-tests');
		// The hook still checks by the secret before.
		await t.fault('webhook', 'wrong_signature');
		await t.says(talk);
		assert.equal((await calls(t, 1))[0].authentic, false);
		await t.fault('webhook', 'old_signature');
		await t.says(talk);
		assert.equal((await calls(t, 2))[1].authentic, true);
	});
});
