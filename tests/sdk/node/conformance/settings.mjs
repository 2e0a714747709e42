// Messaging settings, and what their typing switches do in both directions.

import assert from 'node:assert/strict';
import { NOWHERE, sentBy } from './case.mjs';
import { subject } from './tests.mjs';

const typing = (on) => ({ typing: { on } });

/** What a customer who types sends. */
export function typingEvent(customer) {
	return { channel: sentBy(customer), events: [{ eventType: 'Typing' }] };
}

function make({ api }, name = 'both ways', on = { inbound: 'Enabled', outbound: 'Enabled' }) {
	return api.postConversationsMessagingSettings({ name, event: typing(on) });
}

subject('settings', (test) => {
	test('one is made, read, changed and deleted', async (t) => {
		const made = await make(t, 'quiet', { inbound: 'Disabled', outbound: 'Enabled' });
		assert.equal(made.name, 'quiet');
		assert.deepEqual(made.event.typing.on, { inbound: 'Disabled', outbound: 'Enabled' });
		assert.ok(made.selfUri.endsWith(made.id));
		const get = () => t.api.getConversationsMessagingSetting(made.id);
		const { name, dateCreated } = await get();
		assert.deepEqual([name, dateCreated], ['quiet', made.dateCreated]);

		const patch = (change) => t.api.patchConversationsMessagingSetting(made.id, change);
		const changed = await patch({ event: typing({ outbound: 'Disabled' }) });
		assert.deepEqual([changed.name, changed.event.typing.on.outbound], ['quiet', 'Disabled']);
		assert.equal((await patch({ name: 'silent' })).name, 'silent');
		const found = await get();
		assert.deepEqual([found.name, found.event.typing.on.outbound], ['silent', 'Disabled']);
		assert.ok(Date.parse(found.dateModified) >= Date.parse(found.dateCreated));

		const remove = () => t.api.deleteConversationsMessagingSetting(made.id);
		await remove();
		await t.refused(404, 'not.found', get);
		await t.refused(404, 'not.found', () => patch({ name: 'gone' }));
		await t.refused(404, 'not.found', remove);
	});

	test('the listing goes by pages', async (t) => {
		const made = [];
		for (let n = 0; n < 3; n += 1) made.push((await make(t, `page ${n}`)).id);
		const page = (pageNumber) => t.api.getConversationsMessagingSettings({ pageSize: 2, pageNumber });
		const first = await page(1);
		assert.deepEqual([first.entities.length, first.pageSize, first.pageNumber], [2, 2, 1]);
		assert.equal(first.pageCount, Math.ceil(first.total / 2));
		const seen = [];
		for (let n = 1; n <= first.pageCount; n += 1) seen.push(...(await page(n)).entities.map((each) => each.id));
		assert.equal(seen.length, first.total);
		for (const id of made) assert.ok(seen.includes(id));
	});

	test('what is wrong is 400', async (t) => {
		const post = (body) => () => t.api.postConversationsMessagingSettings(body);
		await t.refused(400, 'bad.request', post({ event: typing({ inbound: 'Enabled' }) }));
		await t.refused(400, 'bad.request', post({ name: 'odd', event: typing({ inbound: 'Sometimes' }) }));
	});

	test('the default is there from the beginning and can be set', async (t) => {
		const get = t.api.getConversationsMessagingSettingsDefault;
		const own = await get();
		assert.equal(own.name, 'Default');
		assert.deepEqual(own.event.typing.on, { inbound: 'Enabled', outbound: 'Enabled' });
		const made = await make(t, 'of the house');
		t.after(() => t.api.deleteConversationsMessagingSettingsDefault());
		const set = await t.api.putConversationsMessagingSettingsDefault({ settingId: made.id });
		assert.equal(set.id, made.id);
		assert.equal((await get()).id, made.id);
		const { messagingSetting } = await t.integration();
		assert.deepEqual([messagingSetting.id, messagingSetting.name], [made.id, 'of the house']);
		await t.api.deleteConversationsMessagingSettingsDefault();
		assert.equal((await get()).id, own.id);
		const unknown = () => t.api.putConversationsMessagingSettingsDefault({ settingId: NOWHERE });
		await t.refused(404, 'not.found', unknown);
	});

	test('an integration names its setting', async (t) => {
		const [made, other] = [await make(t, 'of the harbour'), await make(t, 'of the station')];
		const integration = await t.integration({ messagingSetting: { id: made.id } });
		const { messagingSetting } = integration;
		assert.deepEqual([messagingSetting.id, messagingSetting.name], [made.id, 'of the harbour']);
		assert.ok(messagingSetting.selfUri.endsWith(made.id));
		const listing = () => t.api.getConversationsMessagingIntegrationsOpen({ messagingSettingId: made.id });
		assert.deepEqual((await listing()).entities.map((each) => each.id), [integration.id]);

		const { name } = integration;
		const patch = (id) =>
			t.api.patchConversationsMessagingIntegrationsOpenIntegrationId(integration.id, {
				name,
				messagingSetting: { id },
			});
		assert.equal((await patch(other.id)).messagingSetting.id, other.id);
		assert.deepEqual((await listing()).entities, []);
		await t.refused(400, 'bad.request', () => patch(NOWHERE));
		await t.refused(400, 'bad.request', () => t.integration({ messagingSetting: { id: NOWHERE } }));
	});

	for (const outbound of ['Enabled', 'Disabled']) {
		test(`an agent's typing, which is ${outbound}`, async (t) => {
			const { id } = await make(t, `out ${outbound}`, { inbound: 'Enabled', outbound });
			const talk = await t.talk({ messagingSetting: { id } });
			await t.api.postConversationsMessageCommunicationTyping(talk.conversation, talk.agent, {
				typing: { type: 'On', duration: 4000 },
			});
			// What leaves later has arrived: the first calls of a conversation leave in order.
			await t.hookedMessage((await t.says(talk)).id);
			const types = t.calls.map((each) => each.body.type);
			assert.deepEqual(types, outbound === 'Enabled' ? ['Event', 'Text'] : ['Text']);
		});
	}

	for (const inbound of ['Enabled', 'Disabled']) {
		test(`a customer's typing, which is ${inbound}`, async (t) => {
			await t.switch({ event_starts_conversation: true });
			const { id } = await make(t, `in ${inbound}`, { inbound, outbound: 'Enabled' });
			const integration = await t.integration({ messagingSetting: { id } });
			await t.api.postConversationsMessageInboundOpenEvent(integration.id, typingEvent('yusuf'));
			// Only in a conversation there is somebody to write to.
			const status = await t.status(() => t.sandbox.agent('send', 'yusuf', integration.id, { text: 'Yes?' }));
			assert.equal(status, inbound === 'Enabled' ? 200 : 404);
		});
	}
});
