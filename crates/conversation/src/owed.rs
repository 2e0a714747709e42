//! What Genesys is owed about a conversation, and what it answers. Inputs, records and the outbox
//! use these types.

use serde::{Deserialize, Serialize};

use crate::policy::NoticeKind;
use crate::{Answer, MessageId, Reason};

/// An item that Genesys is owed. It stays owed, also after a restart, until Genesys takes it or
/// refuses it permanently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "owed", rename_all = "snake_case")]
pub enum Owed {
    /// A receipt about an agent's message; ends with [`crate::Input::ReceiptDone`].
    Receipt {
        /// The message's id.
        message: MessageId,
        /// What the receipt says; `None` is the non-final `Sent`.
        fate: Option<Fate>,
    },
    /// A customer's message; ends with [`crate::Input::InboundDone`].
    Inbound {
        /// The message's id.
        message: MessageId,
        /// The option that it names, if it answers an offer. Genesys then gets the option.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Answer>>,
    },
    /// A note to the agent; ends with [`crate::Input::NoticeDone`].
    Notice {
        /// The id of the message that the notice is about.
        message: MessageId,
        /// The kind of notice.
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
            | Self::Inbound { message, .. }
            | Self::Notice { message, .. } => Some(message),
            Self::Disconnect { .. } => None,
        }
    }

    /// Whether people wait for it. The agent waits for the customer's messages, and for a receipt
    /// that says Failed.
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
        matches!(self, Self::Inbound { message, .. } if message == id)
    }

    /// Whether the customer's next messages must wait until Genesys has it.
    pub fn holds_back_words(&self) -> bool {
        matches!(self, Self::Inbound { .. } | Self::Disconnect { .. })
    }

    /// Its key in the outbox. A newer item replaces an older one with the same key: a final receipt
    /// replaces the `Sent` before it.
    pub fn key(&self) -> String {
        match self {
            Self::Receipt { message, .. } => format!("receipt/{message}"),
            Self::Inbound { message, .. } => format!("inbound/{message}"),
            Self::Notice { message, notice } => format!("notice/{notice:?}/{message}"),
            Self::Disconnect { .. } => "disconnect".to_owned(),
        }
    }
}

/// The final outcome of an agent's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// The chat service said that it reached the customer, or, by policy, that it accepted the
    /// message.
    Delivered,
    /// The chat service accepted it, and did not report on it in time.
    Sent,
    /// It did not arrive, or its outcome is unknown and no further attempt is made.
    Failed {
        /// The reason.
        reason: Reason,
    },
}

impl Fate {
    /// Whether the message failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// Genesys's answer to a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum PostResult {
    /// Genesys took the post.
    Posted {
        /// The id that Genesys gave, if it gives one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        genesys_id: Option<Box<str>>,
    },
    /// Genesys will never take it.
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
