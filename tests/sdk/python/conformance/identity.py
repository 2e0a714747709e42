"""Identity resolution of an integration."""

import PureCloudPlatformClientV2 as genesys

from .case import Case


class Identity(Case):
    def setUp(self):
        super().setUp()
        self.get = self.api.get_conversations_messaging_identityresolution_integrations_open_integration_id
        self.put = self.api.put_conversations_messaging_identityresolution_integrations_open_integration_id

    def test_it_is_off_at_first_and_can_be_set(self):
        integration = self.integration()
        found = self.get(integration.id)
        self.assertIsInstance(found, genesys.OpenMessagingIdentityResolutionConfig)
        self.assertIs(found.resolve_identities, False)
        config = genesys.OpenMessagingIdentityResolutionConfig()
        config.resolve_identities = True
        self.assertIs(self.put(integration.id, config).resolve_identities, True)
        self.assertIs(self.get(integration.id).resolve_identities, True)
        self.assertIs(self.get(self.integration().id).resolve_identities, False, "it is each integration's own")

    def test_it_must_say_whether(self):
        config = genesys.OpenMessagingIdentityResolutionConfig()
        config.external_source = genesys.IdentityResolutionExternalSource()
        config.external_source.id = "of-the-shop"
        self.refused(400, "bad.request", self.put, self.integration().id, config)

    def test_an_unknown_integration_is_404(self):
        unknown = "00000000-0000-4000-8000-000000000000"
        config = genesys.OpenMessagingIdentityResolutionConfig()
        config.resolve_identities = True
        self.refused(404, "not.found", self.get, unknown)
        self.refused(404, "not.found", self.put, unknown, config)
