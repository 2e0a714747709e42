//! A conversation as the call that ends it answers: not by its messages alone, but by all of its media.
//!
//! What reads of a message conversation say of a participant, stands here in the participant's one communication.

use serde_json::{Map, Value, json};

use super::{Refusal, World};

/// What a participant has in common in both forms.
const OF_PARTICIPANT: [&str; 11] = [
    "id",
    "name",
    "purpose",
    "startTime",
    "connectedTime",
    "endTime",
    "attributes",
    "mediaRoles",
    "wrapupRequired",
    "wrapupPrompt",
    "alertingTimeoutMs",
];
/// What belongs to the communication, with its name there.
const OF_COMMUNICATION: [(&str, &str); 14] = [
    ("id", "id"),
    ("state", "state"),
    ("held", "held"),
    ("direction", "direction"),
    ("disconnectType", "disconnectType"),
    ("connectedTime", "connectedTime"),
    ("endTime", "disconnectedTime"),
    ("provider", "provider"),
    ("type", "type"),
    ("peer", "peerId"),
    ("errorInfo", "errorInfo"),
    ("toAddress", "toAddress"),
    ("fromAddress", "fromAddress"),
    ("messages", "messages"),
];

impl World {
    /// A conversation, as `PATCH /api/v2/conversations/messages/{conversationId}` answers it.
    pub(crate) fn whole_json(&self, id: &str) -> Result<Value, Refusal> {
        let conversation = self.conversation_json(id)?;
        let participants =
            conversation["participants"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut answer = json!({
            "id": id,
            "startTime": participants.first().map(|first| &first["startTime"]),
            "participants": participants.iter().map(participant).collect::<Vec<_>>(),
            "recentTransfers": [],
            "selfUri": format!("/api/v2/conversations/{id}"),
        });
        let last =
            participants.iter().map(|each| &each["endTime"]).max_by_key(|time| time.as_str());
        if self.conversation(id)?.ended.is_some()
            && let Some(last) = last
        {
            answer["endTime"] = last.clone();
        }
        Ok(answer)
    }
}

fn participant(shown: &Value) -> Value {
    let taken = |names: &mut dyn Iterator<Item = (&str, &str)>| {
        let found = names.filter_map(|(from, to)| Some((to.to_owned(), shown.get(from)?.clone())));
        found.collect::<Map<String, Value>>()
    };
    let mut answer = taken(&mut OF_PARTICIPANT.iter().map(|name| (*name, *name)));
    for (reference, field) in [("user", "userId"), ("queue", "queueId")] {
        if let Some(found) = shown.get(reference) {
            answer.insert(field.to_owned(), found["id"].clone());
        }
    }
    let communication = taken(&mut OF_COMMUNICATION.iter().copied());
    answer.insert("messages".to_owned(), json!([communication]));
    Value::Object(answer)
}
