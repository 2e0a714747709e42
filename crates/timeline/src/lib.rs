//! Answers "where is my message?" from what the store has about a conversation.
//!
//! [`message()`] and [`conversation()`] turn a [`Dossier`] into plain words, steps over time, and
//! what comes next. They are pure: no I/O, and the caller says what time it is. They accept every
//! dossier, whatever its records say, and never panic. A store has none, but an error, for a
//! conversation with a missing message or an unreadable inbox or outbox row.
//!
//! They know no more than the journal does. It does not say which node made a step, or how long a
//! post waited for the rate budget of Genesys.
//!
//! Code here must not decide about a message, and must not put the words of a customer or an agent
//! into a text.

#![warn(clippy::missing_errors_doc)]

mod agent_message;
mod agent_steps;
mod agent_words;
mod customer_message;
mod customer_words;
mod gaps;
mod limits;
mod message;
mod model;
mod overview;
mod reading;
mod talk;
mod talk_steps;
mod words;

use conversation::MessageId;
use jiff::Timestamp;
pub use model::{
    Cause, ConversationTimeline, GenesysConversation, Lane, MAX_GENESYS_CONVERSATIONS,
    MAX_MESSAGES, MAX_STEPS, MessageLine, MessageTimeline, Next, Outcome, SessionState,
    SessionView, Step, StepKind,
};
use reading::Reading;
use store::{Direction, Dossier};
pub use words::{plain, sentence};

/// What became of one message; `None` if the dossier does not know it.
///
/// `now` is the time of the store's clock, which the times in the dossier are of.
pub fn message(
    dossier: &Dossier,
    direction: Direction,
    id: &MessageId,
    now: Timestamp,
) -> Option<MessageTimeline> {
    let reading = Reading::of(dossier, now);
    let key = (direction, id);
    Some(message::tell(&reading, key)?.timeline(&reading, key))
}

/// What happened in a conversation, and what became of each of its messages.
///
/// `now` is the time of the store's clock, which the times in the dossier are of.
pub fn conversation(dossier: &Dossier, now: Timestamp) -> ConversationTimeline {
    overview::overview(&Reading::of(dossier, now))
}
