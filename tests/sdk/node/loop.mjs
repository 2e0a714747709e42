#!/usr/bin/env node
// Goes round the whole loop with Genesys's own SDK for JavaScript, unchanged but for its host.
//
//   loop.mjs --api http://127.0.0.1:8082 --mode create --integration-webhook http://127.0.0.1:8080/genesys/acme
//   loop.mjs --api http://127.0.0.1:8082 --mode loop --integration ID --customer noor
//
// `create` makes an integration and waits until it is ready. `loop` lets the customer write, answers as the agent,
// and reads the message's details until its final receipt is there. Prints JSON; exits 1 if anything is off.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import genesys from 'purecloud-platform-client-v2';

const text = (fallback) => ({ type: 'string', ...(fallback === undefined ? {} : { default: fallback }) });
const { values: args } = parseArgs({
	options: {
		api: text(),
		mode: text(),
		'client-id': text('sandbox-client'),
		'client-secret': text('sandbox-secret'),
		'integration-webhook': text(),
		'webhook-secret': text('sandbox-webhook-secret'),
		name: text('Harbour Chat'),
		integration: text(),
		customer: text(),
		text: text('Good morning, I am looking at your order now.'),
		expect: text('Delivered'),
		timeout: text('60'),
	},
});

function check(holds, what) {
	if (!holds) throw new Error(what);
}

/** The SDK, pointed at `--api` by its own gateway setting, with a token by client credentials. */
async function conversationsApi() {
	const url = new URL(args.api);
	const client = genesys.ApiClient.instance;
	client.setGateway({
		host: url.hostname,
		protocol: url.protocol.replace(':', ''),
		port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
		path_params_login: url.pathname === '/' ? '' : url.pathname,
		path_params_api: url.pathname === '/' ? '' : url.pathname,
	});
	await client.loginClientCredentialsGrant(args['client-id'], args['client-secret']);
	return new genesys.ConversationsApi();
}

/** Looks until there is something to see, but not for longer than `--timeout`. */
async function poll(what, look) {
	const end = Date.now() + Number(args.timeout) * 1000;
	for (;;) {
		const seen = await look();
		if (seen) return seen;
		check(Date.now() < end, `waited ${args.timeout} s in vain for ${what}`);
		await pause(500);
	}
}

async function create(api) {
	check(args['integration-webhook'], 'create needs --integration-webhook');
	const made = await api.postConversationsMessagingIntegrationsOpen({
		name: args.name,
		outboundNotificationWebhookUrl: args['integration-webhook'],
		outboundNotificationWebhookSignatureSecretToken: args['webhook-secret'],
	});
	check(['Initiated', 'Completed'].includes(made.createStatus), `createStatus is ${made.createStatus}`);
	const found = await poll('the integration', async () => {
		const now = await api.getConversationsMessagingIntegrationsOpenIntegrationId(made.id);
		check(now.createStatus !== 'Error', 'the integration could not be created');
		return now.createStatus === 'Completed' && now;
	});
	check(found.outboundNotificationWebhookUrl === args['integration-webhook'], "the webhook's URL differs");
	const listed = await api.getConversationsMessagingIntegrationsOpen({ pageSize: 100 });
	check(listed.entities.some((each) => each.id === made.id), 'the integration is not listed');
	return { integration: found.id, name: found.name, createStatus: found.createStatus };
}

async function loop(api) {
	check(args.integration && args.customer, 'loop needs --integration and --customer');
	const inbound = await api.postConversationsMessageInboundOpenMessage(
		args.integration,
		{
			channel: {
				from: { id: args.customer, idType: 'Opaque', nickname: args.customer },
				messageId: randomUUID(),
				time: new Date().toISOString(),
			},
			text: 'Where is my parcel?',
		},
		{ prefetchConversationId: true },
	);
	check(inbound.id && inbound.conversationId, 'the inbound message has no id or no conversationId');

	let conversation = await api.getConversationsMessage(inbound.conversationId);
	const agents = conversation.participants.filter((each) => each.purpose === 'agent' && each.state === 'connected');
	check(agents.length === 1, `there are ${agents.length} agents`);
	const sent = await api.postConversationsMessageCommunicationMessages(inbound.conversationId, agents[0].id, {
		textBody: args.text,
	});
	check(sent.id && sent.direction === 'outbound', "the agent's message was not sent");

	const details = await poll('the final receipt', async () => {
		const now = await api.getConversationsMessageDetails(sent.id);
		check(now.conversationId === inbound.conversationId, 'the message is in another conversation');
		return (now.normalizedReceipts ?? []).some((receipt) => receipt.isFinalReceipt) && now;
	});
	const receipts = details.normalizedReceipts.map((receipt) => ({
		status: receipt.status,
		final: receipt.isFinalReceipt,
		reasons: receipt.reasons ?? [],
	}));
	conversation = await api.getConversationsMessage(inbound.conversationId);
	const shown = conversation.participants.flatMap((each) => each.messages ?? []).find((each) => each.messageId === sent.id);
	const error = shown.errorInfo?.message ?? null;
	const seen = {
		conversation: inbound.conversationId,
		inbound: inbound.id,
		message: sent.id,
		status: details.status,
		receipts,
		errorInfo: error,
	};
	const last = receipts.at(-1);
	const off = (what) => `${what}: ${JSON.stringify(seen)}`;
	check(receipts.filter((receipt) => receipt.final).length === 1, off('not exactly one final receipt'));
	check(last.final, off('a receipt came after the final one'));
	check(last.status === args.expect, off(`the final receipt is not ${args.expect}`));
	check(shown.messageStatus === details.status, off('conversation and details differ'));
	if (args.expect === 'Failed') {
		check(details.status === 'delivery-failed', off('the status is wrong'));
		const [reason] = last.reasons;
		check(error?.includes(`${reason.code} - ${reason.message}`), off('errorInfo lacks the reason'));
	} else if (args.expect === 'Delivered') {
		check(details.status === 'delivery-success' && error === null, off('the status is wrong'));
	}
	return seen;
}

try {
	const mode = { create, loop }[args.mode];
	check(args.api && mode, 'usage: loop.mjs --api URL --mode create|loop ...');
	console.log(JSON.stringify(await mode(await conversationsApi())));
	process.exit(0);
} catch (error) {
	// The SDK rejects with the answer, not with an Error.
	console.error(error instanceof Error ? error.message : JSON.stringify(error.body ?? error.error ?? error));
	process.exit(1);
}
