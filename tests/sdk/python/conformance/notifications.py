"""Notifications: channels, topics, and what they tell."""

import uuid

import PureCloudPlatformClientV2 as genesys
import websocket

from .channel import AGENT, QUEUE, Listener, Listening, event, topics


class Notifications(Listening):
    def test_a_channel_is_made_and_listed(self):
        made = self.channels.post_notifications_channels()
        self.assertIsInstance(made, genesys.Channel)
        self.assertTrue(made.connect_uri.startswith("ws://"), made.connect_uri)
        self.assertIn(made.id, made.connect_uri)
        self.assertMoment(made.expires)
        listing = self.channels.get_notifications_channels()
        self.assertIsInstance(listing, genesys.ChannelEntityListing)
        self.assertEqual([each.id for each in listing.entities], [made.id])
        for scope in ("token", "oauthclient"):
            listing = self.channels.get_notifications_channels(includechannels=scope)
            self.assertIn(made.id, [each.id for each in listing.entities])

    def test_topics_are_set_added_listed_and_taken_away(self):
        channel = self.channels.post_notifications_channels().id
        first, second = event(uuid.uuid4(), "user.end"), event(uuid.uuid4(), "customer.end")
        put = self.channels.put_notifications_channel_subscriptions
        answer = put(channel, topics(first))
        self.assertIsInstance(answer, genesys.ChannelTopicEntityListing)
        self.assertEqual([(each.id, each.state) for each in answer.entities], [(first, "Permitted")])
        self.channels.post_notifications_channel_subscriptions(channel, topics(second))

        def there():
            listing = self.channels.get_notifications_channel_subscriptions(channel)
            return {each.id for each in listing.entities}

        self.assertEqual(there(), {first, second})
        put(channel, topics(QUEUE))
        self.assertEqual(there(), {QUEUE})
        self.channels.delete_notifications_channel_subscriptions(channel)
        self.assertEqual(there(), set())

    def test_an_unknown_topic_is_rejected(self):
        channel = self.channels.post_notifications_channels().id
        answer = self.channels.put_notifications_channel_subscriptions(channel, topics("v2.weather.rain", AGENT))
        states = {each.id: each for each in answer.entities}
        self.assertEqual(states["v2.weather.rain"].state, "Rejected")
        self.assertTrue(states["v2.weather.rain"].rejection_reason)
        self.assertEqual(states[AGENT].state, "Permitted")
        listing = self.channels.get_notifications_channel_subscriptions(channel)
        self.assertEqual([each.id for each in listing.entities], [AGENT])

    def test_an_unknown_channel_is_404(self):
        self.refused(404, "not.found", self.channels.get_notifications_channel_subscriptions, "nowhere")
        self.refused(404, "not.found", self.channels.put_notifications_channel_subscriptions, "nowhere", topics(AGENT))
        self.refused(404, "not.found", self.channels.post_notifications_channel_subscriptions, "nowhere", topics(AGENT))
        self.refused(404, "not.found", self.channels.delete_notifications_channel_subscriptions, "nowhere")
        with self.assertRaises(websocket.WebSocketBadStatusException) as raised:
            Listener(self.sandbox.url.replace("http", "ws") + "/channels/nowhere")
        self.assertEqual(raised.exception.status_code, 404)

    def test_twenty_channels_and_a_thousand_topics_are_the_most(self):
        made = [self.channels.post_notifications_channels().id for _ in range(21)]
        there = {each.id for each in self.channels.get_notifications_channels().entities}
        self.assertEqual(there, set(made[1:]), "the oldest went")
        many = topics(*(event(uuid.uuid4(), "user.end") for _ in range(1000)))
        self.channels.put_notifications_channel_subscriptions(made[-1], many)
        self.refused(
            400, "bad.request", self.channels.post_notifications_channel_subscriptions, made[-1], topics(AGENT)
        )

    def test_the_end_of_a_conversation_is_told(self):
        integration, conversation, agent = self.talk()
        wanted = [event(conversation, what) for what in ("user.end", "customer.end", "acw")]
        _, listener = self.listens(*wanted)
        self.sandbox.agent("end", "noor", integration.id)
        body = listener.frame(event(conversation, "user.end"))
        end = self.checked(body, "UserEndDetailEventTopicUserEndEvent")
        self.assertEqual((end.conversation_id, end.participant_id), (conversation, agent))
        self.assertEqual((end.disconnect_type, end.media_type, end.message_type), ("CLIENT", "MESSAGE", "OPEN"))
        self.assertEqual((end.address_from, end.address_to), ("noor", integration.id))
        self.assertIsInstance(end.event_time, int)
        self.assertTrue(end.user_id and end.queue_id)
        body = listener.frame(event(conversation, "customer.end"))
        end = self.checked(body, "CustomerEndDetailEventTopicCustomerEndEvent")
        self.assertEqual((end.conversation_id, end.message_type), (conversation, "OPEN"))
        self.assertEqual(end.participant_id, self.customer(conversation))
        body = listener.frame(event(conversation, "acw"))
        work = self.checked(body, "AcwDetailEventTopicAfterCallWorkEvent")
        self.assertEqual((work.conversation_id, work.participant_id), (conversation, agent))
        frame = listener.of(event(conversation, "user.end"))[0]
        self.assertTrue(frame["version"] and frame["metadata"]["CorrelationId"])

    def customer(self, conversation):
        found = self.api.get_conversations_message(conversation).participants
        return [each.id for each in found if each.purpose == "customer"][-1]

    def test_a_customer_who_leaves_is_told_as_peer(self):
        _, conversation, _ = self.talk()
        _, listener = self.listens(event(conversation, "user.end"), event(conversation, "customer.end"))
        change = genesys.MediaParticipantRequest()
        change.state = "disconnected"
        self.api.patch_conversations_message_participant(conversation, self.customer(conversation), body=change)
        self.assertEqual(listener.frame(event(conversation, "user.end"))["disconnectType"], "PEER")
        listener.frame(event(conversation, "customer.end"))

    def test_a_transfer_is_no_end(self):
        kinds = {
            "transfer": "TRANSFER",
            "transfer.consult": "CONSULT_TRANSFER",
            "transfer.forward": "FORWARD_TRANSFER",
            "transfer.noanswer": "NO_ANSWER_TRANSFER",
            "transfer.notavailable": "NOT_AVAILABLE_TRANSFER",
            "transfer.conference": "CONFERENCE_TRANSFER",
        }
        integration, conversation, _ = self.talk()
        user_end, acd_end = event(conversation, "user.end"), event(conversation, "acd.end")
        customer_end = event(conversation, "customer.end")
        _, listener = self.listens(user_end, acd_end, customer_end)
        for number, (how, told) in enumerate(kinds.items(), 1):
            with self.subTest(how):
                leaver = self.present(conversation, "agent").id
                self.sandbox.agent("transfer", "noor", integration.id, disconnectType=how)
                end = self.checked(listener.frame(user_end, number), "UserEndDetailEventTopicUserEndEvent")
                self.assertEqual((end.disconnect_type, end.participant_id), (told, leaver))
                end = self.checked(listener.frame(acd_end, number), "AcdEndDetailEventTopicAcdEndEvent")
                self.assertEqual(end.conversation_id, conversation)
        self.sandbox.agent("end", "noor", integration.id)
        listener.frame(customer_end)
        self.assertEqual(len(listener.of(customer_end)), 1, "a transfer passed for an end")

    def test_inactivity_is_told(self):
        self.switch(inactivity_timeout="10m")
        _, conversation, _ = self.talk()
        _, listener = self.listens(event(conversation, "user.end"), event(conversation, "customer.end"))
        self.sandbox.advance("11m")
        self.assertEqual(listener.frame(event(conversation, "user.end"))["disconnectType"], "INACTIVITY")
        listener.frame(event(conversation, "customer.end"))

    def test_a_queue_and_an_agent_are_told_of_every_change(self):
        _, listener = self.listens(QUEUE, AGENT)
        integration, conversation, agent = self.talk()
        sent = self.says(conversation, agent).id
        for topic, kind in (
            (QUEUE, "QueueConversationMessageEventTopicMessageConversation"),
            (AGENT, "ConversationMessageEventTopicMessageConversation"),
        ):
            with self.subTest(kind):

                def heard():
                    bodies = [each["eventBody"] for each in listener.of(topic)]
                    mine = [each for each in bodies if each["id"] == conversation]
                    return [each for each in mine if sent in str(each)]

                body = listener.wait("the message", heard)[-1]
                read = self.checked(body, kind)
                self.assertEqual(read.id, conversation)
                purposes = {each.purpose for each in read.participants}
                self.assertLessEqual({"customer", "agent"}, purposes)
        self.sandbox.agent("end", "noor", integration.id)

        def gone():
            last = [each["eventBody"] for each in listener.of(QUEUE) if each["eventBody"]["id"] == conversation][-1]
            return all(each["state"] == "disconnected" for each in last["participants"])

        listener.wait("the end", gone)

    def test_what_was_not_asked_for_is_not_told(self):
        integration, conversation, _ = self.talk()
        channel, listener = self.listens(event(conversation, "customer.end"))
        self.channels.post_notifications_channel_subscriptions(channel.id, topics(event(conversation, "acw")))
        self.sandbox.agent("end", "noor", integration.id)
        listener.frame(event(conversation, "acw"))
        listener.frame(event(conversation, "customer.end"))
        self.assertEqual(listener.of(event(conversation, "user.end")), [])
