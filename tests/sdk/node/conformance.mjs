#!/usr/bin/env node
// Holds a sandbox against Genesys's own SDK for JavaScript: every path, by the SDK's methods, each answer against the
// types that the SDK declares.
//
//   conformance.mjs --api http://127.0.0.1:8082
//   conformance.mjs --api http://127.0.0.1:8082 --only receipts
//
// It wants a sandbox of its own, since it moves the clock and turns switches. What goes wrong is told on stderr. The
// last line on stdout is JSON: how many tests passed, and the operations that were called. Exits 1 if a test fails, or
// if an operation of the sandbox's document was called by none.

import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Case } from './conformance/case.mjs';
import { Sandbox } from './conformance/sandbox.mjs';
import { called } from './conformance/sdk.mjs';
import { runAll } from './conformance/tests.mjs';
import { Webhook } from './conformance/webhook.mjs';

const { values: args } = parseArgs({
	options: { api: { type: 'string' }, only: { type: 'string', default: '' } },
});
if (!args.api) {
	console.error('usage: conformance.mjs --api URL [--only NAME]');
	process.exit(2);
}

const folder = new URL('./conformance/', import.meta.url);
for (const file of readdirSync(folder).sort()) await import(new URL(file, folder));

const [sandbox, webhook] = [new Sandbox(args.api), await new Webhook().start()];
// None of the tests should meet the limit, or wait for an integration, that does not want to.
await sandbox.switch({ rate_per_minute: 0, create_delay: '0s' });
const { passed, failed } = await runAll(args.only, (test) => new Case(sandbox, webhook).run(test));

const operations = await sandbox.operations();
const names = [...called].map((call) => operations.get(call) ?? call).sort();
const missing = args.only ? [] : [...operations.values()].filter((name) => !names.includes(name));
if (missing.length) console.error(`called by no test: ${missing.join(', ')}`);
console.log(JSON.stringify({ passed, operations: names }));
process.exit(failed || missing.length ? 1 : 0);
