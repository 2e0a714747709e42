//! What the gateway hands to a connector with each call.
//!
//! The gateway fills these types, and connectors translate them for their chat service. Nothing
//! here decides anything.

use std::time::Duration;

use conversation::{ConversationId, MessageId, Reason, SessionId};
use serde::{Deserialize, Serialize};

use crate::Departure;

/// A request for a session.
///
/// ```
/// use connector::{Customer, Departure, Open};
/// use conversation::ConversationId;
///
/// let call = Open {
///     conversation: ConversationId::new("c5f3a9c1e07b44d2"),
///     customer: Customer { id: "noor@example.com".to_owned(), ..Customer::default() },
///     attempt: 1,
///     departure: Departure::free(),
/// };
/// assert!(call.departure.leave().is_ok(), "a connector asks before the first byte");
/// ```
#[derive(Clone, Debug)]
pub struct Open {
    /// The conversation that needs the session.
    pub conversation: ConversationId,
    /// The customer to open it with.
    pub customer: Customer,
    /// The number of this try within one handshake, from 1.
    pub attempt: u32,
    /// The last check before the first byte.
    pub departure: Departure,
}

/// The customer, in the fields that Genesys has for them.
///
/// On the wire the names are in snake case. Genesys's own spelling (`idType`, `firstName`) is
/// accepted as well.
///
/// ```
/// use connector::Customer;
///
/// let customer: Customer = serde_json::from_str(r#"{"id": "48213", "firstName": "Noor"}"#)?;
/// assert_eq!(serde_json::to_string(&customer)?, r#"{"id":"48213","first_name":"Noor"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Customer {
    /// The customer's id: stable, unique within the integration, opaque.
    pub id: String,
    /// The type of the id: `Email`, `Phone` or `Opaque`.
    #[serde(default, alias = "idType", skip_serializing_if = "Option::is_none")]
    pub id_type: Option<String>,
    /// The name that the agent sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// First name.
    #[serde(default, alias = "firstName", skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, alias = "lastName", skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// One attempt to forward one message from the agent's side.
///
/// ```
/// use std::time::Duration;
///
/// use connector::{Departure, Forward};
/// use conversation::{ConversationId, MessageId, SessionId};
///
/// let first = Forward {
///     conversation: ConversationId::new("c5f3a9c1e07b44d2"),
///     id: MessageId::new("9f0c1b7a5e3d4286"),
///     time: "2026-11-20T09:14:03.482Z".parse()?,
///     text: Some("Good morning!".to_owned()),
///     content: Vec::new(),
///     session: SessionId::new("a session"),
///     timeout: Duration::from_secs(10),
///     departure: Departure::free(),
/// };
/// // Another attempt has the same id, so that the chat service recognizes the repetition.
/// let second = Forward { departure: Departure::free(), ..first.clone() };
/// assert_eq!(first.id, second.id);
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Forward {
    /// The conversation that it belongs to.
    pub conversation: ConversationId,
    /// The message, and the idempotency key of all attempts to forward it.
    pub id: MessageId,
    /// When it was written (Genesys's `channel.time`).
    pub time: jiff::Timestamp,
    /// What was written.
    pub text: Option<String>,
    /// Genesys's content elements, as they came.
    pub content: Vec<serde_json::Value>,
    /// The session to send it in.
    pub session: SessionId,
    /// How long this attempt may take altogether.
    pub timeout: Duration,
    /// The last check before the first byte.
    pub departure: Departure,
}

/// A customer's message that Genesys will never have.
///
/// ```
/// use connector::{Departure, Refusal};
/// use conversation::{ConversationId, Reason, ReasonCode};
///
/// let refusal = Refusal {
///     conversation: ConversationId::new("c5f3a9c1e07b44d2"),
///     message_id: "client-msg-0001".to_owned(),
///     reason: Reason::new(ReasonCode::InvalidMessageStructure, "Genesys answered 400"),
///     departure: Departure::free(),
/// };
/// assert_eq!(refusal.reason.to_string(), "InvalidMessageStructure - Genesys answered 400");
/// ```
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The conversation of the message.
    pub conversation: ConversationId,
    /// The chat service's id of the message.
    pub message_id: String,
    /// Why Genesys will never have it.
    pub reason: Reason,
    /// The last check before the first byte.
    pub departure: Departure,
}

/// The agent starts or stops typing.
///
/// ```
/// use std::time::Duration;
///
/// use connector::Typing;
///
/// let typing = Typing { on: true, duration: Duration::from_secs(5) };
/// assert_ne!(typing, Typing { on: false, ..typing });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Whether the agent types.
    pub on: bool,
    /// How long to show it if no update follows.
    pub duration: Duration,
}
