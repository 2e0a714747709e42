//! The pure core of Tidegate: decides one customer's conversation without I/O, clock, threads or
//! randomness.
//!
//! [`Conversation::handle`] takes what happened and returns what to journal and then do. The caller
//! makes the [`Record`]s durable first, then runs the [`Effect`]s, and feeds back their outcomes.
//! After a crash the caller rebuilds the state with [`Conversation::replay`] and hands it
//! [`Input::Recovered`].
//!
//! Code here must not wait, read a clock, draw a random number, log, or know any wire format.

#![warn(clippy::missing_errors_doc)]

mod dead_letters;
mod death;
mod handshake;
mod history;
mod ids;
mod inbound;
mod input;
mod invariant;
pub mod mutant;
mod offer;
mod outbound;
mod outcome;
mod owed;
mod policy;
mod reason;
mod record;
mod refusals;
mod standing;
mod state;
mod turn;

pub use death::DeadLetterAction;
pub use history::{Breach, History, Written};
pub use ids::{ConversationId, IntegrationName, MessageId, SessionId};
pub use input::{Effect, Ignored, Input, Step};
pub use invariant::Invariant;
pub use offer::{Answer, Choice, Offer, OptionKind};
pub use outcome::{AttemptOutcome, MessageRef, OpenOutcome, Report, TellOutcome};
pub use owed::{Fate, Owed, PostResult};
pub use policy::{
    AfterFailure, CustomerLeft, DeliveredOn, DeliveryPolicy, HandshakeStart, HoldPolicy,
    InboundLimits, InboundPolicy, NoticeKind, OnUnknown, Policy, ReceiptPolicy, SendReceipts,
};
pub use reason::{Reason, ReasonCode};
pub use record::{ClosedBy, Record};
pub use standing::Standing;
pub use state::Conversation;

/// The source of time. The only implementation that reads the machine's clock is in `gateway`.
pub trait Clock: Send + Sync + 'static {
    /// The time now. Deadlines are compared with it.
    fn now(&self) -> jiff::Timestamp;

    /// What the wall clock says, for people and other machines. It may be set at any time, so no
    /// decision may depend on it.
    fn wall(&self) -> jiff::Timestamp {
        self.now()
    }
}
