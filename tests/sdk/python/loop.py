#!/usr/bin/env python3
"""Goes round the whole loop with Genesys's own SDK for Python, unchanged but for its host.

    loop.py --api http://127.0.0.1:8082 --mode create --integration-webhook http://127.0.0.1:8080/genesys/acme
    loop.py --api http://127.0.0.1:8082 --mode loop --integration ID --customer noor

`create` makes an integration and waits until it is ready. `loop` lets the customer write, answers as the agent, and
reads the message's details until its final receipt is there. Prints JSON; exits 1 if anything is off.
"""

import argparse
import json
import sys
import time
import uuid
from datetime import datetime, timezone
from urllib.parse import urlsplit

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def conversations_api(args):
    """The SDK, pointed at `--api` by its own gateway setting, with a token by client credentials."""
    url = urlsplit(args.api)
    client = genesys.api_client.ApiClient()
    client.set_gateway(url.hostname, url.scheme, url.port, url.path, url.path)
    client.get_client_credentials_token(args.client_id, args.client_secret)
    check(client.access_token, "no token")
    return genesys.ConversationsApi(client)


def poll(what, timeout, look):
    """Looks until there is something to see, but not for longer than `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        seen = look()
        if seen is not None:
            return seen
        check(time.monotonic() < end, f"waited {timeout} s in vain for {what}")
        time.sleep(0.5)


def create(api, args):
    request = genesys.OpenIntegrationRequest()
    request.name = args.name
    request.outbound_notification_webhook_url = args.integration_webhook
    request.outbound_notification_webhook_signature_secret_token = args.webhook_secret
    made = api.post_conversations_messaging_integrations_open(request)
    check(made.create_status in ("Initiated", "Completed"), f"createStatus is {made.create_status}")

    def ready():
        found = api.get_conversations_messaging_integrations_open_integration_id(made.id)
        check(found.create_status != "Error", "the integration could not be created")
        return found if found.create_status == "Completed" else None

    found = poll("the integration", args.timeout, ready)
    check(found.outbound_notification_webhook_url == args.integration_webhook, "the webhook's URL differs")
    listed = api.get_conversations_messaging_integrations_open(page_size=100)
    check(made.id in [each.id for each in listed.entities], "the integration is not listed")
    return {"integration": found.id, "name": found.name, "createStatus": found.create_status}


def customer_writes(api, args):
    sender = genesys.OpenMessagingFromRecipient()
    sender.id = args.customer
    sender.id_type = "Opaque"
    sender.nickname = args.customer
    channel = genesys.OpenInboundMessageMessagingChannel()
    channel.pcFrom = sender
    channel.message_id = str(uuid.uuid4())
    channel.time = datetime.now(timezone.utc)
    message = genesys.OpenInboundNormalizedMessage()
    message.channel = channel
    message.text = "Where is my parcel?"
    answer = api.post_conversations_message_inbound_open_message(
        args.integration, message, prefetch_conversation_id=True
    )
    check(answer.id, "the inbound message has no id")
    check(answer.conversation_id, "the inbound message has no conversationId")
    return answer


def loop(api, args):
    inbound = customer_writes(api, args)
    conversation = api.get_conversations_message(inbound.conversation_id)
    agents = [each for each in conversation.participants if each.purpose == "agent" and each.state == "connected"]
    check(len(agents) == 1, f"there are {len(agents)} agents")

    answer = genesys.AdditionalMessage()
    answer.text_body = args.text
    sent = api.post_conversations_message_communication_messages(inbound.conversation_id, agents[0].id, answer)
    check(sent.id and sent.direction == "outbound", "the agent's message was not sent")

    def final():
        details = api.get_conversations_message_details(sent.id)
        check(details.conversation_id == inbound.conversation_id, "the message is in another conversation")
        done = [receipt for receipt in details.normalized_receipts or [] if receipt.is_final_receipt]
        return details if done else None

    details = poll("the final receipt", args.timeout, final)
    receipts = [
        {
            "status": receipt.status,
            "final": receipt.is_final_receipt,
            "reasons": [{"code": reason.code, "message": reason.message} for reason in receipt.reasons or []],
        }
        for receipt in details.normalized_receipts
    ]
    conversation = api.get_conversations_message(inbound.conversation_id)
    messages = [message for each in conversation.participants for message in each.messages or []]
    shown = [message for message in messages if message.message_id == sent.id][0]
    error = shown.error_info.message if shown.error_info else None
    seen = {
        "conversation": inbound.conversation_id,
        "inbound": inbound.id,
        "message": sent.id,
        "status": details.status,
        "receipts": receipts,
        "errorInfo": error,
    }

    check(sum(bool(receipt["final"]) for receipt in receipts) == 1, f"not exactly one final receipt: {seen}")
    check(receipts[-1]["final"], f"a receipt came after the final one: {seen}")
    check(receipts[-1]["status"] == args.expect, f"the final receipt is not {args.expect}: {seen}")
    check(shown.message_status == details.status, f"conversation and details differ: {seen}")
    if args.expect == "Failed":
        check(details.status == "delivery-failed", f"the status is wrong: {seen}")
        reason = receipts[-1]["reasons"][0]
        check(f"{reason['code']} - {reason['message']}" in (error or ""), f"errorInfo lacks the reason: {seen}")
    elif args.expect == "Delivered":
        check(details.status == "delivery-success" and error is None, f"the status is wrong: {seen}")
    return seen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", required=True, help="base URL of the API and of the login")
    parser.add_argument("--mode", choices=["create", "loop"], required=True)
    parser.add_argument("--client-id", default="sandbox-client")
    parser.add_argument("--client-secret", default="sandbox-secret")
    parser.add_argument("--integration-webhook", help="create: where webhooks go")
    parser.add_argument("--webhook-secret", default="sandbox-webhook-secret", help="create: what signs them")
    parser.add_argument("--name", default="Harbour Chat", help="create: the integration's name")
    parser.add_argument("--integration", help="loop: the integration's id")
    parser.add_argument("--customer", help="loop: the customer's id")
    parser.add_argument("--text", default="Good morning, I am looking at your order now.", help="loop: the answer")
    parser.add_argument("--expect", default="Delivered", choices=["Delivered", "Failed", "Sent"])
    parser.add_argument("--timeout", type=float, default=60, help="seconds")
    args = parser.parse_args()
    if args.mode == "create" and not args.integration_webhook:
        parser.error("create needs --integration-webhook")
    if args.mode == "loop" and not (args.integration and args.customer):
        parser.error("loop needs --integration and --customer")
    try:
        api = conversations_api(args)
        print(json.dumps(create(api, args) if args.mode == "create" else loop(api, args)))
    except (AssertionError, ApiException) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
