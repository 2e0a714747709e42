//! A conversation as `GET /api/v2/conversations/{id}` shows it: with all of its media, not only its
//! messages.
//!
//! What reads of a message conversation say about a participant is here in the participant's only
//! communication.

use serde_json::{Map, Value, json};

use super::{Refusal, World};

/// The fields of a participant that both forms have.
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
/// The fields that belong to the communication, with their names there.
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
    /// A conversation as `GET /api/v2/conversations/{conversationId}` and the `PATCH` of its
    /// messages answer it.
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
