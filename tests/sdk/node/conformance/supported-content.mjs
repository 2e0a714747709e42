// Supported content: the profiles, and what happens to media that they do not allow.

import assert from 'node:assert/strict';
import { NOWHERE, inbound } from './case.mjs';
import { subject } from './tests.mjs';

const types = (list) => list.map((type) => ({ type }));

/** What a profile allows. */
export function mediaTypes(inbound, outbound) {
	return { allow: { inbound: types(inbound), outbound: types(outbound) } };
}

/** An attachment as a customer sends it. */
export function attached(mime, mediaType, filename) {
	const url = `https://files.example.net/${filename}`;
	return { contentType: 'Attachment', attachment: { mediaType, mime, filename, url } };
}

function make({ api }, name = 'pictures', inbound = ['*/*'], outbound = ['image/png']) {
	return api.postConversationsMessagingSupportedcontent({ name, mediaTypes: mediaTypes(inbound, outbound) });
}

subject('supported content', (test) => {
	test('one is made, read, changed and deleted', async (t) => {
		const made = await make(t, 'scans', ['image/*', 'application/pdf'], ['application/pdf']);
		assert.deepEqual(made.mediaTypes, mediaTypes(['image/*', 'application/pdf'], ['application/pdf']));
		assert.ok(made.selfUri.endsWith(made.id));
		const get = () => t.api.getConversationsMessagingSupportedcontentSupportedContentId(made.id);
		const { name, mediaTypes: kept } = await get();
		assert.deepEqual([name, kept], ['scans', made.mediaTypes]);

		const change = { name: 'papers', mediaTypes: mediaTypes(['application/pdf'], []) };
		const patch = () => t.api.patchConversationsMessagingSupportedcontentSupportedContentId(made.id, change);
		await patch();
		const found = await get();
		assert.deepEqual([found.name, found.mediaTypes], ['papers', change.mediaTypes]);

		const remove = () => t.api.deleteConversationsMessagingSupportedcontentSupportedContentId(made.id);
		await remove();
		for (const call of [get, patch, remove]) await t.refused(404, 'not.found', call);
	});

	test('a request needs a name, and its id is ignored', async (t) => {
		const post = t.api.postConversationsMessagingSupportedcontent;
		await t.refused(400, 'bad.request', () => post({ mediaTypes: mediaTypes(['*/*'], ['*/*']) }));
		assert.notEqual((await post({ id: 'mine', name: 'named', mediaTypes: mediaTypes([], []) })).id, 'mine');
	});

	test('the listing goes by pages', async (t) => {
		const made = [];
		for (let n = 0; n < 3; n += 1) made.push((await make(t, `page ${n}`)).id);
		const page = (pageNumber) => t.api.getConversationsMessagingSupportedcontent({ pageSize: 2, pageNumber });
		const first = await page(1);
		assert.deepEqual([first.entities.length, first.pageSize, first.pageNumber], [2, 2, 1]);
		const seen = [];
		for (let n = 1; n <= first.pageCount; n += 1) seen.push(...(await page(n)).entities.map((each) => each.id));
		assert.equal(seen.length, first.total);
		for (const id of made) assert.ok(seen.includes(id));
	});

	test('the default is there from the beginning and can be set', async (t) => {
		const get = t.api.getConversationsMessagingSupportedcontentDefault;
		const own = await get();
		assert.equal(own.name, 'Default');
		assert.deepEqual(own.mediaTypes, mediaTypes(['*/*'], ['image/jpeg', 'image/png', 'image/gif']));
		assert.equal((await t.integration()).supportedContent.id, own.id);
		const made = await make(t, 'of the house');
		const put = (id) => t.api.putConversationsMessagingSupportedcontentDefault({ id });
		t.after(() => put(own.id));
		assert.equal((await put(made.id)).id, made.id);
		assert.equal((await get()).id, made.id);
		const { supportedContent } = await t.integration();
		assert.deepEqual([supportedContent.id, supportedContent.name], [made.id, 'of the house']);
		await t.refused(404, 'not.found', () => put(NOWHERE));
	});

	test('an integration names its profile', async (t) => {
		const [made, other] = [await make(t, 'of the harbour'), await make(t, 'of the station')];
		const integration = await t.integration({ supportedContent: { id: made.id } });
		const { supportedContent } = integration;
		assert.deepEqual([supportedContent.id, supportedContent.name], [made.id, 'of the harbour']);
		assert.ok(supportedContent.selfUri.endsWith(made.id));
		const listing = () => t.api.getConversationsMessagingIntegrationsOpen({ supportedContentId: made.id });
		assert.deepEqual((await listing()).entities.map((each) => each.id), [integration.id]);

		const { name } = integration;
		const patch = (id) =>
			t.api.patchConversationsMessagingIntegrationsOpenIntegrationId(integration.id, {
				name,
				supportedContent: { id },
			});
		assert.equal((await patch(other.id)).supportedContent.id, other.id);
		assert.deepEqual((await listing()).entities, []);
		await t.refused(400, 'bad.request', () => patch(NOWHERE));
		await t.refused(400, 'bad.request', () => t.integration({ supportedContent: { id: NOWHERE } }));
	});

	test('an inbound attachment that is not allowed is dropped', async (t) => {
		const { id } = await make(t, 'pictures in', ['image/png']);
		const integration = await t.integration({ supportedContent: { id } });
		const answer = await t.api.postConversationsMessageInboundOpenMessage(integration.id, {
			...inbound('noor', 'The label and the bill'),
			content: [attached('image/png', 'Image', 'label.png'), attached('application/pdf', 'File', 'bill.pdf')],
		});
		const { normalizedMessage } = await t.details(answer.id);
		assert.equal(normalizedMessage.text, 'The label and the bill');
		assert.deepEqual(normalizedMessage.content.map((each) => each.attachment.filename), ['label.png']);
		assert.equal(normalizedMessage.content[0].attachment.mime, 'image/png');
	});
});
