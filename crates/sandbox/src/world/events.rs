//! What is published over notification channels: who left a conversation, and its current state.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::channels::Frame;
use super::org::{AGENT, QUEUE};
use super::{Conversation, Participant, World};
use crate::ids;

/// The order in which leaving participants are announced; the customer's end is the true one, and
/// comes last.
const ORDER: [&str; 3] = ["acd", "agent", "customer"];

impl World {
    /// Publishes who has left the conversation since the last call, and its current state.
    pub(super) fn announce(&mut self, id: &str, now: Timestamp) {
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        let mut left: Vec<usize> = Vec::new();
        for (at, participant) in conversation.participants.iter_mut().enumerate() {
            if participant.end.is_some() && !participant.told {
                participant.told = true;
                left.push(at);
            }
        }
        let rank = |at: &usize| {
            ORDER.iter().position(|each| *each == conversation.participants[*at].purpose)
        };
        left.sort_by_key(rank);
        let conversation = &*conversation;
        let events: Vec<(&str, Value)> = left
            .iter()
            .flat_map(|at| events_of(conversation, &conversation.participants[*at]))
            .collect();
        for (what, body) in events {
            self.publish(format!("v2.detail.events.conversation.{id}.{what}"), id, &body, now);
        }
        self.show(id, now);
    }

    /// Publishes a conversation's current state, if any channel has subscribed to it.
    pub(super) fn show(&mut self, id: &str, now: Timestamp) {
        let topics = [
            format!("v2.routing.queues.{QUEUE}.conversations.messages"),
            format!("v2.users.{AGENT}.conversations.messages"),
        ];
        let wanted: Vec<String> =
            topics.into_iter().filter(|topic| self.channels.wants(topic, now)).collect();
        if wanted.is_empty() {
            return;
        }
        let Ok(mut body) = self.conversation_json(id) else { return };
        as_event(&mut body);
        for topic in wanted {
            self.publish(topic, id, &body, now);
        }
    }

    fn publish(&mut self, topic: String, conversation: &str, body: &Value, now: Timestamp) {
        if !self.channels.wants(&topic, now) {
            return;
        }
        let correlation = ids::uuid(&mut self.rng);
        let json = json!({
            "topicName": topic,
            "version": "2",
            "eventBody": body,
            "metadata": {"CorrelationId": correlation},
        });
        let frame = Frame { topic, conversation: conversation.to_owned(), json: json.to_string() };
        self.channels.publish(&frame, now);
    }
}

/// The events for a participant who leaves; none for a flow.
fn events_of(conversation: &Conversation, participant: &Participant) -> Vec<(&'static str, Value)> {
    let Some(end) = participant.end else { return Vec::new() };
    let lasted =
        i64::try_from(end.duration_since(participant.start).as_millis()).unwrap_or(i64::MAX);
    let body = |with_end: bool, more: Value| {
        let mut body = json!({
            "eventTime": end.as_millisecond(),
            "conversationId": conversation.id,
            "participantId": participant.id,
            // A participant has one communication, whose id is the participant's.
            "sessionId": participant.id,
            "mediaType": "MESSAGE",
            "provider": "PureCloud Messaging",
            "direction": "INBOUND",
            "addressTo": conversation.integration,
            "addressFrom": conversation.customer.id,
            "messageType": "OPEN",
        });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            if with_end {
                let how = participant.disconnect_type.map_or("UNKNOWN".to_owned(), upper_case);
                body.insert("disconnectType".to_owned(), how.into());
            }
            body.extend(more);
        }
        body
    };
    match participant.purpose {
        "agent" => {
            let who = |more: Value| {
                let mut who = json!({"userId": AGENT, "queueId": QUEUE});
                if let (Some(who), Value::Object(more)) = (who.as_object_mut(), more) {
                    who.extend(more);
                }
                who
            };
            let user = body(true, who(json!({"interactingDurationMs": lasted})));
            // The sandbox's agent needs no time for after-call work.
            let after = body(false, who(json!({"wrapupDurationMs": 0})));
            vec![("user.end", user), ("acw", after)]
        }
        "customer" => vec![("customer.end", body(true, json!({"interactingDurationMs": lasted})))],
        "acd" => {
            let answered = json!({
                "queueId": QUEUE,
                "acdOutcome": "ANSWERED",
                "answeredUserId": AGENT,
                "connectedDurationMs": lasted,
            });
            vec![("acd.end", body(true, answered))]
        }
        _ => Vec::new(),
    }
}

