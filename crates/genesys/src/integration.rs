//! Open Messaging integrations, which connect a webhook URL and a secret to Genesys's routing.

use std::collections::BTreeMap;

use crate::conversation::EntityRef;
use crate::error_body::ErrorBody;
use crate::record::{record, words};
use crate::secret::Secret;

words! {
    /// The progress of an integration's creation, which is asynchronous.
    ///
    /// ```
    /// use genesys::integration::CreateStatus;
    ///
    /// assert_eq!(CreateStatus::from("Initiated"), CreateStatus::Initiated);
    /// assert_eq!(CreateStatus::from("Paused"), CreateStatus::Other("Paused".to_owned()));
    /// ```
    CreateStatus {
        /// In progress: ask again.
        Initiated = "Initiated",
        /// Ready.
        Completed = "Completed",
        /// Failed; see `createError`.
        Error = "Error",
    }
}

record! {
    /// A request to create an integration (`OpenIntegrationRequest`).
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
            /// Name to show; also the nickname that outbound messages come from.
            name: String = "name",
            /// Where Genesys posts outbound messages: public HTTPS on port 443.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// The secret that signs the webhook; Genesys requires at least
            /// [`Self::SECRET_MIN_CHARS`] characters.
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
    /// The minimum length of a signature secret ("longer than 15 characters", SDK text).
    pub const SECRET_MIN_CHARS: usize = 16;
}

record! {
    /// A change of an integration (`OpenIntegrationUpdateRequest`); Genesys requires the name in
    /// every change.
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
            /// Name to show.
            name: String = "name",
        }
        may {
            /// Where Genesys posts outbound messages.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// The secret that signs the webhook. Calls in flight and retries may still carry the
            /// old signature.
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
            /// Its id.
            id: String = "id",
        }
        may {
            /// Name to show.
            name: String = "name",
            /// Where Genesys posts outbound messages.
            outbound_notification_webhook_url: String = "outboundNotificationWebhookUrl",
            /// The secret that signs the webhook.
            outbound_notification_webhook_signature_secret_token: Secret =
                "outboundNotificationWebhookSignatureSecretToken",
            /// Sent with every webhook call.
            webhook_headers: BTreeMap<String, Secret> = "webhookHeaders",
            /// Which media are allowed; more than a link if it was requested.
            supported_content: EntityRef = "supportedContent",
            /// Whether typing is passed on; more than a link if it was requested.
            messaging_setting: EntityRef = "messagingSetting",
            /// `Active`; seen in lower case too, so compare by [`Self::is_active`].
            status: String = "status",
            /// The link between the integration and an Architect flow.
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
            /// The URL to read it.
            self_uri: String = "selfUri",
        }
    }
}

impl Integration {
    /// Whether Genesys calls it active, or gives no status.
    pub fn is_active(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status.eq_ignore_ascii_case("active"))
    }
}

record! {
    /// One page of integrations.
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
            /// This page; the first is 1.
            page_number: u64 = "pageNumber",
            /// The number of entries on all pages.
            total: u64 = "total",
            /// The number of pages.
            page_count: u64 = "pageCount",
            /// The URL of the next page.
            next_uri: String = "nextUri",
            /// The URL of this page.
            self_uri: String = "selfUri",
        }
    }
}
