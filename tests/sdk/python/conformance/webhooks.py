"""Webhooks: signed, tried again, and what goes wrong with them on purpose."""

import PureCloudPlatformClientV2 as genesys

from .case import Case

AUTHORIZATION = "Bearer of-the-tests"


class Webhooks(Case):
    def setUp(self):
        super().setUp()
        self.talking, self.conversation, self.agent = self.talk(webhook_headers={"Authorization": AUTHORIZATION})

    def sends(self):
        return self.says(self.conversation, self.agent).id

    def calls(self, number):
        """The calls of the webhook, once there are so many."""
        calls = self.webhook.calls[self.path]
        self.eventually(f"{number} calls", lambda: len(calls) >= number)
        return calls

    def changes_the_secret(self, secret):
        change = genesys.OpenIntegrationUpdateRequest()
        change.name = self.talking.name
        change.outbound_notification_webhook_signature_secret_token = secret
        self.api.patch_conversations_messaging_integrations_open_integration_id(self.talking.id, change)

    def test_each_has_the_integrations_headers_and_a_signature(self):
        self.sends()
        (call,) = self.calls(1)
        self.assertTrue(call.authentic)
        self.assertTrue(call.headers["X-Hub-Signature-256"].startswith("sha256="))
        self.assertEqual(call.headers["Authorization"], AUTHORIZATION)
        self.assertEqual(call.headers["Content-Type"].split(";")[0], "application/json")

    def test_a_patch_changes_the_secret_that_signs(self):
        self.changes_the_secret("another-secret-of-the-tests")
        self.sends()
        self.assertFalse(self.calls(1)[0].authentic)
        self.webhook.secrets[self.path] = "another-secret-of-the-tests"
        self.sends()
        self.assertTrue(self.calls(2)[1].authentic)

    def test_one_that_fails_is_tried_again(self):
        self.switch(webhook_pause="100ms")
        self.webhook.status[self.path] = 503
        sent = self.sends()
        self.calls(2)
        details = self.api.get_conversations_message_details
        self.assertEqual(details(sent).status, "queued")
        self.webhook.status[self.path] = 200
        self.eventually("the webhook's answer", lambda: details(sent).status == "sent")
        calls = self.webhook.calls[self.path]
        self.assertTrue(all(call.authentic and call.body == calls[0].body for call in calls))

    def test_one_that_always_fails_is_given_up(self):
        self.switch(webhook_pause="10ms", webhook_retries=2, exhausted_webhook="message")
        self.webhook.status[self.path] = 503
        sent = self.sends()
        details = self.api.get_conversations_message_details
        self.eventually("the failure", lambda: details(sent).status == "delivery-failed")
        self.assertEqual(len(self.webhook.calls[self.path]), 3)

    def test_one_may_come_twice(self):
        self.fault("webhook", "duplicate")
        sent = self.sends()
        calls = self.calls(2)
        self.assertEqual([call.body["id"] for call in calls], [sent, sent])
        self.assertEqual(calls[0].body, calls[1].body)

    def test_the_signature_may_be_wrong_or_old(self):
        self.changes_the_secret("another-secret-of-the-tests")
        # The hook still checks by the secret before.
        for number, (action, authentic) in enumerate((("wrong_signature", False), ("old_signature", True)), 1):
            self.fault("webhook", action)
            self.sends()
            self.assertEqual(self.calls(number)[number - 1].authentic, authentic, action)

    def test_what_nobody_knows_does_not_disturb_the_sdk(self):
        for number, action in enumerate(("unknown_field", "unknown_content"), 1):
            self.fault("webhook", action)
            sent = self.sends()
            call = self.calls(number)[number - 1]
            self.assertTrue(call.authentic)
            read = self.sdk.read(call.body, "ConversationNormalizedMessage")
            self.assertEqual((read.id, read.channel.to.id), (sent, "noor"))
