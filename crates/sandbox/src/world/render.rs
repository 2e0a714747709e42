//! Conversations and messages as reads show them.

use genesys::receipt::Reason;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::agent_content::shown;
use super::normalized::payload;
use super::org::{AGENT, QUEUE};
use super::{Conversation, Message, NormalizedMessage, Participant, Refusal, World};
use crate::clock::wire_time;

impl World {
    /// A conversation, as `GET /api/v2/conversations/messages/{conversationId}` shows it.
    pub(crate) fn conversation_json(&self, id: &str) -> Result<Value, Refusal> {
        let conversation = self.conversation(id)?;
        let participants =
            conversation.participants.iter().map(|each| self.participant_json(conversation, each));
        Ok(json!({
            "id": id,
            "participants": participants.collect::<Vec<_>>(),
            "otherMediaUris": [],
            "recentTransfers": [],
            "selfUri": format!("/api/v2/conversations/messages/{id}"),
        }))
    }

    fn participant_json(&self, conversation: &Conversation, participant: &Participant) -> Value {
        let messages =
            participant.messages.iter().filter_map(|id| self.messages.get(id)).map(in_conversation);
        let mut answer = json!({
            "id": participant.id,
            "name": participant.name,
            "startTime": wire_time(participant.start),
            "connectedTime": wire_time(participant.start),
            "purpose": participant.purpose,
            "state": if participant.end.is_some() { "disconnected" } else { "connected" },
            "direction": "inbound",
            "held": false,
            "wrapupRequired": participant.purpose == "agent",
            "provider": "PureCloud Messaging",
            "messages": messages.collect::<Vec<_>>(),
            "type": "open",
        });
        let Some(fields) = answer.as_object_mut() else { return answer };
        if let Some(end) = participant.end {
            fields.insert("endTime".to_owned(), wire_time(end).into());
        }
        if let Some(disconnect_type) = participant.disconnect_type {
            fields.insert("disconnectType".to_owned(), disconnect_type.into());
        }
        if let Some(explanation) = &participant.error {
            fields.insert(
                "errorInfo".to_owned(),
                json!({"code": "DELIVERY_FAILED", "message": sentence(explanation)}),
            );
        }
        match participant.purpose {
            "customer" => customer_fields(fields, conversation, participant),
            "workflow" => {
                fields.insert("attributes".to_owned(), json!(participant.attributes));
            }
            "acd" => {
                let queue =
                    json!({"id": QUEUE, "selfUri": format!("/api/v2/routing/queues/{QUEUE}")});
                fields.insert("queue".to_owned(), queue);
            }
            "agent" => {
                fields.insert("wrapupPrompt".to_owned(), "optional".into());
                fields.insert("alertingTimeoutMs".to_owned(), 30_000.into());
                fields.insert("user".to_owned(), json!({"id": AGENT}));
            }
            _ => {}
        }
        answer
    }

    /// A message, as the details call shows it.
    pub(crate) fn message_json(&self, id: &str) -> Result<Value, Refusal> {
        self.message(id).map(details)
    }

    /// A message of a certain conversation.
    pub(crate) fn message_json_in(&self, conversation: &str, id: &str) -> Result<Value, Refusal> {
        self.conversation(conversation)?;
        let message = self.message(id)?;
        if message.conversation == conversation {
            Ok(details(message))
        } else {
            Err(Refusal::NoMessage)
        }
    }

    /// The answer to an agentless message.
    pub(crate) fn agentless_json(
        &self,
        id: &str,
        use_existing: bool,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let message = self.message(id)?;
        Ok(json!({
            "id": id,
            "conversationId": message.conversation,
            "fromAddress": message.integration,
            "toAddress": message.customer,
            "messengerType": "open",
            "useExistingActiveConversation": use_existing,
            "message": details(message),
            "timestamp": wire_time(now),
            "selfUri": self_uri(message),
        }))
    }
}

fn customer_fields(
    fields: &mut Map<String, Value>,
    conversation: &Conversation,
    participant: &Participant,
) {
    let (integration, customer) = (&conversation.integration, &conversation.customer.id);
    fields.insert("attributes".to_owned(), json!(participant.attributes));
    fields.insert("mediaRoles".to_owned(), json!(["full"]));
    if let Some(agent) = conversation.present("agent") {
        fields.insert("peer".to_owned(), agent.id.clone().into());
    }
    fields.insert(
        "toAddress".to_owned(),
        json!({"name": conversation.integration_name, "addressNormalized": integration}),
    );
    fields.insert(
        "fromAddress".to_owned(),
        json!({"name": participant.name, "addressNormalized": customer, "addressRaw": customer}),
    );
}

fn self_uri(message: &Message) -> String {
    format!("/api/v2/conversations/messages/{}/messages/{}", message.conversation, message.id)
}

fn sentence(payload: &str) -> String {
    format!("Message delivery failed with the following payload: [{payload}]")
}

/// `errorInfo` as a live system showed it (reference, section 5.5).
fn error_info(reason: &Reason) -> Value {
    let payload = payload(reason);
    json!({
        "message": sentence(&payload),
        "code": "DELIVERY_FAILED",
        "messageWithParams": "Message delivery failed with the following payload: [{errorPayload}]",
        "messageParams": {"errorPayload": payload},
        "details": [],
        "errors": [],
    })
}

fn in_conversation(message: &Message) -> Value {
    let content = shown(message.normalized.content.as_deref().unwrap_or_default());
    let content = content
        .iter()
        .filter_map(|each| each.get("contentType"))
        .map(|kind| json!({"contentType": kind}));
    let mut answer = json!({
        "messageId": message.id,
        "messageURI": self_uri(message),
        "messageStatus": message.status.as_str(),
        "messageSegmentCount": 1,
        "messageTime": wire_time(message.time),
        "media": [],
        "stickers": [],
        "messageMetadata": {
            "type": message.normalized.kind,
            "events": [],
            "content": content.collect::<Vec<_>>(),
        },
    });
    if let Some(reason) = &message.failure {
        answer["errorInfo"] = error_info(reason);
    }
    answer
}

fn details(message: &Message) -> Value {
    let (from, to) = if message.outbound {
        (&message.integration, &message.customer)
    } else {
        (&message.customer, &message.integration)
    };
    let normalized = NormalizedMessage {
        conversation_id: None,
        content: message.normalized.content.as_deref().map(shown),
        ..message.normalized.clone()
    };
    let mut answer = json!({
        "id": message.id,
        "providerMessageId": message.normalized.channel.message_id.as_ref().unwrap_or(&message.id),
        "timestamp": wire_time(message.time),
        "fromAddress": from,
        "toAddress": to,
        "direction": if message.outbound { "outbound" } else { "inbound" },
        "messengerType": "open",
        "status": message.status.as_str(),
        "normalizedMessage": normalized,
        "normalizedReceipts": message.receipts,
        "conversationId": message.conversation,
        "selfUri": self_uri(message),
    });
    if let Some(user) = message.created_by {
        answer["createdBy"] = json!({"id": user});
    }
    answer
}
