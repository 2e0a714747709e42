//! The body of the outbound webhook, which carries what an agent, a bot or the API sends to a
//! customer.
//!
//! A middleware must verify the [`signature`](crate::signature) over the raw bytes before it reads
//! the body. If the body cannot be read as a message, [`Envelope`](crate::Envelope) may still find
//! what a receipt needs.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::message::{Channel, Content, Direction, Event, MessageType, OriginatingEntity, Party};
use crate::receipt::{Reason, ReceiptStatus};
use crate::record::{record, text_of_number};

record! {
    /// A message as Genesys posts it to `outboundNotificationWebhookUrl`
    /// (`OpenOutboundNormalizedMessage`).
    ///
    /// ```
    /// use genesys::WebhookMessage;
    /// use genesys::message::MessageType;
    ///
    /// let body = br#"{"id": "m", "type": "Text", "text": "Good morning!", "mood": "sunny",
    ///                 "channel": {"to": {"id": "cust-48213"}}}"#;
    /// let message = WebhookMessage::read(body)?;
    /// assert_eq!(message.r#type, Some(MessageType::Text));
    /// assert_eq!(message.to().map(|to| to.id.as_str()), Some("cust-48213"));
    /// // Nothing is lost when the message is written again.
    /// assert_eq!(serde_json::to_value(&message)?["mood"], "sunny");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    tolerant WebhookMessage {
        needs {
            /// The message's id, which its receipts must name. Any text. A number is read as its
            /// text.
            id: String = "id" by text_of_number,
        }
        may {
            /// The sender, the recipient and the time. The customer is `channel.to`.
            channel: Channel = "channel",
            /// The type of the message.
            r#type: MessageType = "type",
            /// The text.
            text: String = "text",
            /// The attachments, cards, quick replies and other elements.
            content: Vec<Content> = "content",
            /// The events, if the type is `Event`.
            events: Vec<Event> = "events",
            /// `Outbound`, except for receipts about inbound messages.
            direction: Direction = "direction",
            /// Who wrote it: an agent or a bot. Absent on agentless messages and on events.
            originating_entity: OriginatingEntity = "originatingEntity",
            /// The status of the message, if the type is `Receipt`.
            status: ReceiptStatus = "status",
            /// Why it failed, if the status is `Failed`.
            reasons: Vec<Reason> = "reasons",
            /// Whether no receipt will follow this one.
            is_final_receipt: bool = "isFinalReceipt",
            /// Further data.
            metadata: Map<String, Value> = "metadata",
            /// The id of Genesys's conversation. Older orgs do not send it.
            conversation_id: String = "conversationId",
        }
    }
}

impl WebhookMessage {
    /// Reads a body. Damaged characters do not make it unreadable: U+FFFD replaces bytes that are
    /// not UTF-8 and halves of surrogate pairs, and a byte order mark is skipped.
    ///
    /// # Errors
    /// [`Unreadable`] if the body is not JSON, is nested too deep (128 levels), or is not an object
    /// with an `id` that is a text or a number.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        lenient::json::from_slice(body).map_err(|error| Unreadable::of(&error))
    }

    /// The recipient, who is the customer for outbound messages: `channel.to`.
    pub fn to(&self) -> Option<&Party> {
        self.channel.as_ref()?.to.as_ref()
    }

    /// When it was written: `channel.time`. `None` if that is absent or not a time in ISO 8601.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.channel.as_ref()?.timestamp()
    }

    /// The elements of the content. Empty if there is no content.
    pub fn contents(&self) -> &[Content] {
        self.content.as_deref().unwrap_or_default()
    }

    /// Whether this is a typing event: the type is `Event`, and every event is `Typing`.
    pub fn is_typing(&self) -> bool {
        let events = self.events.as_deref().unwrap_or_default();
        self.r#type == Some(MessageType::Event)
            && !events.is_empty()
            && events
                .iter()
                .all(|event| event.event_type == Some(crate::message::EventType::Typing))
    }
}

