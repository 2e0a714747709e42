//! What Genesys is owed about a conversation, and what it says to that. Inputs, records and the
//! outbox all carry these types.

use serde::{Deserialize, Serialize};

use crate::policy::NoticeKind;
use crate::{MessageId, Reason};

/// What Genesys is owed. Each item stays owed, across restarts, until Genesys takes it or refuses
/// it for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "owed", rename_all = "snake_case")]
pub enum Owed {
    /// A receipt about an agent's message; ends with [`crate::Input::ReceiptDone`].
    Receipt {
        /// The message.
        message: MessageId,
        /// What it says; `None` is the non-final `Sent`.
        fate: Option<Fate>,
    },
    /// A customer's message; ends with [`crate::Input::InboundDone`].
    Inbound {
        /// The message.
        message: MessageId,
    },
    /// A note to the agent; ends with [`crate::Input::NoticeDone`].
    Notice {
        /// About which message.
        message: MessageId,
        /// What.
        notice: NoticeKind,
    },
    /// A request to disconnect the customer's participant; ends with
    /// [`crate::Input::DisconnectDone`].
    Disconnect {
        /// Genesys's conversation id.
        id: Box<str>,
    },
}

impl Owed {
    /// The message that it is about, if it is about one.
    pub fn message(&self) -> Option<&MessageId> {
        match self {
            Self::Receipt { message, .. }
            | Self::Inbound { message }
            | Self::Notice { message, .. } => Some(message),
            Self::Disconnect { .. } => None,
        }
    }

    /// Whether people wait for it: the agent waits for the customer's words, or for the news that a
    /// message failed.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Receipt { fate, .. } => fate.as_ref().is_some_and(Fate::is_failed),
            Self::Inbound { .. } | Self::Notice { .. } | Self::Disconnect { .. } => true,
        }
    }

    /// Whether it is a receipt about this message, final or not.
    pub(crate) fn is_receipt_about(&self, id: &MessageId) -> bool {
        matches!(self, Self::Receipt { message, .. } if message == id)
    }

    /// Whether it is the final receipt about this message (`last`), or the `Sent` before it.
    pub(crate) fn is_receipt(&self, id: &MessageId, last: bool) -> bool {
        self.is_receipt_about(id)
            && matches!(self, Self::Receipt { fate, .. } if fate.is_some() == last)
    }

    /// Whether it is this notice about this message.
    pub(crate) fn is_notice(&self, id: &MessageId, kind: NoticeKind) -> bool {
        matches!(self, Self::Notice { message, notice } if message == id && *notice == kind)
    }

    /// Whether it is this message of the customer.
    pub(crate) fn is_inbound(&self, id: &MessageId) -> bool {
        matches!(self, Self::Inbound { message } if message == id)
    }

    /// Whether the customer's next words wait for it.
    pub fn holds_back_words(&self) -> bool {
        matches!(self, Self::Inbound { .. } | Self::Disconnect { .. })
    }

    /// What it is about. A newer item replaces an older one with the same key: a final receipt
    /// replaces the `Sent` before it.
    pub fn key(&self) -> String {
        match self {
            Self::Receipt { message, .. } => format!("receipt/{message}"),
            Self::Inbound { message } => format!("inbound/{message}"),
            Self::Notice { message, notice } => format!("notice/{notice:?}/{message}"),
            Self::Disconnect { .. } => "disconnect".to_owned(),
        }
    }
}

/// What became of an agent's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// The chat service said so.
    Delivered,
    /// The chat service took it and never said what became of it.
    Sent,
    /// It did not arrive, or the outcome is unknown and the policy counts that as a failure.
    Failed {
        /// Why.
        reason: Reason,
    },
}

impl Fate {
    /// Whether the message failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// What Genesys said to something that we posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum PostResult {
    /// It took it.
    Posted {
        /// The id that Genesys gave, if it gives one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        genesys_id: Option<Box<str>>,
    },
    /// It will never take it.
    Refused {
        /// Its answer, for people.
        why: Box<str>,
    },
}

impl PostResult {
    /// Whether Genesys took it.
    pub fn is_posted(&self) -> bool {
        matches!(self, Self::Posted { .. })
    }
}
