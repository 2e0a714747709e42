"""Reads: a conversation, a message in three ways."""

import PureCloudPlatformClientV2 as genesys

from .case import Case, inbound


class Reads(Case):
    def test_a_conversation_with_everybody_in_it(self):
        integration, conversation, agent = self.talk()
        found = self.api.get_conversations_message(conversation)
        self.assertIsInstance(found, genesys.MessageConversation)
        self.assertEqual(found.id, conversation)
        self.assertTrue(found.self_uri.endswith(conversation))
        self.assertEqual(found.other_media_uris, [])
        self.assertEqual([each.purpose for each in found.participants], ["customer", "workflow", "acd", "agent"])
        for each in found.participants:
            with self.subTest(each.purpose):
                self.assertIsInstance(each, genesys.MessageMediaParticipant)
                self.assertEqual((each.type, each.provider), ("open", "PureCloud Messaging"))
                self.assertMoment(each.start_time)
                self.assertMoment(each.connected_time)
                if each.purpose in ("customer", "agent"):
                    self.assertEqual((each.state, each.end_time), ("connected", None))
                else:
                    self.assertEqual((each.state, each.disconnect_type), ("disconnected", "transfer"))
                    self.assertMoment(each.end_time)
        by_purpose = {each.purpose: each for each in found.participants}
        self.assertEqual(by_purpose["agent"].id, agent)
        self.assertTrue(by_purpose["agent"].user.id)
        self.assertTrue(by_purpose["acd"].queue.id)
        customer = by_purpose["customer"]
        self.assertEqual(customer.from_address.address_normalized, "noor")
        self.assertEqual(customer.to_address.address_normalized, integration.id)
        self.assertEqual(customer.name, "Noor")

    def test_a_conversation_by_all_of_its_media(self):
        _, conversation, agent = self.talk()
        found = self.api.get_conversation(conversation)
        self.assertIsInstance(found, genesys.Conversation)
        self.assertMoment(found.start_time)
        self.assertEqual([each.purpose for each in found.participants], ["customer", "workflow", "acd", "agent"])
        person = found.participants[-1]
        self.assertEqual((person.id, person.messages[0].state), (agent, "connected"))
        self.assertEqual(len(found.participants[0].messages[0].messages), 1)

    def test_messages_stand_with_who_wrote_them(self):
        _, conversation, agent = self.talk()
        sent = self.says(conversation, agent)
        shown = self.present(conversation, "agent").messages
        self.assertEqual([each.message_id for each in shown], [sent.id])
        self.assertIsInstance(shown[0], genesys.MessageDetails)
        self.assertMoment(shown[0].message_time)
        self.assertEqual(shown[0].message_metadata.type, "Text")
        self.assertIn(sent.id, shown[0].message_uri)
        written = self.present(conversation, "customer").messages
        self.assertEqual([each.message_status for each in written], ["received"])

    def test_a_message_is_the_same_by_each_call(self):
        integration, conversation, agent = self.talk()
        question = self.api.post_conversations_message_inbound_open_message(integration.id, inbound("noor", "And?"))
        answer = self.says(conversation, agent)
        self.hooked_message(answer.id)
        details = self.api.get_conversations_message_details
        self.eventually("the webhook's answer", lambda: details(answer.id).status == "sent")
        for message_id, direction in ((question.id, "inbound"), (answer.id, "outbound")):
            with self.subTest(direction):
                by_details = self.api.get_conversations_message_details(message_id)
                by_message = self.api.get_conversations_message_message(conversation, message_id)
                bulk = self.api.post_conversations_message_messages_bulk(conversation, body=[message_id])
                self.assertIsInstance(by_details, genesys.MessageData)
                self.assertIsInstance(bulk, genesys.TextMessageListing)
                self.assertEqual(by_details.to_dict(), by_message.to_dict())
                self.assertEqual([each.to_dict() for each in bulk.entities], [by_details.to_dict()])
                self.assertEqual((by_details.id, by_details.direction), (message_id, direction))
                self.assertEqual(by_details.messenger_type, "open")
                self.assertMoment(by_details.timestamp)
                self.assertEqual(by_details.normalized_message.id, message_id)
        inbound_details = details(question.id)
        self.assertEqual((inbound_details.from_address, inbound_details.to_address), ("noor", integration.id))
        self.assertEqual(inbound_details.status, "received")

    def test_bulk_leaves_out_what_is_not_there(self):
        _, conversation, agent = self.talk()
        sent = [self.says(conversation, agent, f"Number {n}").id for n in range(3)]
        bulk = self.api.post_conversations_message_messages_bulk
        found = bulk(conversation, body=[sent[2], "0" * 32, sent[0]])
        self.assertEqual([each.id for each in found.entities], [sent[2], sent[0]])
        self.assertEqual(bulk(conversation, body=["0" * 32]).entities, [])
        full = bulk(conversation, body=[*sent, *("0" * 32 for _ in range(997))])
        self.assertEqual(len(full.entities), 3)
        self.refused(400, "bad.request", bulk, conversation, body=["0" * 32] * 1001)
        self.refused(400, "bad.request", bulk, conversation, body=[7])
        self.refused(400, "bad.request", bulk, conversation)

    def test_what_is_not_there_is_404(self):
        integration, conversation, agent = self.talk()
        sent = self.says(conversation, agent).id
        other = self.writes(integration, "yusuf").conversation_id
        unknown = "00000000-0000-4000-8000-000000000000"
        calls = {
            "the conversation": (self.api.get_conversations_message, unknown),
            "the conversation by all of its media": (self.api.get_conversation, unknown),
            "the message's details": (self.api.get_conversations_message_details, "0" * 32),
            "the message": (self.api.get_conversations_message_message, conversation, "0" * 32),
            "the message's conversation": (self.api.get_conversations_message_message, unknown, sent),
            "the message in another conversation": (self.api.get_conversations_message_message, other, sent),
            "the conversation of many": (self.api.post_conversations_message_messages_bulk, unknown),
        }
        for what, (call, *args) in calls.items():
            with self.subTest(what):
                more = {"body": [sent]} if what.endswith("of many") else {}
                self.refused(404, "not.found", call, *args, **more)
