//! What can happen to a conversation, and what it asks its caller to do.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::owed::{Owed, PostResult};
use crate::policy::NoticeKind;
use crate::record::ClosedBy;
use crate::{
    AttemptOutcome, MessageId, OpenOutcome, Reason, Record, Report, SessionId, TellOutcome,
};

/// Everything that can happen to a conversation. The inbox stores its serde form until it is
/// handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// An agent, a bot or the agentless API wrote something.
    AgentMessage {
        /// The message.
        message: MessageId,
        /// Genesys's `channel.time`, if it could be read.
        time: Option<Timestamp>,
        /// When ingress took it.
        received: Timestamp,
        /// Why the connector cannot carry the message, if it cannot.
        unsuited: Option<Reason>,
        /// Genesys's conversation id, if the webhook named it.
        genesys: Option<Box<str>>,
    },
    /// The agent types, or has stopped.
    AgentTyping {
        /// Whether typing goes on.
        on: bool,
        /// For how long.
        duration: Duration,
    },
    /// The customer wrote something.
    CustomerMessage {
        /// The message.
        message: MessageId,
    },
    /// The customer types, or has stopped.
    CustomerTyping,
    /// The call that asks for a session is over.
    OpenEnded {
        /// Which attempt.
        attempt: u32,
        /// What came of it.
        outcome: OpenOutcome,
    },
    /// The chat service says that there is a session.
    SessionOpened {
        /// Which.
        session: SessionId,
    },
    /// The chat service says that there will be none.
    SessionRefused {
        /// Why.
        reason: Reason,
    },
    /// The chat service says that the customer has left the chat.
    SessionClosed {
        /// Which session ended, if the service says so.
        session: Option<SessionId>,
        /// Why, if the service says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The chat service says that it lost the session, for example in a restart. The customer is
    /// still there.
    SessionLost {
        /// Which session, if the service says so.
        session: Option<SessionId>,
    },
    /// An attempt is over.
    AttemptEnded {
        /// The message.
        message: MessageId,
        /// Which attempt.
        attempt: u32,
        /// What came of it.
        outcome: AttemptOutcome,
    },
    /// The chat service reported what became of a message.
    Reported {
        /// The message.
        message: MessageId,
        /// What it said.
        report: Report,
    },
    /// A receipt reached Genesys, or never will.
    ReceiptDone {
        /// The message.
        message: MessageId,
        /// Whether it was the final one.
        last: bool,
        /// What Genesys said.
        result: PostResult,
    },
    /// A customer's message reached Genesys, or never will.
    InboundDone {
        /// The message.
        message: MessageId,
        /// What Genesys said.
        result: PostResult,
        /// Genesys's conversation id, if the answer named it.
        genesys: Option<Box<str>>,
    },
    /// Genesys did not take this, although it took what others were owed.
    PostFailed {
        /// What.
        owed: Owed,
        /// Its answer, for people.
        why: Box<str>,
    },
    /// The call that tells the chat service about a message that Genesys will never have is over.
    RefusalTold {
        /// The message.
        message: MessageId,
        /// Which call about it.
        attempt: u32,
        /// What came of it.
        outcome: TellOutcome,
    },
    /// A notice reached Genesys, or never will.
    NoticeDone {
        /// About which message.
        message: MessageId,
        /// What.
        notice: NoticeKind,
        /// What Genesys said.
        result: PostResult,
    },
    /// The customer's participant is disconnected, or never will be.
    DisconnectDone {
        /// What Genesys said.
        result: PostResult,
    },
    /// The agent's side ended the conversation at Genesys.
    GenesysEnded {
        /// Which of Genesys's conversations.
        id: Box<str>,
    },
    /// An operator ends the pause after a failure.
    Resume,
    /// The conversation was loaded after a crash or a move. If a call was open, its outcome is
    /// lost.
    Recovered,
    /// Time has passed.
    Tick,
}

/// What the caller must do, once the records before it are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the chat service for a session; answer with [`Input::OpenEnded`].
    Open {
        /// Which call, counted over the conversation's life.
        attempt: u32,
        /// Which try of this handshake, from 1. The chat service is told this number.
        tries: u32,
    },
    /// Forward a message; answer with [`Input::AttemptEnded`].
    Forward {
        /// The message; also the idempotency key.
        message: MessageId,
        /// Which attempt.
        attempt: u32,
        /// Into which session.
        session: SessionId,
    },
    /// Show the customer that the agent types. Best effort.
    Typing {
        /// Whether typing goes on.
        on: bool,
        /// For how long.
        duration: Duration,
    },
    /// Close the session. Best effort.
    Close {
        /// What ended it.
        by: ClosedBy,
    },
    /// Show the agent that the customer types. Best effort.
    CustomerTyping,
    /// Tell Genesys; answer with the input that ends it. The effect is repeated until then.
    Post(Owed),
    /// Tell the chat service that a customer's message will never reach Genesys; answer with
    /// [`Input::RefusalTold`].
    TellRefused {
        /// The customer's message.
        message: MessageId,
        /// Why.
        reason: Reason,
        /// Which call about it.
        attempt: u32,
    },
}

/// What one input led to: first the records, which must all be durable; then the effects, in this
/// order.
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
}

impl Ignored {
    /// The counter's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaleAnswer => "stale_answer",
            Self::UselessReport => "useless_report",
            Self::StrayedSession => "strayed_session",
            Self::Typing => "typing",
        }
    }
}
