"""The rate limit: headers, 429, and the SDK's own waiting."""

import time

import PureCloudPlatformClientV2 as genesys

from .case import Case


class Limits(Case):
    def setUp(self):
        super().setUp()
        self.switch(rate_per_minute=5)
        self.use(self.login())
        self.list = self.api.get_conversations_messaging_integrations_open

    def rate(self, headers):
        """Count, allowed, and seconds to the end of the minute."""
        names = ("inin-ratelimit-count", "inin-ratelimit-allowed", "inin-ratelimit-reset")
        return tuple(int(headers.get(name)) for name in names)

    def used_up(self):
        for _ in range(5):
            self.list()

    def test_each_answer_counts(self):
        for wanted in range(1, 6):
            self.list()
            count, allowed, reset = self.rate(self.sdk.last_response.getheaders())
            self.assertEqual((count, allowed), (wanted, 5))
            self.assertTrue(0 < reset <= 61, reset)

    def test_one_too_many_is_429(self):
        self.used_up()
        for code in ("too.many.requests", "too.many.requests.retry.after"):
            self.switch(limit_code=code)
            error = self.refused(429, code, self.list)
            count, allowed, reset = self.rate(error.headers)
            self.assertGreater(count, allowed)
            self.assertEqual(int(error.headers["Retry-After"]), reset)
            limit = error.told.limit
            self.assertIsInstance(limit, genesys.Limit)
            self.assertEqual(limit.key, "client.credentials.token.rate.per.minute")
            self.assertTrue(limit.namespace)
            self.assertEqual(int(limit.value), 5)

    def test_a_minute_later_there_are_more(self):
        self.used_up()
        self.refused(429, "too.many.requests", self.list)
        self.sandbox.advance("61s")
        self.list()
        self.assertEqual(self.rate(self.sdk.last_response.getheaders())[0], 1)

    def test_each_token_has_its_own(self):
        self.used_up()
        self.use(self.login())
        self.api.get_conversations_messaging_integrations_open()

    def test_it_may_be_lowered_for_some_calls(self):
        self.fault("api", {"limit": 1}, times=2)
        self.list()
        self.assertEqual(self.rate(self.sdk.last_response.getheaders())[1], 1)
        error = self.refused(429, "too.many.requests", self.list)
        self.assertEqual(self.rate(error.headers)[1], 1)

    def test_without_a_limit_there_are_no_headers(self):
        self.switch(rate_per_minute=0)
        self.list()
        self.assertIsNone(self.sdk.last_response.getheader("inin-ratelimit-count"))

    def test_the_sdk_waits_as_long_as_it_is_told_and_tries_again(self):
        # The SDK for Python has no setting for it: a 429 with Retry-After is sent again by the urllib3 below it.
        self.use(self.login(patient=True))
        self.list = self.api.get_conversations_messaging_integrations_open
        self.used_up()
        # The rest of the minute, but for a second or two, goes by at once.
        self.sandbox.advance(f"{self.rate(self.sdk.last_response.getheaders())[2] - 3}s")
        begin = time.monotonic()
        self.assertIsInstance(self.list(), genesys.OpenIntegrationEntityListing)
        self.assertGreater(time.monotonic() - begin, 0.9, "it did not wait")
        count, _, _ = self.rate(self.sdk.last_response.getheaders())
        self.assertEqual(count, 1, "the minute is a new one")
