//! How a dead letter is named, and what an operator may do about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::MessageId;

/// What an operator does about a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterAction {
    /// Genesys gets it again, behind the messages that wait.
    Retry,
    /// It is done: it cannot be retried any more.
    Discard,
}

/// A dead letter that an operator has acted on, and when it had become one. If a retry fails, the
/// message becomes a dead letter again, at another time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandledDeath {
    pub(crate) message: MessageId,
    pub(crate) died: Timestamp,
}
