//! The decisions, as the journal stores them.
//!
//! Later versions read these records back. A kind is never renamed, and a field may only be added
//! with a default.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::owed::{Fate, Owed, PostResult};
use crate::policy::NoticeKind;
use crate::{Answer, AttemptOutcome, MessageId, Offer, Reason, Report, SessionId, TellOutcome};

/// One decision about a conversation. The state is the sum of these and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// The gateway accepts an agent's message, and is responsible for it from here on.
    Accepted {
        /// The message's id.
        message: MessageId,
        /// Its place in the order: Genesys's `channel.time` exactly as written. If Genesys wrote no
        /// valid time, it is the greatest time of a message accepted before it. No clock of ours
        /// affects it. In records of earlier versions it is never later than `received`.
        time: Timestamp,
        /// When the gateway accepted it.
        received: Timestamp,
        /// Until when it may wait for a session.
        hold_until: Timestamp,
        /// When the last attempt may start.
        give_up: Timestamp,
    },
    /// An agent's message offers the customer something to choose from. It follows the message's
    /// `Accepted`.
    Offered {
        /// The message.
        message: MessageId,
        /// The options.
        #[serde(flatten)]
        offer: Box<Offer>,
        /// How long an answer counts as one of the options.
        until: Timestamp,
    },
    /// An attempt is about to be made; no byte has left yet.
    AttemptStarted {
        /// The message's id.
        message: MessageId,
        /// Counted from 1 for each message.
        attempt: u32,
        /// The session that it is sent into.
        session: SessionId,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// The message's id.
        message: MessageId,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The outcome.
        #[serde(flatten)]
        outcome: AttemptOutcome,
        /// When the next attempt may start, if there will be one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// The chat service reported on a message. The report takes effect only if a
    /// [`Record::Settled`] follows.
    Reported {
        /// The message's id.
        message: MessageId,
        /// The report.
        #[serde(flatten)]
        report: Report,
    },
    /// The fate of a message is decided. Nothing can change it any more.
    Settled {
        /// The message's id.
        message: MessageId,
        /// The final outcome.
        #[serde(flatten)]
        fate: Fate,
        /// Whether Genesys gets a receipt.
        receipt: bool,
    },
    /// Genesys must get a `Sent`, because the chat service has the message (`receipts.send =
    /// "all"`).
    SentDue {
        /// The message's id.
        message: MessageId,
    },
    /// Genesys has a receipt, or will never take it.
    ReceiptDone {
        /// The message's id.
        message: MessageId,
        /// Whether it was the final receipt.
        last: bool,
        /// Genesys's answer.
        #[serde(flatten)]
        result: PostResult,
    },
    /// The gateway is about to request a session.
    HandshakeStarted {
        /// Counted from 1 for each conversation.
        attempt: u32,
        /// When this handshake is given up.
        until: Timestamp,
    },
    /// The chat service answered that the handshake is in progress.
    HandshakePending {
        /// The number of the attempt, from 1.
        attempt: u32,
        /// When the gateway asks again, if nothing comes from the service before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_at: Option<Timestamp>,
    },
    /// The handshake failed this time.
    HandshakeFailed {
        /// What went wrong.
        reason: Reason,
        /// When the handshake is tried again; if `None`, never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// There is a session.
    SessionOpened {
        /// The chat service's id for the session.
        session: SessionId,
    },
    /// The chat service refuses this customer.
    SessionRefused {
        /// The reason.
        reason: Reason,
    },
    /// The session is gone.
    SessionClosed {
        /// What closed it.
        cause: ClosedBy,
        /// Until when waiting messages may wait for the next session.
        hold_until: Timestamp,
        /// When the next handshake starts, if the gateway itself wants a new session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reopen_at: Option<Timestamp>,
        /// Why the held messages fail, if the customer has left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// A failed message stops those behind it (`delivery.after_failure = "pause"`).
    Paused,
    /// The pause is over.
    Resumed,
    /// A customer's message must go to Genesys.
    InboundAccepted {
        /// The message's id.
        message: MessageId,
        /// Until when it waits for a handshake in progress.
        hold_until: Timestamp,
        /// What it answers, if it names an option of the open offer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Answer>>,
        /// The agent's message whose button it is, if it is a tap on one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tap: Option<MessageId>,
    },
    /// It is this message's turn to go to Genesys, or Genesys gets its words instead of the option
    /// that it named.
    InboundReleased {
        /// The message's id.
        message: MessageId,
        /// What it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Answer>>,
    },
    /// Genesys has the customer's message, or will never take it.
    InboundDone {
        /// The message's id.
        message: MessageId,
        /// Genesys's answer.
        #[serde(flatten)]
        result: PostResult,
    },
    /// Genesys did not take this item, although it took items of other customers.
    PostFailed {
        /// The item that Genesys did not take.
        #[serde(flatten)]
        owed: Owed,
        /// How many such tries have failed.
        tries: u32,
        /// Its answer, for people.
        why: Box<str>,
    },
    /// The chat service must be told that Genesys will never accept a customer's message.
    RefusalDue {
        /// The message's id.
        message: MessageId,
        /// The reason, as the chat service gets it.
        reason: Reason,
    },
    /// The chat service is about to be told; no byte has left yet.
    RefusalTelling {
        /// The message's id.
        message: MessageId,
        /// Counted from 1 for each message.
        attempt: u32,
    },
    /// The call that tells the chat service has ended.
    RefusalTold {
        /// The message's id.
        message: MessageId,
        /// The outcome.
        #[serde(flatten)]
        outcome: TellOutcome,
        /// When the gateway tells it again; if `None`, never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// An operator has a dead letter posted to Genesys again. It goes behind the customer's other
    /// messages that wait.
    InboundRetried {
        /// The message's id.
        message: MessageId,
        /// When it had become a dead letter.
        died: Timestamp,
        /// Who did it.
        by: Box<str>,
    },
    /// An operator has discarded a dead letter. It is not posted any more.
    InboundDiscarded {
        /// The message's id.
        message: MessageId,
        /// When it had become a dead letter.
        died: Timestamp,
        /// Who did it.
        by: Box<str>,
    },
    /// Genesys uses another conversation id for this customer from now on.
    GenesysConversation {
        /// Genesys's conversation id.
        id: Box<str>,
    },
    /// The agent must get a notice inside the conversation.
    NoticeDue {
        /// The id of the message that the notice is about.
        message: MessageId,
        /// The kind of notice.
        notice: NoticeKind,
    },
    /// Genesys has the notice, or will never take it.
    NoticeDone {
        /// The id of the message that the notice is about.
        message: MessageId,
        /// The kind of notice.
        notice: NoticeKind,
        /// Genesys's answer.
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
    /// The customer left, and Genesys must disconnect them.
    DisconnectDue {
        /// Genesys's conversation id.
        id: Box<str>,
    },
    /// Genesys has the disconnect, or will never take it.
    DisconnectDone {
        /// Genesys's answer.
        #[serde(flatten)]
        result: PostResult,
    },
    /// The agent's side ended the conversation. The session is closed once no message waits any
    /// more.
    Ending,
}

impl Record {
    /// The message that the record is about, if it is about one. In JSON it is the field `message`.
    pub fn message(&self) -> Option<&MessageId> {
        match self {
            Self::Accepted { message, .. }
            | Self::Offered { message, .. }
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
            | Self::InboundRetried { message, .. }
            | Self::InboundDiscarded { message, .. }
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
