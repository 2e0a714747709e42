//! The events that a chat service sends to the gateway.
//!
//! A connector creates them from its protocol; [`crate::protocol`] does so for the connector
//! protocol, and validates them. The gateway stores them and passes them to their conversations.
//! The same event may come more than once.

use bytes::Bytes;
use conversation::{ConversationId, MessageRef, Reason, Report, SessionId};

use crate::Customer;

/// An event of a chat service.
///
/// ```
/// use connector::Event;
/// use connector::protocol::parse;
///
/// let body = br#"{"type": "session.lost", "id": "e-1"}"#;
/// let events = parse(body)?;
/// let lost = Event::SessionLost { id: "e-1".to_owned(), conversation: None, session: None };
/// assert_eq!(events[0].as_ref().map(|incoming| &incoming.event), Ok(&lost));
/// assert_eq!(lost.id(), Some("e-1"));
/// # Ok::<(), connector::protocol::NotEvents>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A customer's message. It has a text, or content, or both.
    Message {
        /// The chat service's id of the message.
        id: String,
        /// The customer who wrote it.
        customer: Customer,
        /// The text.
        text: Option<String>,
        /// Content elements in Genesys's form.
        content: Vec<serde_json::Value>,
        /// When it was written, if the chat service says so.
        time: Option<jiff::Timestamp>,
    },
    /// What was said before Genesys joined, the oldest first.
    History {
        /// The event's id.
        id: String,
        /// The customer who takes part in it.
        customer: Customer,
        /// What was said.
        messages: Vec<EarlierMessage>,
    },
    /// A customer changed or deleted a message that they had written.
    Changed {
        /// The event's id.
        id: String,
        /// The chat service's id of the message.
        message_id: String,
        /// The new text. `None` if the message was deleted.
        text: Option<String>,
    },
    /// The result of a message that the chat service accepted earlier.
    Report {
        /// The event's id.
        id: String,
        /// The message that the report is about.
        message: MessageRef,
        /// What happened to it.
        report: Report,
    },
    /// A handshake succeeded.
    SessionOpened {
        /// The event's id.
        id: String,
        /// The conversation whose handshake succeeded.
        conversation: ConversationId,
        /// The new session.
        session: SessionId,
    },
    /// The chat service refuses a session with this customer.
    SessionRefused {
        /// The event's id.
        id: String,
        /// The conversation whose handshake was refused.
        conversation: ConversationId,
        /// Why the chat service refuses.
        reason: Reason,
    },
    /// The customer has left the chat, possibly during a handshake.
    SessionClosed {
        /// The event's id.
        id: String,
        /// The conversation whose session is closed.
        conversation: ConversationId,
        /// The session, if the chat service names it. `None` means the one that is open.
        session: Option<SessionId>,
        /// The reason, if the chat service gives one. Messages that wait for a session fail with
        /// it.
        reason: Option<Reason>,
    },
    /// The chat service lost sessions, for example by a restart. The customers are still there.
    SessionLost {
        /// The event's id.
        id: String,
        /// The conversation whose session was lost. `None` means all sessions of this chat service.
        conversation: Option<ConversationId>,
        /// The session, if the chat service names it. `None` means the one that is open.
        session: Option<SessionId>,
    },
    /// The chat service says how it is, for operators.
    State {
        /// How it is.
        state: ServiceState,
        /// What an operator can do about it.
        remedy: Option<String>,
    },
    /// A customer starts or stops typing. At least one of the two ids is given.
    Typing {
        /// The customer's id.
        customer: Option<String>,
        /// The customer's conversation.
        conversation: Option<ConversationId>,
        /// Whether the customer types.
        on: bool,
    },
}

impl Event {
    /// The id by which a repeated event is recognized. `None` for typing and states, which are not
    /// stored.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message { id, .. }
            | Self::History { id, .. }
            | Self::Changed { id, .. }
            | Self::Report { id, .. }
            | Self::SessionOpened { id, .. }
            | Self::SessionRefused { id, .. }
            | Self::SessionClosed { id, .. }
            | Self::SessionLost { id, .. } => Some(id),
            Self::Typing { .. } | Self::State { .. } => None,
        }
    }
}

/// One message that was written before Genesys joined.
///
/// ```
/// use connector::EarlierMessage;
///
/// let said = EarlierMessage {
///     from: Some("Bot".to_owned()),
///     text: "How can I help?".to_owned(),
///     time: "2026-11-20T09:10:59Z".parse().ok(),
/// };
/// assert!(said.time.is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierMessage {
    /// The name of who wrote it.
    pub from: Option<String>,
    /// What they wrote.
    pub text: String,
    /// When.
    pub time: Option<jiff::Timestamp>,
}

/// How a chat service says that it is.
///
/// ```
/// use connector::ServiceState;
///
/// assert_eq!(ServiceState::Refused.as_str(), "refused");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It works.
    Up,
    /// It does not work now.
    Down,
    /// It is refused by the service behind it, such as for wrong credentials.
    Refused,
}

impl ServiceState {
    /// The word of the protocol, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Refused => "refused",
        }
    }
}

/// An event that came over the connector protocol, with its original JSON.
///
/// ```
/// use connector::protocol::parse;
///
/// let body = br#"{"type": "message.created", "id": "e-2", "text": "Hello",
///                 "customer": {"id": "48213", "shoeSize": 43}}"#;
/// let incoming = parse(body)?.remove(0)?;
/// assert_eq!(&incoming.raw[..], body);
/// assert_eq!(incoming.left_out, ["`customer.shoeSize` is not known and was left out"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct IncomingEvent {
    /// The parsed event.
    pub event: Event,
    /// The bytes of this one event as they came, for the store.
    pub raw: Bytes,
    /// One sentence for each field of the customer that was ignored, because it is unknown or
    /// cannot be used. They are for the author of the chat service.
    pub left_out: Vec<String>,
}
