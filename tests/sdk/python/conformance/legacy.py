"""The deprecated path: messages and receipts by one call."""

from datetime import datetime, timezone

import PureCloudPlatformClientV2 as genesys

from .case import Case


def normalized(kind, sender, receiver):
    message = genesys.OpenNormalizedMessage()
    message.type, message.channel = kind, genesys.OpenMessagingChannel()
    channel = message.channel
    channel.platform, channel.type, channel.time = "Open", "Private", datetime.now(timezone.utc)
    channel.pcFrom, channel.to = genesys.OpenMessagingFromRecipient(), genesys.OpenMessagingToRecipient()
    channel.pcFrom.id, channel.pcFrom.id_type = sender, "Opaque"
    channel.to.id = receiver
    return message


class Legacy(Case):
    def post(self, message):
        with self.assertWarns(DeprecationWarning):
            return self.api.post_conversations_messages_inbound_open(message)

    def test_a_message(self):
        integration = self.integration()
        message = normalized("Text", "noor", integration.id)
        message.text, message.channel.message_id = "Where is my parcel?", "old-1"
        answer = self.post(message)
        self.assertIsInstance(answer, genesys.OpenNormalizedMessage)
        self.assertEqual((answer.type, answer.text), ("Text", "Where is my parcel?"))
        self.assertEqual((answer.channel.pcFrom.id, answer.channel.to.id), ("noor", integration.id))
        self.assertMoment(answer.channel.time)
        details = self.api.get_conversations_message_details(answer.id)
        self.assertEqual((details.direction, details.status), ("inbound", "received"))
        self.assertEqual(details.conversation_id, self.writes(integration).conversation_id)

    def test_receipts_with_read_among_them(self):
        for status, stored in (("Delivered", "delivery-success"), ("Read", "read"), ("Failed", "delivery-failed")):
            with self.subTest(status):
                integration, conversation, agent = self.talk()
                sent = self.says(conversation, agent).id
                details = self.api.get_conversations_message_details
                self.eventually("the webhook's answer", lambda: details(sent).status == "sent")
                body = normalized("Receipt", integration.id, "noor")
                body.id, body.status, body.is_final_receipt, body.direction = sent, status, True, "Outbound"
                if status == "Failed":
                    reason = genesys.ConversationReason()
                    reason.code, reason.message = "ServerError", "down"
                    body.reasons = [reason]
                answer = self.post(body)
                self.assertEqual((answer.id, answer.type, answer.status), (sent, "Receipt", status))
                self.assertEqual(details(sent).status, stored)
                self.assertEqual([each.status for each in details(sent).normalized_receipts], [status])

    def test_what_is_wrong_is_400(self):
        integration = self.integration()
        message = normalized("Text", "noor", integration.id)
        message.text = "Hello"
        good = self.sdk.sanitize_for_serialization(message)
        for what, body in {
            "no type": {**good, "type": None},
            "no channel": {"type": "Text", "text": "Hello"},
            "nobody to send it to": {**good, "channel": {**good["channel"], "to": None}},
            "nobody who sends it": {**good, "channel": {**good["channel"], "from": None}},
        }.items():
            with self.subTest(what):
                self.refused(400, "bad.request", self.post, self.sdk.sanitize_params_for_serialization(body))

    def test_an_unknown_integration_is_404(self):
        message = normalized("Text", "noor", "00000000-0000-4000-8000-000000000000")
        message.text = "Hello"
        self.refused(404, "not.found", self.post, message)
