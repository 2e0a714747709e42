// Identity resolution of an integration.

import assert from 'node:assert/strict';
import { NOWHERE } from './case.mjs';
import { subject } from './tests.mjs';

subject('identity', (test) => {
	const get = ({ api }, id) => api.getConversationsMessagingIdentityresolutionIntegrationsOpenIntegrationId(id);
	const put = ({ api }, id, config) =>
		api.putConversationsMessagingIdentityresolutionIntegrationsOpenIntegrationId(id, config);

	test('it is off at first and can be set', async (t) => {
		const { id } = await t.integration();
		assert.equal((await get(t, id)).resolveIdentities, false);
		assert.equal((await put(t, id, { resolveIdentities: true })).resolveIdentities, true);
		assert.equal((await get(t, id)).resolveIdentities, true);
		const other = await t.integration();
		assert.equal((await get(t, other.id)).resolveIdentities, false, "it is each integration's own");
	});

	test('what is wrong', async (t) => {
		const { id } = await t.integration();
		await t.refused(400, 'bad.request', () => put(t, id, { externalSource: { id: 'of-the-shop' } }));
		await t.refused(404, 'not.found', () => get(t, NOWHERE));
		await t.refused(404, 'not.found', () => put(t, NOWHERE, { resolveIdentities: true }));
	});
});
