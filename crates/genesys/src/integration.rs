//! Open Messaging integrations. An integration connects a middleware, by its webhook URL and a
//! secret, to Genesys's routing.

use std::collections::BTreeMap;

use crate::conversation::EntityRef;
use crate::error_body::ErrorBody;
use crate::record::{record, words};
use crate::secret::Secret;

words! {
    /// The progress of the creation of an integration, which Genesys does in the background.
    ///
    /// ```
    /// use genesys::integration::CreateStatus;
    ///
    /// assert_eq!(CreateStatus::from("Initiated"), CreateStatus::Initiated);
    /// assert_eq!(CreateStatus::from("Paused"), CreateStatus::Other("Paused".to_owned()));
    /// ```
    CreateStatus {
        /// The creation is in progress. Read the integration again later.
        Initiated = "Initiated",
        /// The integration is ready.
        Completed = "Completed",
        /// The creation failed: see [`Integration::create_error`].
        Error = "Error",
    }
}

record! {
    /// A request to create an integration (`OpenIntegrationRequest`): the body of
    /// `POST /api/v2/conversations/messaging/integrations/open`.
    ///
    /// ```
    /// use genesys::integration::IntegrationRequest;
    ///
    /// let request = IntegrationRequest {
    ///     name: "Harbour Chat".to_owned(),
    ///     outbound_notification_webhook_url: "https://bridge.example.net/outbound".to_owned(),
    ///     outbound_notification_webhook_signature_secret_token: "0123456789abcdef".into(),
    ///     ..IntegrationRequest::default()
    /// };
    /// assert_eq!(serde_json::to_value(&request)?["name"], "Harbour Chat");
    /// assert!(!format!("{request:?}").contains("0123456789abcdef"), "`Debug` hides the secret");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict IntegrationRequest {
        needs {
            /// The integration's name, which is also the nickname of the sender of outbound
            /// messages.
            name: String = "name",
            /// The URL to which Genesys posts outbound messages: public HTTPS on port 443.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// The secret that signs the webhook; Genesys requires at least
            /// [`Self::SECRET_MIN_CHARS`] characters.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
        }
        may {
            /// HTTP headers that Genesys sends with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// The profile that says which media are allowed.
            supported_content: EntityRef = "supportedContent",
            /// The setting that says whether typing events are passed on.
            messaging_setting: EntityRef = "messagingSetting",
        }
    }
}

impl IntegrationRequest {
    /// The minimum length of a signature secret. Genesys's SDKs say "longer than 15 characters".
    pub const SECRET_MIN_CHARS: usize = 16;
}

record! {
    /// A change of an integration (`OpenIntegrationUpdateRequest`): the body of
    /// `PATCH /api/v2/conversations/messaging/integrations/open/{integrationId}`.
    ///
    /// ```
    /// use genesys::integration::IntegrationUpdate;
    ///
    /// let secret = Some("fedcba9876543210".into());
    /// let update = IntegrationUpdate {
    ///     name: "Harbour Chat".to_owned(),
    ///     outbound_notification_webhook_signature_secret_token: secret,
    ///     ..IntegrationUpdate::default()
    /// };
    /// // A field that is `None` is not sent, so that it stays as it is.
    /// assert_eq!(serde_json::to_value(&update)?.get("webhookHeaders"), None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict IntegrationUpdate {
        needs {
            /// The integration's name, which Genesys requires in every change.
            name: String = "name",
        }
        may {
            /// The URL to which Genesys posts outbound messages.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// The secret that signs the webhook. Webhook calls that are in flight, and their
            /// retries, may still be signed with the old secret.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
            /// HTTP headers that Genesys sends with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// The profile that says which media are allowed.
            supported_content: EntityRef = "supportedContent",
            /// The setting that says whether typing events are passed on.
            messaging_setting: EntityRef = "messagingSetting",
        }
    }
}

record! {
    /// An integration, as Genesys returns it (`OpenIntegration`).
    ///
    /// ```
    /// use genesys::integration::{CreateStatus, Integration};
    ///
    /// let integration = r#"{"id": "i", "status": "active", "createStatus": "Completed"}"#;
    /// let integration: Integration = serde_json::from_str(integration)?;
    /// assert!(integration.is_active());
    /// assert_eq!(integration.create_status, Some(CreateStatus::Completed));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Integration {
        needs {
            /// The integration's id, which is part of the URL of each inbound call.
            id: String = "id",
        }
        may {
            /// The integration's name.
            name: String = "name",
            /// The URL to which Genesys posts outbound messages.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// The secret that signs the webhook.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
            /// HTTP headers that Genesys sends with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// The profile that says which media are allowed. More than a reference if the call
            /// requested it.
            supported_content: EntityRef = "supportedContent",
            /// The setting that says whether typing events are passed on. More than a reference if
            /// the call requested it.
            messaging_setting: EntityRef = "messagingSetting",
            /// The status, such as `Active`. Genesys also spells it in lower case: compare by
            /// [`Self::is_active`].
            status: String = "status",
            /// The recipient, which connects the integration to an Architect flow.
            recipient: EntityRef = "recipient",
            /// The progress of its creation.
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
            /// The path to read the integration.
            self_uri: String = "selfUri",
        }
    }
}

impl Integration {
    /// Whether the status is `Active` in any case of letters, or absent.
    pub fn is_active(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status.eq_ignore_ascii_case("active"))
    }
}

record! {
    /// One page of the org's integrations (`OpenIntegrationEntityListing`).
    ///
    /// ```
    /// use genesys::integration::IntegrationListing;
    ///
    /// let page = r#"{"entities": [{"id": "i"}], "pageNumber": 1, "pageCount": 1}"#;
    /// let page: IntegrationListing = serde_json::from_str(page)?;
    /// assert_eq!(page.entities.unwrap_or_default()[0].id, "i");
    /// assert!(page.page_number >= page.page_count, "this is the last page");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant IntegrationListing {
        may {
            /// The integrations of this page.
            entities: Vec<Integration> = "entities",
            /// The number of entries on a page.
            page_size: u64 = "pageSize",
            /// The number of this page. The first is 1.
            page_number: u64 = "pageNumber",
            /// The number of entries on all pages.
            total: u64 = "total",
            /// The number of pages.
            page_count: u64 = "pageCount",
            /// The path of the next page, if there is one.
            next_uri: String = "nextUri",
            /// The path of this page.
            self_uri: String = "selfUri",
        }
    }
}
