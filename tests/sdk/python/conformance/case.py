"""What every test stands on: a client with a token, an integration with a webhook, a customer who writes."""

import re
import time
import unittest
import uuid
from datetime import datetime, timezone

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException

from . import answers
from .sandbox import Sandbox
from .sdk import CLIENT, Sdk, login
from .webhook import Webhook

SECRET = "a-secret-of-the-tests"


def sent_by(channel, customer):
    """The channel of something that a customer sends."""
    sender = genesys.OpenMessagingFromRecipient()
    sender.id, sender.id_type, sender.nickname = customer, "Opaque", customer.title()
    channel.pcFrom, channel.time = sender, datetime.now(timezone.utc)
    return channel


def inbound(customer, text):
    """A message of a customer."""
    message = genesys.OpenInboundNormalizedMessage()
    message.channel = sent_by(genesys.OpenInboundMessageMessagingChannel(), customer)
    message.channel.message_id = str(uuid.uuid4())
    message.text = text
    return message


def words(text):
    """An agent's text."""
    message = genesys.AdditionalMessage()
    message.text_body = text
    return message


class Case(unittest.TestCase):
    # Set once, before any test runs.
    sandbox: Sandbox = None
    webhook: Webhook = None

    def setUp(self):
        Sdk.wrong.clear()
        self.use(login(self.sandbox.url))

    def tearDown(self):
        wrong = sorted({re.sub(r"\[\d+\]", "[]", each) for each in Sdk.wrong})
        if wrong:
            self.fail("\n".join(["answers are not as the SDK's models declare them:", *wrong]))

    def use(self, sdk):
        """From now on this client calls."""
        self.sdk = sdk
        self.api = genesys.ConversationsApi(sdk)

    def login(self, client=CLIENT, patient=False):
        return login(self.sandbox.url, client, patient)

    def switch(self, **values):
        """Sets switches for this test only."""
        before = self.sandbox.switches()
        self.addCleanup(self.sandbox.switch, **{name: before[name] for name in values})
        self.sandbox.switch(**values)

    def fault(self, on, action, times=1):
        self.addCleanup(self.sandbox.no_faults)
        self.sandbox.fault(on, action, times)

    def integration_request(self, **fields):
        self.path = f"/hooks/{uuid.uuid4()}"
        request = genesys.OpenIntegrationRequest()
        request.name = f"Harbour {uuid.uuid4().hex[:8]}"
        request.outbound_notification_webhook_url = self.webhook.hook(self.path, SECRET)
        request.outbound_notification_webhook_signature_secret_token = SECRET
        for name, value in fields.items():
            setattr(request, name, value)
        return request

    def integration(self, **fields):
        """A new integration, whose webhook is this test's."""
        return self.api.post_conversations_messaging_integrations_open(self.integration_request(**fields))

    def writes(self, integration, customer="noor", text="Where is my parcel?"):
        """The customer writes. Returns the answer, with the conversation's id."""
        return self.api.post_conversations_message_inbound_open_message(
            integration.id, inbound(customer, text), prefetch_conversation_id=True
        )

    def present(self, conversation, purpose):
        """The participant with a purpose who is connected."""
        found = self.api.get_conversations_message(conversation).participants
        connected = [each for each in found if each.purpose == purpose and each.state == "connected"]
        self.assertEqual(len(connected), 1, f"{len(connected)} of purpose {purpose} are connected")
        return connected[0]

    def talk(self, customer="noor", **fields):
        """An integration with a conversation. Returns it, the conversation's id, and that of the agent's part."""
        integration = self.integration(**fields)
        conversation = self.writes(integration, customer).conversation_id
        return integration, conversation, self.present(conversation, "agent").id

    def says(self, conversation, agent, text="Good morning"):
        return self.api.post_conversations_message_communication_messages(conversation, agent, words(text))

    def hooked(self, what, wanted):
        """What reached the webhook with a true signature."""
        return self.webhook.wait(self.path, wanted, what)

    def hooked_message(self, message_id):
        """The message as the webhook got it."""
        return self.normalized(self.hooked("a message", lambda body: body.get("id") == message_id).body)

    def normalized(self, body):
        """A webhook's body as the SDK's model, with the types that it declares."""
        # The webhook has it, the model has not.
        body = {name: value for name, value in body.items() if name != "conversationId"}
        return self.checked(body, "ConversationNormalizedMessage")

    def refused(self, status, code, call, *args, **kwargs):
        """The call fails so. Returns what the SDK raised, with the error's body as a model in `told`."""
        with self.assertRaises(ApiException) as raised:
            call(*args, **kwargs)
        error = raised.exception
        self.assertEqual((error.status, error.told.code), (status, code), error)
        return error

    def eventually(self, what, look, timeout=30):
        """Looks until there is something to see."""
        end = time.monotonic() + timeout
        while not (seen := look()):
            self.assertLess(time.monotonic(), end, f"waited {timeout} s in vain for {what}")
            time.sleep(0.02)
        return seen

    def assertMoment(self, value):
        """It is a date-time with a zone, not text."""
        self.assertIsInstance(value, datetime)
        self.assertIsNotNone(value.tzinfo)

    def checked(self, body, kind):
        """JSON that came another way than by the API, as a model of the SDK, with the types that it declares."""
        Sdk.wrong += answers.faults(body, kind, kind)
        read = self.sdk.read(body, kind)
        Sdk.wrong += answers.unknown_values(read, kind)
        return read
