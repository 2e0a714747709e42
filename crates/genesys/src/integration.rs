//! Open Messaging integrations: what ties a webhook URL and a secret to Genesys's routing.

use std::collections::BTreeMap;

use crate::conversation::EntityRef;
use crate::error_body::ErrorBody;
use crate::record::{record, words};
use crate::secret::Secret;

words! {
    /// How far the creation of an integration has come; it is asynchronous.
    CreateStatus {
        /// Under way: ask again.
        Initiated = "Initiated",
        /// Ready.
        Completed = "Completed",
        /// Failed; see `createError`.
        Error = "Error",
    }
}

record! {
    /// The wish for an integration (`OpenIntegrationRequest`).
    strict IntegrationRequest {
        needs {
            /// Name to show; also the nickname that outbound messages come from.
            name: String = "name",
            /// Where Genesys posts outbound messages: public HTTPS on port 443.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// Signs the webhook; Genesys wants at least [`Self::SECRET_MIN_CHARS`] characters.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
        }
        may {
            /// Sent with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// Which media are allowed.
            supported_content: EntityRef = "supportedContent",
            /// Whether typing is passed on.
            messaging_setting: EntityRef = "messagingSetting",
        }
    }
}

impl IntegrationRequest {
    /// How long a signature secret must be ("longer than 15 characters", SDK text).
    pub const SECRET_MIN_CHARS: usize = 16;
}

record! {
    /// A change of an integration (`OpenIntegrationUpdateRequest`); Genesys wants the name in every one.
    strict IntegrationUpdate {
        needs {
            /// Name to show.
            name: String = "name",
        }
        may {
            /// Where Genesys posts outbound messages.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// Signs the webhook. Calls in flight and retries may still carry the old signature.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
            /// Sent with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// Which media are allowed.
            supported_content: EntityRef = "supportedContent",
            /// Whether typing is passed on.
            messaging_setting: EntityRef = "messagingSetting",
        }
    }
}

record! {
    /// An integration as Genesys has it (`OpenIntegration`).
    tolerant Integration {
        needs {
            /// Its id.
            id: String = "id",
        }
        may {
            /// Name to show.
            name: String = "name",
            /// Where Genesys posts outbound messages.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// Signs the webhook.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
            /// Sent with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// Which media are allowed; more than a link where it was asked for.
            supported_content: EntityRef = "supportedContent",
            /// Whether typing is passed on; more than a link where it was asked for.
            messaging_setting: EntityRef = "messagingSetting",
            /// `Active`; seen in lower case too, so compare by [`Self::is_active`].
            status: String = "status",
            /// Ties the integration to an Architect flow.
            recipient: EntityRef = "recipient",
            /// How far its creation has come.
            create_status: CreateStatus = "createStatus",
            /// Why its creation failed.
            create_error: ErrorBody = "createError",
            /// When it was created, ISO 8601.
            date_created: String = "dateCreated",
            /// When it was changed, ISO 8601.
            date_modified: String = "dateModified",
            /// Who created it.
            created_by: EntityRef = "createdBy",
            /// Who changed it.
            modified_by: EntityRef = "modifiedBy",
            /// Where to read it.
            self_uri: String = "selfUri",
        }
    }
}

impl Integration {
    /// Whether Genesys calls it active, or says nothing about it.
    pub fn is_active(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status.eq_ignore_ascii_case("active"))
    }
}

record! {
    /// One page of integrations.
    tolerant IntegrationListing {
        may {
            /// The integrations of this page.
            entities: Vec<Integration> = "entities",
            /// Entries a page.
            page_size: u64 = "pageSize",
            /// This page; the first is 1.
            page_number: u64 = "pageNumber",
            /// Entries on all pages.
            total: u64 = "total",
            /// Pages.
            page_count: u64 = "pageCount",
            /// Where to read the next page.
            next_uri: String = "nextUri",
            /// Where to read this page.
            self_uri: String = "selfUri",
        }
    }
}
