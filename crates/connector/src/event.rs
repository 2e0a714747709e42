//! What a chat service tells by itself.
//!
//! Connectors make these from their wire ([`crate::protocol`] for the connector protocol); the gateway stores them
//! and feeds them into conversations. An event is checked when it is made, and never trusted to come only once.

use conversation::{ConversationId, MessageRef, Reason, Report, SessionId};
use serde_json::value::RawValue;

use crate::Customer;

/// What a chat service tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A customer wrote. It has a text, or content, or both.
    Message {
        /// The chat service's id for it.
        id: String,
        /// Who wrote.
        customer: Customer,
        /// What was written.
        text: Option<String>,
        /// Content elements in Genesys's form.
        content: Vec<serde_json::Value>,
        /// When, if the chat service says.
        time: Option<jiff::Timestamp>,
    },
    /// What became of a message that the chat service took earlier.
    Report {
        /// The event's id.
        id: String,
        /// Which message.
        message: MessageRef,
        /// What became of it.
        report: Report,
    },
    /// A handshake ended well.
    SessionOpened {
        /// The event's id.
        id: String,
        /// Whose handshake.
        conversation: ConversationId,
        /// The session.
        session: SessionId,
    },
    /// The chat service will not talk to this customer.
    SessionRefused {
        /// The event's id.
        id: String,
        /// Whose handshake.
        conversation: ConversationId,
        /// Why not.
        reason: Reason,
    },
    /// The chat service ended a session.
    SessionClosed {
        /// The event's id.
        id: String,
        /// Whose session.
        conversation: ConversationId,
        /// Which one, if the chat service says; otherwise whichever is open.
        session: Option<SessionId>,
        /// Why, for people.
        reason: Option<String>,
    },
    /// A customer types, or has stopped. At least one of the two names is there.
    Typing {
        /// The customer's id.
        customer: Option<String>,
        /// The customer's conversation.
        conversation: Option<ConversationId>,
        /// Types.
        on: bool,
    },
}

impl Event {
    /// The id by which a repeated event is known. Typing has none, since it is not stored.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message { id, .. }
            | Self::Report { id, .. }
            | Self::SessionOpened { id, .. }
            | Self::SessionRefused { id, .. }
            | Self::SessionClosed { id, .. } => Some(id),
            Self::Typing { .. } => None,
        }
    }
}

/// An event, with the JSON that it came as.
#[derive(Clone, Debug)]
pub struct IncomingEvent {
    /// What it says.
    pub event: Event,
    /// This one event's own JSON, byte for byte, for the store.
    pub raw: Box<RawValue>,
}
