// Integrations: made, listed by pages, changed, deleted.

import assert from 'node:assert/strict';
import { NOWHERE, SECRET, without } from './case.mjs';
import { isMoment } from './declared.mjs';
import { subject } from './tests.mjs';

/** The ids on all pages, in order. */
async function listed({ api }, pageSize = 100, more = {}) {
	const seen = [];
	for (let pageNumber = 1; ; pageNumber += 1) {
		const page = await api.getConversationsMessagingIntegrationsOpen({ pageSize, pageNumber, ...more });
		assert.deepEqual([page.pageSize, page.pageNumber], [pageSize, pageNumber]);
		assert.ok(page.entities.length <= pageSize);
		seen.push(...page.entities.map((each) => each.id));
		assert.equal(page.nextUri === undefined, pageNumber === page.pageCount);
		assert.equal(page.previousUri === undefined, pageNumber === 1);
		if (pageNumber < page.pageCount) continue;
		assert.deepEqual([page.total, page.pageCount], [seen.length, Math.ceil(seen.length / pageSize)]);
		const beyond = await api.getConversationsMessagingIntegrationsOpen({ pageSize, pageNumber: pageNumber + 1 });
		assert.deepEqual(beyond.entities, []);
		return seen;
	}
}

subject('integrations', (test) => {
	test('one is initiated first and completed later', async (t) => {
		await t.switch({ create_delay: '1s' });
		const request = t.integrationRequest({ webhookHeaders: { Authorization: 'Bearer of-the-tests' } });
		const made = await t.api.postConversationsMessagingIntegrationsOpen(request);
		assert.equal(made.createStatus, 'Initiated');
		for (const [field, value] of Object.entries(request)) assert.deepEqual(made[field], value, field);
		assert.ok(isMoment(made.dateCreated));
		assert.ok(made.selfUri.endsWith(made.id));
		await t.sandbox.advance('1s');
		const found = await t.api.getConversationsMessagingIntegrationsOpenIntegrationId(made.id);
		assert.deepEqual([found.createStatus, found.status.toLowerCase()], ['Completed', 'active']);
		assert.equal(found.createError, undefined);
	});

	test('the listing goes by pages', async (t) => {
		const made = [];
		for (let n = 0; n < 5; n += 1) made.push((await t.integration()).id);
		const seen = await listed(t, 3);
		assert.equal(new Set(seen).size, seen.length, 'one is on two pages');
		for (const id of made) assert.ok(seen.includes(id));
	});

	test('expand is taken', async (t) => {
		const { id } = await t.integration();
		const get = t.api.getConversationsMessagingIntegrationsOpenIntegrationId;
		assert.equal((await get(id, { expand: 'supportedContent' })).id, id);
		assert.ok((await listed(t, 100, { expand: 'messagingSetting' })).includes(id));
	});

	test('a patch changes what it names', async (t) => {
		const made = await t.integration({ webhookHeaders: { 'X-Shop': 'harbour' } });
		const patch = t.api.patchConversationsMessagingIntegrationsOpenIntegrationId;
		const changed = await patch(made.id, { name: 'Harbour, renamed' });
		assert.equal(changed.name, 'Harbour, renamed');
		assert.deepEqual(changed.webhookHeaders, { 'X-Shop': 'harbour' });
		assert.equal(changed.outboundNotificationWebhookUrl, made.outboundNotificationWebhookUrl);
		assert.ok(Date.parse(changed.dateModified) >= Date.parse(changed.dateCreated));
		const found = await t.api.getConversationsMessagingIntegrationsOpenIntegrationId(made.id);
		assert.equal(found.name, 'Harbour, renamed');
	});

	test('what is deleted is gone', async (t) => {
		const made = await t.integration();
		const remove = () => t.api.deleteConversationsMessagingIntegrationsOpenIntegrationId(made.id);
		await remove();
		const get = () => t.api.getConversationsMessagingIntegrationsOpenIntegrationId(made.id);
		await t.refused(404, 'not.found', get);
		await t.refused(404, 'not.found', remove);
		await t.refused(404, 'not.found', () => t.writes(made));
		assert.ok(!(await listed(t)).includes(made.id));
	});

	test('a secret needs sixteen characters', async (t) => {
		const make = (length) =>
			t.api.postConversationsMessagingIntegrationsOpen(
				t.integrationRequest({ outboundNotificationWebhookSignatureSecretToken: 'x'.repeat(length) }),
			);
		await t.refused(400, 'bad.request', () => make(15));
		const made = await make(16);
		const change = { name: made.name, outboundNotificationWebhookSignatureSecretToken: SECRET.slice(0, 15) };
		const patch = t.api.patchConversationsMessagingIntegrationsOpenIntegrationId;
		await t.refused(400, 'bad.request', () => patch(made.id, change));
	});

	test('what is required must be there', async (t) => {
		for (const field of Object.keys(t.integrationRequest())) {
			const request = without(t.integrationRequest(), field);
			await t.refused(400, 'bad.request', () => t.api.postConversationsMessagingIntegrationsOpen(request));
		}
	});

	test('an unknown one is 404', async (t) => {
		const { api } = t;
		const change = { name: 'nobody' };
		await t.refused(404, 'not.found', () => api.getConversationsMessagingIntegrationsOpenIntegrationId(NOWHERE));
		await t.refused(404, 'not.found', () =>
			api.patchConversationsMessagingIntegrationsOpenIntegrationId(NOWHERE, change),
		);
	});

	test('there may be a limit of them', async (t) => {
		const { total } = await t.api.getConversationsMessagingIntegrationsOpen();
		await t.switch({ max_integrations: total });
		await t.refused(400, 'bad.request', () => t.integration());
	});
});
