//! The bodies that a middleware posts to Genesys, and Genesys's answers: messages, receipts, events
//! and structured responses.
//!
//! An emulator reads the requests strictly, because Genesys answers a field of a wrong type with
//! 400. A middleware reads the answers tolerantly. Both keep unknown fields.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::message::{
    Channel, Content, Direction, Event, MessageType, Party, format_time, parse_time,
};
use crate::receipt::{Reason, ReceiptStatus};
use crate::record::{record, words};

record! {
    /// The channel of an inbound message, event or response.
    ///
    /// ```
    /// use genesys::Party;
    /// use genesys::inbound::InboundChannel;
    /// use genesys::message::IdType;
    ///
    /// let written = "2026-11-20T09:10:59.12Z".parse()?;
    /// let channel = InboundChannel::new(Party::new("cust-48213", IdType::Opaque), written);
    /// assert_eq!(channel.time, "2026-11-20T09:10:59.120Z");
    /// assert_eq!(channel.timestamp(), Some(written));
    /// # Ok::<(), jiff::Error>(())
    /// ```
    strict InboundChannel {
        needs {
            /// The customer; Genesys requires `id` and `idType`.
            from: Party = "from",
            /// When it was written, ISO 8601 in UTC.
            time: String = "time",
        }
        may {
            /// The middleware's id of the message; not for events.
            message_id: String = "messageId",
            /// Data about the customer for Architect flows.
            metadata: ChannelMetadata = "metadata",
        }
    }
}

impl InboundChannel {
    /// Creates the channel of something that `from` wrote at `time`.
    pub fn new(from: Party, time: Timestamp) -> Self {
        Self { from, time: format_time(time), ..Self::default() }
    }

    /// [`Self::time`] as a timestamp. `None` if it is not a time in ISO 8601.
    pub fn timestamp(&self) -> Option<Timestamp> {
        parse_time(&self.time)
    }
}

record! {
    /// The metadata of an inbound channel (`channel.metadata`).
    ///
    /// ```
    /// use genesys::inbound::ChannelMetadata;
    ///
    /// let attributes = [("orderNumber".to_owned(), "A-10077".to_owned())].into();
    /// let metadata =
    ///     ChannelMetadata { custom_attributes: Some(attributes), ..ChannelMetadata::default() };
    /// assert_eq!(
    ///     serde_json::to_string(&metadata)?,
    ///     r#"{"customAttributes":{"orderNumber":"A-10077"}}"#,
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict ChannelMetadata {
        may {
            /// Attributes that become participant data. Genesys's SDKs do not have this field.
            custom_attributes: BTreeMap<String, String> = "customAttributes",
        }
    }
}

record! {
    /// A customer's message (`OpenInboundNormalizedMessage`): the body of
    /// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/message`.
    ///
    /// ```
    /// use genesys::Party;
    /// use genesys::inbound::{InboundChannel, InboundMessage};
    /// use genesys::message::IdType;
    ///
    /// let from = Party::new("cust-48213", IdType::Opaque);
    /// let mut channel = InboundChannel::new(from, "2026-11-20T09:10:59.120Z".parse()?);
    /// channel.message_id = Some("client-msg-0001".to_owned());
    /// let text = Some("Where is my parcel?".to_owned());
    /// let message = InboundMessage { channel, text, ..InboundMessage::default() };
    /// let body = serde_json::to_value(&message)?;
    /// assert_eq!(body["channel"]["from"]["idType"], "Opaque");
    /// assert_eq!(body["text"], "Where is my parcel?");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    strict InboundMessage {
        needs {
            /// Who wrote it, and when.
            channel: InboundChannel = "channel",
        }
        may {
            /// The text that the customer wrote.
            text: String = "text",
            /// The attachments.
            content: Vec<Content> = "content",
            /// Data about the message. It does not become participant data: see
            /// [`ChannelMetadata`].
            metadata: BTreeMap<String, String> = "metadata",
        }
    }
}

record! {
    /// The answer to an [`InboundMessage`] (`OpenMessageNormalizedMessage`).
    ///
    /// ```
    /// use genesys::inbound::MessageResponse;
    ///
    /// let answer: MessageResponse =
    ///     serde_json::from_str(r#"{"id": "m", "type": "Text", "conversationId": "c"}"#)?;
    /// assert_eq!(answer.conversation_id.as_deref(), Some("c"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant MessageResponse {
        may {
            /// Genesys's id of the message.
            id: String = "id",
            /// As posted, with the integration's part added.
            channel: Channel = "channel",
            /// The type: `Text`.
            r#type: MessageType = "type",
            /// The text, as posted.
            text: String = "text",
            /// The content, as posted.
            content: Vec<Content> = "content",
            /// The metadata, as posted.
            metadata: Map<String, Value> = "metadata",
            /// The id of Genesys's conversation. Present only if the call requested it by
            /// `prefetchConversationId`.
            conversation_id: String = "conversationId",
        }
    }
}

