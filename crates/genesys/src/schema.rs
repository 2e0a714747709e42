//! JSON Schemas (draft 2020-12) of the bodies, for emulators and tests that validate a body as
//! Genesys does. They are derived from the models of Genesys's SDKs; the `$comment` of each one
//! says from which.

/// A JSON Schema and its name.
///
/// ```
/// use genesys::schema;
/// use serde_json::json;
///
/// // With the crate `boon`; any validator does.
/// let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
/// compiler.add_resource("schema:typing", serde_json::from_str(schema::AGENT_TYPING.json)?)?;
/// let typing = compiler.compile("schema:typing", &mut schemas)?;
/// assert!(schemas.validate(&json!({"typing": {"type": "On"}}), typing).is_ok());
/// assert!(schemas.validate(&json!({"typing": "On"}), typing).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The name of its file under `schemas/`, without `.schema.json`.
    pub name: &'static str,
    /// The schema as JSON text. It has no external references.
    pub json: &'static str,
}

macro_rules! schemas {
    ($( $(#[$doc:meta])* $name:ident = $file:literal; )*) => {
        $(
            $(#[$doc])*
            pub const $name: Schema = Schema {
                name: $file,
                json: include_str!(concat!("../schemas/", $file, ".schema.json")),
            };
        )*

        /// Every schema of this module.
        pub const ALL: &[Schema] = &[$($name),*];
    };
}

schemas! {
    /// Body of the outbound webhook.
    WEBHOOK_MESSAGE = "outbound-webhook-message";
    /// Request of `inbound/open/message`.
    INBOUND_MESSAGE = "inbound-open-message";
    /// Answer of `inbound/open/message`.
    MESSAGE_RESPONSE = "inbound-open-message-response";
    /// Request of `inbound/open/receipt`.
    INBOUND_RECEIPT = "inbound-receipt";
    /// Answer of `inbound/open/receipt`.
    RECEIPT_RESPONSE = "inbound-receipt-response";
    /// Request of `inbound/open/event`.
    INBOUND_EVENT = "inbound-event";
    /// Answer of `inbound/open/event`.
    EVENT_RESPONSE = "inbound-event-response";
    /// Request of `inbound/open/structured/response`.
    STRUCTURED_RESPONSE = "structured-response";
    /// Answer of `inbound/open/structured/response`.
    STRUCTURED_RESPONSE_RESPONSE = "structured-response-response";
    /// Request and answer of the deprecated `inbound/open`.
    LEGACY_INBOUND = "legacy-inbound-open";
    /// Request that creates an integration.
    INTEGRATION_REQUEST = "integration-request";
    /// Request that changes an integration.
    INTEGRATION_UPDATE = "integration-update-request";
    /// An integration.
    INTEGRATION = "integration-response";
    /// A page of integrations.
    INTEGRATION_LISTING = "integration-listing";
    /// Body of any error.
    ERROR_BODY = "error-body";
    /// A conversation.
    MESSAGE_CONVERSATION = "message-conversation";
    /// A conversation with all of its media, as the call that ends it answers.
    CONVERSATION = "conversation";
    /// Answer of the call that tears a conversation down.
    DISCONNECT_RESPONSE = "conversation-disconnect-response";
    /// Details of a message.
    MESSAGE_DETAILS = "message-details";
    /// Request for details of many messages.
    MESSAGES_BULK_REQUEST = "messages-bulk-request";
    /// Details of many messages.
    MESSAGE_LISTING = "message-listing";
    /// Request of an agent who writes.
    AGENT_MESSAGE = "agent-message-request";
    /// Request of an agent who types.
    AGENT_TYPING = "agent-typing-request";
    /// Request for a message without an agent.
    AGENTLESS_REQUEST = "agentless-request";
    /// Answer to a message without an agent.
    AGENTLESS_RESPONSE = "agentless-response";
    /// Request that changes a participant.
    PARTICIPANT_PATCH = "participant-patch";
    /// Request that hands a conversation over.
    TRANSFER_REQUEST = "transfer-request";
    /// Answer of the token endpoint.
    TOKEN_RESPONSE = "oauth-token-response";
    /// Refusal of the token endpoint.
    OAUTH_ERROR = "oauth-error";
    /// Which events are passed on.
    MESSAGING_SETTING = "messaging-setting";
    /// Request that creates a messaging setting.
    MESSAGING_SETTING_REQUEST = "messaging-setting-request";
    /// Request that changes a messaging setting.
    MESSAGING_SETTING_PATCH = "messaging-setting-patch";
    /// Request that makes a messaging setting the default.
    MESSAGING_SETTING_DEFAULT = "messaging-setting-default-request";
    /// A page of messaging settings.
    MESSAGING_SETTING_LISTING = "messaging-setting-listing";
    /// Which media are allowed.
    SUPPORTED_CONTENT = "supported-content";
    /// Request that creates a supported content profile.
    SUPPORTED_CONTENT_REQUEST = "supported-content-request";
    /// Request that changes a supported content profile.
    SUPPORTED_CONTENT_PATCH = "supported-content-patch";
    /// Request that makes a supported content profile the default.
    SUPPORTED_CONTENT_REFERENCE = "supported-content-reference";
    /// A page of supported content profiles.
    SUPPORTED_CONTENT_LISTING = "supported-content-listing";
    /// Whether customers are looked up among the contacts.
    IDENTITY_RESOLUTION = "identity-resolution";
    /// Request for an address to upload an agent's file to.
    MEDIA_UPLOAD_REQUEST = "media-upload-request";
    /// The address to upload an agent's file to.
    MEDIA_UPLOAD = "media-upload";
    /// An agent's file.
    MEDIA_DATA = "media-data";
    /// A page of an agent's files.
    MEDIA_LISTING = "media-listing";
    /// A file that Genesys keeps.
    CACHED_MEDIA_ITEM = "cached-media-item";
    /// A page of files that Genesys keeps.
    CACHED_MEDIA_LISTING = "cached-media-listing";
    /// When a new message begins a new conversation.
    THREADING_TIMELINE = "threading-timeline";
    /// A notification channel.
    NOTIFICATION_CHANNEL = "notification-channel";
    /// The notification channels of a client.
    NOTIFICATION_CHANNEL_LISTING = "notification-channel-listing";
    /// Request for topics.
    NOTIFICATION_TOPICS = "notification-topics";
    /// The topics of a notification channel.
    NOTIFICATION_TOPIC_LISTING = "notification-topic-listing";
    /// A frame of a notification channel.
    NOTIFICATION_ENVELOPE = "notification-envelope";
    /// Notification: an agent left.
    USER_END = "event-user-end";
    /// Notification: the customer left.
    CUSTOMER_END = "event-customer-end";
    /// Notification: the queue handed over.
    ACD_END = "event-acd-end";
    /// Notification: after-call work.
    ACW = "event-acw";
    /// Notification: a conversation changed.
    CONVERSATION_MESSAGE = "event-conversation-message";
}
