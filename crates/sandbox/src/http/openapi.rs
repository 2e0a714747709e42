//! `GET /sandbox/openapi.json`: the paths of Genesys's API that the sandbox serves, with their bodies, as OpenAPI 3.1.
//!
//! The bodies are the JSON Schemas by which the sandbox itself checks what comes in.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::app::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/sandbox/openapi.json", get(async || Json(document())))
}

/// One call of the API.
struct Operation {
    method: &'static str,
    path: &'static str,
    /// The name that Genesys's SDKs give it.
    id: &'static str,
    /// The schema of its body.
    body: Option<&'static str>,
    /// The statuses of success, with the schema of the answer.
    answers: &'static [u16],
    answer: Option<&'static str>,
    query: &'static [(&'static str, &'static str)],
}

macro_rules! operations {
    ($($method:ident $path:literal $id:ident ($($body:literal)?) -> $($status:literal),+ $(=> $answer:literal)? $(? $($query:ident: $type:literal),+)?;)*) => {
        /// Every call that is served.
        const OPERATIONS: &[Operation] = &[$(Operation {
            method: stringify!($method),
            path: $path,
            id: stringify!($id),
            body: operations!(@maybe $($body)?),
            answers: &[$($status),+],
            answer: operations!(@maybe $($answer)?),
            query: &[$($((stringify!($query), $type)),+)?],
        }),*];
    };
    (@maybe) => { None };
    (@maybe $it:literal) => { Some($it) };
}

operations! {
    get "/api/v2/conversations/messaging/integrations/open" getConversationsMessagingIntegrationsOpen () -> 200 => "integration-listing" ? pageSize: "integer", pageNumber: "integer";
    post "/api/v2/conversations/messaging/integrations/open" postConversationsMessagingIntegrationsOpen ("integration-request") -> 200 => "integration-response";
    get "/api/v2/conversations/messaging/integrations/open/{integrationId}" getConversationsMessagingIntegrationsOpenIntegrationId () -> 200 => "integration-response";
    patch "/api/v2/conversations/messaging/integrations/open/{integrationId}" patchConversationsMessagingIntegrationsOpenIntegrationId ("integration-update-request") -> 200 => "integration-response";
    delete "/api/v2/conversations/messaging/integrations/open/{integrationId}" deleteConversationsMessagingIntegrationsOpenIntegrationId () -> 204;
    post "/api/v2/conversations/messages/inbound/open" postConversationsMessagesInboundOpen ("legacy-inbound-open") -> 200, 202 => "legacy-inbound-open";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/message" postConversationsMessageInboundOpenMessage ("inbound-open-message") -> 200, 202 => "inbound-open-message-response" ? prefetchConversationId: "boolean";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/receipt" postConversationsMessageInboundOpenReceipt ("inbound-receipt") -> 200, 202 => "inbound-receipt-response";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/event" postConversationsMessageInboundOpenEvent ("inbound-event") -> 200, 202 => "inbound-event-response";
    post "/api/v2/conversations/messages/{integrationId}/inbound/open/structured/response" postConversationsMessageInboundOpenStructuredResponse ("structured-response") -> 200, 202 => "structured-response-response";
    post "/api/v2/conversations/messages/agentless" postConversationsMessagesAgentless ("agentless-request") -> 200 => "agentless-response";
    get "/api/v2/conversations/messages/{conversationId}" getConversationsMessage () -> 200 => "message-conversation";
    patch "/api/v2/conversations/messages/{conversationId}" patchConversationsMessage ("participant-patch") -> 200 => "message-conversation";
    patch "/api/v2/conversations/messages/{conversationId}/participants/{participantId}" patchConversationsMessageParticipant ("participant-patch") -> 202;
    post "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages" postConversationsMessageCommunicationMessages ("agent-message-request") -> 200 => "message-details";
    post "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/typing" postConversationsMessageCommunicationTyping ("agent-typing-request") -> 202;
    get "/api/v2/conversations/messages/{messageId}/details" getConversationsMessageDetails () -> 200 => "message-details";
    get "/api/v2/conversations/messages/{conversationId}/messages/{messageId}" getConversationsMessageMessage () -> 200 => "message-details";
    post "/api/v2/conversations/messages/{conversationId}/messages/bulk" postConversationsMessageMessagesBulk ("messages-bulk-request") -> 200 => "message-listing";
    get "/api/v2/notifications/channels" getNotificationsChannels () -> 200 => "channel-listing";
    post "/api/v2/notifications/channels" postNotificationsChannels () -> 200 => "notification-channel";
    get "/api/v2/notifications/channels/{channelId}/subscriptions" getNotificationsChannelSubscriptions () -> 200 => "topic-listing";
    put "/api/v2/notifications/channels/{channelId}/subscriptions" putNotificationsChannelSubscriptions ("topics") -> 200 => "topic-listing";
    post "/api/v2/notifications/channels/{channelId}/subscriptions" postNotificationsChannelSubscriptions ("topics") -> 200 => "topic-listing";
    delete "/api/v2/notifications/channels/{channelId}/subscriptions" deleteNotificationsChannelSubscriptions () -> 200;
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.to_json();
    }
    paths.insert("/oauth/token".to_owned(), json!({"post": token()}));
    let client_credentials = json!({"tokenUrl": "/oauth/token", "scopes": {}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Genesys Cloud, as far as the sandbox serves it",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "genesys": {"type": "oauth2", "flows": {"clientCredentials": client_credentials}},
            },
        },
        "security": [{"genesys": []}],
    })
}

