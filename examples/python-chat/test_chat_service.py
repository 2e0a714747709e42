"""python3 -m unittest examples/python-chat/test_chat_service.py"""
import base64
import os
import sys
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chat_service  # noqa: E402

# Vectors of the public Standard Webhooks libraries; the connector's own tests use the same.
VECTORS = [
    ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
     b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ("C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
     b'{"email":"test@example.com","username":"test_user"}',
     "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
]


def headers(webhook_id, timestamp, signature):
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp),
            "webhook-signature": signature}


class Service(unittest.TestCase):
    def service(self, store=":memory:", key=VECTORS[0][0]):
        options = SimpleNamespace(listen="127.0.0.1:0", store=store, handshake=0, delay=60)
        service = chat_service.ChatService(base64.b64decode(key), options)
        self.addCleanup(service.server_close)
        self.addCleanup(service.db.close)
        return service


class Signatures(Service):
    def check(self, expected, signed, body, at, key=VECTORS[0][0]):
        with mock.patch("time.time", return_value=at):
            self.assertIs(self.service(key=key).is_signed(signed, body), expected, (signed, at))

    def test_the_public_vectors(self):
        for key, webhook_id, timestamp, body, signature in VECTORS:
            self.assertEqual(self.service(key=key).sign(webhook_id, timestamp, body), signature)
            self.check(True, headers(webhook_id, timestamp, signature), body, timestamp, key)

    def test_one_of_several_signatures_is_enough(self):
        _, webhook_id, timestamp, body, good = VECTORS[0]
        other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
        for several in [f"{other} {good}", f"{good} {other}", f"v2,x {good}"]:
            self.check(True, headers(webhook_id, timestamp, several), body, timestamp)
        self.check(False, headers(webhook_id, timestamp, f"{other} {other}"), body, timestamp)

    def test_clocks_may_differ_by_five_minutes(self):
        _, webhook_id, timestamp, body, good = VECTORS[0]
        for offset, expected in [(0, True), (300, True), (-300, True), (301, False), (-301, False)]:
            self.check(expected, headers(webhook_id, timestamp, good), body, timestamp + offset)

    def test_anything_else_is_refused(self):
        _, webhook_id, timestamp, body, good = VECTORS[0]
        for signature in ["", "v1,", "v1", good[:8], good[3:], good.replace("v1", "v2"), "v1,ü"]:
            self.check(False, headers(webhook_id, timestamp, signature), body, timestamp)
        for time in ["", "hello", "-1614265330", "1614265330.0", "²", str(timestamp + 1)]:
            self.check(False, headers(webhook_id, time, good), body, timestamp)
        self.check(False, headers("other", timestamp, good), body, timestamp)
        self.check(False, headers(webhook_id, timestamp, good), body + b" ", timestamp)
        self.check(False, {}, body, timestamp)


class Messages(Service):
    def opened(self, service):
        status, answer = service.open("c", {"customer": {"id": "noor"}})
        self.assertEqual(status, 200)
        return answer["session"]

    def test_a_stored_message_survives_the_process_and_its_key_is_known(self):
        with tempfile.TemporaryDirectory() as folder:
            first = self.service(os.path.join(folder, "chat.db"))
            session = self.opened(first)
            message = {"id": "m", "text": "It left 🚚", "content": [], "session": session}
            with first.db:
                answer = first.messages("c", {**message})
            self.assertEqual(answer[0], 202)
            first.db.close()
            second = self.service(os.path.join(folder, "chat.db"))
            seen = {"from": "agent", "id": "m", "text": "It left 🚚", "content": []}
            self.assertEqual(second.seen("c")[1]["messages"], [seen])
            self.assertEqual(second.messages("c", {**message}), answer)
            self.assertEqual(len(second.seen("c")[1]["messages"]), 1)
            self.assertEqual(second.messages("c", {**message, "id": "n"})[0], 409)
            kinds = second.db.execute("select event from event").fetchall()
            self.assertEqual([chat_service.json.loads(one)["type"] for one, in kinds],
                             ["message.delivered"], "the session's event has gone with the session")

    def test_what_cannot_be_shown_is_refused(self):
        chat = self.service()
        session = self.opened(chat)
        for text, content, status in [
            ("🚚" * 4000, [], 202), ("🚚" * 4001, [], 422),
            ("a", [{"contentType": "Attachment", "attachment": {"mime": "Image/PNG"}}], 202),
            ("b", [{"contentType": "Attachment", "attachment": {"mime": "video/mp4"}}], 422),
            ("c", [{"contentType": "QuickReply"}], 422),
        ]:
            message = {"id": text, "text": text, "content": content, "session": session}
            self.assertEqual(chat.messages("c", message)[0], status, text[:1])

    def test_a_handshake_that_is_closed_tells_no_session(self):
        chat = self.service()
        self.opened(chat)
        chat.close("c", {"reason": "the agent left"})
        self.assertEqual(chat.db.execute("select event from event").fetchall(), [])


if __name__ == "__main__":
    unittest.main()
