"""Receipts: each status and reason, and where it shows."""

from datetime import datetime, timezone

import PureCloudPlatformClientV2 as genesys

from .case import Case

REASONS = (
    "MessageExpired",
    "RateLimited",
    "MessageNotAllowed",
    "GeneralError",
    "UnsupportedMessage",
    "UnknownMessage",
    "InvalidMessageStructure",
    "InvalidDestination",
    "ServerError",
    "MediaTypeNotAllowed",
    "InvalidMediaContentLength",
    "RecipientOptedOut",
    "DataFiltered",
)


def receipt(message_id, status, final=True, reasons=(), customer="noor"):
    """`reasons` are pairs of code and text."""
    body = genesys.OpenInboundNormalizedReceipt()
    body.id, body.status, body.is_final_receipt = message_id, status, final
    body.channel = genesys.OpenInboundMessagingReceiptChannel()
    body.channel.to = genesys.OpenMessagingToRecipient()
    body.channel.to.id, body.channel.to.id_type = customer, "Opaque"
    body.channel.time = datetime.now(timezone.utc)
    for code, text in reasons:
        reason = genesys.ConversationReason()
        reason.message = text
        if code:
            reason.code = code
        body.reasons = [*(body.reasons or []), reason]
    return body


class Receipts(Case):
    def setUp(self):
        super().setUp()
        self.talking, self.conversation, self.agent = self.talk()

    def sent(self):
        """The id of a message that the agent sent and the webhook took."""
        sent = self.says(self.conversation, self.agent).id
        self.eventually("the webhook's answer", lambda: self.details(sent).status == "sent")
        return sent

    def post(self, body):
        return self.api.post_conversations_message_inbound_open_receipt(self.talking.id, body)

    def details(self, message_id):
        return self.api.get_conversations_message_details(message_id)

    def shown(self, message_id):
        """The message as the conversation shows it."""
        participants = self.api.get_conversations_message(self.conversation).participants
        found = [message for each in participants for message in each.messages if message.message_id == message_id]
        self.assertEqual(len(found), 1)
        return found[0]

    def test_delivered(self):
        sent = self.sent()
        body = receipt(sent, "Delivered")
        answer = self.post(body)
        self.assertIsInstance(answer, genesys.OpenReceiptNormalizedMessage)
        self.assertEqual((answer.id, answer.type, answer.status), (sent, "Receipt", "Delivered"))
        self.assertEqual((answer.direction, answer.is_final_receipt), ("Outbound", True))
        self.assertEqual((answer.channel.to.id, answer.channel.id), ("noor", self.talking.id))
        self.assertMoment(answer.channel.time)
        details = self.details(sent)
        self.assertEqual(details.status, "delivery-success")
        self.assertEqual(len(details.normalized_receipts), 1)
        kept = details.normalized_receipts[0]
        self.assertIsInstance(kept, genesys.ConversationNormalizedMessage)
        self.assertEqual((kept.id, kept.type, kept.status), (sent, "Receipt", "Delivered"))
        self.assertIs(kept.is_final_receipt, True)
        self.assertMoment(kept.channel.time)
        shown = self.shown(sent)
        self.assertEqual((shown.message_status, shown.error_info), ("delivery-success", None))

    def test_failed_with_each_reason(self):
        for code in REASONS:
            with self.subTest(code):
                sent = self.sent()
                reasons = [(code, "the chat was not there")]
                answer = self.post(receipt(sent, "Failed", reasons=reasons))
                self.assertEqual([(each.code, each.message) for each in answer.reasons], reasons)
                details = self.details(sent)
                self.assertEqual(details.status, "delivery-failed")
                kept = details.normalized_receipts[0].reasons
                self.assertEqual([(each.code, each.message) for each in kept], reasons)
                shown = self.shown(sent)
                self.assertEqual(shown.message_status, "delivery-failed")
                error, payload = shown.error_info, f"{code} - the chat was not there"
                self.assertIsInstance(error, genesys.ErrorBody)
                self.assertEqual(error.code, "DELIVERY_FAILED")
                self.assertEqual(error.message, f"Message delivery failed with the following payload: [{payload}]")
                self.assertEqual(error.message_params, {"errorPayload": payload})
                self.assertIn("{errorPayload}", error.message_with_params)

    def test_failed_without_a_code(self):
        sent = self.sent()
        self.post(receipt(sent, "Failed", reasons=[(None, "something else")]))
        self.assertEqual(self.details(sent).status, "delivery-failed")
        self.assertIn("something else", self.shown(sent).error_info.message)

    def test_those_that_are_not_final(self):
        for status, stored in (("Sent", "sent"), ("Published", "published"), ("Removed", "removed")):
            with self.subTest(status):
                sent = self.sent()
                answer = self.post(receipt(sent, status, final=False))
                self.assertEqual((answer.status, answer.is_final_receipt), (status, False))
                self.assertEqual(self.details(sent).status, stored)
                self.assertEqual(self.shown(sent).message_status, stored)
                if status == "Removed":
                    continue
                self.post(receipt(sent, "Delivered"))
                details = self.details(sent)
                self.assertEqual(details.status, "delivery-success")
                self.assertEqual([each.status for each in details.normalized_receipts], [status, "Delivered"])
                self.assertEqual([each.is_final_receipt for each in details.normalized_receipts], [False, True])

    def test_interim_ones_may_be_without_effect(self):
        self.switch(interim_receipts=False)
        sent = self.sent()
        self.post(receipt(sent, "Published", final=False))
        self.assertEqual(self.details(sent).status, "sent")

    def test_a_second_final_one_changes_nothing(self):
        sent = self.sent()
        self.post(receipt(sent, "Delivered"))
        failed = receipt(sent, "Failed", reasons=[("GeneralError", "too late")])
        self.post(failed)
        self.assertEqual(self.details(sent).status, "delivery-success")
        self.assertIsNone(self.shown(sent).error_info)
        self.switch(second_final_receipt="refuse")
        self.refused(409, "conflict", self.post, failed)

    def test_an_unknown_message_is_404_unless_it_is_taken(self):
        unknown = receipt("0" * 32, "Delivered")
        self.refused(404, "not.found", self.post, unknown)
        self.switch(unknown_receipt="accept")
        self.assertEqual(self.post(unknown).status, "Delivered")

    def test_an_unknown_integration_is_404(self):
        sent, self.talking.id = self.sent(), "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", self.post, receipt(sent, "Delivered"))

    def test_after_the_end_it_still_counts_unless_it_is_refused(self):
        first, second = self.sent(), self.sent()
        self.sandbox.agent("end", "noor", self.talking.id)
        self.post(receipt(first, "Delivered"))
        self.assertEqual(self.details(first).status, "delivery-success")
        self.switch(receipt_after_end="refuse")
        self.refused(409, "conflict", self.post, receipt(second, "Delivered"))
        self.assertEqual(self.details(second).status, "sent")

    def test_there_may_be_a_time_limit(self):
        self.switch(receipt_window="10m")
        early, late = self.sent(), self.sent()
        self.sandbox.advance("9m")
        self.post(receipt(early, "Delivered"))
        self.sandbox.advance("2m")
        self.refused(409, "conflict", self.post, receipt(late, "Delivered"))
        self.assertEqual(self.details(late).status, "sent")

    def test_what_is_wrong_is_400(self):
        sent = self.sent()
        good = self.sdk.sanitize_for_serialization(receipt(sent, "Failed", reasons=[("GeneralError", "no")]))
        without = lambda name: {key: value for key, value in good.items() if key != name}
        wrong = {
            "no id": without("id"),
            "no channel": without("channel"),
            "no status": without("status"),
            "no customer": {**good, "channel": {"time": good["channel"]["time"]}},
            "no time": {**good, "channel": {"to": good["channel"]["to"]}},
            "Read, which this path has not got": {**good, "status": "Read"},
            "a status that there is not": {**good, "status": "Eaten"},
            "a made-up reason": {**good, "reasons": [{"code": "Error", "message": "no"}]},
            "a reason without text": {**good, "reasons": [{"code": "GeneralError"}]},
        }
        for what, body in wrong.items():
            with self.subTest(what):
                self.refused(400, "bad.request", self.post, body)
        self.assertEqual(self.details(sent).status, "sent", "what was refused has no effect")

    def test_a_webhook_that_refuses_shows_as_failed(self):
        self.switch(refused_webhook="message")
        self.webhook.status[self.path] = 404
        sent = self.says(self.conversation, self.agent).id
        self.eventually("the failure", lambda: self.details(sent).status == "delivery-failed")
        info = self.shown(sent).error_info
        self.assertEqual(info.message_params["errorPayload"], "GeneralError - Request failed with status code 404")
        self.assertEqual(self.present(self.conversation, "agent").id, self.agent)