record! {
    /// The channel of a receipt.
    ///
    /// ```
    /// use genesys::inbound::ReceiptChannel;
    ///
    /// let channel: ReceiptChannel = serde_json::from_str(
    ///     r#"{"to": {"id": "cust-48213"}, "time": "2026-11-20T09:14:04.900Z"}"#,
    /// )?;
    /// assert_eq!(channel.to.id, "cust-48213");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict ReceiptChannel {
        needs {
            /// The customer, as in `channel.to` of the webhook message.
            to: Party = "to",
            /// When the message got this status, ISO 8601 in UTC.
            time: String = "time",
        }
        may {}
    }
}

record! {
    /// A receipt: the status of an outbound message (`OpenInboundNormalizedReceipt`). The body of
    /// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/receipt`.
    ///
    /// ```
    /// use genesys::Party;
    /// use genesys::inbound::InboundReceipt;
    /// use genesys::message::IdType;
    /// use genesys::receipt::{Reason, ReasonCode};
    ///
    /// let customer = Party::new("cust-48213", IdType::Opaque);
    /// let reason = Reason::new(ReasonCode::MessageExpired, "The customer did not come back.");
    /// let time = "2026-11-20T09:14:04.900Z".parse()?;
    /// let body = serde_json::to_value(InboundReceipt::failed("m", customer, time, reason))?;
    /// assert_eq!(body["status"], "Failed");
    /// assert_eq!(body["reasons"][0]["code"], "MessageExpired");
    /// assert_eq!(body["isFinalReceipt"], true);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    strict InboundReceipt {
        needs {
            /// The id of the webhook message.
            id: String = "id",
            /// To whom the message went, and when it got this status.
            channel: ReceiptChannel = "channel",
            /// The status; see [`ReceiptStatus::can_be_posted`].
            status: ReceiptStatus = "status",
        }
        may {
            /// Why the message failed; only if the status is `Failed`.
            reasons: Vec<Reason> = "reasons",
            /// Whether this is the last receipt for the message. Always set it, because Genesys
            /// documents no default.
            is_final_receipt: bool = "isFinalReceipt",
        }
    }
}

impl InboundReceipt {
    /// Creates a receipt that the message `id`, sent to `to`, got `status` at `time`. `is_final`
    /// says whether it is the last receipt for the message.
    pub fn new(
        id: impl Into<String>,
        to: Party,
        time: Timestamp,
        status: ReceiptStatus,
        is_final: bool,
    ) -> Self {
        Self {
            id: id.into(),
            channel: ReceiptChannel { to, time: format_time(time), other: Map::new() },
            status,
            reasons: None,
            is_final_receipt: Some(is_final),
            other: Map::new(),
        }
    }

    /// Creates a final receipt that the message `id`, sent to `to`, failed at `time`.
    pub fn failed(id: impl Into<String>, to: Party, time: Timestamp, reason: Reason) -> Self {
        let reasons = Some(vec![reason]);
        Self { reasons, ..Self::new(id, to, time, ReceiptStatus::Failed, true) }
    }
}

record! {
    /// The answer to an [`InboundReceipt`] (`OpenReceiptNormalizedMessage`), which repeats it.
    ///
    /// ```
    /// use genesys::inbound::ReceiptResponse;
    /// use genesys::receipt::ReceiptStatus;
    ///
    /// let answer: ReceiptResponse =
    ///     serde_json::from_str(r#"{"id": "m", "type": "Receipt", "status": "Failed"}"#)?;
    /// assert_eq!(answer.status, Some(ReceiptStatus::Failed), "the call itself succeeded");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant ReceiptResponse {
        may {
            /// The id, as posted.
            id: String = "id",
            /// The channel, as posted, with the integration's part added.
            channel: Channel = "channel",
            /// The type: `Receipt`.
            r#type: MessageType = "type",
            /// The status, as posted. `Failed` does not mean that the call failed.
            status: ReceiptStatus = "status",
            /// The reasons, as posted.
            reasons: Vec<Reason> = "reasons",
            /// Whether the receipt is final, as posted.
            is_final_receipt: bool = "isFinalReceipt",
            /// The direction of the message that the receipt is about.
            direction: Direction = "direction",
        }
    }
}

record! {
    /// Reports that the customer types (`OpenInboundNormalizedEvent`): the body of
    /// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/event`.
    ///
    /// ```
    /// use genesys::Party;
    /// use genesys::inbound::InboundEvent;
    /// use genesys::message::IdType;
    ///
    /// let customer = Party::new("cust-48213", IdType::Opaque);
    /// let event = InboundEvent::typing(customer, "2026-11-20T09:10:55Z".parse()?);
    /// assert_eq!(serde_json::to_value(&event)?["events"][0]["eventType"], "Typing");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    strict InboundEvent {
        needs {
            /// Who types, and when.
            channel: InboundChannel = "channel",
            /// The events. Genesys allows only `Typing`.
            events: Vec<Event> = "events",
        }
        may {}
    }
}

