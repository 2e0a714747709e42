"""python3 -m unittest examples/python-chat/test_chat_service.py"""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chat_service import sign, verify  # noqa: E402

# Vectors of the public Standard Webhooks libraries; the connector's own tests use the same.
VECTORS = [
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
     b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
     b'{"email":"test@example.com","username":"test_user"}', "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
]


def headers(webhook_id, timestamp, signature):
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


class Signatures(unittest.TestCase):
    def test_the_public_vectors(self):
        for secret, webhook_id, timestamp, body, signature in VECTORS:
            self.assertEqual(sign(secret, webhook_id, str(timestamp), body), signature)
            self.assertTrue(verify(secret, headers(webhook_id, timestamp, signature), body, timestamp))

    def test_one_of_several_signatures_is_enough(self):
        secret, webhook_id, timestamp, body, good = VECTORS[0]
        other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
        for several in [f"{other} {good}", f"{good} {other}", f"v2,x {good}"]:
            self.assertTrue(verify(secret, headers(webhook_id, timestamp, several), body, timestamp))
        self.assertFalse(verify(secret, headers(webhook_id, timestamp, f"{other} {other}"), body, timestamp))

    def test_clocks_may_differ_by_five_minutes(self):
        secret, webhook_id, timestamp, body, good = VECTORS[0]
        for offset, expected in [(0, True), (300, True), (-300, True), (301, False), (-301, False)]:
            signed = headers(webhook_id, timestamp, good)
            self.assertEqual(verify(secret, signed, body, timestamp + offset), expected, offset)

    def test_anything_else_is_refused(self):
        secret, webhook_id, timestamp, body, good = VECTORS[0]
        for signature in ["", "v1,", "v1", good[:8], good[3:], good.replace("v1", "v2"), "v1,ü"]:
            self.assertFalse(verify(secret, headers(webhook_id, timestamp, signature), body, timestamp), signature)
        for time in ["", "hello", "-1614265330", "1614265330.0", "١٦١٤٢٦٥٣٣٠", str(timestamp + 1)]:
            self.assertFalse(verify(secret, headers(webhook_id, time, good), body, timestamp), time)
        self.assertFalse(verify(secret, headers("other", timestamp, good), body, timestamp))
        self.assertFalse(verify(secret, headers(webhook_id, timestamp, good), body + b" ", timestamp))
        self.assertFalse(verify(secret, {}, body, timestamp))

    def test_a_secret_is_whsec_and_base64(self):
        for secret in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%"]:
            with self.assertRaises(ValueError):
                sign(secret, "id", "0", b"")


if __name__ == "__main__":
    unittest.main()
