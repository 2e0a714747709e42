//! What can happen to a conversation, and what it asks to be done about it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::NoticeKind;
use crate::record::{Fate, PostResult};
use crate::{AttemptOutcome, MessageId, OpenOutcome, Reason, Record, Report, SessionId};

/// Everything that can happen to a conversation. Its serde form stands in the inbox until it is handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// An agent, a bot or the agentless API wrote something.
    AgentMessage {
        /// The message.
        message: MessageId,
        /// Genesys's `channel.time`, where it could be read.
        time: Option<Timestamp>,
        /// When ingress took it.
        received: Timestamp,
        /// Why the connector cannot carry it, where it cannot.
        unsuited: Option<Reason>,
        /// Genesys's conversation id, where the webhook named it.
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
    /// The chat service says that the session is over.
    SessionClosed {
        /// Which, where it says.
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
        /// Genesys's conversation id, where the answer named it.
        genesys: Option<Box<str>>,
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
    /// Somebody ends the pause after a failure.
    Resume,
    /// The conversation was loaded after a crash or a move: whatever call was open, its outcome is lost.
    Recovered,
    /// Time has passed.
    Tick,
}

/// What is to be done, once the records before it are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the chat service for a session; answer with [`Input::OpenEnded`].
    Open {
        /// Which attempt.
        attempt: u32,
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
    Close,
    /// Show the agent that the customer types. Best effort.
    CustomerTyping,
    /// Tell Genesys; answer with the input that ends it. It is repeated until then.
    Post(Owed),
}

/// What Genesys is owed. Each stays owed, over restarts, until Genesys took it or refused it for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "owed", rename_all = "snake_case")]
pub enum Owed {
    /// A receipt about an agent's message; ends with [`Input::ReceiptDone`].
    Receipt {
        /// The message.
        message: MessageId,
        /// What it says; `None` is the `Sent` that is not final.
        fate: Option<Fate>,
    },
    /// A customer's message; ends with [`Input::InboundDone`].
    Inbound {
        /// The message.
        message: MessageId,
    },
    /// A note to the agent; ends with [`Input::NoticeDone`].
    Notice {
        /// About which message.
        message: MessageId,
        /// What.
        notice: NoticeKind,
    },
    /// The customer's participant is to be disconnected; ends with [`Input::DisconnectDone`].
    Disconnect {
        /// Genesys's conversation id.
        id: Box<str>,
    },
}

/// What one input led to: first the records, all of them durable; then the effects, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What is to be appended to the journal in one transaction.
    pub records: Vec<Record>,
    /// What is to be done afterwards.
    pub effects: Vec<Effect>,
    /// Why the input had no effect, where it had none: for a counter.
    pub ignored: Option<Ignored>,
}

impl Owed {
    /// Whether somebody waits for it: the agent for the customer's words, or for the bad news that a message failed.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Receipt { fate, .. } => fate.as_ref().is_some_and(Fate::is_failed),
            Self::Inbound { .. } | Self::Notice { .. } | Self::Disconnect { .. } => true,
        }
    }

    /// What it is about. Of two with the same key the newer replaces the older: a final receipt the `Sent` before it.
    pub fn key(&self) -> String {
        match self {
            Self::Receipt { message, .. } => format!("receipt/{message}"),
            Self::Inbound { message } => format!("inbound/{message}"),
            Self::Notice { message, notice } => format!("notice/{notice:?}/{message}"),
            Self::Disconnect { .. } => "disconnect".to_owned(),
        }
    }
}

/// Why an input had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It answers a call that is not open (any more).
    StaleAnswer,
    /// A report about a message that was never forwarded, or whose fate is decided.
    UselessReport,
    /// A word about a session that is not ours (any more).
    StrayedSession,
    /// Typing that nobody can see.
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