/// The error for a body that is not a message. The text says what is wrong, and never quotes the
/// body.
///
/// ```
/// use genesys::WebhookMessage;
///
/// let error = WebhookMessage::read(br#"{"id": ["a secret"]}"#).unwrap_err().to_string();
/// assert!(error.starts_with("the body is no message: no object with an id"));
/// assert!(!error.contains("a secret"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no message: {problem} at line {line} column {column}")]
pub struct Unreadable {
    problem: &'static str,
    line: usize,
    column: usize,
}

impl Unreadable {
    fn of(error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            serde_json::error::Category::Data => "no object with an id",
            serde_json::error::Category::Eof => "it ends early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                "no JSON, or nested too deep"
            }
        };
        Self { problem, line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_enough() {
        let message = WebhookMessage::read(br#"{"id":"m"}"#).unwrap();
        assert_eq!((message.id.as_str(), message.to(), message.timestamp()), ("m", None, None));
    }

    #[test]
    fn odd_fields_do_not_hide_the_others() {
        let odd = json!({
            "id": "m", "type": "Hologram", "text": "hello",
            "direction": 7, "metadata": null, "status": "Eaten",
            "content": [{"contentType": "Smell", "smell": {"of": "roses"}}],
            "channel": {
                "to": {"id": "c", "idType": "Aura", "nickName": "N"},
                "time": "soon", "via": ["x"],
            },
            "events": [{"eventType": "Sneeze"}],
        });
        let message = WebhookMessage::read(odd.to_string().as_bytes()).unwrap();
        assert_eq!(message.text.as_deref(), Some("hello"));
        assert_eq!(message.r#type, Some(MessageType::Other("Hologram".to_owned())));
        assert_eq!(message.to().unwrap().nickname.as_deref(), Some("N"));
        assert_eq!(message.timestamp(), None);
        assert!(!message.is_typing());
        assert_eq!(serde_json::to_value(&message).unwrap(), odd);
    }

    #[test]
    fn a_number_is_not_written_back_as_its_neighbour() {
        for number in
            ["-2.3746237467327688e122", "9.5e-300", "1e23", "123456789012345678901234567890"]
        {
            let body = format!(r#"{{"id":"m","x":[{number}]}}"#);
            let message = WebhookMessage::read(body.as_bytes()).unwrap();
            let written = serde_json::to_string(&message).unwrap();
            let number = number.parse::<f64>().unwrap();
            assert_eq!(message.other["x"][0].as_f64(), Some(number));
            assert_eq!(WebhookMessage::read(written.as_bytes()).unwrap(), message);
        }
    }

    #[test]
    fn half_an_emoji_does_not_cost_the_message() {
        let message = WebhookMessage::read(br#"{"id":"m","text":"on its way \ud83d"}"#).unwrap();
        assert_eq!(message.text.as_deref(), Some("on its way \u{fffd}"));
        let message = WebhookMessage::read(b"{\"id\":\"m\",\"text\":\"caf\xe9\"}").unwrap();
        assert_eq!(message.text.as_deref(), Some("caf\u{fffd}"));
    }

    #[test]
    fn a_number_is_an_id_too() {
        let body = br#"{"id":42,"channel":{"to":{"id":7.0},"from":{"id":-1}},"conversationId":5}"#;
        let message = WebhookMessage::read(body).unwrap();
        assert_eq!((message.id.as_str(), message.to().unwrap().id.as_str()), ("42", "7"));
        for body in
            [&br#"{"id":true}"#[..], br#"{"id":null}"#, br#"{"id":[4]}"#, br#"{"id":{"id":4}}"#]
        {
            assert!(WebhookMessage::read(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_byte_order_mark_does_not_cost_the_message() {
        let message =
            WebhookMessage::read(b"\xef\xbb\xbf{\"id\":\"m\",\"text\":\"\xe9\\udc00\"}").unwrap();
        assert_eq!((message.id.as_str(), message.text.as_deref()), ("m", Some("\u{fffd}\u{fffd}")));
    }

    #[test]
    fn an_error_quotes_nothing() {
        for body in
            [&br#""my secret words""#[..], br#"{"id":{"secret":1}}"#, b"secret", br#"{"secret"#]
        {
            let error = WebhookMessage::read(body).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}
