// An agent's media: announced, uploaded, sent, kept.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { NOWHERE } from './case.mjs';
import { mediaTypes } from './supported-content.mjs';
import { subject } from './tests.mjs';

const PIXEL = Buffer.from(
	'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
	'base64',
);
const md5 = (data) => createHash('md5').update(data).digest('base64');

/** The SDK leaves this to its user: the address is no path of the API, and wants no token. */
async function upload(method, url, headers, body) {
	return (await fetch(url, { method, headers, body })).status;
}

async function fetched(url) {
	const answer = await fetch(url);
	assert.equal(answer.status, 200, url);
	return [Buffer.from(await answer.arrayBuffer()), answer.headers.get('content-type')];
}

/** The calls about the media of one conversation's agent. */
class Media {
	constructor(t, talk) {
		Object.assign(this, { t, talk, at: [talk.conversation, talk.agent] });
	}

	announced(fileName = 'label.png', data = PIXEL, contentMd5 = undefined) {
		const request = { fileName, contentLengthBytes: data.length, contentMd5 };
		return this.t.api.postConversationsMessageCommunicationMessagesMediaUploads(...this.at, request);
	}

	created() {
		return this.t.api.postConversationsMessageCommunicationMessagesMedia(...this.at);
	}

	found(id) {
		return this.t.api.getConversationsMessageCommunicationMessagesMediaMediaId(...this.at, id);
	}

	listed(options) {
		return this.t.api.getConversationsMessageCommunicationMessagesMedia(...this.at, options);
	}

	async valid(name) {
		const made = await this.announced(name);
		assert.ok((await upload('PUT', made.uploadUrl, made.uploadHeaders, PIXEL)) < 300);
		return this.found(made.id);
	}

	/** The SDK wants `textBody` even where there is none. */
	send(id, textBody = '') {
		const body = { textBody, mediaIds: [id] };
		return this.t.api.postConversationsMessageCommunicationMessages(...this.at, body);
	}
}

async function media(t) {
	return new Media(t, await t.talk());
}

