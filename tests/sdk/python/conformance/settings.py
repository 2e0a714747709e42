"""Messaging settings, and what their typing switches do in both directions."""

from urllib.error import HTTPError

import PureCloudPlatformClientV2 as genesys

from .case import Case, sent_by


def typing_setting(**directions):
    direction = genesys.SettingDirection()
    for name, value in directions.items():
        setattr(direction, name, value)
    event = genesys.EventSetting()
    event.typing = genesys.TypingSetting()
    event.typing.on = direction
    return event


def typing_event(customer):
    body = genesys.OpenInboundNormalizedEvent()
    body.channel = sent_by(genesys.OpenInboundMessagingChannel(), customer)
    event = genesys.OpenEvent()
    event.event_type = "Typing"
    body.events = [event]
    return body


class Settings(Case):
    def made(self, name="both ways", inbound="Enabled", outbound="Enabled"):
        request = genesys.MessagingSettingRequest()
        request.name, request.event = name, typing_setting(inbound=inbound, outbound=outbound)
        return self.api.post_conversations_messaging_settings(request)

    def default(self, setting):
        request = genesys.MessagingSettingDefaultRequest()
        request.setting_id = setting.id
        self.addCleanup(self.api.delete_conversations_messaging_settings_default)
        return self.api.put_conversations_messaging_settings_default(request)

    def refers_to(self, setting):
        reference = genesys.MessagingSettingRequestReference()
        reference.id = setting.id
        return reference

    def test_one_is_made_read_changed_and_deleted(self):
        made = self.made("quiet", "Disabled", "Enabled")
        self.assertIsInstance(made, genesys.MessagingSetting)
        self.assertEqual(made.name, "quiet")
        self.assertEqual((made.event.typing.on.inbound, made.event.typing.on.outbound), ("Disabled", "Enabled"))
        self.assertMoment(made.date_created)
        self.assertTrue(made.self_uri.endswith(made.id))
        found = self.api.get_conversations_messaging_setting(made.id)
        self.assertEqual((found.id, found.name, found.date_created), (made.id, "quiet", made.date_created))

        change = genesys.MessagingSettingPatchRequest()
        change.event = typing_setting(outbound="Disabled")
        changed = self.api.patch_conversations_messaging_setting(made.id, change)
        self.assertEqual(changed.name, "quiet", "a patch changes only what it names")
        self.assertEqual(changed.event.typing.on.outbound, "Disabled")
        change = genesys.MessagingSettingPatchRequest()
        change.name = "silent"
        self.assertEqual(self.api.patch_conversations_messaging_setting(made.id, change).name, "silent")
        found = self.api.get_conversations_messaging_setting(made.id)
        self.assertEqual((found.name, found.event.typing.on.outbound), ("silent", "Disabled"))
        self.assertGreaterEqual(found.date_modified, found.date_created)

        self.api.delete_conversations_messaging_setting(made.id)
        self.refused(404, "not.found", self.api.get_conversations_messaging_setting, made.id)
        self.refused(404, "not.found", self.api.patch_conversations_messaging_setting, made.id, change)
        self.refused(404, "not.found", self.api.delete_conversations_messaging_setting, made.id)

    def test_the_listing_goes_by_pages(self):
        made = {self.made(f"page {n}").id for n in range(3)}
        first = self.api.get_conversations_messaging_settings(page_size=2, page_number=1)
        self.assertIsInstance(first, genesys.MessagingConfigListing)
        self.assertEqual((len(first.entities), first.page_size, first.page_number), (2, 2, 1))
        self.assertEqual(first.page_count, -(-first.total // 2))
        pages = range(1, first.page_count + 1)
        listed = [self.api.get_conversations_messaging_settings(page_size=2, page_number=n) for n in pages]
        seen = [each.id for page in listed for each in page.entities]
        self.assertEqual(len(seen), first.total)
        self.assertLessEqual(made, set(seen))

    def test_a_name_is_needed(self):
        request = genesys.MessagingSettingRequest()
        request.event = typing_setting(inbound="Enabled", outbound="Enabled")
        self.refused(400, "bad.request", self.api.post_conversations_messaging_settings, request)

    def test_a_direction_is_enabled_or_disabled(self):
        body = {"name": "odd", "event": {"typing": {"on": {"inbound": "Sometimes"}}}}
        self.refused(400, "bad.request", self.api.post_conversations_messaging_settings, body)

    def test_the_default_is_there_from_the_beginning_and_can_be_set(self):
        own = self.api.get_conversations_messaging_settings_default()
        self.assertIsInstance(own, genesys.MessagingSetting)
        self.assertEqual(own.name, "Default")
        self.assertEqual((own.event.typing.on.inbound, own.event.typing.on.outbound), ("Enabled", "Enabled"))
        made = self.made("of the house")
        self.assertEqual(self.default(made).id, made.id)
        self.assertEqual(self.api.get_conversations_messaging_settings_default().id, made.id)
        integration = self.integration()
        self.assertEqual((integration.messaging_setting.id, integration.messaging_setting.name), (made.id, made.name))
        self.api.delete_conversations_messaging_settings_default()
        self.assertEqual(self.api.get_conversations_messaging_settings_default().id, own.id)

    def test_an_unknown_one_is_no_default(self):
        request = genesys.MessagingSettingDefaultRequest()
        request.setting_id = "00000000-0000-4000-8000-000000000000"
        self.refused(404, "not.found", self.api.put_conversations_messaging_settings_default, request)

    def test_an_integration_names_its_setting(self):
        made, other = self.made("of the harbour"), self.made("of the station")
        integration = self.integration(messaging_setting=self.refers_to(made))
        self.assertEqual(integration.messaging_setting.id, made.id)
        self.assertEqual(integration.messaging_setting.name, "of the harbour")
        self.assertTrue(integration.messaging_setting.self_uri.endswith(made.id))
        listing = self.api.get_conversations_messaging_integrations_open(messaging_setting_id=made.id)
        self.assertEqual([each.id for each in listing.entities], [integration.id])
        self.assertEqual(listing.total, 1)

        change = genesys.OpenIntegrationUpdateRequest()
        change.name, change.messaging_setting = integration.name, self.refers_to(other)
        patch = self.api.patch_conversations_messaging_integrations_open_integration_id
        self.assertEqual(patch(integration.id, change).messaging_setting.id, other.id)
        listing = self.api.get_conversations_messaging_integrations_open(messaging_setting_id=made.id)
        self.assertEqual(listing.entities, [])
        change.messaging_setting.id = "00000000-0000-4000-8000-000000000000"
        self.refused(400, "bad.request", patch, integration.id, change)
        request = self.integration_request(messaging_setting=change.messaging_setting)
        self.refused(400, "bad.request", self.api.post_conversations_messaging_integrations_open, request)

    def test_an_agents_typing_reaches_the_webhook_if_it_may(self):
        for outbound in ("Enabled", "Disabled"):
            with self.subTest(outbound):
                setting = self.made(f"out {outbound}", "Enabled", outbound)
                _, conversation, agent = self.talk(messaging_setting=self.refers_to(setting))
                request = genesys.MessageTypingEventRequest()
                request.typing = genesys.ConversationEventTyping()
                request.typing.type, request.typing.duration = "On", 4000
                self.api.post_conversations_message_communication_typing(conversation, agent, request)
                # What leaves later has arrived: the first calls of a conversation leave in order.
                last = self.says(conversation, agent)
                self.hooked_message(last.id)
                events = [each.body for each in self.webhook.calls[self.path] if each.body["type"] == "Event"]
                self.assertEqual(len(events), 1 if outbound == "Enabled" else 0)

    def test_a_customers_typing_is_heard_if_it_may_be(self):
        self.switch(event_starts_conversation=True)
        for inbound in ("Enabled", "Disabled"):
            with self.subTest(inbound):
                setting = self.made(f"in {inbound}", inbound, "Enabled")
                integration = self.integration(messaging_setting=self.refers_to(setting))
                answer = self.api.post_conversations_message_inbound_open_event(integration.id, typing_event("yusuf"))
                self.assertEqual(answer.type, "Event")
                heard = True
                try:
                    self.sandbox.agent("send", "yusuf", integration.id, text="You were typing?")
                except HTTPError as error:
                    self.assertEqual(error.code, 404, "there is no conversation")
                    heard = False
                self.assertEqual(heard, inbound == "Enabled")