impl Operation {
    fn to_json(&self) -> Value {
        let in_path = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = in_path.map(
            |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}),
        );
        let in_query =
            self.query.iter().map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind}}));
        let mut answers = Map::new();
        for status in self.answers {
            let mut answer = json!({"description": "Done."});
            if let Some(schema) = self.answer {
                answer["content"] = content(schema);
            }
            answers.insert(status.to_string(), answer);
        }
        answers.insert("default".to_owned(), json!({"description": "An error.", "content": content("error-body")}));
        let mut answer = json!({
            "operationId": self.id,
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": answers,
        });
        if let Some(schema) = self.body {
            answer["requestBody"] = json!({"required": true, "content": content(schema)});
        }
        answer
    }
}

fn token() -> Value {
    let grant = json!({
        "type": "object",
        "properties": {
            "grant_type": {"const": "client_credentials"},
            "client_id": {"type": "string"},
            "client_secret": {"type": "string"},
        },
        "required": ["grant_type"],
    });
    json!({
        "operationId": "postOauthToken",
        "security": [],
        "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema": grant}}},
        "responses": {
            "200": {"description": "A token.", "content": content("oauth-token-response")},
            "default": {"description": "No token.", "content": content("oauth-error")},
        },
    })
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

/// Every schema, with the definitions inside of it moved to where OpenAPI has them.
fn schemas() -> Map<String, Value> {
    let listing = |of: Value| json!({"type": "object", "properties": {"entities": {"type": "array", "items": of}}, "required": ["entities"]});
    let topic = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "state": {"enum": ["Permitted", "Rejected"]},
            "rejectionReason": {"type": "string"},
            "selfUri": {"type": "string"},
        },
        "required": ["id", "state"],
    });
    let wanted = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
    let mut all = Map::new();
    all.insert("channel-listing".to_owned(), listing(json!({"$ref": "#/components/schemas/notification-channel"})));
    all.insert("topic-listing".to_owned(), listing(topic));
    all.insert("topics".to_owned(), json!({"type": "array", "items": wanted}));
    for schema in genesys::schema::ALL {
        // Cannot fail: each is tested to be JSON.
        let mut json: Value = serde_json::from_str(schema.json).unwrap_or_default();
        let definitions = json.as_object_mut().and_then(|json| {
            for keyword in ["$schema", "$id"] {
                json.remove(keyword);
            }
            json.remove("$defs")
        });
        point_to_components(&mut json, schema.name);
        all.insert(schema.name.to_owned(), json);
        if let Some(Value::Object(definitions)) = definitions {
            for (name, mut definition) in definitions {
                point_to_components(&mut definition, schema.name);
                all.insert(format!("{}.{name}", schema.name), definition);
            }
        }
    }
    all
}

fn point_to_components(schema: &mut Value, of: &str) {
    match schema {
        Value::Object(fields) => {
            for (keyword, value) in fields {
                let definition =
                    value.as_str().filter(|_| keyword == "$ref").and_then(|to| to.strip_prefix("#/$defs/"));
                match definition {
                    Some(name) => *value = format!("#/components/schemas/{of}.{name}").into(),
                    None => point_to_components(value, of),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_to_components(item, of)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (keyword, value) in fields {
                    match value.as_str() {
                        Some(to) if keyword == "$ref" => found.push(to),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for to in found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
        assert_eq!(
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap()).count(),
            26
        );
    }
}
