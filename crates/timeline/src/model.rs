//! What the functions of this crate return: plain values, which an API can write as JSON, with their
//! schemas.
//!
//! No text in them is a message's text, the label of an option, or a customer's name. Reasons of
//! chat services and answers of Genesys are in them, cut and cleaned as receipts have them.

use std::collections::BTreeMap;

use conversation::{Reason, ReasonCode};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use store::Direction;
use utoipa::ToSchema;

use crate::words::plain;

/// What became of one message, for the person who looks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageTimeline {
    /// The integration's name.
    pub integration: String,
    /// The conversation's id.
    pub conversation: String,
    /// The message's id in the store.
    pub message: String,
    /// `outbound` or `inbound`.
    #[serde(serialize_with = "direction_word")]
    #[schema(value_type = String)]
    pub direction: Direction,
    /// The answer in plain words: first what became of it, then why, then what Genesys knows.
    pub summary: String,
    /// The answer for programs.
    pub outcome: Outcome,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// When its outcome became final.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled: Option<Timestamp>,
    /// Why it failed, was refused, or has not arrived yet.
    pub cause: Option<Cause>,
    /// What happened, oldest first; at most [`MAX_STEPS`]. The handshakes, sessions and pauses of
    /// the conversation are among them if they overlap with the message's way.
    pub steps: Vec<Step>,
    /// How many steps were left out, because there were more. Failed ones are kept first, then the
    /// newest.
    pub steps_left_out: usize,
    /// What comes next; `None` if nothing will.
    pub next: Option<Next>,
    /// Retention has removed records of the conversation, so the beginning may be missing.
    pub pruned: bool,
    /// How many records that may concern the message cannot be read.
    pub damaged: usize,
}

/// What happened in one conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConversationTimeline {
    /// The integration's name.
    pub integration: String,
    /// The conversation's id.
    pub conversation: String,
    /// The customer's id at the chat service. Never a name. `None` if it cannot be read.
    pub customer: Option<String>,
    /// Genesys's conversations for this customer, oldest first; at most
    /// [`MAX_GENESYS_CONVERSATIONS`], the newest.
    pub genesys: Vec<GenesysConversation>,
    /// The session at the chat service.
    pub session: SessionView,
    /// A failed message holds back those behind it.
    pub paused: bool,
    /// The answer in plain words.
    pub summary: String,
    /// How many messages there are with each outcome.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub counts: BTreeMap<Outcome, usize>,
    /// The messages, oldest first; at most [`MAX_MESSAGES`].
    pub messages: Vec<MessageLine>,
    /// How many messages were left out, because there were more. Failed ones are kept first, then
    /// the newest.
    pub messages_left_out: usize,
    /// What happened that is not about one message, oldest first; at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
    /// How many steps were left out. Failed ones are kept first, then the newest.
    pub steps_left_out: usize,
    /// What comes next; `None` if nothing will.
    pub next: Option<Next>,
    /// Retention has removed records, so the beginning is missing.
    pub pruned: bool,
    /// How many records cannot be read.
    pub damaged: usize,
}

/// The most steps in one timeline.
pub const MAX_STEPS: usize = 200;
/// The most messages in the timeline of a conversation.
pub const MAX_MESSAGES: usize = 200;
/// The most of Genesys's conversations in the timeline of a conversation.
pub const MAX_GENESYS_CONVERSATIONS: usize = 50;

/// One message of a conversation, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageLine {
    /// The message's id in the store.
    pub message: String,
    /// `outbound` or `inbound`.
    #[serde(serialize_with = "direction_word")]
    #[schema(value_type = String)]
    pub direction: Direction,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// The same as [`MessageTimeline::summary`].
    pub summary: String,
}

/// One of Genesys's conversations with the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GenesysConversation {
    /// Genesys's conversation id.
    pub id: String,
    /// When the gateway learned it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// The session of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionView {
    /// Whether there is one.
    pub state: SessionState,
    /// Since when. `None` if there was none yet, or the record was pruned.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// The chat service's id for an open session.
    pub service_id: Option<String>,
}

/// Whether a conversation has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// There is none.
    Closed,
    /// A handshake is in progress.
    Opening,
    /// There is one.
    Open,
    /// The records that say so were pruned or cannot be read.
    Unknown,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It waits: for the gateway, a session, its turn, or its next attempt.
    Waiting,
    /// It is being sent, to the chat service or to Genesys, and there is no answer yet.
    InFlight,
    /// The chat service has an agent's message, and has not reported whether it arrived.
    Unreported,
    /// An agent's message: the chat service has it, or said that it arrived.
    Delivered,
    /// An agent's message: the chat service has it, and did not report on it in time.
    Sent,
    /// An agent's message that failed.
    Failed,
    /// A customer's message: Genesys has it.
    Posted,
    /// A customer's message that is a dead letter: Genesys will never accept it, or the gateway
    /// gave it up.
    Refused,
    /// A customer's message that was a dead letter, and that an operator has discarded.
    Discarded,
    /// It was stored, and there was nothing to do.
    Kept,
    /// The store does not say: records are missing or cannot be read.
    Unknown,
}

