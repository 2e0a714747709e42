// What every test stands on: a client with a token, an integration with a webhook, a customer who writes.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { faults } from './declared.mjs';
import { Sdk, wrong } from './sdk.mjs';
import { eventually } from './waiting.mjs';

export const SECRET = 'a-secret-of-the-tests';
/** An id of nothing. */
export const NOWHERE = '00000000-0000-4000-8000-000000000000';

/** The channel of something that a customer sends. */
export function sentBy(customer) {
	const nickname = customer[0].toUpperCase() + customer.slice(1);
	return { from: { id: customer, idType: 'Opaque', nickname }, time: new Date().toISOString() };
}

/** A message of a customer. */
export function inbound(customer, text) {
	return { channel: { ...sentBy(customer), messageId: randomUUID() }, text };
}

/** The object without one of its fields. */
export function without(object, field) {
	const { [field]: _, ...rest } = object;
	return rest;
}

export class Case {
	cleanups = [];

	constructor(sandbox, webhook) {
		this.sandbox = sandbox;
		this.webhook = webhook;
	}

	/** Runs a test on it, and puts back what the test changed. */
	async run(test) {
		wrong.length = 0;
		try {
			this.use(await this.login());
			await test(this);
		} finally {
			for (const cleanup of this.cleanups.reverse()) await cleanup();
		}
		const found = [...new Set(wrong)].sort();
		if (found.length) throw new Error(["answers are not as the SDK declares them:", ...found].join('\n'));
	}

	login(client) {
		return new Sdk(this.sandbox.url).login(client);
	}

	/** From now on this client calls. */
	use(sdk) {
		this.sdk = sdk;
		this.api = sdk.conversations;
	}

	/** Sets switches for this test only. */
	async switch(values) {
		const before = await this.sandbox.switches();
		const kept = Object.fromEntries(Object.keys(values).map((name) => [name, before[name]]));
		this.cleanups.push(() => this.sandbox.switch(kept));
		await this.sandbox.switch(values);
	}

	async fault(on, action, times) {
		this.cleanups.push(() => this.sandbox.noFaults());
		await this.sandbox.fault(on, action, times);
	}

	integrationRequest(fields = {}) {
		this.path = `/hooks/${randomUUID()}`;
		return {
			name: `Harbour ${randomUUID().slice(0, 8)}`,
			outboundNotificationWebhookUrl: this.webhook.hook(this.path, SECRET),
			outboundNotificationWebhookSignatureSecretToken: SECRET,
			...fields,
		};
	}

	/** A new integration, whose webhook is this test's. */
	integration(fields) {
		return this.api.postConversationsMessagingIntegrationsOpen(this.integrationRequest(fields));
	}

	/** What reached the webhook so far. */
	get calls() {
		return this.webhook.hooks.get(this.path).calls;
	}

	/** The customer writes. Returns the answer, with the conversation's id. */
	writes(integration, customer = 'noor', text = 'Where is my parcel?') {
		return this.api.postConversationsMessageInboundOpenMessage(integration.id, inbound(customer, text), {
			prefetchConversationId: true,
		});
	}

	/** The participant with a purpose who is connected. */
	async present(conversation, purpose) {
		const { participants } = await this.api.getConversationsMessage(conversation);
		const found = participants.filter((each) => each.purpose === purpose && each.state === 'connected');
		assert.equal(found.length, 1, `${found.length} of purpose ${purpose} are connected`);
		return found[0];
	}

	/** An integration with a conversation: it, the conversation's id, and that of the agent's part. */
	async talk(fields, customer = 'noor') {
		const integration = await this.integration(fields);
		const { conversationId } = await this.writes(integration, customer);
		return { integration, conversation: conversationId, agent: (await this.present(conversationId, 'agent')).id };
	}

	says({ conversation, agent }, textBody = 'Good morning') {
		return this.api.postConversationsMessageCommunicationMessages(conversation, agent, { textBody });
	}

	/** What the agent sent, once the webhook has taken it. */
	async sent(talk) {
		const { id } = await this.says(talk);
		await this.eventually("the webhook's answer", async () => (await this.details(id)).status === 'sent');
		return id;
	}

	details(id) {
		return this.api.getConversationsMessageDetails(id);
	}

	/** What reached the webhook with a true signature. */
	hooked(what, wanted) {
		return this.webhook.wait(this.path, what, wanted);
	}

	async hookedMessage(id) {
		return this.normalized((await this.hooked('a message', (body) => body.id === id)).body);
	}

	/** A webhook's body, with the types that the SDK declares. */
	normalized(body) {
		// The webhook has it, the model has not.
		return this.declared(without(body, 'conversationId'), 'ConversationNormalizedMessage');
	}

	/** JSON that came another way than by the API, with the types that the SDK declares. */
	declared(body, model) {
		wrong.push(...faults(body, `Models.${model}`, model));
		return body;
	}

	/** The call fails so. Returns what the SDK threw: status, headers, and the error's body. */
	async refused(status, code, call) {
		const error = await call().then(
			() => assert.fail(`it should be refused with ${status}`),
			(error) => error,
		);
		if (!error.status) throw error;
		assert.deepEqual([error.status, error.body.code], [status, code], JSON.stringify(error.body));
		return error;
	}

	/** The status with which a call ends. */
	async status(call) {
		return call().then(
			() => 200,
			(error) => {
				if (!error.status) throw error;
				return error.status;
			},
		);
	}

	eventually(what, look) {
		return eventually(what, look);
	}

	after(cleanup) {
		this.cleanups.push(cleanup);
	}
}
