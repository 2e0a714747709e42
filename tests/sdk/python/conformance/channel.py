"""Notification channels with a listener at their sockets.

The SDK for Python makes channels and their topics, but has no helper for the socket, so a WebSocket client of others
(websocket-client) listens, as Genesys's own samples do.
"""

import json
import threading
import time
import uuid

import PureCloudPlatformClientV2 as genesys
import websocket

from .case import Case

QUEUE = "v2.routing.queues.33333333-aaaa-4bbb-8ccc-000000000009.conversations.messages"
AGENT = "v2.users.44444444-aaaa-4bbb-8ccc-000000000007.conversations.messages"


def event(conversation, what):
    return f"v2.detail.events.conversation.{conversation}.{what}"


def topics(*names):
    found = []
    for name in names:
        topic = genesys.ChannelTopic()
        topic.id = name
        found.append(topic)
    return found


class Listener:
    """Keeps every frame of the socket at `connect_uri`."""

    def __init__(self, connect_uri):
        self.frames = []
        self.closed = False
        self.changed = threading.Condition()
        self.socket = websocket.create_connection(connect_uri, timeout=30)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            while text := self.socket.recv():
                with self.changed:
                    self.frames.append(json.loads(text))
                    self.changed.notify_all()
        except (OSError, websocket.WebSocketException):
            pass
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def ping(self):
        self.socket.send(json.dumps({"message": "ping"}))

    def close(self):
        self.socket.close()

    def wait(self, what, holds, timeout=30):
        """Waits until `holds()` has something to show."""
        end = time.monotonic() + timeout
        with self.changed:
            while not (seen := holds()):
                left = end - time.monotonic()
                topics = [frame["topicName"] for frame in self.frames]
                assert left > 0, f"waited {timeout} s in vain for {what}; closed: {self.closed}; there are {topics}"
                self.changed.wait(left)
            return seen

    def of(self, topic):
        return [frame for frame in self.frames if frame["topicName"] == topic]

    def frame(self, topic, number=1):
        """The body of the n-th frame of a topic."""
        self.wait(f"{topic} ({number})", lambda: len(self.of(topic)) >= number)
        return self.of(topic)[number - 1]["eventBody"]

    def ended(self):
        return self.wait("the socket's end", lambda: self.closed)


class Listening(Case):
    def setUp(self):
        super().setUp()
        # A client of its own, whose channels and sockets are its own.
        self.client = (f"listener-{uuid.uuid4()}", "secret-of-the-listener")
        self.sandbox.role(*self.client)
        self.use(self.login(self.client))

    def use(self, sdk):
        super().use(sdk)
        self.channels = genesys.NotificationsApi(sdk)

    def listens(self, *names):
        """A channel with these topics, and a listener at its socket."""
        channel = self.channels.post_notifications_channels()
        if names:
            self.channels.put_notifications_channel_subscriptions(channel.id, topics(*names))
        listener = Listener(channel.connect_uri)
        self.addCleanup(listener.close)
        return channel, listener
