//! Every call of Genesys's API that the sandbox serves: its path, the permission that it needs, its
//! bodies.
//!
//! This is the only list: requests and answers are checked against it, 403 answers come from it,
//! and the OpenAPI document is generated from it. A route that is not listed here cannot answer
//! with success. The SDKs' tests call every listed one.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;

/// One call of the API.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// The name that Genesys's SDKs give it.
    pub(super) id: &'static str,
    /// One of these permissions is needed; empty if the permission is unknown.
    pub(super) needs: &'static [&'static str],
    /// The schema of its body.
    pub(super) body: Option<&'static str>,
    /// The statuses of success, with the schema of the answer.
    pub(super) answers: &'static [u16],
    pub(super) answer: Option<&'static str>,
    pub(super) query: &'static [(&'static str, &'static str)],
}

macro_rules! operations {
    ($(
        $method:ident $path:literal
        $id:ident [$($needs:literal),*]
        ($($body:literal)?) -> $($status:literal),+ $(=> $answer:literal)?
        $(? $($query:literal: $type:literal),+)?;
    )*) => {
        /// Every call that is served.
        pub(super) const OPERATIONS: &[Operation] = &[$(Operation {
            method: stringify!($method),
            path: $path,
            id: stringify!($id),
            needs: &[$($needs),*],
            body: operations!(@maybe $($body)?),
            answers: &[$($status),+],
            answer: operations!(@maybe $($answer)?),
            query: &[$($(($query, $type)),+)?],
        }),*];
    };
    (@maybe) => { None };
    (@maybe $it:literal) => { Some($it) };
}

