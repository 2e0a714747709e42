//! What the gateway hands to a connector with each call.
//!
//! The gateway fills these types, and connectors translate them for their chat service. Nothing
//! here decides anything.

use std::time::Duration;

use conversation::{ConversationId, MessageId, Reason, SessionId};
use serde::{Deserialize, Serialize};

use crate::Departure;

/// A request for a session.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Whether the agent types.
    pub on: bool,
    /// How long to show it if no update follows.
    pub duration: Duration,
}
