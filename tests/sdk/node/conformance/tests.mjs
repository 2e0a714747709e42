// The list of tests, and how they run: one after the other, since they move the one sandbox's clock.

const tests = [];

/** A subject and what holds for it. */
export function subject(name, register) {
	register((what, run) => tests.push({ name: `${name}: ${what}`, run }));
}

/** Runs the tests whose names have `only` in them, each by `around`. Returns how many passed and failed. */
export async function runAll(only, around) {
	const count = { passed: 0, failed: 0 };
	for (const { name, run } of tests.filter((each) => each.name.includes(only))) {
		try {
			await around(run);
			count.passed += 1;
			console.error(`ok    ${name}`);
		} catch (error) {
			count.failed += 1;
			// The SDK rejects with the answer, not with an Error.
			const told = error instanceof Error ? error.stack : JSON.stringify(error?.body ?? error?.error ?? error);
			console.error(`FAIL  ${name}\n${told.replace(/^/gm, '      ')}`);
		}
	}
	return count;
}
