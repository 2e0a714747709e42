//! The outcome of a call to the chat service. Connectors answer with these types, and the state
//! machine decides what follows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{MessageId, Reason, SessionId};

/// The outcome of the call that requests a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenOutcome {
    /// The session is there.
    Opened(SessionId),
    /// The handshake is in progress. [`crate::Input::SessionOpened`] or
    /// [`crate::Input::SessionRefused`] ends it.
    Pending,
    /// The chat service refuses this customer.
    Refused(Reason),
    /// The chat service does not accept the gateway's signature. There is no session, and the
    /// service has not decided about the customer.
    Unauthorized(Reason),
    /// The call failed this time.
    Retry {
        /// What went wrong.
        reason: Reason,
        /// How long the chat service asks to be left alone.
        after: Option<Duration>,
    },
}

/// The outcome of one attempt to forward one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The chat service says that the message reached the customer.
    Delivered {
        /// What the chat service calls the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        service_id: Option<Box<str>>,
    },
    /// The chat service accepted the message. Whether it reaches the customer is not known yet.
    Accepted {
        /// What the chat service calls the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        service_id: Option<Box<str>>,
    },
    /// The chat service will never take this message.
    Rejected {
        /// Its reason.
        reason: Reason,
    },
    /// The session does not exist any more, and the chat service did not accept the message.
    SessionGone,
    /// The message was not taken this time: it was not sent, or the chat service said so.
    NotTaken {
        /// What went wrong.
        reason: Reason,
        /// How long the chat service asks to be left alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Duration>,
    },
    /// Bytes were sent, and no answer says whether the message was accepted.
    Unknown {
        /// What went wrong.
        reason: Reason,
    },
}

/// The outcome of a call that tells the chat service that Genesys will never accept a customer's
/// message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TellOutcome {
    /// The service answered, so it knows, whatever it does with that.
    Heard,
    /// The service did not answer, or answered that it cannot take the call now.
    Failed {
        /// What went wrong.
        why: Box<str>,
    },
    /// The call was not made, or its outcome is lost.
    NotMade,
    /// The call can never be made.
    GivenUp {
        /// What is missing.
        why: Box<str>,
    },
}

/// What a chat service says later about a message that it accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// It reached the customer.
    Delivered,
    /// The customer read it, so it also reached the customer.
    Read,
    /// It did not reach the customer, and will not.
    Failed {
        /// The chat service's reason.
        reason: Reason,
    },
}

/// The message that a chat service means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageRef {
    /// By the gateway's id.
    Ours(MessageId),
    /// By the id that the chat service gave it.
    Service(Box<str>),
}
