//! What the gateway hands to a connector with each call.
//!
//! The gateway fills these; connectors put them into their chat service's words. Nothing here decides anything.

use std::time::Duration;

use conversation::{ConversationId, MessageId, SessionId};
use serde::{Deserialize, Serialize};

/// A session is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Whose.
    pub conversation: ConversationId,
    /// With whom.
    pub customer: Customer,
    /// Counts the tries of one handshake, from 1.
    pub attempt: u32,
}

/// The person on the other side, in the fields that Genesys has for them.
///
/// On the wire the names are in snake case; Genesys's own spelling (`idType`, `firstName`) is read as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Customer {
    /// Who it is: stable, unique within the integration, opaque.
    pub id: String,
    /// What kind of id that is: `Email`, `Phone` or `Opaque`.
    #[serde(default, alias = "idType", skip_serializing_if = "Option::is_none")]
    pub id_type: Option<String>,
    /// What the agent sees.
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
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Where it belongs.
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
}

/// The agent types, or has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Types.
    pub on: bool,
    /// How long to show it if nothing more comes.
    pub duration: Duration,
}
