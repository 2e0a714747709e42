//! What an agent, a bot or a script says to a customer, validated before it becomes a message.
//!
//! Sent messages are read back later, so content that cannot be shown must not get into the world.

use serde_json::{Value, json};

use crate::invalid::Invalid;
use crate::schemas::Schemas;

/// The content types of Genesys's model. Others go to the webhook unchanged, and reads show them as
/// `Unknown`.
const CONTENT_TYPES: [&str; 23] = [
    "Reactions",
    "Attachment",
    "Location",
    "QuickReply",
    "Notification",
    "ButtonResponse",
    "Story",
    "Mention",
    "Card",
    "Carousel",
    "Text",
    "QuickReplyV2",
    "DatePicker",
    "InteractiveApplication",
    "ListPicker",
    "PaymentRequest",
    "PaymentResponse",
    "Push",
    "Form",
    "RoadsideAssistance",
    "RichLink",
    "NotificationResponse",
    "Unknown",
];

/// The content of a message to a customer: a text, content elements, or both.
#[derive(Clone, Debug)]
pub(crate) struct AgentContent {
    text: Option<String>,
    content: Vec<Value>,
}

impl AgentContent {
    pub(crate) fn text(text: String) -> Self {
        Self { text: Some(text), content: Vec::new() }
    }

    /// A file of the sandbox's own.
    pub(crate) fn attachment(attachment: &Value) -> Self {
        Self {
            text: None,
            content: vec![json!({"contentType": "Attachment", "attachment": attachment})],
        }
    }

    /// The content that a caller gave, or what is wrong with it.
    pub(crate) fn of(
        schemas: &Schemas,
        text: Option<String>,
        content: Vec<Value>,
    ) -> Result<Self, Invalid> {
        let said = Self { text: text.filter(|text| !text.trim().is_empty()), content };
        if said.text.is_none() && said.content.is_empty() {
            return Err(Invalid::new("text", "required", "is missing, and so is content"));
        }
        said.check(schemas)?;
        Ok(said)
    }

    /// Content that was checked before, or has yet to be checked.
    pub(super) fn unchecked(text: String, content: Vec<Value>) -> Self {
        Self { text: Some(text), content }
    }

    /// Checks that the webhook and reads can show it.
    pub(crate) fn check(&self, schemas: &Schemas) -> Result<(), Invalid> {
        let party = json!({"id": "x"});
        let channel = json!({
            "id": "x",
            "platform": "Open",
            "type": "Private",
            "to": party,
            "from": party,
            "time": "2026-11-20T09:11:04.500Z",
        });
        let webhook =
            json!({"id": "x", "channel": channel, "type": "Structured", "content": self.content});
        let read = json!({
            "timestamp": "2026-11-20T09:11:04.500Z",
            "status": "queued",
            "normalizedMessage": {"type": "Structured", "content": shown(&self.content)},
        });
        let schema = genesys::schema::WEBHOOK_MESSAGE.name;
        let mut invalid = schemas.faults_in(schema, &webhook);
        invalid.extend(schemas.faults_in(genesys::schema::MESSAGE_DETAILS.name, &read));
        let Some(mut first) = invalid.into_iter().next() else { return Ok(()) };
        if let Some(field) = first.field.strip_prefix("normalizedMessage.") {
            first.field = field.to_owned();
        }
        Err(first)
    }

    /// The content elements.
    pub(super) fn content(&self) -> &[Value] {
        &self.content
    }

    pub(super) fn into_parts(self) -> (Option<String>, Vec<Value>) {
        (self.text, self.content)
    }
}

/// Content elements as reads show them.
pub(super) fn shown(content: &[Value]) -> Vec<Value> {
    let unknown = |element: &Value| {
        element["contentType"].as_str().is_some_and(|kind| !CONTENT_TYPES.contains(&kind))
    };
    let shown = |element: &Value| {
        if unknown(element) { json!({"contentType": "Unknown"}) } else { element.clone() }
    };
    content.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_types_are_those_of_the_schema() {
        let schema: Value = serde_json::from_str(genesys::schema::MESSAGE_DETAILS.json).unwrap();
        let known =
            &schema["$defs"]["ConversationMessageContent"]["properties"]["contentType"]["enum"];
        assert_eq!(*known, json!(CONTENT_TYPES));
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        let schemas = Schemas::compile().unwrap();
        let told = |text: Option<&str>, content: Value| {
            let content = content.as_array().unwrap().clone();
            AgentContent::of(&schemas, text.map(str::to_owned), content)
                .err()
                .map(|invalid| invalid.to_string())
        };
        assert_eq!(told(Some("Hello"), json!([])), None);
        assert_eq!(
            told(None, json!([{"contentType": "Hologram", "hologram": {"frames": 3}}])),
            None
        );
        for (content, fault) in [
            (json!([]), "text is missing, and so is content"),
            (json!([7]), "content[0] is not of the type object"),
            (json!([{}]), "content[0].contentType is missing"),
            (json!([{"contentType": "Card"}]), "content[0].card is missing"),
            (
                json!([{"contentType": "Location", "location": 7}]),
                "content[0].location is not of the type object",
            ),
        ] {
            assert_eq!(told(Some(" "), content).as_deref(), Some(fault));
        }
    }
}
