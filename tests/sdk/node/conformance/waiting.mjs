// Waiting with a limit.

import { setTimeout as pause } from 'node:timers/promises';

/** Looks until there is something to see. */
export async function eventually(what, look, seconds = 30) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		const seen = await look();
		if (seen) return seen;
		if (Date.now() > end) throw new Error(`waited ${seconds} s in vain for ${what}`);
		await pause(10);
	}
}