operations! {
    get "/api/v2/conversations/messaging/integrations/open"
        getConversationsMessagingIntegrationsOpen ["messaging:integration:view"]
        () -> 200 => "integration-listing"
        ? "pageSize": "integer", "pageNumber": "integer", "expand": "string",
          "supportedContent.id": "string", "messagingSetting.id": "string";
    post "/api/v2/conversations/messaging/integrations/open"
        postConversationsMessagingIntegrationsOpen ["messaging:integration:add"]
        ("integration-request") -> 200 => "integration-response";
    get "/api/v2/conversations/messaging/integrations/open/{integrationId}"
        getConversationsMessagingIntegrationsOpenIntegrationId ["messaging:integration:view"]
        () -> 200 => "integration-response" ? "expand": "string";
    patch "/api/v2/conversations/messaging/integrations/open/{integrationId}"
        patchConversationsMessagingIntegrationsOpenIntegrationId ["messaging:integration:edit"]
        ("integration-update-request") -> 200 => "integration-response";
    delete "/api/v2/conversations/messaging/integrations/open/{integrationId}"
        deleteConversationsMessagingIntegrationsOpenIntegrationId ["messaging:integration:delete"]
        () -> 204;
    get "/api/v2/conversations/messaging/identityresolution/integrations/open/{integrationId}"
        getConversationsMessagingIdentityresolutionIntegrationsOpenIntegrationId
        ["messaging:integration:view", "messaging:identityResolutionOpen:view"]
        () -> 200 => "identity-resolution";
    put "/api/v2/conversations/messaging/identityresolution/integrations/open/{integrationId}"
        putConversationsMessagingIdentityresolutionIntegrationsOpenIntegrationId
        ["messaging:integration:edit", "messaging:identityResolutionOpen:edit"]
        ("identity-resolution") -> 200 => "identity-resolution";
    get "/api/v2/conversations/messaging/settings"
        getConversationsMessagingSettings ["messaging:setting:view"]
        () -> 200 => "messaging-setting-listing" ? "pageSize": "integer", "pageNumber": "integer";
    post "/api/v2/conversations/messaging/settings"
        postConversationsMessagingSettings ["messaging:setting:add"]
        ("messaging-setting-request") -> 200 => "messaging-setting";
    get "/api/v2/conversations/messaging/settings/default"
        getConversationsMessagingSettingsDefault ["messaging:setting:view"]
        () -> 200 => "messaging-setting";
    put "/api/v2/conversations/messaging/settings/default"
        putConversationsMessagingSettingsDefault ["messaging:setting:edit"]
        ("messaging-setting-default-request") -> 200 => "messaging-setting";
    delete "/api/v2/conversations/messaging/settings/default"
        deleteConversationsMessagingSettingsDefault
        ["messaging:setting:edit", "messaging:setting:delete"]
        () -> 204;
    get "/api/v2/conversations/messaging/settings/{messageSettingId}"
        getConversationsMessagingSetting ["messaging:setting:view"]
        () -> 200 => "messaging-setting";
    patch "/api/v2/conversations/messaging/settings/{messageSettingId}"
        patchConversationsMessagingSetting ["messaging:setting:edit"]
        ("messaging-setting-patch") -> 200 => "messaging-setting";
    delete "/api/v2/conversations/messaging/settings/{messageSettingId}"
        deleteConversationsMessagingSetting ["messaging:setting:delete"]
        () -> 204;
    get "/api/v2/conversations/messaging/supportedcontent"
        getConversationsMessagingSupportedcontent ["messaging:supportedContent:view"]
        () -> 200 => "supported-content-listing" ? "pageSize": "integer", "pageNumber": "integer";
    post "/api/v2/conversations/messaging/supportedcontent"
        postConversationsMessagingSupportedcontent ["messaging:supportedContent:add"]
        ("supported-content-request") -> 200 => "supported-content";
    get "/api/v2/conversations/messaging/supportedcontent/default"
        getConversationsMessagingSupportedcontentDefault ["messaging:supportedContent:view"]
        () -> 200 => "supported-content";
    put "/api/v2/conversations/messaging/supportedcontent/default"
        putConversationsMessagingSupportedcontentDefault ["messaging:supportedContent:edit"]
        ("supported-content-reference") -> 200 => "supported-content";
    get "/api/v2/conversations/messaging/supportedcontent/{supportedContentId}"
        getConversationsMessagingSupportedcontentSupportedContentId
        ["messaging:supportedContent:view"]
        () -> 200 => "supported-content";
    patch "/api/v2/conversations/messaging/supportedcontent/{supportedContentId}"
        patchConversationsMessagingSupportedcontentSupportedContentId
        ["messaging:supportedContent:edit"]
        ("supported-content-patch") -> 200 => "supported-content";
    delete "/api/v2/conversations/messaging/supportedcontent/{supportedContentId}"
        deleteConversationsMessagingSupportedcontentSupportedContentId
        ["messaging:supportedContent:delete"]
        () -> 204;
    get "/api/v2/conversations/messaging/threadingtimeline"
        getConversationsMessagingThreadingtimeline ["conversation:threadingTimeline:view"]
        () -> 200 => "threading-timeline";
    put "/api/v2/conversations/messaging/threadingtimeline"
        putConversationsMessagingThreadingtimeline ["conversation:threadingTimeline:edit"]
        ("threading-timeline") -> 200 => "threading-timeline";
    post "/api/v2/conversations/messages/inbound/open"
        postConversationsMessagesInboundOpen ["conversation:message:receive"]
        ("legacy-inbound-open") -> 200, 202 => "legacy-inbound-open";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/message"
        postConversationsMessageInboundOpenMessage ["conversation:message:receive"]
        ("inbound-open-message") -> 200, 202 => "inbound-open-message-response"
        ? "prefetchConversationId": "boolean";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/receipt"
        postConversationsMessageInboundOpenReceipt ["conversation:message:receive"]
        ("inbound-receipt") -> 200, 202 => "inbound-receipt-response";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/event"
        postConversationsMessageInboundOpenEvent ["conversation:message:receive"]
        ("inbound-event") -> 200, 202 => "inbound-event-response";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/structured/response"
        postConversationsMessageInboundOpenStructuredResponse ["conversation:message:receive"]
        ("structured-response") -> 200, 202 => "structured-response-response";
    post "/api/v2/conversations/messages/agentless"
        postConversationsMessagesAgentless []
        ("agentless-request") -> 200 => "agentless-response";
    get "/api/v2/conversations/messages/cachedmedia"
        getConversationsMessagesCachedmedia []
        () -> 200 => "cached-media-listing"
        ? "pageSize": "integer", "pageNumber": "integer", "url": "string";
    get "/api/v2/conversations/messages/cachedmedia/{cachedMediaItemId}"
        getConversationsMessagesCachedmediaCachedMediaItemId []
        () -> 200 => "cached-media-item";
    delete "/api/v2/conversations/messages/cachedmedia/{cachedMediaItemId}"
        deleteConversationsMessagesCachedmediaCachedMediaItemId []
        () -> 202;
    get "/api/v2/conversations/messages/{conversationId}"
        getConversationsMessage []
        () -> 200 => "message-conversation";
    get "/api/v2/conversations/{conversationId}"
        getConversation []
        () -> 200 => "conversation";
    post "/api/v2/conversations/{conversationId}/disconnect"
        postConversationDisconnect ["conversation:communication:disconnect"]
        () -> 202 => "conversation-disconnect-response";
    patch "/api/v2/conversations/messages/{conversationId}"
        patchConversationsMessage
        ["conversation:communication:disconnect", "conversation:message:park"]
        ("participant-patch") -> 200 => "conversation";
    patch "/api/v2/conversations/messages/{conversationId}/participants/{participantId}"
        patchConversationsMessageParticipant []
        ("participant-patch") -> 202;
    post "/api/v2/conversations/messages/{conversationId}/participants/{participantId}/replace"
        postConversationsMessageParticipantReplace []
        ("transfer-request") -> 202;
    post "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages"
        postConversationsMessageCommunicationMessages []
        ("agent-message-request") -> 200 => "message-details";
    get "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages/media"
        getConversationsMessageCommunicationMessagesMedia []
        () -> 200 => "media-listing"
        ? "status": "string", "pageSize": "integer", "pageNumber": "integer";
    post "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages/media"
        postConversationsMessageCommunicationMessagesMedia []
        () -> 200 => "media-data";
    post "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages/media/uploads"
        postConversationsMessageCommunicationMessagesMediaUploads []
        ("media-upload-request") -> 200 => "media-upload";
    get "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages/media/{mediaId}"
        getConversationsMessageCommunicationMessagesMediaMediaId []
        () -> 200 => "media-data";
    post "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/typing"
        postConversationsMessageCommunicationTyping []
        ("agent-typing-request") -> 202;
    get "/api/v2/conversations/messages/{messageId}/details"
        getConversationsMessageDetails
        ["conversation:message:view", "conversation:webmessaging:view"]
        () -> 200 => "message-details";
    get "/api/v2/conversations/messages/{conversationId}/messages/{messageId}"
        getConversationsMessageMessage
        ["conversation:message:view", "conversation:webmessaging:view"]
        () -> 200 => "message-details";
    post "/api/v2/conversations/messages/{conversationId}/messages/bulk"
        postConversationsMessageMessagesBulk
        ["conversation:message:view", "conversation:webmessaging:view"]
        ("messages-bulk-request") -> 200 => "message-listing";
    get "/api/v2/notifications/channels"
        getNotificationsChannels []
        () -> 200 => "notification-channel-listing";
    post "/api/v2/notifications/channels"
        postNotificationsChannels []
        () -> 200 => "notification-channel";
    get "/api/v2/notifications/channels/{channelId}/subscriptions"
        getNotificationsChannelSubscriptions []
        () -> 200 => "notification-topic-listing";
    put "/api/v2/notifications/channels/{channelId}/subscriptions"
        putNotificationsChannelSubscriptions []
        ("notification-topics") -> 200 => "notification-topic-listing";
    post "/api/v2/notifications/channels/{channelId}/subscriptions"
        postNotificationsChannelSubscriptions []
        ("notification-topics") -> 200 => "notification-topic-listing";
    delete "/api/v2/notifications/channels/{channelId}/subscriptions"
        deleteNotificationsChannelSubscriptions []
        () -> 200;
}

impl Operation {
    /// The operation that answers a method on the path of a route.
    pub(super) fn find(method: &Method, route: &str) -> Option<&'static Self> {
        static BY_ROUTE: LazyLock<HashMap<String, &'static Operation>> = LazyLock::new(|| {
            OPERATIONS.iter().map(|each| (key(each.method, each.path), each)).collect()
        });
        // Axum answers HEAD by the route of GET.
        let method = if method == Method::HEAD { "get" } else { method.as_str() };
        BY_ROUTE.get(&key(method, route)).copied()
    }
}

/// Method and path without parameter names, since routes name the parameters differently.
fn key(method: &str, path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    format!("{} {}", method.to_lowercase(), parts.collect::<Vec<_>>().join("/"))
}