/// A read's disconnect type in the spelling of the detail events.
fn upper_case(disconnect_type: &str) -> String {
    match disconnect_type {
        "endpoint.dnd" | "endpoint.donotdisturb" => "DND_ENDPOINT".to_owned(),
        "transfer.donotdisturb" => "DND_TRANSFER".to_owned(),
        "transfer.noanswer" => "NO_ANSWER_TRANSFER".to_owned(),
        "transfer.notavailable" => "NOT_AVAILABLE_TRANSFER".to_owned(),
        other => match other.strip_prefix("transfer.") {
            Some(kind) => format!("{}_TRANSFER", kind.to_uppercase()),
            None => other.replace('.', "_").to_uppercase(),
        },
    }
}

/// Converts a conversation from the form of reads to that of events: references are objects,
/// addresses are text.
fn as_event(conversation: &mut Value) {
    let Some(fields) = conversation.as_object_mut() else { return };
    for field in ["selfUri", "recentTransfers"] {
        fields.remove(field);
    }
    let Some(participants) = fields.get_mut("participants").and_then(Value::as_array_mut) else {
        return;
    };
    for participant in participants.iter_mut().filter_map(Value::as_object_mut) {
        participant.remove("toAddress");
        if let Some(from) = participant.remove("fromAddress") {
            participant.insert("address".to_owned(), from["addressNormalized"].clone());
        }
        if let Some(Value::String(how)) = participant.get_mut("disconnectType") {
            // Reads and events have different words for it.
            *how = how.replace(".donotdisturb", ".dnd");
        }
        for field in ["queue", "user"] {
            if let Some(reference) = participant.get_mut(field) {
                *reference = json!({"id": reference["id"]});
            }
        }
        let messages = participant.get_mut("messages").and_then(Value::as_array_mut);
        messages.into_iter().flatten().filter_map(Value::as_object_mut).for_each(message_as_event);
    }
}

fn message_as_event(message: &mut Map<String, Value>) {
    message.remove("messageURI");
    if let Some(id) = message.remove("messageId") {
        message.insert("message".to_owned(), json!({"id": id}));
    }
    if let Some(error) = message.get_mut("errorInfo").and_then(Value::as_object_mut) {
        error.remove("details");
        error.remove("errors");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disconnect_types_are_those_of_the_schema() {
        let schema: Value = serde_json::from_str(genesys::schema::USER_END.json).unwrap();
        let known = schema["properties"]["disconnectType"]["enum"].as_array().unwrap().clone();
        let enumerated = |schema: &str, participant: &str| {
            let schema: Value = serde_json::from_str(schema).unwrap();
            schema["$defs"][participant]["properties"]["disconnectType"]["enum"]
                .as_array()
                .unwrap()
                .clone()
        };
        let in_events = enumerated(
            genesys::schema::CONVERSATION_MESSAGE.json,
            "ConversationMessageEventTopicMessageMediaParticipant",
        );
        let in_reads =
            enumerated(genesys::schema::MESSAGE_CONVERSATION.json, "MessageMediaParticipant");
        assert_eq!(in_reads, crate::world::DISCONNECT_TYPES);
        for each in in_events.iter().chain(&in_reads) {
            let upper = upper_case(each.as_str().unwrap());
            assert!(known.contains(&upper.clone().into()), "{each} became {upper}");
        }
    }
}
