"""An agent's media: announced, uploaded, sent, kept."""

import base64
import hashlib
import urllib.request
from datetime import timedelta
from urllib.error import HTTPError

import PureCloudPlatformClientV2 as genesys

from .case import Case
from .supported_content import media_types

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def upload(method, url, headers, data):
    """The SDK leaves this to its user: the address is no path of the API, and wants no token."""
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status


def fetched(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.read(), answer.headers["Content-Type"]


def form(name, mime, data):
    """A multipart form with one file."""
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    head = f"--of-the-tests\r\n{disposition}\r\nContent-Type: {mime}\r\n\r\n"
    return head.encode() + data + b"\r\n--of-the-tests--\r\n"


def with_media(*ids, text=None):
    message = genesys.AdditionalMessage()
    message.media_ids = list(ids)
    message.text_body = text
    return message


class Media(Case):
    def setUp(self):
        super().setUp()
        self.talking, self.conversation, self.agent = self.talk()

    def announced(self, name="label.png", data=PIXEL, md5=None):
        request = genesys.UploadMediaRequest()
        request.file_name, request.content_length_bytes, request.content_md5 = name, len(data), md5
        return self.api.post_conversations_message_communication_messages_media_uploads(
            self.conversation, self.agent, request
        )

    def created(self):
        return self.api.post_conversations_message_communication_messages_media(self.conversation, self.agent)

    def found(self, media_id):
        return self.api.get_conversations_message_communication_messages_media_media_id(
            self.conversation, self.agent, media_id
        )

    def valid(self, name="label.png", data=PIXEL):
        made = self.announced(name, data)
        upload("PUT", made.upload_url, made.upload_headers, data)
        return self.found(made.id)

    def send(self, message):
        return self.api.post_conversations_message_communication_messages(self.conversation, self.agent, message)

    def test_one_is_announced_uploaded_and_sent(self):
        made = self.announced(md5=base64.b64encode(hashlib.md5(PIXEL).digest()).decode())
        self.assertIsInstance(made, genesys.MessageMediaUploadData)
        self.assertEqual(made.name, "label.png")
        before = self.found(made.id)
        self.assertIsInstance(before, genesys.MessageMediaData)
        self.assertEqual((before.status, before.url), ("uploading", None))
        upload("PUT", made.upload_url, made.upload_headers, PIXEL)
        after = self.found(made.id)
        self.assertEqual((after.status, after.media_type, after.name), ("valid", "image/png", "label.png"))
        self.assertEqual(after.content_length_bytes, len(PIXEL))
        self.assertEqual((after.conversation_id, after.communication_id), (self.conversation, self.agent))
        self.assertEqual(fetched(after.url)[0], PIXEL)

        for text in (None, ""):
            sent = self.send(with_media(made.id, text=text))
            message = self.hooked_message(sent.id)
            self.assertFalse(message.text)
            self.assertEqual([each.content_type for each in message.content], ["Attachment"])
            attachment = message.content[0].attachment
            self.assertEqual((attachment.media_type, attachment.mime), ("Image", "image/png"))
            self.assertEqual((attachment.filename, attachment.content_size_bytes), ("label.png", len(PIXEL)))
            self.assertTrue(attachment.id)
            self.assertEqual(fetched(attachment.url), (PIXEL, "image/png"))

    def test_one_is_created_and_uploaded_in_each_way(self):
        ways = {
            "put": ("PUT", {"Content-Type": "image/png"}, PIXEL),
            "post": ("POST", {"Content-Type": "image/png"}, PIXEL),
            "form": (
                "POST",
                {"Content-Type": "multipart/form-data; boundary=of-the-tests"},
                form("label.png", "image/png", PIXEL),
            ),
        }
        for what, (method, headers, data) in ways.items():
            with self.subTest(what):
                made = self.created()
                self.assertIsInstance(made, genesys.MessageMediaData)
                self.assertEqual(made.status, "uploading")
                upload(method, made.upload_url, headers, data)
                found = self.found(made.id)
                self.assertEqual((found.status, found.media_type), ("valid", "image/png"))
                self.assertEqual(fetched(found.url)[0], PIXEL)

    def test_another_file_than_announced_is_invalid(self):
        other = base64.b64encode(hashlib.md5(b"another file").digest()).decode()
        for what, made, data in (
            ("too short", self.announced(), PIXEL[:-1]),
            ("with another MD5", self.announced(md5=other), PIXEL),
        ):
            with self.subTest(what):
                upload("PUT", made.upload_url, made.upload_headers, data)
                self.assertEqual(self.found(made.id).status, "invalid")
                self.refused(400, "bad.request", self.send, with_media(made.id))

    def test_what_the_profile_does_not_allow_is_invalid(self):
        made = self.announced("bill.pdf", b"%PDF-1.7 a bill")
        upload("PUT", made.upload_url, made.upload_headers, b"%PDF-1.7 a bill")
        self.assertEqual(self.found(made.id).status, "invalid")
        self.refused(400, "bad.request", self.send, with_media(made.id))
        self.assertEqual(self.webhook.calls[self.path], [], "nothing was sent")

    def test_a_profile_that_changes_later_still_counts(self):
        made = self.valid()
        profile = genesys.SupportedContent()
        profile.name, profile.media_types = "nothing out", media_types(["*/*"], [])
        change = genesys.OpenIntegrationUpdateRequest()
        change.name, change.supported_content = self.talking.name, genesys.SupportedContentReference()
        change.supported_content.id = self.api.post_conversations_messaging_supportedcontent(profile).id
        self.api.patch_conversations_messaging_integrations_open_integration_id(self.talking.id, change)
        self.refused(400, "bad.request", self.send, with_media(made.id))
        self.hooked_message(self.says(self.conversation, self.agent).id)
        self.assertEqual(len(self.webhook.calls[self.path]), 1, "only the text was sent")

    def test_too_large_is_refused(self):
        request = genesys.UploadMediaRequest()
        request.file_name, request.content_length_bytes = "film.png", 26 * 1024 * 1024
        announce = self.api.post_conversations_message_communication_messages_media_uploads
        self.refused(400, "bad.request", announce, self.conversation, self.agent, request)
        self.refused(400, "bad.request", announce, self.conversation, self.agent, {"fileName": "label.png"})

    def test_the_listing_goes_by_status_and_pages(self):
        valid = {self.valid().id for _ in range(3)}
        waiting = self.created().id
        get = self.api.get_conversations_message_communication_messages_media
        everything = get(self.conversation, self.agent)
        self.assertIsInstance(everything, genesys.MessageMediaListing)
        self.assertEqual({each.id for each in everything.entities}, valid | {waiting})
        pages = [get(self.conversation, self.agent, status="valid", page_size=2, page_number=n) for n in (1, 2)]
        self.assertEqual([len(page.entities) for page in pages], [2, 1])
        self.assertEqual({each.id for page in pages for each in page.entities}, valid)
        self.assertEqual((pages[0].total, pages[0].page_count), (3, 2))

    def test_who_is_not_there_has_no_media(self):
        unknown = "00000000-0000-4000-8000-000000000000"
        create = self.api.post_conversations_message_communication_messages_media
        self.refused(404, "not.found", create, unknown, self.agent)
        self.refused(404, "not.found", create, self.conversation, unknown)
        self.refused(404, "not.found", self.found, unknown)
        self.refused(404, "not.found", self.send, with_media(unknown))
        self.refused(400, "bad.request", self.send, with_media(self.created().id))

    def test_what_was_sent_is_cached(self):
        self.switch(media_life="24h")
        unsent, made = self.valid("unsent.png"), self.valid()
        sent = self.send(with_media(made.id))
        url = self.hooked_message(sent.id).content[0].attachment.url
        listing = self.api.get_conversations_messages_cachedmedia(url=url)
        self.assertIsInstance(listing, genesys.CachedMediaItemEntityListing)
        self.assertEqual((len(listing.entities), listing.total), (1, 1))
        item = listing.entities[0]
        self.assertEqual((item.url, item.media_type), (url, "image/png"))
        self.assertEqual(item.content_length_bytes, len(PIXEL))
        self.assertMoment(item.date_created)
        self.assertEqual(item.date_expires - item.date_created, timedelta(hours=24))
        self.assertEqual(fetched(item.download_url)[0], PIXEL)
        self.assertEqual(self.api.get_conversations_messages_cachedmedia(url=unsent.url).entities, [])

        by_id = self.api.get_conversations_messages_cachedmedia_cached_media_item_id
        self.assertEqual(by_id(item.id).url, url)
        delete = self.api.delete_conversations_messages_cachedmedia_cached_media_item_id
        delete(item.id)
        self.refused(404, "not.found", by_id, item.id)
        self.refused(404, "not.found", delete, item.id)
        with self.assertRaises(HTTPError) as raised:
            fetched(item.download_url)
        self.assertEqual(raised.exception.code, 404)

    def test_a_token_may_be_needed_for_it(self):
        self.switch(media_token=True)
        url = self.hooked_message(self.send(with_media(self.valid().id)).id).content[0].attachment.url
        with self.assertRaises(HTTPError) as raised:
            fetched(url)
        self.assertEqual(raised.exception.code, 401)
        self.assertEqual(fetched(url, self.sdk.access_token)[0], PIXEL)

    def test_its_address_may_die(self):
        self.switch(media_life="10m")
        url = self.valid().url
        self.sandbox.advance("9m")
        self.assertEqual(fetched(url)[0], PIXEL)
        self.sandbox.advance("2m")
        with self.assertRaises(HTTPError) as raised:
            fetched(url)
        self.assertEqual(raised.exception.code, 404)

    def test_a_text_may_be_needed_beside_it(self):
        self.switch(agent_text_needed=True)
        made = self.valid()
        self.refused(400, "bad.request", self.send, with_media(made.id))
        self.hooked_message(self.send(with_media(made.id, text="")).id)

    def test_the_cache_goes_by_pages(self):
        for _ in range(3):
            self.send(with_media(self.valid().id))
        get = self.api.get_conversations_messages_cachedmedia
        first = get(page_size=2, page_number=1)
        self.assertEqual((len(first.entities), first.page_size, first.page_number), (2, 2, 1))
        seen = [each.id for n in range(1, first.page_count + 1) for each in get(page_size=2, page_number=n).entities]
        self.assertEqual((len(seen), len(set(seen))), (first.total, first.total))
        self.assertGreaterEqual(first.total, 3)
