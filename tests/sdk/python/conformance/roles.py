"""Roles: which permission each call wants."""

import uuid

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException

from .case import Case

# One of these permissions, for each call that wants any. The arguments name nothing that is there: whoever may call
# is told that it is not found or wrong, or gets an answer.
NOWHERE = "00000000-0000-4000-8000-000000000000"
RECEIVE = ["conversation:message:receive"]
VIEW = ["conversation:message:view", "conversation:webmessaging:view"]
INTEGRATION = "conversations_messaging_integrations_open"
IDENTITY = "conversations_messaging_identityresolution_integrations_open_integration_id"
SETTING, CONTENT = "conversations_messaging_setting", "conversations_messaging_supportedcontent"
CALLS = [
    (f"get_{INTEGRATION}", [], ["messaging:integration:view"]),
    (f"post_{INTEGRATION}", [{}], ["messaging:integration:add"]),
    (f"get_{INTEGRATION}_integration_id", [NOWHERE], ["messaging:integration:view"]),
    (f"patch_{INTEGRATION}_integration_id", [NOWHERE, {}], ["messaging:integration:edit"]),
    (f"delete_{INTEGRATION}_integration_id", [NOWHERE], ["messaging:integration:delete"]),
    (f"get_{IDENTITY}", [NOWHERE], ["messaging:integration:view", "messaging:identityResolutionOpen:view"]),
    (f"put_{IDENTITY}", [NOWHERE, {}], ["messaging:integration:edit", "messaging:identityResolutionOpen:edit"]),
    (f"get_{SETTING}s", [], ["messaging:setting:view"]),
    (f"post_{SETTING}s", [{}], ["messaging:setting:add"]),
    (f"get_{SETTING}", [NOWHERE], ["messaging:setting:view"]),
    (f"patch_{SETTING}", [NOWHERE, {}], ["messaging:setting:edit"]),
    (f"delete_{SETTING}", [NOWHERE], ["messaging:setting:delete"]),
    (f"get_{SETTING}s_default", [], ["messaging:setting:view"]),
    (f"put_{SETTING}s_default", [{}], ["messaging:setting:edit"]),
    (f"delete_{SETTING}s_default", [], ["messaging:setting:edit", "messaging:setting:delete"]),
    (f"get_{CONTENT}", [], ["messaging:supportedContent:view"]),
    (f"post_{CONTENT}", [{}], ["messaging:supportedContent:add"]),
    (f"get_{CONTENT}_supported_content_id", [NOWHERE], ["messaging:supportedContent:view"]),
    (f"patch_{CONTENT}_supported_content_id", [NOWHERE, {}], ["messaging:supportedContent:edit"]),
    (f"delete_{CONTENT}_supported_content_id", [NOWHERE], ["messaging:supportedContent:delete"]),
    (f"get_{CONTENT}_default", [], ["messaging:supportedContent:view"]),
    (f"put_{CONTENT}_default", [{}], ["messaging:supportedContent:edit"]),
    ("get_conversations_messaging_threadingtimeline", [], ["conversation:threadingTimeline:view"]),
    ("put_conversations_messaging_threadingtimeline", [{}], ["conversation:threadingTimeline:edit"]),
    ("post_conversations_message_inbound_open_message", [NOWHERE, {}], RECEIVE),
    ("post_conversations_message_inbound_open_receipt", [NOWHERE, {}], RECEIVE),
    ("post_conversations_message_inbound_open_event", [NOWHERE, {}], RECEIVE),
    ("post_conversations_message_inbound_open_structured_response", [NOWHERE, {}], RECEIVE),
    ("post_conversations_messages_inbound_open", [{}], RECEIVE),
    ("get_conversations_message_details", [NOWHERE], VIEW),
    ("get_conversations_message_message", [NOWHERE, NOWHERE], VIEW),
    ("post_conversations_message_messages_bulk", [NOWHERE], VIEW),
    (
        "patch_conversations_message",
        [NOWHERE, {"state": "disconnected"}],
        ["conversation:communication:disconnect", "conversation:message:park"],
    ),
]
EVERYTHING = sorted({permission for _, _, permissions in CALLS for permission in permissions})


class Roles(Case):
    def acts_as(self, permissions):
        """From now on a client with these permissions only calls."""
        client = (f"role-{uuid.uuid4()}", "secret-of-the-role")
        self.sandbox.role(*client, permissions)
        self.use(self.login(client))

    def status(self, call, arguments):
        try:
            getattr(self.api, call)(*arguments)
        except ApiException as error:
            if error.status == 403:
                self.assertTrue(error.told.code.startswith("missing."), error.told.code)
            return error.status
        return 200

    def test_without_its_permission_a_call_is_403(self):
        for call, arguments, permissions in CALLS:
            with self.subTest(call):
                self.acts_as([each for each in EVERYTHING if each not in permissions])
                self.assertEqual(self.status(call, arguments), 403)

    def test_each_of_its_permissions_is_enough(self):
        for call, arguments, permissions in CALLS:
            for permission in permissions:
                with self.subTest(call, permission=permission):
                    self.acts_as([permission])
                    self.assertIn(self.status(call, arguments), (200, 400, 404))

    def test_a_star_stands_for_all_of_a_kind(self):
        self.acts_as(["messaging:integration:*"])
        made = self.integration()
        self.api.delete_conversations_messaging_integrations_open_integration_id(made.id)
        self.assertEqual(self.status("get_conversations_messaging_settings", []), 403)

    def test_a_receiver_needs_no_more(self):
        integration = self.integration()
        self.acts_as(RECEIVE)
        conversation = self.writes(integration).conversation_id
        # These want no permission.
        self.assertEqual(self.api.get_conversations_message(conversation).id, conversation)
        change = genesys.MediaParticipantRequest()
        change.state = "disconnected"
        customer = self.present(conversation, "customer").id
        self.api.patch_conversations_message_participant(conversation, customer, body=change)
        channel = genesys.NotificationsApi(self.sdk).post_notifications_channels()
        self.assertTrue(channel.connect_uri)

    def test_a_role_may_change(self):
        client = (f"role-{uuid.uuid4()}", "secret-of-the-role")
        self.sandbox.role(*client, [])
        self.use(self.login(client))
        self.assertEqual(self.status("get_conversations_messaging_integrations_open", []), 403)
        # Without `permissions` it has all.
        self.sandbox.role(*client)
        self.use(self.login(client))
        self.assertEqual(self.status("get_conversations_messaging_integrations_open", []), 200)
