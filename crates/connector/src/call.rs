//! The arguments of a connector's calls. The gateway fills these types, and a connector translates
//! them for its chat service.

use std::collections::BTreeMap;
use std::time::Duration;

use conversation::{ConversationId, MessageId, Reason, SessionId};
use serde::{Deserialize, Serialize};

use crate::Departure;

/// A request for a session: the argument of [`Connector::open`](crate::Connector::open).
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

/// A customer, with the fields that Genesys has for one.
///
/// In JSON the names are in snake case. Genesys's spelling (`idType`, `firstName`) is also read.
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
    /// The customer's id: any text that never changes and is unique within the integration.
    pub id: String,
    /// The type of the id: `Email`, `Phone` or `Opaque`.
    #[serde(default, alias = "idType", skip_serializing_if = "Option::is_none")]
    pub id_type: Option<String>,
    /// The name that the agent sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// The first name.
    #[serde(default, alias = "firstName", skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(default, alias = "lastName", skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// The URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the chat service knows about the customer. Architect flows read it as participant data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Who wrote a message to the customer.
///
/// ```
/// use connector::{Sender, SenderKind};
///
/// let bot = Sender { kind: SenderKind::Bot, name: None };
/// assert_eq!(serde_json::to_string(&bot)?, r#"{"kind":"bot"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sender {
    /// A person or a program.
    pub kind: SenderKind,
    /// The name under which Genesys sends, if it gives one. This is usually the integration's, not
    /// the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What kind of sender wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderKind {
    /// An agent.
    Human,
    /// A bot or a flow.
    Bot,
}

/// One attempt to forward one message from an agent, a bot or a flow: the argument of
/// [`Connector::forward`](crate::Connector::forward).
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
///     unavailable: Vec::new(),
///     sender: None,
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
    /// The message's id, which is the same for all attempts to forward it. So it is also their
    /// idempotency key.
    pub id: MessageId,
    /// When it was written (Genesys's `channel.time`).
    pub time: jiff::Timestamp,
    /// The text.
    pub text: Option<String>,
    /// Genesys's content elements that the chat service shows itself, unchanged. Others are part of
    /// the text.
    pub content: Vec<serde_json::Value>,
    /// The files that the gateway could not get. A line in the text stands for each, so a connector
    /// that does not know this field loses nothing.
    pub unavailable: Vec<Unavailable>,
    /// Who wrote it, if Genesys says so.
    pub sender: Option<Sender>,
    /// The session to send it in.
    pub session: SessionId,
    /// How long this attempt may take, from connecting to the end of the answer.
    pub timeout: Duration,
    /// The last check before the first byte.
    pub departure: Departure,
}

/// A file of a message that the gateway could not get.
///
/// ```
/// use connector::Unavailable;
/// use conversation::{Reason, ReasonCode};
///
/// let lost = Unavailable {
///     attachment: serde_json::Map::from_iter([("filename".to_owned(), "a.png".into())]),
///     reason: Reason::new(ReasonCode::GeneralError, "the link answered 404"),
/// };
/// assert_eq!(serde_json::to_value(&lost)?["attachment"]["filename"], "a.png");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// Genesys's attachment. It has its URL only if that asks for a login, which the recipient may
    /// have.
    pub attachment: serde_json::Map<String, serde_json::Value>,
    /// Why it cannot be had.
    pub reason: Reason,
}

/// A customer's message that Genesys will never get: the argument of
/// [`Connector::message_refused`](crate::Connector::message_refused).
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
    /// Why Genesys will never get it.
    pub reason: Reason,
    /// The last check before the first byte.
    pub departure: Departure,
}

/// Whether the agent types: the argument of [`Connector::typing`](crate::Connector::typing).
///
/// ```
/// use std::time::Duration;
///
/// use connector::Typing;
///
/// /// For a chat service that wants to know how many seconds to show it.
/// fn seconds(typing: Typing) -> u64 {
///     if typing.on { typing.duration.as_secs() } else { 0 }
/// }
///
/// let duration = Duration::from_secs(5);
/// assert_eq!(seconds(Typing { on: true, duration }), 5);
/// assert_eq!(seconds(Typing { on: false, duration }), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typing {
    /// `true` if the agent types, `false` if the agent has stopped.
    pub on: bool,
    /// How long to show it if no update follows.
    pub duration: Duration,
}