impl InboundEvent {
    /// Creates an event that `from` types at `time`.
    pub fn typing(from: Party, time: Timestamp) -> Self {
        Self {
            channel: InboundChannel::new(from, time),
            events: vec![Event::typing()],
            other: Map::new(),
        }
    }
}

record! {
    /// The answer to an [`InboundEvent`] (`OpenEventNormalizedMessage`).
    ///
    /// ```
    /// use genesys::inbound::EventResponse;
    /// use genesys::message::MessageType;
    ///
    /// let answer: EventResponse = serde_json::from_str(r#"{"id": "e", "type": "Event"}"#)?;
    /// assert_eq!(answer.r#type, Some(MessageType::Event));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant EventResponse {
        may {
            /// Genesys's id of the event.
            id: String = "id",
            /// As posted, with the integration's part added.
            channel: Channel = "channel",
            /// The type: `Event`.
            r#type: MessageType = "type",
            /// The events, as posted.
            events: Vec<Event> = "events",
        }
    }
}

words! {
    /// The kind of button that the customer tapped.
    ///
    /// ```
    /// use genesys::inbound::ButtonResponseType;
    ///
    /// assert_eq!(ButtonResponseType::from("QuickReply"), ButtonResponseType::QuickReply);
    /// assert_eq!(ButtonResponseType::default().as_str(), "Button");
    /// ```
    #[derive(Default)]
    ButtonResponseType {
        /// A button of a card or carousel.
        #[default]
        Button = "Button",
        /// A quick reply.
        QuickReply = "QuickReply",
        /// A slot of a date picker.
        DatePicker = "DatePicker",
    }
}

record! {
    /// The button that the customer tapped.
    ///
    /// ```
    /// use genesys::inbound::{ButtonResponse, ButtonResponseType};
    ///
    /// let tapped: ButtonResponse = serde_json::from_str(
    ///     r#"{"type": "QuickReply", "text": "Yes", "payload": "existing-yes"}"#,
    /// )?;
    /// assert_eq!(tapped.r#type, ButtonResponseType::QuickReply);
    /// assert_eq!(tapped.payload, "existing-yes");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    strict ButtonResponse {
        needs {
            /// The kind of button.
            r#type: ButtonResponseType = "type",
            /// The text on the button.
            text: String = "text",
            /// The button's payload: what the tap means to the bot or flow that sent the button.
            payload: String = "payload",
        }
        may {
            /// The id of this response.
            id: String = "id",
        }
    }
}

record! {
    /// Reports that the customer tapped a button (`OpenInboundStructuredResponseMessage`): the body
    /// of `POST …/{integrationId}/inbound/open/structured/response`.
    ///
    /// ```
    /// use genesys::Party;
    /// use genesys::inbound::{ButtonResponse, InboundChannel, StructuredResponse};
    /// use genesys::message::IdType;
    ///
    /// let from = Party::new("cust-48213", IdType::Opaque);
    /// let response = StructuredResponse {
    ///     channel: InboundChannel::new(from, "2026-11-20T09:12:06Z".parse()?),
    ///     button_response: ButtonResponse { text: "Yes".to_owned(), ..ButtonResponse::default() },
    ///     originating_message_id: "m".to_owned(),
    ///     ..StructuredResponse::default()
    /// };
    /// assert_eq!(serde_json::to_value(&response)?["originatingMessageId"], "m");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    strict StructuredResponse {
        needs {
            /// Who tapped, and when.
            channel: InboundChannel = "channel",
            /// The button that was tapped.
            button_response: ButtonResponse = "buttonResponse",
            /// The id of the webhook message that had the button.
            originating_message_id: String = "originatingMessageId",
        }
        may {}
    }
}

record! {
    /// The answer to a [`StructuredResponse`] (`OpenStructuredResponseNormalizedMessage`).
    ///
    /// ```
    /// use genesys::inbound::StructuredResponseResponse;
    ///
    /// let tapped = r#"{"contentType": "ButtonResponse", "buttonResponse": {"text": "Yes"}}"#;
    /// let answer = format!(r#"{{"id": "s", "content": [{tapped}]}}"#);
    /// let answer: StructuredResponseResponse = serde_json::from_str(&answer)?;
    /// let content = answer.content.unwrap_or_default();
    /// assert_eq!(content[0].body().map(|tapped| &tapped["text"]), Some(&"Yes".into()));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant StructuredResponseResponse {
        may {
            /// Genesys's id of the response.
            id: String = "id",
            /// As posted, with the integration's part added.
            channel: Channel = "channel",
            /// The type: `Structured`.
            r#type: MessageType = "type",
            /// The direction: `Inbound`.
            direction: Direction = "direction",
            /// One element of type `ButtonResponse`.
            content: Vec<Content> = "content",
            /// Data about the response.
            metadata: Map<String, Value> = "metadata",
        }
    }
}
