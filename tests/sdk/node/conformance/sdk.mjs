// Genesys's SDK, unchanged but for its host; what it calls is counted, and what it is answered is checked.

import { unwatchFile } from 'node:fs';
import genesys from 'purecloud-platform-client-v2';
import { faults, promises } from './declared.mjs';

export const CLIENT = { id: 'sandbox-client', secret: 'sandbox-secret' };

/** Method and path template of everything that any client called with success. */
export const called = new Set();

/** What was wrong with the answers to any client: a test that leaves something here has failed. */
export const wrong = [];

// The SDK has one client ready; its class makes more.
const { constructor: ApiClient } = genesys.ApiClient;

/** The SDK's client, pointed at a sandbox by its own gateway setting. */
export class Sdk {
	constructor(url) {
		const { hostname, protocol, port } = new URL(url);
		this.client = new ApiClient();
		// Each client watches the SDK's configuration file, and nobody changes it here.
		unwatchFile(this.client.config.configPath);
		this.client.setGateway({ host: hostname, protocol: protocol.replace(':', ''), port: Number(port) });
		// Status and headers beside the body.
		this.client.setReturnExtendedResponses(true);
		this.count();
		this.conversations = this.checked('ConversationsApi');
		this.notifications = this.checked('NotificationsApi');
	}

	count() {
		const callApi = this.client.callApi.bind(this.client);
		this.client.callApi = async (path, method, ...rest) => {
			const answer = await callApi(path, method, ...rest);
			called.add(`${method.toLowerCase()} ${path}`);
			return answer;
		};
	}

	async login({ id, secret } = CLIENT) {
		await this.client.loginClientCredentialsGrant(id, secret);
		called.add('post /oauth/token');
		return this;
	}

	/** An API whose answers are held against what it promises. Status and headers of the last are in `last`. */
	checked(name) {
		const promised = promises(name);
		const sdk = this;
		return new Proxy(new genesys[name](this.client), {
			get(api, method) {
				if (!promised.has(method)) return api[method];
				return async (...given) => {
					let answer;
					try {
						answer = await api[method](...given);
					} catch (error) {
						if (error.status) sdk.told(method, error);
						throw error;
					}
					sdk.last = answer;
					const found = faults(answer.body, promised.get(method));
					wrong.push(...found.map((each) => `${method}: ${each}`));
					return answer.body;
				};
			},
		});
	}

	/** An error's body must be an ErrorBody, with the context that is in the header too. */
	told(method, { status, headers, body }) {
		const found = faults(body, 'Models.ErrorBody');
		for (const name of ['message', 'code', 'status', 'contextId']) if (!body[name]) found.push(`no ${name}`);
		if (body.status !== status) found.push('the status is another in the body');
		if (headers['inin-correlation-id'] !== body.contextId) found.push('inin-correlation-id is not the contextId');
		wrong.push(...found.map((each) => `${method}, ${status}: ${each}`));
	}
}
