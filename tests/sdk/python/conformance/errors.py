"""Errors as the SDK raises them: status, code, context."""

import json

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException

from .case import Case, inbound
from .sdk import Sdk

CODES = {
    400: "bad.request",
    403: "missing.any.permissions",
    404: "not.found",
    408: "request.timeout",
    409: "conflict",
    413: "request.entity.too.large",
    415: "unsupported.media.type",
    500: "internal.server.error",
    503: "service.unavailable",
    504: "gateway.timeout",
}


class Errors(Case):
    def setUp(self):
        super().setUp()
        self.list = self.api.get_conversations_messaging_integrations_open

    def own_client(self):
        """A client of this test alone, whose tokens may die."""
        client = ("errors", "secret-of-the-errors")
        self.sandbox.role(*client)
        self.use(self.login(client))
        self.list = self.api.get_conversations_messaging_integrations_open
        return client

    def test_each_status_has_its_code(self):
        for status, code in CODES.items():
            with self.subTest(status):
                self.fault("api", {"status": status})
                error = self.refused(status, code, self.list)
                told = error.told
                self.assertIsInstance(told, genesys.ErrorBody)
                self.assertEqual((told.status, told.details, told.errors), (status, [], []))
                self.assertTrue(told.message)
                self.assertEqual(json.loads(error.body)["code"], code)
                self.assertIsInstance(self.list(), genesys.OpenIntegrationEntityListing, "the fault struck once")

    def test_each_answer_has_a_context_of_its_own(self):
        contexts = set()
        for _ in range(3):
            error = self.refused(404, "not.found", self.api.get_conversations_message, "nowhere")
            contexts.add(error.told.context_id)
            self.list()
            contexts.add(self.sdk.last_response.getheader("inin-correlation-id"))
        self.assertEqual(len(contexts), 6)
        self.assertNotIn(None, contexts)

    def test_without_a_token_it_is_401(self):
        self.use(Sdk(self.sandbox.url))
        for call in (
            self.api.get_conversations_messaging_integrations_open,
            self.api.get_conversations_messaging_supportedcontent_default,
            genesys.NotificationsApi(self.sdk).get_notifications_channels,
        ):
            self.refused(401, "bad.credentials", call)

    def test_a_dead_token_is_401(self):
        client = self.own_client()
        self.list()
        self.sandbox.revoke(client[0])
        self.refused(401, "bad.credentials", self.list)
        # The SDK gets a new token by itself only where it has a refresh token, which this grant never gives.
        self.sdk.get_client_credentials_token(*client)
        self.list()

    def test_a_token_dies_of_age(self):
        self.switch(token_life="10m")
        client = self.own_client()
        self.sandbox.advance("9m")
        self.list()
        self.sandbox.advance("2m")
        self.refused(401, "bad.credentials", self.list)
        self.sdk.get_client_credentials_token(*client)
        self.list()

    def test_one_call_may_kill_its_token(self):
        self.own_client()
        self.fault("api", "revoke_token")
        self.refused(401, "bad.credentials", self.list)
        self.refused(401, "bad.credentials", self.list)

    def test_without_the_secret_there_is_no_token(self):
        for client in (("sandbox-client", "wrong"), ("nobody", "sandbox-secret")):
            with self.subTest(client[0]), self.assertRaises(ApiException) as raised:
                self.login(client)
            self.assertEqual(raised.exception.status, 401)
            self.assertEqual(json.loads(raised.exception.body)["error"], "invalid_client")

    def test_the_login_may_fail(self):
        self.fault("token", {"status": 503})
        with self.assertRaises(ApiException) as raised:
            self.login()
        self.assertEqual(raised.exception.status, 503)
        self.assertTrue(self.login().access_token)

    def test_a_lost_answer_is_sent_again_by_the_sdk_itself(self):
        integration = self.integration()
        self.use(self.login(patient=True))
        self.fault("message", "drop_answer")
        answer = self.api.post_conversations_message_inbound_open_message(
            integration.id, inbound("noor", "Hello"), prefetch_conversation_id=True
        )
        # The sandbox had done it before the connection broke, so that it is there twice.
        messages = self.present(answer.conversation_id, "customer").messages
        self.assertEqual(len(messages), 2)
        self.assertIn(answer.id, [each.message_id for each in messages])
