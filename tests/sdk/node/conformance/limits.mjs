// The rate limit: headers and 429.

import assert from 'node:assert/strict';
import { subject } from './tests.mjs';

const list = (t) => () => t.api.getConversationsMessagingIntegrationsOpen();

/** Count, allowed, and seconds to the end of the minute. */
function rate(headers) {
	return ['count', 'allowed', 'reset'].map((name) => Number(headers[`inin-ratelimit-${name}`]));
}

/** Five calls a minute, for a token of the test's own. */
async function five(t) {
	await t.switch({ rate_per_minute: 5 });
	t.use(await t.login());
}

async function usedUp(t) {
	for (let n = 0; n < 5; n += 1) await list(t)();
}

subject('limits', (test) => {
	test('each answer counts', async (t) => {
		await five(t);
		for (let wanted = 1; wanted <= 5; wanted += 1) {
			await list(t)();
			const [count, allowed, reset] = rate(t.sdk.last.headers);
			assert.deepEqual([count, allowed], [wanted, 5]);
			assert.ok(reset > 0 && reset <= 61, String(reset));
		}
	});

	test('one too many is 429', async (t) => {
		await five(t);
		await usedUp(t);
		for (const code of ['too.many.requests', 'too.many.requests.retry.after']) {
			await t.switch({ limit_code: code });
			const { headers, body } = await t.refused(429, code, list(t));
			const [count, allowed, reset] = rate(headers);
			assert.ok(count > allowed);
			assert.equal(Number(headers['retry-after']), reset);
			assert.equal(body.limit.key, 'client.credentials.token.rate.per.minute');
			assert.ok(body.limit.namespace);
			assert.equal(Number(body.limit.value), 5);
		}
	});

	test('a minute later there are more', async (t) => {
		await five(t);
		await usedUp(t);
		await t.refused(429, 'too.many.requests', list(t));
		await t.sandbox.advance('61s');
		await list(t)();
		assert.equal(rate(t.sdk.last.headers)[0], 1);
	});

	test('each token has its own', async (t) => {
		await five(t);
		await usedUp(t);
		t.use(await t.login());
		await list(t)();
	});

	test('it may be lowered for some calls', async (t) => {
		await five(t);
		await t.fault('api', { limit: 1 }, 2);
		await list(t)();
		assert.equal(rate(t.sdk.last.headers)[1], 1);
		const { headers } = await t.refused(429, 'too.many.requests', list(t));
		assert.equal(rate(headers)[1], 1);
	});

	test('without a limit there are no headers', async (t) => {
		await t.switch({ rate_per_minute: 0 });
		await list(t)();
		assert.equal(t.sdk.last.headers['inin-ratelimit-count'], undefined);
	});

	test('who waits as long as he is told may go on', async (t) => {
		// The SDK for JavaScript has no setting for it, and never tries again by itself.
		await five(t);
		await usedUp(t);
		const { headers } = await t.refused(429, 'too.many.requests', list(t));
		await t.sandbox.advance(`${headers['retry-after']}s`);
		await list(t)();
		assert.equal(rate(t.sdk.last.headers)[0], 1, 'the minute is a new one');
	});
});