impl Outcome {
    /// The outcome as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in_flight",
            Self::Unreported => "unreported",
            Self::Delivered => "delivered",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Posted => "posted",
            Self::Refused => "refused",
            Self::Discarded => "discarded",
            Self::Kept => "kept",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the message did not reach its reader, and will not.
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed | Self::Refused | Self::Discarded)
    }

    /// Whether something is still to be done about the message itself.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::InFlight | Self::Unreported)
    }
}

/// One thing that happened, or lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When it ended. `None` if it lasts, or has no duration.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Whether it lasts until now.
    pub lasts: bool,
    /// Where it happened.
    pub lane: Lane,
    /// What it is, for programs.
    pub kind: StepKind,
    /// What it is, for people: a sentence or a few.
    pub text: String,
    /// What went wrong.
    pub cause: Option<Cause>,
    /// The number of the attempt or call, from 1.
    pub attempt: Option<u32>,
    /// Genesys's id for what the step is about: a message, a receipt or a conversation.
    pub genesys_id: Option<String>,
    /// The chat service's id for what the step is about: a message or a session.
    pub service_id: Option<String>,
    /// Whether something went wrong.
    pub failed: bool,
}

/// Where a step happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// At Genesys.
    Genesys,
    /// In the gateway.
    Gateway,
    /// At the chat service.
    ChatService,
}

/// What a step is. Later versions may add kinds. The order is that of steps with the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The message came, and the gateway stored it.
    Received,
    /// Genesys uses another conversation id from here on.
    GenesysConversation,
    /// Nothing was recorded, although something was due.
    Gap,
    /// A record cannot be read.
    Damaged,
    /// It offers the customer options.
    Offered,
    /// An operator had it posted again, or discarded it.
    Action,
    /// It waited for a session, or for the end of a handshake.
    Held,
    /// It waited for its turn.
    Queued,
    /// It waited for its next attempt.
    RetryWait,
    /// One call for a session, and what followed.
    Handshake,
    /// A session, from its beginning to its end.
    Session,
    /// One attempt to forward it to the chat service.
    Attempt,
    /// A customer's message was on its way to Genesys.
    Post,
    /// Genesys did not confirm it this time. It may have it, if only the answer is lost.
    PostFailed,
    /// The chat service reported on it.
    Report,
    /// Its outcome became final.
    Settled,
    /// A failed message held back those behind it.
    Paused,
    /// A receipt for Genesys.
    Receipt,
    /// A notice to the agent.
    Notice,
    /// The chat service must be told that it is a dead letter.
    Refusal,
    /// One call that tells the chat service so.
    Tell,
    /// The customer left.
    CustomerLeft,
    /// The agent's side ended the conversation.
    Ending,
    /// The customer's participant is disconnected at Genesys.
    Disconnect,
}

/// Why something went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cause {
    /// The code of the receipt. `None` if it is an answer of Genesys, which has none.
    #[schema(value_type = Option<String>)]
    pub code: Option<ReasonCode>,
    /// A sentence, at most [`Reason::MAX_CHARS`] characters.
    pub message: String,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Next {
    /// When, at the latest or at the earliest, as the text says. `None` if it is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// What, for people.
    pub text: String,
}

/// [`Direction`] is the store's, which has no JSON form.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn direction_word<S: Serializer>(direction: &Direction, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(direction.as_str())
}

impl From<&Reason> for Cause {
    fn from(reason: &Reason) -> Self {
        Self { code: Some(reason.code), message: plain(&reason.message) }
    }
}

impl Cause {
    /// An answer of Genesys, or another sentence without a code.
    pub(crate) fn said(why: &str) -> Self {
        Self { code: None, message: plain(why) }
    }

    /// The reason of a failed message as lists show it: the code, then the sentence.
    pub(crate) fn listed(reason: &str) -> Self {
        let parts = reason.split_once(" - ");
        let named = parts.and_then(|(code, message)| {
            let code = ReasonCode::ALL.into_iter().find(|known| known.as_str() == code)?;
            Some(Self { code: Some(code), message: plain(message) })
        });
        named.unwrap_or_else(|| Self::said(reason))
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code} - {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Step {
    /// A step without a duration.
    pub(crate) fn new(at: Timestamp, lane: Lane, kind: StepKind, text: impl Into<String>) -> Self {
        Self {
            at,
            until: None,
            lasts: false,
            lane,
            kind,
            text: text.into(),
            cause: None,
            attempt: None,
            genesys_id: None,
            service_id: None,
            failed: false,
        }
    }

    /// It has a duration: until then, or until now.
    pub(crate) fn during(mut self, until: Option<Timestamp>) -> Self {
        (self.until, self.lasts) = (until, until.is_none());
        self
    }

    /// It went wrong because of this.
    pub(crate) fn because(mut self, cause: Cause) -> Self {
        (self.cause, self.failed) = (Some(cause), true);
        self
    }

    /// Whether it lies at least partly between the two times.
    pub(crate) fn is_in(&self, from: Timestamp, to: Timestamp) -> bool {
        let until = if self.lasts { Timestamp::MAX } else { self.until.unwrap_or(self.at) };
        self.at <= to && from <= until
    }
}
