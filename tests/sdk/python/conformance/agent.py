"""What an agent sends: text and typing."""

import PureCloudPlatformClientV2 as genesys

from .case import Case, words
from .settings import typing_event


def typing(kind="On", duration=5000):
    request = genesys.MessageTypingEventRequest()
    request.typing = genesys.ConversationEventTyping()
    request.typing.type, request.typing.duration = kind, duration
    return request


class Agent(Case):
    def test_the_answer_and_the_webhook_tell_the_same(self):
        integration, conversation, agent = self.talk()
        sent = self.says(conversation, agent, "Good morning, Noor: here is “it” 🚢")
        self.assertIsInstance(sent, genesys.MessageData)
        self.assertEqual((sent.conversation_id, sent.direction), (conversation, "outbound"))
        self.assertEqual(sent.messenger_type, "open")
        self.assertEqual((sent.from_address, sent.to_address), (integration.id, "noor"))
        self.assertIn(sent.status, ("queued", "sent"))
        self.assertMoment(sent.timestamp)
        self.assertTrue(sent.created_by.id)
        self.assertEqual(sent.normalized_message.text, "Good morning, Noor: here is “it” 🚢")

        message = self.hooked_message(sent.id)
        self.assertEqual((message.type, message.direction, message.originating_entity), ("Text", "Outbound", "Human"))
        self.assertEqual(message.text, "Good morning, Noor: here is “it” 🚢")
        channel = message.channel
        self.assertEqual((channel.id, channel.platform, channel.type), (integration.id, "Open", "Private"))
        self.assertEqual(channel.to.id, "noor")
        self.assertEqual((channel.pcFrom.id, channel.pcFrom.nickname), (integration.id, integration.name))
        self.assertMoment(channel.time)
        self.assertEqual(channel.time, sent.normalized_message.channel.time)
        details = self.api.get_conversations_message_details
        self.eventually("the webhook's answer", lambda: details(sent.id).status == "sent")

    def test_a_bot_is_told_from_a_person(self):
        integration, _, _ = self.talk()
        sent = self.sandbox.agent("send", "noor", integration.id, text="I am a machine", **{"from": "bot"})
        message = self.hooked_message(sent["id"])
        self.assertEqual(message.originating_entity, "Bot")

    def test_messages_of_a_conversation_arrive_in_order(self):
        _, conversation, agent = self.talk()
        sent = [self.says(conversation, agent, f"Number {n}").id for n in range(5)]
        self.hooked_message(sent[-1])
        self.assertEqual([each.body["id"] for each in self.webhook.calls[self.path]], sent)

    def test_what_is_wrong_is_400(self):
        _, conversation, agent = self.talk()
        media = ["00000000-0000-4000-8000-000000000001"]
        wrong = {
            "nothing": {},
            "an empty text": {"textBody": ""},
            "text that is none": {"textBody": 7},
            "too long a text": {"textBody": "x" * 4_001},
            "text and medium": {"textBody": "Hello", "mediaIds": media},
            "two media": {"textBody": "", "mediaIds": media * 2},
            "text and template": {"textBody": "Hello", "messagingTemplate": {"responseId": "greeting"}},
        }
        post = self.api.post_conversations_message_communication_messages
        for what, body in wrong.items():
            with self.subTest(what):
                # Of an empty map the SDK makes null.
                self.refused(400, "bad.request", post, conversation, agent, body)
        self.assertEqual(self.webhook.calls[self.path], [], "nothing was sent")
        post(conversation, agent, words("x" * 4_000))

    def test_who_is_not_there_cannot_be_written_to(self):
        integration, conversation, agent = self.talk()
        post = self.api.post_conversations_message_communication_messages
        unknown = "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", post, unknown, agent, words("Hello"))
        self.refused(404, "not.found", post, conversation, unknown, words("Hello"))
        customer = self.present(conversation, "customer").id
        self.refused(404, "not.found", post, conversation, customer, words("I am no agent"))
        self.sandbox.agent("end", "noor", integration.id)
        self.refused(409, "conflict", post, conversation, agent, words("Hello?"))

    def test_typing_reaches_the_webhook(self):
        _, conversation, agent = self.talk()
        self.api.post_conversations_message_communication_typing(conversation, agent, typing(duration=4000))
        body = self.hooked("the typing", lambda body: body["type"] == "Event").body
        event = self.normalized(body)
        self.assertEqual((event.direction, event.channel.to.id), ("Outbound", "noor"))
        self.assertEqual([each.event_type for each in event.events], ["Typing"])
        self.assertEqual((event.events[0].typing.type, event.events[0].typing.duration), ("On", 4000))

    def test_typing_may_be_switched_off(self):
        self.switch(typing=False)
        _, conversation, agent = self.talk()
        self.api.post_conversations_message_communication_typing(conversation, agent, typing())
        self.hooked_message(self.says(conversation, agent).id)
        self.assertEqual([each.body["type"] for each in self.webhook.calls[self.path]], ["Text"])

    def test_typing_that_is_wrong(self):
        _, conversation, agent = self.talk()
        post = self.api.post_conversations_message_communication_typing
        for body in (
            {"typing": {"type": "Sometimes"}},
            {"duration": 4000},
            {"typing": {"type": "On", "duration": "long"}},
        ):
            self.refused(400, "bad.request", post, conversation, agent, body)
        unknown = "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", post, unknown, agent, typing())
        self.refused(404, "not.found", post, conversation, unknown, typing())

    def test_a_customers_typing_is_answered(self):
        integration, _, _ = self.talk()
        answer = self.api.post_conversations_message_inbound_open_event(integration.id, typing_event("noor"))
        self.assertIsInstance(answer, genesys.OpenEventNormalizedMessage)
        self.assertEqual((answer.type, answer.channel.id), ("Event", integration.id))
        self.assertEqual(answer.channel.pcFrom.id, "noor")
        self.assertMoment(answer.channel.time)
        self.assertEqual([each.event_type for each in answer.events], ["Typing"])

    def test_a_customers_event_that_is_wrong(self):
        integration = self.integration()
        post = self.api.post_conversations_message_inbound_open_event
        good = self.sdk.sanitize_for_serialization(typing_event("noor"))
        for what, body in {
            "no channel": {"events": good["events"]},
            "no customer": {**good, "channel": {"time": good["channel"]["time"]}},
            "another event than typing": {**good, "events": [{"eventType": "Presence"}]},
            "events that are none": {**good, "events": "Typing"},
        }.items():
            with self.subTest(what):
                self.refused(400, "bad.request", post, integration.id, body)
        self.refused(404, "not.found", post, "00000000-0000-4000-8000-000000000000", good)