subject('media', (test) => {
	test('one is announced, uploaded and sent', async (t) => {
		const agent = await media(t);
		const made = await agent.announced('label.png', PIXEL, md5(PIXEL));
		assert.equal(made.name, 'label.png');
		const before = await agent.found(made.id);
		assert.deepEqual([before.status, before.url], ['uploading', undefined]);
		await upload('PUT', made.uploadUrl, made.uploadHeaders, PIXEL);
		const after = await agent.found(made.id);
		assert.deepEqual(
			[after.status, after.mediaType, after.name, after.contentLengthBytes],
			['valid', 'image/png', 'label.png', PIXEL.length],
		);
		assert.deepEqual([after.conversationId, after.communicationId], agent.at);
		assert.deepEqual((await fetched(after.url))[0], PIXEL);
		const message = await t.hookedMessage((await agent.send(made.id)).id);
		assert.ok(!message.text);
		assert.equal(message.content.length, 1);
		const { contentType, attachment } = message.content[0];
		assert.deepEqual(
			[contentType, attachment.mediaType, attachment.mime, attachment.filename, attachment.contentSizeBytes],
			['Attachment', 'Image', 'image/png', 'label.png', PIXEL.length],
		);
		assert.deepEqual(await fetched(attachment.url), [PIXEL, 'image/png']);
	});

	test('one is created and uploaded in each way', async (t) => {
		const agent = await media(t);
		const form = new FormData();
		form.set('file', new Blob([PIXEL], { type: 'image/png' }), 'label.png');
		const type = { 'Content-Type': 'image/png' };
		for (const [method, headers, body] of [['PUT', type, PIXEL], ['POST', type, PIXEL], ['POST', {}, form]]) {
			const made = await agent.created();
			assert.equal(made.status, 'uploading');
			await upload(method, made.uploadUrl, headers, body);
			const found = await agent.found(made.id);
			assert.deepEqual([found.status, found.mediaType], ['valid', 'image/png']);
			assert.deepEqual((await fetched(found.url))[0], PIXEL);
		}
	});

	test('another file than announced is invalid', async (t) => {
		const agent = await media(t);
		const short = await agent.announced();
		const other = await agent.announced('label.png', PIXEL, md5('another file'));
		for (const [made, data] of [[short, PIXEL.subarray(1)], [other, PIXEL]]) {
			assert.equal(await upload('PUT', made.uploadUrl, made.uploadHeaders, data), 204);
			assert.equal((await agent.found(made.id)).status, 'invalid');
			await t.refused(400, 'bad.request', () => agent.send(made.id));
		}
	});

	test('what the profile does not allow is invalid', async (t) => {
		const agent = await media(t);
		const bill = Buffer.from('%PDF-1.7 a bill');
		const made = await agent.announced('bill.pdf', bill);
		await upload('PUT', made.uploadUrl, made.uploadHeaders, bill);
		assert.equal((await agent.found(made.id)).status, 'invalid');
		await t.refused(400, 'bad.request', () => agent.send(made.id));
		assert.deepEqual(t.calls, [], 'nothing was sent');
	});

	test('a profile that changes later still counts', async (t) => {
		const agent = await media(t);
		const made = await agent.valid();
		const profile = { name: 'nothing out', mediaTypes: mediaTypes(['*/*'], []) };
		const { id } = await t.api.postConversationsMessagingSupportedcontent(profile);
		const { integration } = agent.talk;
		await t.api.patchConversationsMessagingIntegrationsOpenIntegrationId(integration.id, {
			name: integration.name,
			supportedContent: { id },
		});
		await t.refused(400, 'bad.request', () => agent.send(made.id));
		await t.hookedMessage((await t.says(agent.talk)).id);
		assert.equal(t.calls.length, 1, 'only the text was sent');
	});

	test('what is wrong', async (t) => {
		const agent = await media(t);
		const announce = (request) => () =>
			t.api.postConversationsMessageCommunicationMessagesMediaUploads(...agent.at, request);
		const large = { fileName: 'film.png', contentLengthBytes: 26 * 1024 * 1024 };
		await t.refused(400, 'bad.request', announce(large));
		await t.refused(400, 'bad.request', announce({ fileName: 'label.png' }));
		const create = t.api.postConversationsMessageCommunicationMessagesMedia;
		const [conversation, communication] = agent.at;
		await t.refused(404, 'not.found', () => create(NOWHERE, communication));
		await t.refused(404, 'not.found', () => create(conversation, NOWHERE));
		await t.refused(404, 'not.found', () => agent.found(NOWHERE));
		await t.refused(404, 'not.found', () => agent.send(NOWHERE));
		const waiting = await agent.created();
		await t.refused(400, 'bad.request', () => agent.send(waiting.id));
	});

	test('the listing goes by status and pages', async (t) => {
		const agent = await media(t);
		const valid = [];
		for (let n = 0; n < 3; n += 1) valid.push((await agent.valid()).id);
		const waiting = await agent.created();
		const ids = (listing) => listing.entities.map((each) => each.id);
		assert.deepEqual(ids(await agent.listed()).sort(), [...valid, waiting.id].sort());
		const page = (pageNumber) => agent.listed({ status: 'valid', pageSize: 2, pageNumber });
		const [first, second] = [await page(1), await page(2)];
		assert.deepEqual([first.entities.length, second.entities.length], [2, 1]);
		assert.deepEqual([...ids(first), ...ids(second)].sort(), [...valid].sort());
		assert.deepEqual([first.total, first.pageCount], [3, 2]);
	});

	test('what was sent is cached', async (t) => {
		await t.switch({ media_life: '24h' });
		const agent = await media(t);
		const [unsent, made] = [await agent.valid('unsent.png'), await agent.valid()];
		const { content } = await t.hookedMessage((await agent.send(made.id)).id);
		const { url } = content[0].attachment;
		const list = t.api.getConversationsMessagesCachedmedia;
		const listing = await list({ url });
		assert.deepEqual([listing.entities.length, listing.total], [1, 1]);
		const [item] = listing.entities;
		assert.deepEqual([item.url, item.mediaType, item.contentLengthBytes], [url, 'image/png', PIXEL.length]);
		assert.equal(Date.parse(item.dateExpires) - Date.parse(item.dateCreated), 24 * 3600 * 1000);
		assert.deepEqual((await fetched(item.downloadUrl))[0], PIXEL);
		assert.deepEqual((await list({ url: unsent.url })).entities, []);

		const get = () => t.api.getConversationsMessagesCachedmediaCachedMediaItemId(item.id);
		assert.equal((await get()).url, url);
		const remove = () => t.api.deleteConversationsMessagesCachedmediaCachedMediaItemId(item.id);
		await remove();
		await t.refused(404, 'not.found', get);
		await t.refused(404, 'not.found', remove);
		assert.equal((await fetch(item.downloadUrl)).status, 404);
	});

	test('a token may be needed for it', async (t) => {
		await t.switch({ media_token: true });
		const agent = await media(t);
		const { id } = await agent.send((await agent.valid()).id);
		const { url } = (await t.hookedMessage(id)).content[0].attachment;
		assert.equal((await fetch(url)).status, 401);
		const headers = { Authorization: `Bearer ${t.sdk.client.authData.accessToken}` };
		const answer = await fetch(url, { headers });
		assert.deepEqual(Buffer.from(await answer.arrayBuffer()), PIXEL);
	});

	test('its address may die', async (t) => {
		await t.switch({ media_life: '10m' });
		const { url } = await (await media(t)).valid();
		await t.sandbox.advance('9m');
		await fetched(url);
		await t.sandbox.advance('2m');
		assert.equal((await fetch(url)).status, 404);
	});

	test('a text may be needed beside it', async (t) => {
		await t.switch({ agent_text_needed: true });
		const agent = await media(t);
		const made = await agent.valid();
		const { conversation, agent: communication } = agent.talk;
		const send = (body) => t.api.postConversationsMessageCommunicationMessages(conversation, communication, body);
		await t.refused(400, 'bad.request', () => send({ mediaIds: [made.id] }));
		await t.hookedMessage((await agent.send(made.id)).id);
	});

	test('the cache goes by pages', async (t) => {
		const agent = await media(t);
		for (let n = 0; n < 3; n += 1) await agent.send((await agent.valid()).id);
		const page = (pageNumber) => t.api.getConversationsMessagesCachedmedia({ pageSize: 2, pageNumber });
		const first = await page(1);
		assert.deepEqual([first.entities.length, first.pageSize, first.pageNumber], [2, 2, 1]);
		const seen = [];
		for (let n = 1; n <= first.pageCount; n += 1) seen.push(...(await page(n)).entities.map((each) => each.id));
		assert.deepEqual([seen.length, new Set(seen).size], [first.total, first.total]);
		assert.ok(first.total >= 3);
	});
});
