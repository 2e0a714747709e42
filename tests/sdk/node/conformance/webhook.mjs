// A webhook: takes what Genesys posts, checks each signature over the raw bytes, and keeps it for the tests.

import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { eventually } from './waiting.mjs';

/** Any number of hooks, each with its path and its secret. */
export class Webhook {
	hooks = new Map();

	async start() {
		this.server = createServer(async (request, response) => {
			const chunks = [];
			for await (const chunk of request) chunks.push(chunk);
			response.statusCode = this.take(request.url, Buffer.concat(chunks), request.headers);
			response.end();
		});
		await new Promise((started) => this.server.listen(0, '127.0.0.1', started));
		return this;
	}

	/** The URL of a new hook. */
	hook(path, secret) {
		this.hooks.set(path, { secret, status: 200, calls: [] });
		return `http://127.0.0.1:${this.server.address().port}${path}`;
	}

	take(path, raw, headers) {
		const hook = this.hooks.get(path);
		const wanted = Buffer.from(`sha256=${createHmac('sha256', hook.secret).update(raw).digest('base64')}`);
		const given = Buffer.from(headers['x-hub-signature-256'] ?? '');
		const authentic = given.length === wanted.length && timingSafeEqual(given, wanted);
		hook.calls.push({ body: JSON.parse(raw), headers, authentic });
		return hook.status;
	}

	/** The first call that is `wanted`; fails with `what` when none comes. */
	async wait(path, what, wanted) {
		const { calls } = this.hooks.get(path);
		const call = await eventually(what, () => calls.find((each) => wanted(each.body)));
		assert.ok(call.authentic, `the signature of ${what} is wrong`);
		return call;
	}
}
