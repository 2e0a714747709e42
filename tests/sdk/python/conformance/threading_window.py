"""The threading window: who comes back within it lands in the same conversation."""

import PureCloudPlatformClientV2 as genesys

from .case import Case


def timeline(*windows):
    """(messenger type, minutes) each."""
    body = genesys.ConversationThreadingWindow()
    body.settings = []
    for messenger_type, minutes in windows:
        setting = genesys.ConversationThreadingWindowSetting()
        setting.messenger_type, setting.timeout_in_minutes = messenger_type, minutes
        body.settings.append(setting)
    return body


class ThreadingWindow(Case):
    def put(self, *windows):
        self.addCleanup(self.put_back)
        return self.api.put_conversations_messaging_threadingtimeline(timeline(*windows))

    def put_back(self):
        # The first token may have died.
        self.use(self.login())
        self.api.put_conversations_messaging_threadingtimeline(timeline())

    def minutes(self, answer):
        found = [each.timeout_in_minutes for each in answer.settings if each.messenger_type == "open"]
        return found[0] if found else answer.default_timeout_minutes

    def ends(self, conversation):
        change = genesys.MediaParticipantRequest()
        change.state = "disconnected"
        agent = self.present(conversation, "agent")
        self.api.patch_conversations_message_participant(conversation, agent.id, body=change)

    def comes_back(self, after):
        """Whether a customer who returns so long after the end lands in the same conversation."""
        integration = self.integration()
        conversation = self.writes(integration).conversation_id
        self.ends(conversation)
        self.sandbox.advance(after)
        # A token lives for a day.
        self.use(self.login())
        return self.writes(integration).conversation_id == conversation

    def test_it_is_read_and_set(self):
        found = self.api.get_conversations_messaging_threadingtimeline()
        self.assertIsInstance(found, genesys.ConversationThreadingWindow)
        self.assertEqual((found.default_timeout_minutes, self.minutes(found)), (4320, 4320))
        self.assertEqual(self.minutes(self.put(("open", 90))), 90)
        self.assertEqual(self.minutes(self.api.get_conversations_messaging_threadingtimeline()), 90)
        # What is left out goes back.
        self.assertEqual(self.minutes(self.put()), 4320)
        self.assertEqual(self.minutes(self.api.get_conversations_messaging_threadingtimeline()), 4320)

    def test_it_is_at_most_72_hours(self):
        for minutes in (-1, 4321):
            with self.subTest(minutes):
                body = timeline(("open", minutes))
                self.refused(400, "bad.request", self.api.put_conversations_messaging_threadingtimeline, body)
        for minutes in (0, 4320):
            self.assertEqual(self.minutes(self.put(("open", minutes))), minutes)

    def test_it_is_72_hours_at_first(self):
        self.assertTrue(self.comes_back("71h"))
        self.assertFalse(self.comes_back("73h"))

    def test_it_decides_who_lands_where(self):
        self.put(("open", 60))
        self.assertTrue(self.comes_back("59m"))
        self.assertFalse(self.comes_back("61m"))

    def test_zero_is_a_new_conversation_each_time(self):
        self.put(("open", 0))
        self.assertFalse(self.comes_back("1s"))

    def test_it_plays_no_part_while_the_conversation_lives(self):
        self.put(("open", 0))
        integration = self.integration()
        conversation = self.writes(integration).conversation_id
        self.sandbox.advance("1h")
        self.assertEqual(self.writes(integration).conversation_id, conversation)

    def test_who_comes_back_gets_new_participants(self):
        integration = self.integration()
        conversation = self.writes(integration).conversation_id
        before = {each.id for each in self.api.get_conversations_message(conversation).participants}
        self.ends(conversation)
        self.assertEqual(self.writes(integration).conversation_id, conversation)
        agent, customer = self.present(conversation, "agent"), self.present(conversation, "customer")
        self.assertTrue(before.isdisjoint({agent.id, customer.id}), "a participant came back from the dead")
