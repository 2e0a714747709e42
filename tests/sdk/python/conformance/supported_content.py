"""Supported content: the profiles, and what happens to media that they do not allow."""

import PureCloudPlatformClientV2 as genesys

from .case import Case, inbound


def media_types(inbound=None, outbound=None):
    def of(types):
        found = []
        for each in types:
            media_type = genesys.MediaType()
            media_type.type = each
            found.append(media_type)
        return found

    access = genesys.MediaTypeAccess()
    if inbound is not None:
        access.inbound = of(inbound)
    if outbound is not None:
        access.outbound = of(outbound)
    types = genesys.MediaTypes()
    types.allow = access
    return types


def allowed(profile):
    allow = profile.media_types.allow
    return [each.type for each in allow.inbound], [each.type for each in allow.outbound]


def attached(mime, media_type, name):
    content = genesys.OpenInboundMessageContent()
    content.attachment = genesys.OpenContentAttachment()
    content.attachment.media_type, content.attachment.mime = media_type, mime
    content.attachment.url = f"https://files.example.net/{name}"
    content.attachment.filename = name
    return content


class SupportedContent(Case):
    def made(self, name="pictures", inbound=("*/*",), outbound=("image/png",)):
        profile = genesys.SupportedContent()
        profile.name, profile.media_types = name, media_types(inbound, outbound)
        return self.api.post_conversations_messaging_supportedcontent(profile)

    def refers_to(self, profile):
        reference = genesys.SupportedContentReference()
        reference.id = profile.id
        return reference

    def test_one_is_made_read_changed_and_deleted(self):
        made = self.made("scans", ["image/*", "application/pdf"], ["application/pdf"])
        self.assertIsInstance(made, genesys.SupportedContent)
        self.assertEqual(allowed(made), (["image/*", "application/pdf"], ["application/pdf"]))
        self.assertMoment(made.date_created)
        self.assertTrue(made.self_uri.endswith(made.id))
        self.assertIsInstance(made.version, (int, type(None)))
        found = self.api.get_conversations_messaging_supportedcontent_supported_content_id(made.id)
        self.assertEqual((found.id, found.name, allowed(found)), (made.id, "scans", allowed(made)))

        change = genesys.SupportedContent()
        change.name, change.media_types = "papers", media_types(["application/pdf"], [])
        patch = self.api.patch_conversations_messaging_supportedcontent_supported_content_id
        changed = patch(made.id, change)
        self.assertEqual((changed.name, allowed(changed)), ("papers", (["application/pdf"], [])))
        found = self.api.get_conversations_messaging_supportedcontent_supported_content_id(made.id)
        self.assertEqual((found.name, allowed(found)), ("papers", allowed(changed)))

        delete = self.api.delete_conversations_messaging_supportedcontent_supported_content_id
        delete(made.id)
        by_id = self.api.get_conversations_messaging_supportedcontent_supported_content_id
        self.refused(404, "not.found", by_id, made.id)
        self.refused(404, "not.found", patch, made.id, change)
        self.refused(404, "not.found", delete, made.id)

    def test_an_id_in_a_request_is_ignored(self):
        profile = genesys.SupportedContent()
        profile.id, profile.name, profile.media_types = "mine", "named", media_types(["*/*"], ["*/*"])
        made = self.api.post_conversations_messaging_supportedcontent(profile)
        self.assertNotEqual(made.id, "mine")

    def test_a_name_is_needed(self):
        profile = genesys.SupportedContent()
        profile.media_types = media_types(["*/*"], ["*/*"])
        self.refused(400, "bad.request", self.api.post_conversations_messaging_supportedcontent, profile)

    def test_the_listing_goes_by_pages(self):
        made = {self.made(f"page {n}").id for n in range(3)}
        first = self.api.get_conversations_messaging_supportedcontent(page_size=2, page_number=1)
        self.assertIsInstance(first, genesys.SupportedContentListing)
        self.assertEqual((len(first.entities), first.page_size, first.page_number), (2, 2, 1))
        pages = range(1, first.page_count + 1)
        listed = [self.api.get_conversations_messaging_supportedcontent(page_size=2, page_number=n) for n in pages]
        seen = [each.id for page in listed for each in page.entities]
        self.assertEqual(len(seen), first.total)
        self.assertLessEqual(made, set(seen))

    def test_the_default_is_there_from_the_beginning_and_can_be_set(self):
        own = self.api.get_conversations_messaging_supportedcontent_default()
        self.assertEqual(own.name, "Default")
        self.assertEqual(allowed(own), (["*/*"], ["image/jpeg", "image/png", "image/gif"]))
        self.assertEqual(self.integration().supported_content.id, own.id)
        made = self.made("of the house")
        put = self.api.put_conversations_messaging_supportedcontent_default
        self.addCleanup(put, self.refers_to(own))
        self.assertEqual(put(self.refers_to(made)).id, made.id)
        self.assertEqual(self.api.get_conversations_messaging_supportedcontent_default().id, made.id)
        integration = self.integration()
        self.assertEqual((integration.supported_content.id, integration.supported_content.name), (made.id, made.name))

    def test_an_integration_names_its_profile(self):
        made, other = self.made("of the harbour"), self.made("of the station")
        integration = self.integration(supported_content=self.refers_to(made))
        self.assertEqual(integration.supported_content.id, made.id)
        self.assertEqual(integration.supported_content.name, "of the harbour")
        self.assertTrue(integration.supported_content.self_uri.endswith(made.id))
        listing = self.api.get_conversations_messaging_integrations_open(supported_content_id=made.id)
        self.assertEqual([each.id for each in listing.entities], [integration.id])

        change = genesys.OpenIntegrationUpdateRequest()
        change.name, change.supported_content = integration.name, self.refers_to(other)
        patch = self.api.patch_conversations_messaging_integrations_open_integration_id
        self.assertEqual(patch(integration.id, change).supported_content.id, other.id)
        change.supported_content.id = "00000000-0000-4000-8000-000000000000"
        self.refused(400, "bad.request", patch, integration.id, change)
        request = self.integration_request(supported_content=change.supported_content)
        self.refused(400, "bad.request", self.api.post_conversations_messaging_integrations_open, request)

    def test_an_inbound_attachment_that_is_not_allowed_is_dropped(self):
        profile = self.made("pictures in", inbound=["image/png"])
        integration = self.integration(supported_content=self.refers_to(profile))
        message = inbound("noor", "The label and the bill")
        message.content = [attached("image/png", "Image", "label.png"), attached("application/pdf", "File", "bill.pdf")]
        answer = self.api.post_conversations_message_inbound_open_message(
            integration.id, message, prefetch_conversation_id=True
        )
        kept = self.api.get_conversations_message_details(answer.id).normalized_message
        self.assertEqual(kept.text, "The label and the bill")
        self.assertEqual([each.attachment.filename for each in kept.content], ["label.png"])
        self.assertEqual(kept.content[0].attachment.mime, "image/png")
