// The sandbox's steering: switches, clock, faults, the agent's short-cuts. None of it is Genesys's API.

export class Sandbox {
	constructor(url) {
		this.url = url;
	}

	async call(method, path, body) {
		const answer = await fetch(this.url + path, {
			method,
			headers: { 'Content-Type': 'application/json' },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
		const told = await answer.text();
		if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${told}`), { status: answer.status });
		return told ? JSON.parse(told) : undefined;
	}

	/** The operation's name for each method and path of the API, as the sandbox describes itself. */
	async operations() {
		const { paths } = await this.call('GET', '/sandbox/openapi.json');
		const calls = Object.entries(paths).flatMap(([path, each]) =>
			Object.entries(each).map(([method, call]) => [`${method} ${path}`, call.operationId]),
		);
		return new Map(calls);
	}

	switches() {
		return this.call('GET', '/sandbox/switches');
	}

	switch(values) {
		return this.call('PUT', '/sandbox/switches', values);
	}

	clock(scale) {
		return this.call('PUT', '/sandbox/clock', { scale });
	}

	advance(by) {
		return this.call('POST', '/sandbox/clock/advance', { by });
	}

	fault(on, action, times = 1) {
		return this.call('POST', '/sandbox/faults', { on, action, times });
	}

	noFaults() {
		return this.call('DELETE', '/sandbox/faults');
	}

	/** An OAuth client whose role has these permissions only; all of them without `permissions`. */
	role({ id, secret }, permissions) {
		return this.call('PUT', `/sandbox/clients/${id}`, { secret, permissions });
	}

	/** A canned response. */
	response(name, fields) {
		return this.call('PUT', `/sandbox/responses/${name}`, fields);
	}

	agent(what, customer, integration, more = {}) {
		return this.call('POST', `/sandbox/agent/${what}`, { customer, integration, ...more });
	}

	revoke(client) {
		return this.call('POST', '/sandbox/tokens/revoke', { client });
	}

	closeSockets(how = {}) {
		return this.call('POST', '/sandbox/notifications/close', how);
	}
}
