//! Decisions, as the journal stores them.
//!
//! Later versions read these records back. A kind is never renamed, and a field may only be added
//! with a default.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::owed::{Fate, Owed, PostResult};
use crate::policy::NoticeKind;
use crate::{AttemptOutcome, MessageId, Reason, Report, SessionId, TellOutcome};

/// One decision about a conversation. The state is the sum of these and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// The gateway is responsible for an agent's message from here on.
    Accepted {
        /// The message.
        message: MessageId,
        /// Its place in the order: Genesys's `channel.time` exactly as written. If there was no
        /// time to read, it is the greatest time accepted before it. No clock of ours affects it.
        /// In records of earlier versions it is never later than `received`.
        time: Timestamp,
        /// When ingress took it.
        received: Timestamp,
        /// How long it may wait for a session.
        hold_until: Timestamp,
        /// When the last attempt may start.
        give_up: Timestamp,
    },
    /// An attempt is about to be made; no byte has left yet.
    AttemptStarted {
        /// The message.
        message: MessageId,
        /// Counted from 1 for each message.
        attempt: u32,
        /// The session that it is sent into.
        session: SessionId,
    },
    /// An attempt is over.
    AttemptEnded {
        /// The message.
        message: MessageId,
        /// Which attempt.
        attempt: u32,
        /// What came of it.
        #[serde(flatten)]
        outcome: AttemptOutcome,
        /// When the next attempt may start, if there will be one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// The chat service reported; the report takes effect only if a [`Record::Settled`] follows.
    Reported {
        /// The message.
        message: MessageId,
        /// What it said.
        #[serde(flatten)]
        report: Report,
    },
    /// The fate of a message is decided; nothing changes it any more.
    Settled {
        /// The message.
        message: MessageId,
        /// What became of it.
        #[serde(flatten)]
        fate: Fate,
        /// Whether Genesys is to be told.
        receipt: bool,
    },
    /// Genesys is to be told that the chat service has the message (`receipts.send = "all"`).
    SentDue {
        /// The message.
        message: MessageId,
    },
    /// Genesys has a receipt, or will never take it.
    ReceiptDone {
        /// The message.
        message: MessageId,
        /// Whether it was the final one.
        last: bool,
        /// What Genesys said.
        #[serde(flatten)]
        result: PostResult,
    },
    /// A session is being asked for.
    HandshakeStarted {
        /// Counted from 1 for each conversation.
        attempt: u32,
        /// When this handshake is given up.
        until: Timestamp,
    },
    /// The chat service said that the handshake goes on.
    HandshakePending {
        /// Which attempt.
        attempt: u32,
        /// When the service is asked again, if it says nothing until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_at: Option<Timestamp>,
    },
    /// The handshake did not work this time.
    HandshakeFailed {
        /// What went wrong.
        reason: Reason,
        /// When the handshake is tried again; if `None`, never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// There is a session.
    SessionOpened {
        /// Which.
        session: SessionId,
    },
    /// The chat service will not talk to this customer.
    SessionRefused {
        /// Why.
        reason: Reason,
    },
    /// The session is gone.
    SessionClosed {
        /// What closed it.
        cause: ClosedBy,
        /// How long waiting messages may wait for the next session.
        hold_until: Timestamp,
        /// When the next handshake starts, if the gateway itself wants a new session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reopen_at: Option<Timestamp>,
        /// Why held messages fail, if the customer has left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// A failed message stopped those behind it (`delivery.after_failure = "pause"`).
    Paused,
    /// The pause is over.
    Resumed,
    /// A customer's message is to go to Genesys.
    InboundAccepted {
        /// The message.
        message: MessageId,
        /// How long it waits for a handshake that is under way.
        hold_until: Timestamp,
    },
    /// It is this message's turn.
    InboundReleased {
        /// The message.
        message: MessageId,
    },
    /// Genesys has it, or will never take it.
    InboundDone {
        /// The message.
        message: MessageId,
        /// What Genesys said.
        #[serde(flatten)]
        result: PostResult,
    },
    /// Genesys did not take this, although it took what others were owed.
    PostFailed {
        /// What.
        #[serde(flatten)]
        owed: Owed,
        /// How many tries have failed like this.
        tries: u32,
        /// Its answer, for people.
        why: Box<str>,
    },
    /// The chat service is to be told that Genesys will never have a customer's message.
    RefusalDue {
        /// The message.
        message: MessageId,
        /// Why, in the words that the chat service gets.
        reason: Reason,
    },
    /// The chat service is about to be told; no byte has left yet.
    RefusalTelling {
        /// The message.
        message: MessageId,
        /// Counted from 1 for each message.
        attempt: u32,
    },
    /// The chat service was told, or was not.
    RefusalTold {
        /// The message.
        message: MessageId,
        /// What came of it.
        #[serde(flatten)]
        outcome: TellOutcome,
        /// When the service is told again; if `None`, never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// What Genesys calls this conversation now.
    GenesysConversation {
        /// Genesys's conversation id.
        id: Box<str>,
    },
    /// The agent is to be told something inside the conversation.
    NoticeDue {
        /// About which message.
        message: MessageId,
        /// What.
        notice: NoticeKind,
    },
    /// The agent was told, or cannot be.
    NoticeDone {
        /// About which message.
        message: MessageId,
        /// What.
        notice: NoticeKind,
        /// What Genesys said.
        #[serde(flatten)]
        result: PostResult,
    },
    /// The customer left the chat, or the chat service refused them. Genesys is told once it has
    /// their last words.
    CustomerLeft {
        /// Why messages fail that the agent writes until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The customer left; Genesys is to be told.
    DisconnectDue {
        /// Genesys's conversation id.
        id: Box<str>,
    },
    /// Genesys was told, or cannot be.
    DisconnectDone {
        /// What Genesys said.
        #[serde(flatten)]
        result: PostResult,
    },
    /// The agent's side ended the conversation; the session is closed when nothing waits any more.
    Ending,
}

impl Record {
    /// The message that the record is about, if it is about one. In JSON it is the field `message`.
    pub fn message(&self) -> Option<&MessageId> {
        match self {
            Self::Accepted { message, .. }
            | Self::AttemptStarted { message, .. }
            | Self::AttemptEnded { message, .. }
            | Self::Reported { message, .. }
            | Self::Settled { message, .. }
            | Self::SentDue { message, .. }
            | Self::ReceiptDone { message, .. }
            | Self::InboundAccepted { message, .. }
            | Self::InboundReleased { message, .. }
            | Self::InboundDone { message, .. }
            | Self::RefusalDue { message, .. }
            | Self::RefusalTelling { message, .. }
            | Self::RefusalTold { message, .. }
            | Self::NoticeDue { message, .. }
            | Self::NoticeDone { message, .. } => Some(message),
            Self::PostFailed { owed, .. } => owed.message(),
            Self::HandshakeStarted { .. }
            | Self::HandshakePending { .. }
            | Self::HandshakeFailed { .. }
            | Self::SessionOpened { .. }
            | Self::SessionRefused { .. }
            | Self::SessionClosed { .. }
            | Self::Paused
            | Self::Resumed
            | Self::GenesysConversation { .. }
            | Self::CustomerLeft { .. }
            | Self::DisconnectDue { .. }
            | Self::DisconnectDone { .. }
            | Self::Ending => None,
        }
    }
}

/// What closed a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The chat service said by an event that the customer has left.
    Service,
    /// The chat service said so in its answer to a forward.
    Forward,
    /// The chat service said by an event that it lost the session.
    Lost,
    /// The agent's side ended the conversation.
    Agent,
}
