//! What can happen to a conversation, and what it asks its caller to do.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::owed::{Owed, PostResult};
use crate::policy::NoticeKind;
use crate::record::ClosedBy;
use crate::{
    AttemptOutcome, DeadLetterAction, MessageId, Offer, OpenOutcome, Reason, Record, Report,
    SessionId, TellOutcome,
};

/// Everything that can happen to a conversation. The inbox stores its serde form until the
/// conversation handles it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// An agent, a bot or the agentless API wrote something.
    AgentMessage {
        /// The message's id.
        message: MessageId,
        /// Genesys's `channel.time`, if it could be read.
        time: Option<Timestamp>,
        /// When the gateway accepted it.
        received: Timestamp,
        /// Why the connector cannot carry the message, if it cannot.
        unsuited: Option<Reason>,
        /// Genesys's conversation id, if the webhook named it.
        genesys: Option<Box<str>>,
        /// What the customer may choose from, if the message offers anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offer: Option<Box<Offer>>,
    },
    /// The agent types, or has stopped.
    AgentTyping {
        /// `true` if the agent types, `false` if the agent has stopped.
        on: bool,
        /// How long to show it if no update follows.
        duration: Duration,
    },
    /// The customer wrote something.
    CustomerMessage {
        /// The message's id.
        message: MessageId,
        /// Its text, if it is short and all that the message has: it may be the answer to an offer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Box<str>>,
        /// The agent's message whose button it is, if it is a tap on one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tap: Option<MessageId>,
    },
    /// The customer types, or has stopped.
    CustomerTyping,
    /// The call that requests a session has ended.
    OpenEnded {
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The outcome.
        outcome: OpenOutcome,
    },
    /// The chat service reports that there is a session.
    SessionOpened {
        /// The chat service's id for the session.
        session: SessionId,
    },
    /// The chat service reports that it refuses a session.
    SessionRefused {
        /// The reason.
        reason: Reason,
    },
    /// The chat service reports that the customer has left the chat.
    SessionClosed {
        /// Which session ended, if the service says so.
        session: Option<SessionId>,
        /// Why, if the service says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The chat service reports that it lost the session, for example in a restart. The customer is
    /// still there.
    SessionLost {
        /// Which session, if the service says so.
        session: Option<SessionId>,
    },
    /// An attempt to forward a message has ended.
    AttemptEnded {
        /// The message's id.
        message: MessageId,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The outcome.
        outcome: AttemptOutcome,
    },
    /// The chat service reports the fate of a message that it accepted.
    Reported {
        /// The message's id.
        message: MessageId,
        /// The report.
        report: Report,
    },
    /// A receipt reached Genesys, or never will.
    ReceiptDone {
        /// The message's id.
        message: MessageId,
        /// Whether it was the final receipt.
        last: bool,
        /// Genesys's answer.
        result: PostResult,
    },
    /// A customer's message reached Genesys, or never will.
    InboundDone {
        /// The message's id.
        message: MessageId,
        /// Genesys's answer.
        result: PostResult,
        /// Genesys's conversation id, if the answer named it.
        genesys: Option<Box<str>>,
    },
    /// Genesys did not take this item, although it took items of other customers.
    PostFailed {
        /// The item that Genesys did not take.
        owed: Owed,
        /// Its answer, for people.
        why: Box<str>,
    },
    /// The call has ended that tells the chat service about a message which Genesys will never
    /// accept.
    RefusalTold {
        /// The message's id.
        message: MessageId,
        /// The number of the call about it, from 1.
        attempt: u32,
        /// The outcome.
        outcome: TellOutcome,
    },
    /// A notice reached Genesys, or never will.
    NoticeDone {
        /// The id of the message that the notice is about.
        message: MessageId,
        /// The kind of notice.
        notice: NoticeKind,
        /// Genesys's answer.
        result: PostResult,
    },
    /// The disconnect of the customer's participant reached Genesys, or never will.
    DisconnectDone {
        /// Genesys's answer.
        result: PostResult,
    },
    /// The agent's side ended the conversation at Genesys.
    GenesysEnded {
        /// Genesys's conversation id.
        id: Box<str>,
    },
    /// An operator ends the pause after a failure.
    Resume,
    /// An operator acts on a customer's message that is a dead letter.
    DeadLetter {
        /// What they do about it.
        action: DeadLetterAction,
        /// The message's id.
        message: MessageId,
        /// When it became a dead letter.
        died: Timestamp,
        /// Who it is, for the journal.
        by: Box<str>,
    },
    /// The conversation was loaded after a crash or a handover. If a call was open, its outcome is
    /// lost.
    Recovered,
    /// Time has passed.
    Tick,
}

impl Input {
    /// Whether it puts a message of the customer into the queue for Genesys, or takes one out of
    /// it. These wait in the inbox while many are in the queue, because Genesys gets them one at a
    /// time.
    pub fn is_customers(&self) -> bool {
        matches!(self, Self::CustomerMessage { .. } | Self::DeadLetter { .. })
    }
}

/// What the caller must do, once the records before it are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Request a session from the chat service; answer with [`Input::OpenEnded`].
    Open {
        /// The number of the call, counted from 1 over the life of the conversation.
        attempt: u32,
        /// The number of the try within this handshake, from 1. The chat service gets this number.
        tries: u32,
    },
    /// Forward a message; answer with [`Input::AttemptEnded`].
    Forward {
        /// The message; also the idempotency key.
        message: MessageId,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The session to send it in.
        session: SessionId,
    },
    /// Show the customer that the agent types. Best effort.
    Typing {
        /// `true` if the agent types, `false` if the agent has stopped.
        on: bool,
        /// How long to show it if no update follows.
        duration: Duration,
    },
    /// Close the session. Best effort.
    Close {
        /// Why it ends.
        by: ClosedBy,
    },
    /// Show the agent that the customer types. Best effort.
    CustomerTyping,
    /// Post this to Genesys; answer with the input that ends it. The caller must retry until then,
    /// also after a restart.
    Post(Owed),
    /// Tell the chat service that a customer's message will never reach Genesys; answer with
    /// [`Input::RefusalTold`].
    TellRefused {
        /// The customer's message.
        message: MessageId,
        /// The reason.
        reason: Reason,
        /// The number of the call about it, from 1.
        attempt: u32,
    },
}

/// The result of one input. All records must be durable before the effects run, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What to append to the journal in one transaction.
    pub records: Vec<Record>,
    /// What to do afterwards.
    pub effects: Vec<Effect>,
    /// Why the input had no effect, if it had none; for a counter.
    pub ignored: Option<Ignored>,
}

/// Why an input had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It answers a call that is not open, or no longer open.
    StaleAnswer,
    /// A report about a message that was never forwarded, or whose fate is already decided.
    UselessReport,
    /// An event about a session that is not ours, or no longer ours.
    StrayedSession,
    /// A typing event that the other side cannot see.
    Typing,
    /// An operator has already acted on this dead letter.
    RepeatedAction,
}

impl Ignored {
    /// The counter's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaleAnswer => "stale_answer",
            Self::UselessReport => "useless_report",
            Self::StrayedSession => "strayed_session",
            Self::Typing => "typing",
            Self::RepeatedAction => "repeated_action",
        }
    }
}
