"""Inbound messages: what a customer writes, and what comes back."""

from datetime import timedelta

import PureCloudPlatformClientV2 as genesys

from .case import Case, inbound
from .supported_content import attached


class Inbound(Case):
    def post(self, integration, message, **options):
        return self.api.post_conversations_message_inbound_open_message(integration.id, message, **options)

    def test_the_answer_is_the_normalized_message(self):
        integration, message = self.integration(), inbound("noor", "Where is my parcel?")
        message.channel.pcFrom.first_name, message.channel.pcFrom.last_name = "Noor", "Haddad"
        message.metadata = {"shop": "harbour"}
        answer = self.post(integration, message, prefetch_conversation_id=True)
        self.assertIsInstance(answer, genesys.OpenMessageNormalizedMessage)
        self.assertEqual((answer.type, answer.text), ("Text", "Where is my parcel?"))
        self.assertEqual(answer.metadata, {"shop": "harbour"})
        channel = answer.channel
        self.assertEqual((channel.id, channel.platform, channel.type), (integration.id, "Open", "Private"))
        self.assertEqual(channel.message_id, message.channel.message_id)
        self.assertEqual((channel.pcFrom.id, channel.pcFrom.id_type), ("noor", "Opaque"))
        self.assertEqual((channel.pcFrom.first_name, channel.pcFrom.last_name), ("Noor", "Haddad"))
        self.assertEqual(channel.to.id, integration.id)
        self.assertMoment(channel.time)
        self.assertLess(abs(channel.time - message.channel.time), timedelta(milliseconds=1))
        self.assertTrue(answer.conversation_id)

    def test_the_conversations_id_comes_only_if_wanted(self):
        integration = self.integration()
        self.assertIsNone(self.post(integration, inbound("noor", "Hello")).conversation_id)
        unwanted = self.post(integration, inbound("noor", "Hello?"), prefetch_conversation_id=False)
        self.assertIsNone(unwanted.conversation_id)
        wanted = self.post(integration, inbound("noor", "Hello!"), prefetch_conversation_id=True)
        self.assertTrue(wanted.conversation_id)
        details = self.api.get_conversations_message_details(unwanted.id)
        self.assertEqual(details.conversation_id, wanted.conversation_id)

    def test_each_customer_has_a_conversation(self):
        integration, other = self.integration(), self.integration()
        first = self.writes(integration, "noor").conversation_id
        self.assertEqual(self.writes(integration, "noor").conversation_id, first)
        self.assertNotEqual(self.writes(integration, "yusuf").conversation_id, first)
        self.assertNotEqual(self.writes(other, "noor").conversation_id, first, "the integration is another")

    def test_a_customer_may_be_an_email_address_or_a_number(self):
        integration = self.integration()
        for id_type, name in (("Email", "noor@example.net"), ("Phone", "+15550100"), ("Opaque", "c-48213")):
            message = inbound(name, "Hello")
            message.channel.pcFrom.id_type = id_type
            self.assertEqual(self.post(integration, message).channel.pcFrom.id_type, id_type)

    def test_custom_attributes_become_participant_data(self):
        # The SDK's model of channel.metadata has no customAttributes: its users send them as a map.
        message = self.sdk.sanitize_for_serialization(inbound("noor", "Where is my parcel?"))
        message["channel"]["metadata"] = {"customAttributes": {"orderNumber": "A-10077"}}
        message["metadata"] = {"shop": "harbour"}
        conversation = self.post(self.integration(), message, prefetch_conversation_id=True).conversation_id
        customer = self.present(conversation, "customer")
        self.assertEqual(customer.attributes.get("orderNumber"), "A-10077")
        self.assertNotIn("shop", customer.attributes, "metadata is no participant data")

    def test_an_attachment_is_kept(self):
        message = inbound("noor", None)
        message.text = None
        message.content = [attached("image/jpeg", "Image", "parcel.jpg")]
        answer = self.post(self.integration(), message)
        self.assertEqual([each.content_type for each in answer.content], ["Attachment"])
        attachment = answer.content[0].attachment
        self.assertEqual((attachment.media_type, attachment.mime), ("Image", "image/jpeg"))
        self.assertEqual(attachment.url, "https://files.example.net/parcel.jpg")

    def test_what_is_unknown_is_ignored(self):
        message = self.sdk.sanitize_for_serialization(inbound("noor", "Hello"))
        message["weather"] = {"rain": True}
        message["channel"]["weather"] = "rain"
        self.assertEqual(self.post(self.integration(), message).text, "Hello")

    def test_what_is_wrong_is_400(self):
        integration = self.integration()
        good = self.sdk.sanitize_for_serialization(inbound("noor", "Hello"))
        channel = good["channel"]
        wrong = {
            "no channel": {"text": "Hello"},
            "no customer": {**good, "channel": {"time": channel["time"]}},
            "no customer's id": {**good, "channel": {**channel, "from": {"idType": "Opaque"}}},
            "no idType": {**good, "channel": {**channel, "from": {"id": "noor"}}},
            "an idType that there is not": {**good, "channel": {**channel, "from": {"id": "noor", "idType": "Pigeon"}}},
            "no time": {**good, "channel": {"from": channel["from"]}},
            "a time that is none": {**good, "channel": {**channel, "time": "yesterday"}},
            "neither text nor content": {"channel": channel},
            "text that is none": {**good, "text": 7},
            "metadata that is not flat": {**good, "metadata": {"shop": {"name": "harbour"}}},
            "an attachment without url": {**good, "content": [{"attachment": {"mediaType": "Image", "mime": "a/b"}}]},
        }
        fields = [
            "channel",
            "channel.from",
            "channel.from.id",
            "channel.from.idType",
            "channel.from.idType",
            "channel.time",
            "channel.time",
            "text",
            "text",
            "metadata.shop",
            "content[0].attachment.url",
        ]
        for (what, body), field in zip(wrong.items(), fields, strict=True):
            with self.subTest(what):
                error = self.refused(400, "bad.request", self.post, integration, body)
                (detail,) = error.told.details
                self.assertEqual(detail.field_name, field)
                self.assertTrue(error.told.message_params["reason"].startswith(field))

    def test_too_large_is_413(self):
        message = inbound("noor", "x" * 512_000)
        self.refused(413, "request.entity.too.large", self.post, self.integration(), message)

    def test_an_unknown_integration_is_404(self):
        integration = genesys.OpenIntegration()
        integration.id = "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", self.post, integration, inbound("noor", "Hello"))

    def test_limits_may_be_set(self):
        self.switch(max_inbound_text=10, max_custom_attributes=1)
        integration = self.integration()
        self.assertTrue(self.post(integration, inbound("noor", "x" * 10)).id)
        self.refused(400, "bad.request", self.post, integration, inbound("noor", "x" * 11))
        message = self.sdk.sanitize_for_serialization(inbound("noor", "Hello"))
        message["channel"]["metadata"] = {"customAttributes": {"one": "1", "two": "2"}}
        self.refused(400, "bad.request", self.post, integration, message)

    def test_the_same_message_again_is_another_unless_it_is_swallowed(self):
        integration, message = self.integration(), inbound("noor", "Hello")
        first, second = self.post(integration, message), self.post(integration, message)
        self.assertNotEqual(first.id, second.id)
        self.switch(dedupe_inbound=True)
        message = inbound("noor", "Hello again")
        conversation = self.post(integration, message, prefetch_conversation_id=True).conversation_id
        self.post(integration, message)
        messages = self.present(conversation, "customer").messages
        self.assertEqual(len(messages), 3, "two without, one with the switch")

    def test_success_may_be_202(self):
        self.switch(inbound_status=202)
        self.assertTrue(self.post(self.integration(), inbound("noor", "Hello")).id)
        self.assertEqual(self.sdk.last_response.status, 202)

    def test_the_webhook_may_be_told_that_it_was_published(self):
        self.switch(published_receipts=True)
        answer = self.post(self.integration(), inbound("noor", "Hello"))
        body = self.hooked("the receipt", lambda body: body["type"] == "Receipt").body
        receipt = self.normalized(body)
        self.assertEqual((receipt.id, receipt.status), (answer.id, "Published"))
