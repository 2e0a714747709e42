"""Who is in a conversation, who leaves it, and how."""

import PureCloudPlatformClientV2 as genesys

from .case import Case

# As the model of a participant has them; the agent and the customer themselves end by `client` and `peer`.
ENDS = (
    "endpoint",
    "endpoint.donotdisturb",
    "system",
    "transport.failure",
    "error",
    "other",
    "spam",
    "inactivity",
    "session.expired",
    "takeover",
)
TRANSFERS = (
    "transfer",
    "transfer.conference",
    "transfer.consult",
    "transfer.donotdisturb",
    "transfer.forward",
    "transfer.noanswer",
    "transfer.notavailable",
)


def leaving():
    change = genesys.MediaParticipantRequest()
    change.state = "disconnected"
    return change


class Participants(Case):
    def leaves(self, conversation, participant):
        return self.api.patch_conversations_message_participant(conversation, participant, body=leaving())

    def all(self, conversation, purpose):
        found = self.api.get_conversations_message(conversation).participants
        return [each for each in found if each.purpose == purpose]

    def test_an_agent_who_leaves_ends_it(self):
        _, conversation, agent = self.talk()
        self.assertIsNone(self.leaves(conversation, agent))
        self.assertIn(self.sdk.last_response.status, (202, 204))
        (agent,), (customer,) = self.all(conversation, "agent"), self.all(conversation, "customer")
        self.assertEqual((agent.state, agent.disconnect_type), ("disconnected", "client"))
        self.assertEqual((customer.state, customer.disconnect_type), ("disconnected", "peer"))
        for each in (agent, customer):
            self.assertMoment(each.end_time)
            self.assertGreaterEqual(each.end_time, each.start_time)

    def test_a_customer_who_leaves_ends_it(self):
        _, conversation, _ = self.talk()
        self.leaves(conversation, self.present(conversation, "customer").id)
        (agent,), (customer,) = self.all(conversation, "agent"), self.all(conversation, "customer")
        self.assertEqual((customer.state, customer.disconnect_type), ("disconnected", "client"))
        self.assertEqual((agent.state, agent.disconnect_type), ("disconnected", "peer"))

    def test_the_whole_conversation_is_ended(self):
        _, conversation, _ = self.talk()
        change = genesys.Conversation()
        change.state = "disconnected"
        answer = self.api.patch_conversations_message(conversation, change)
        self.assertIsInstance(answer, genesys.Conversation)
        self.assertEqual(answer.id, conversation)
        self.assertEqual({each.purpose for each in answer.participants}, {"customer", "workflow", "acd", "agent"})
        found = self.api.get_conversations_message(conversation)
        self.assertEqual({each.state for each in found.participants}, {"disconnected"})

    def test_a_conversation_is_torn_down_once_and_for_all(self):
        _, conversation, _ = self.talk()
        self.assertIsNone(self.api.get_conversation(conversation).end_time)
        self.api.post_conversation_disconnect(conversation)
        self.assertIn(self.sdk.last_response.status, (202, 204))
        (agent,), (customer,) = self.all(conversation, "agent"), self.all(conversation, "customer")
        for each in (agent, customer):
            self.assertEqual((each.state, each.disconnect_type), ("disconnected", "system"))
        ended = self.api.get_conversation(conversation).end_time
        self.assertMoment(ended)
        self.api.post_conversation_disconnect(conversation)
        self.assertEqual(self.api.get_conversation(conversation).end_time, ended)

    def test_a_transfer_brings_the_next_agent(self):
        for how in TRANSFERS:
            with self.subTest(how):
                integration, conversation, first = self.talk()
                self.sandbox.agent("transfer", "noor", integration.id, disconnectType=how)
                second = self.present(conversation, "agent").id
                self.assertNotEqual(second, first)
                before = [each for each in self.all(conversation, "agent") if each.id == first]
                self.assertEqual([(each.state, each.disconnect_type) for each in before], [("disconnected", how)])
                self.assertEqual(len(self.all(conversation, "acd")), 2, "it goes by way of the queue")
                self.assertEqual(self.present(conversation, "customer").end_time, None)
                self.hooked_message(self.says(conversation, second, "I take over").id)
                with self.assertRaises(genesys.rest.ApiException) as raised:
                    self.says(conversation, first, "I am gone")
                self.assertEqual(raised.exception.status, 404)

    def test_an_agent_hands_over(self):
        _, conversation, first = self.talk()
        to = genesys.TransferRequest()
        to.user_name = "Agent Two"
        to.transfer_type = "Unattended"
        replace = self.api.post_conversations_message_participant_replace
        self.assertIsNone(replace(conversation, first, to))
        before, after = self.all(conversation, "agent")
        self.assertEqual((before.id, before.state, before.disconnect_type), (first, "disconnected", "transfer"))
        self.assertEqual((after.name, after.state), ("Agent Two", "connected"))
        self.hooked_message(self.says(conversation, after.id, "I take over").id)
        self.refused(404, "not.found", replace, conversation, first, to)
        self.refused(400, "bad.request", replace, conversation, after.id, genesys.TransferRequest())
        self.leaves(conversation, after.id)
        self.refused(409, "conflict", replace, conversation, after.id, to)

    def test_genesys_may_end_it_itself(self):
        for how in ENDS:
            with self.subTest(how):
                integration, conversation, _ = self.talk()
                self.sandbox.agent("end", "noor", integration.id, disconnectType=how)
                (agent,), (customer,) = self.all(conversation, "agent"), self.all(conversation, "customer")
                self.assertEqual({agent.state, customer.state}, {"disconnected"})
                self.assertEqual(agent.disconnect_type, how)

    def test_who_is_idle_is_disconnected(self):
        self.switch(inactivity_timeout="10m")
        integration, conversation, agent = self.talk()
        self.sandbox.advance("9m")
        # Any message restarts the time.
        self.writes(integration)
        self.sandbox.advance("9m")
        self.assertEqual(self.present(conversation, "agent").id, agent)
        self.sandbox.advance("2m")

        def ended():
            (found,) = self.all(conversation, "agent")
            return found if found.state == "disconnected" else None

        self.assertEqual(self.eventually("the end", ended).disconnect_type, "inactivity")

    def test_a_webhook_that_refuses_may_end_it(self):
        self.switch(refused_webhook="conversation")
        _, conversation, agent = self.talk()
        self.webhook.status[self.path] = 404
        self.says(conversation, agent)

        def ended():
            found = self.api.get_conversations_message(conversation).participants
            return found if all(each.state == "disconnected" for each in found) else None

        found = self.eventually("the end", ended)
        infos = [each.error_info for each in found if each.error_info]
        self.assertTrue(infos, "no participant has the error")
        self.assertIsInstance(infos[0], genesys.ErrorInfo)
        self.assertIn("Request failed with status code 404", infos[0].message)

    def test_what_is_wrong(self):
        _, conversation, agent = self.talk()
        unknown = "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", self.leaves, unknown, agent)
        self.refused(404, "not.found", self.api.post_conversation_disconnect, unknown)
        self.refused(404, "not.found", self.leaves, conversation, unknown)
        patch = self.api.patch_conversations_message_participant
        self.refused(400, "bad.request", patch, conversation, agent, body={"state": "asleep"})
        change = genesys.Conversation()
        change.state = "disconnected"
        self.refused(404, "not.found", self.api.patch_conversations_message, unknown, change)
        self.refused(400, "bad.request", self.api.patch_conversations_message, conversation, {"state": "asleep"})
        self.assertEqual(self.present(conversation, "agent").id, agent)
