"""Structured responses: what a customer tapped."""

import PureCloudPlatformClientV2 as genesys

from .case import Case, inbound


def tapped(customer, message_id, kind, text, payload):
    response = genesys.OpenInboundStructuredResponseMessage()
    response.channel = inbound(customer, "").channel
    response.button_response = genesys.ContentButtonResponse()
    response.button_response.type = kind
    response.button_response.text, response.button_response.payload = text, payload
    response.originating_message_id = message_id
    return response


class Structured(Case):
    def asked(self):
        """An integration whose customer was asked by quick replies. Returns it, the conversation and the question."""
        integration, conversation, _ = self.talk()
        replies = [
            {"contentType": "QuickReply", "quickReply": {"text": text, "payload": payload, "action": "Message"}}
            for text, payload in (("Yes", "yes"), ("No", "no"))
        ]
        asked = self.sandbox.agent("send", "noor", integration.id, text="Did it arrive?", content=replies)
        return integration, conversation, asked["id"]

    def test_quick_replies_reach_the_webhook(self):
        _, _, question = self.asked()
        message = self.hooked_message(question)
        self.assertEqual((message.type, message.text), ("Structured", "Did it arrive?"))
        self.assertEqual([each.content_type for each in message.content], ["QuickReply", "QuickReply"])
        self.assertEqual([each.quick_reply.payload for each in message.content], ["yes", "no"])
        self.assertEqual(message.content[0].quick_reply.action, "Message")

    def test_what_was_tapped_comes_in(self):
        integration, conversation, question = self.asked()
        post = self.api.post_conversations_message_inbound_open_structured_response
        for kind, text, payload in (
            ("QuickReply", "Yes", "yes"),
            ("Button", "Track it", "track"),
            ("DatePicker", "2026-12-01T09:00:00.000Z", "2026-12-01T09:00:00.000Z"),
        ):
            with self.subTest(kind):
                answer = post(integration.id, tapped("noor", question, kind, text, payload))
                self.assertIsInstance(answer, genesys.OpenStructuredResponseNormalizedMessage)
                self.assertEqual((answer.type, answer.channel.pcFrom.id), ("Structured", "noor"))
                self.assertMoment(answer.channel.time)
                self.assertEqual([each.content_type for each in answer.content], ["ButtonResponse"])
                response = answer.content[0].button_response
                self.assertEqual((response.type, response.text, response.payload), (kind, text, payload))
                details = self.api.get_conversations_message_details(answer.id)
                self.assertEqual((details.conversation_id, details.direction), (conversation, "inbound"))
                self.assertEqual(details.normalized_message.content[0].button_response.payload, payload)

    def test_what_is_wrong_is_400(self):
        integration, _, question = self.asked()
        good = self.sdk.sanitize_for_serialization(tapped("noor", question, "Button", "Yes", "yes"))
        button = good["buttonResponse"]
        without = lambda body, name: {key: value for key, value in body.items() if key != name}
        wrong = {
            "no channel": without(good, "channel"),
            "no buttonResponse": without(good, "buttonResponse"),
            "no originatingMessageId": without(good, "originatingMessageId"),
            "no text": {**good, "buttonResponse": without(button, "text")},
            "no payload": {**good, "buttonResponse": without(button, "payload")},
            "no type": {**good, "buttonResponse": without(button, "type")},
            "a type that there is not": {**good, "buttonResponse": {**button, "type": "Lever"}},
        }
        post = self.api.post_conversations_message_inbound_open_structured_response
        for what, body in wrong.items():
            with self.subTest(what):
                self.refused(400, "bad.request", post, integration.id, body)

    def test_an_unknown_integration_is_404(self):
        post = self.api.post_conversations_message_inbound_open_structured_response
        response = tapped("noor", "0" * 32, "Button", "Yes", "yes")
        self.refused(404, "not.found", post, "00000000-0000-4000-8000-000000000000", response)
