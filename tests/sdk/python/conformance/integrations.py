"""Integrations: made, listed by pages, changed, deleted."""

import PureCloudPlatformClientV2 as genesys

from .case import SECRET, Case


class Integrations(Case):
    def test_one_is_initiated_first_and_completed_later(self):
        self.switch(create_delay="1s")
        request = self.integration_request(webhook_headers={"Authorization": "Bearer of-the-tests"})
        made = self.api.post_conversations_messaging_integrations_open(request)
        self.assertIsInstance(made, genesys.OpenIntegration)
        self.assertEqual(made.create_status, "Initiated")
        self.assertEqual(made.name, request.name)
        self.assertEqual(made.outbound_notification_webhook_url, request.outbound_notification_webhook_url)
        self.assertEqual(made.outbound_notification_webhook_signature_secret_token, SECRET)
        self.assertEqual(made.webhook_headers, {"Authorization": "Bearer of-the-tests"})
        self.assertMoment(made.date_created)
        self.assertTrue(made.self_uri.endswith(made.id))
        self.sandbox.advance("1s")
        found = self.api.get_conversations_messaging_integrations_open_integration_id(made.id)
        self.assertEqual((found.create_status, found.status.lower()), ("Completed", "active"))
        self.assertIsNone(found.create_error)

    def listed(self, size=100, **options):
        """The ids on all pages, in order."""
        seen, page = [], 1
        while True:
            listing = self.api.get_conversations_messaging_integrations_open(
                page_size=size, page_number=page, **options
            )
            self.assertIsInstance(listing, genesys.OpenIntegrationEntityListing)
            self.assertEqual((listing.page_size, listing.page_number), (size, page))
            self.assertLessEqual(len(listing.entities), size)
            seen += [each.id for each in listing.entities]
            self.assertEqual(listing.next_uri is None, page == listing.page_count)
            self.assertEqual(listing.previous_uri is None, page == 1)
            if page == listing.page_count:
                break
            page += 1
        self.assertEqual((listing.total, listing.page_count), (len(seen), -(-len(seen) // size)))
        beyond = self.api.get_conversations_messaging_integrations_open(page_size=size, page_number=page + 1)
        self.assertEqual(beyond.entities, [])
        return seen

    def test_the_listing_goes_by_pages(self):
        made = {self.integration().id for _ in range(5)}
        seen = self.listed(size=3)
        self.assertEqual(len(set(seen)), len(seen), "one is on two pages")
        self.assertLessEqual(made, set(seen))

    def test_expand_is_taken(self):
        made = self.integration()
        found = self.api.get_conversations_messaging_integrations_open_integration_id(
            made.id, expand="supportedContent"
        )
        self.assertEqual(found.id, made.id)
        self.assertIn(made.id, self.listed(expand="messagingSetting"))

    def test_a_patch_changes_what_it_names(self):
        made = self.integration(webhook_headers={"X-Shop": "harbour"})
        change = genesys.OpenIntegrationUpdateRequest()
        change.name = "Harbour, renamed"
        changed = self.api.patch_conversations_messaging_integrations_open_integration_id(made.id, change)
        self.assertEqual(changed.name, "Harbour, renamed")
        self.assertEqual(changed.webhook_headers, {"X-Shop": "harbour"})
        self.assertEqual(changed.outbound_notification_webhook_url, made.outbound_notification_webhook_url)
        self.assertMoment(changed.date_modified)
        self.assertGreaterEqual(changed.date_modified, changed.date_created)
        found = self.api.get_conversations_messaging_integrations_open_integration_id(made.id)
        self.assertEqual(found.name, "Harbour, renamed")

    def test_what_is_deleted_is_gone(self):
        made = self.integration()
        self.api.delete_conversations_messaging_integrations_open_integration_id(made.id)
        by_id = (
            self.api.get_conversations_messaging_integrations_open_integration_id,
            self.api.delete_conversations_messaging_integrations_open_integration_id,
        )
        for call in by_id:
            self.refused(404, "not.found", call, made.id)
        self.assertNotIn(made.id, self.listed())
        with self.subTest("nor may anybody write to it"):
            error = self.refused(404, "not.found", self.writes, made)
            self.assertEqual(error.told.status, 404)

    def test_a_secret_needs_sixteen_characters(self):
        make = self.api.post_conversations_messaging_integrations_open
        request = self.integration_request(outbound_notification_webhook_signature_secret_token="x" * 15)
        self.refused(400, "bad.request", make, request)
        request = self.integration_request(outbound_notification_webhook_signature_secret_token="x" * 16)
        made = make(request)
        change = genesys.OpenIntegrationUpdateRequest()
        change.name = made.name
        change.outbound_notification_webhook_signature_secret_token = "x" * 15
        patch = self.api.patch_conversations_messaging_integrations_open_integration_id
        self.refused(400, "bad.request", patch, made.id, change)

    def test_what_is_required_must_be_there(self):
        for name in (
            "name",
            "outbound_notification_webhook_url",
            "outbound_notification_webhook_signature_secret_token",
        ):
            with self.subTest(name):
                request = self.integration_request(**{name: None})
                self.refused(400, "bad.request", self.api.post_conversations_messaging_integrations_open, request)

    def test_an_unknown_one_is_404(self):
        unknown = "00000000-0000-4000-8000-000000000000"
        self.refused(
            404, "not.found", self.api.get_conversations_messaging_integrations_open_integration_id, unknown
        )
        change = genesys.OpenIntegrationUpdateRequest()
        change.name = "nobody"
        patch = self.api.patch_conversations_messaging_integrations_open_integration_id
        self.refused(404, "not.found", patch, unknown, change)

    def test_there_may_be_a_limit_of_them(self):
        there = self.api.get_conversations_messaging_integrations_open().total
        self.switch(max_integrations=there)
        make = self.api.post_conversations_messaging_integrations_open
        self.refused(400, "bad.request", make, self.integration_request())
