"""Messages without an agent."""

import PureCloudPlatformClientV2 as genesys

from .case import Case
from .templates import canned


class Agentless(Case):
    def request(self, integration, to="noor", text="Your parcel leaves our depot today.", existing=None):
        request = genesys.SendAgentlessOutboundMessageRequest()
        request.from_address, request.to_address = integration.id, to
        request.to_address_messenger_type, request.text_body = "open", text
        if existing is not None:
            request.use_existing_active_conversation = existing
        return request

    def post(self, request):
        return self.api.post_conversations_messages_agentless(request)

    def test_one_reaches_a_customer_who_never_wrote(self):
        integration = self.integration()
        answer = self.post(self.request(integration, "yusuf"))
        self.assertIsInstance(answer, genesys.SendAgentlessOutboundMessageResponse)
        self.assertEqual((answer.from_address, answer.to_address), (integration.id, "yusuf"))
        self.assertEqual((answer.messenger_type, answer.use_existing_active_conversation), ("open", False))
        self.assertMoment(answer.timestamp)
        message = self.hooked_message(answer.id)
        self.assertEqual((message.type, message.direction), ("Text", "Outbound"))
        self.assertEqual((message.text, message.channel.to.id), ("Your parcel leaves our depot today.", "yusuf"))
        details = self.api.get_conversations_message_details(answer.id)
        self.assertEqual((details.conversation_id, details.direction), (answer.conversation_id, "outbound"))
        self.assertEqual(details.normalized_message.text, message.text)

    def test_an_active_conversation_may_be_used(self):
        integration, conversation, _ = self.talk()
        answer = self.post(self.request(integration, existing=True))
        self.assertEqual((answer.conversation_id, answer.use_existing_active_conversation), (conversation, True))
        self.assertNotEqual(self.post(self.request(integration, existing=False)).conversation_id, conversation)

    def test_what_is_wrong_is_400(self):
        integration = self.integration()
        template = self.request(integration, text=None)
        self.sandbox.response("parcel", text="It leaves today")
        template.messaging_template = canned("parcel").messaging_template
        other = self.request(integration)
        other.to_address_messenger_type = "sms"
        for what, request in {
            "a template, which Open has not got": template,
            "another messenger than open": other,
            "no text": self.request(integration, text=None),
            "nobody to send it to": self.request(integration, to=None),
        }.items():
            with self.subTest(what):
                self.refused(400, "bad.request", self.post, request)
        self.assertEqual(self.webhook.calls[self.path], [], "nothing was sent")

    def test_an_unknown_integration_is_404(self):
        integration = genesys.OpenIntegration()
        integration.id = "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", self.post, self.request(integration))
