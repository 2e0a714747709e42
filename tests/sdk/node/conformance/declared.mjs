// Whether an answer is what the SDK declares: its index.d.ts has the type of each answer, field by field.
//
// The SDK for JavaScript hands on whatever JSON there is. A program in TypeScript relies on these types, so that an
// answer which breaks them breaks the program.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
// Declared as plain text, and in the other SDKs as date-times.
const MOMENTS = /^(time|timestamp|expires|date[A-Z]\w*|\w+Time)$/;

const main = createRequire(import.meta.url).resolve('purecloud-platform-client-v2');
const text = readFileSync(join(dirname(main), '..', '..', 'index.d.ts'), 'utf8');

// Needed when a user is changed, says its text; messages show who wrote them by id.
const NOT_NEEDED = new Set(['User.version']);

/** The fields of each model: name, whether it may be absent, type. */
const models = new Map();
const namespace = text.slice(text.indexOf('declare namespace Models {'));
for (const [, name, body] of namespace.matchAll(/export interface (\w+) \{([^]*?)\n\t\}/g)) {
	const fields = [...body.matchAll(/"([^"]+)"(\??): (.*);$/gm)];
	models.set(name, new Map(fields.map(([, field, optional, type]) => [field, { optional: optional === '?', type }])));
}

/** What each method of an API promises. */
export function promises(api) {
	const begin = text.indexOf(`declare class ${api} {`);
	const body = text.slice(begin, text.indexOf('\n}', begin));
	return new Map([...body.matchAll(/^\s+(\w+)\(.*\): Promise<(.*)>;$/gm)].map(([, name, type]) => [name, type]));
}

/** What is wrong with a value that should be of a declared type, as a list of texts. */
export function faults(value, type, at = 'answer') {
	const plain = type.replace(/^Models\./, '');
	if (models.has(plain)) return modelFaults(value, plain, at);
	let inner = type.match(/^Array<(.*)>$/)?.[1];
	if (inner) {
		if (!Array.isArray(value)) return [`${at}: ${JSON.stringify(value)} is no list`];
		return value.flatMap((item) => faults(item, inner, `${at}[]`));
	}
	inner = type.match(/^\{ \[key: string\]: (.*); \}$/)?.[1] ?? type.match(/^Record<string, (.*)>$/)?.[1];
	if (inner) {
		if (!isObject(value)) return [`${at}: ${JSON.stringify(value)} is no map`];
		return Object.entries(value).flatMap(([key, item]) => faults(item, inner, `${at}.${key}`));
	}
	if (type === 'void') return value === undefined || value === '' ? [] : [`${at}: nothing was promised`];
	if (type === 'object') return [];
	return typeof value === type ? [] : [`${at}: ${JSON.stringify(value)} is no ${type}`];
}

function modelFaults(value, name, at) {
	if (!isObject(value)) return [`${at}: ${JSON.stringify(value)} is no ${name}`];
	const fields = models.get(name);
	const needed = ([field, { optional }]) => !optional && !NOT_NEEDED.has(`${name}.${field}`);
	const missing = [...fields].filter(needed).filter(([field]) => value[field] === undefined);
	const found = missing.map(([field]) => `${at}: ${name} needs ${field}`);
	for (const [field, item] of Object.entries(value)) {
		const declared = fields.get(field);
		if (!declared) {
			found.push(`${at}: ${name} has no ${field}`);
			continue;
		}
		found.push(...faults(item, declared.type, `${at}.${field}`));
		if (declared.type === 'string' && MOMENTS.test(field) && !isMoment(item)) {
			found.push(`${at}.${field}: ${JSON.stringify(item)} is no date-time`);
		}
	}
	return found;
}

/** Whether it is a date-time with a time zone. */
export function isMoment(value) {
	return typeof value === 'string' && MOMENT.test(value) && !Number.isNaN(Date.parse(value));
}

function isObject(value) {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
