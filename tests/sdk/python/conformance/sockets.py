"""The socket of a channel: its heartbeat, its ends, and frames that go astray."""

import time
from datetime import timedelta

import PureCloudPlatformClientV2 as genesys
import websocket
from dateutil.parser import isoparse

from .channel import AGENT, Listener, Listening, event, topics

HEARTBEAT = "channel.metadata"
CLOSING = "v2.system.socket_closing"


class Sockets(Listening):
    def speed(self, scale):
        self.addCleanup(self.sandbox.clock, 1)
        self.sandbox.clock(scale)

    def alive(self, listener):
        """It still answers."""
        before = len(listener.of(HEARTBEAT))
        listener.ping()
        listener.frame(HEARTBEAT, before + 1)

    def test_it_beats_every_half_minute(self):
        self.speed(60)
        _, listener = self.listens(AGENT)
        begin = time.monotonic()
        listener.frame(HEARTBEAT, 3)
        self.assertEqual(listener.of(HEARTBEAT)[0]["eventBody"]["message"], "WebSocket Heartbeat")
        # Three times 30 s at sixty times the speed.
        self.assertGreater(time.monotonic() - begin, 1.2)

    def test_it_answers_a_ping(self):
        _, listener = self.listens()
        listener.ping()
        self.assertEqual(listener.frame(HEARTBEAT)["message"], "pong")

    def test_it_may_be_closed_at_once(self):
        _, conversation, agent = self.talk()
        channel, listener = self.listens(event(conversation, "user.end"))
        other = self.login()
        other_channel = genesys.NotificationsApi(other).post_notifications_channels()
        stays = Listener(other_channel.connect_uri)
        self.addCleanup(stays.close)
        self.assertEqual(self.sandbox.close_sockets(client=self.client[0]), {"sockets": 1})
        listener.ended()
        self.alive(stays)
        # The channel is still there, and its topics: a new socket hears again.
        again = Listener(channel.connect_uri)
        self.addCleanup(again.close)
        change = genesys.MediaParticipantRequest()
        change.state = "disconnected"
        self.api.patch_conversations_message_participant(conversation, agent, body=change)
        again.frame(event(conversation, "user.end"))

    def test_it_may_be_warned_a_minute_ahead(self):
        _, listener = self.listens(AGENT)
        self.sandbox.close_sockets(warn=True, client=self.client[0])
        self.assertTrue(listener.frame(CLOSING)["message"])
        self.alive(listener)
        self.sandbox.advance("61s")
        listener.ended()

    def test_what_happens_without_a_socket_is_not_told_later(self):
        integration, conversation, _ = self.talk()
        channel, listener = self.listens(event(conversation, "user.end"))
        self.sandbox.close_sockets(client=self.client[0])
        listener.ended()
        self.sandbox.agent("transfer", "noor", integration.id)
        again = Listener(channel.connect_uri)
        self.addCleanup(again.close)
        self.sandbox.agent("end", "noor", integration.id)
        self.assertEqual(again.frame(event(conversation, "user.end"))["disconnectType"], "CLIENT")
        self.assertEqual(len(again.of(event(conversation, "user.end"))), 1)

    def test_a_second_one_takes_over_or_is_refused(self):
        channel, first = self.listens(AGENT)
        second = Listener(channel.connect_uri)
        self.addCleanup(second.close)
        first.ended()
        self.alive(second)
        self.switch(second_socket="refused")
        with self.assertRaises(websocket.WebSocketBadStatusException) as raised:
            Listener(channel.connect_uri)
        self.assertEqual(raised.exception.status_code, 409)
        self.alive(second)

    def test_a_channel_lives_for_a_day_from_its_last_topics(self):
        channel, listener = self.listens(AGENT)
        self.assertLess(channel.expires - self.now(), timedelta(hours=24, seconds=5))
        self.sandbox.advance("23h")
        self.channels.put_notifications_channel_subscriptions(channel.id, topics(AGENT))
        self.sandbox.advance("23h")
        self.alive(listener)
        self.use(self.login(self.client))
        found = self.channels.get_notifications_channels().entities
        self.assertEqual([each.id for each in found], [channel.id])
        self.sandbox.advance("2h")
        listener.ended()
        self.assertEqual(self.channels.get_notifications_channels().entities, [])
        by_id = self.channels.get_notifications_channel_subscriptions
        self.refused(404, "not.found", by_id, channel.id)
        with self.assertRaises(websocket.WebSocketBadStatusException) as raised:
            Listener(channel.connect_uri)
        self.assertEqual(raised.exception.status_code, 404)

    def now(self):
        """The sandbox's time."""
        return isoparse(self.sandbox.call("GET", "/sandbox/clock")["now"])

    def test_a_frame_may_be_lost_doubled_or_end_the_socket(self):
        integration, conversation, _ = self.talk()
        user_end = event(conversation, "user.end")
        channel, listener = self.listens(user_end)

        def transfer():
            self.sandbox.agent("transfer", "noor", integration.id)

        self.fault("notification", "lose")
        transfer()
        transfer()
        listener.frame(user_end)
        self.fault("notification", "duplicate")
        transfer()
        listener.frame(user_end, 3)
        first, second, third = listener.of(user_end)
        self.assertEqual(second, third)
        self.assertNotEqual(first, second)
        self.fault("notification", "close")
        transfer()
        listener.ended()
        self.assertEqual(len(listener.of(user_end)), 3)
