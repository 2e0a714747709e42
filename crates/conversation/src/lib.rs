//! The pure heart of Tidegate: one customer's conversation, decided without I/O, clock, threads or chance.
//!
//! [`Conversation::handle`] takes what happened and says what is to be journaled and then done. Whoever calls it makes
//! the [`Record`]s durable first, then runs the [`Effect`]s, and feeds back what came of them. After a crash the state
//! is [`Conversation::replay`]ed and told [`Input::Recovered`].
//!
//! Nothing here may wait, read a clock, draw a random number, log, or know how anything is spoken on a wire.

mod handshake;
mod history;
mod ids;
mod inbound;
mod input;
pub mod mutant;
mod outbound;
mod outcome;
mod policy;
mod reason;
mod record;
mod state;
mod turn;

pub use history::{Breach, History};
pub use ids::{ConversationId, IntegrationName, MessageId, SessionId};
pub use input::{Effect, Ignored, Input, Owed, Step};
pub use outcome::{AttemptOutcome, MessageRef, OpenOutcome, Report};
pub use policy::{
    AfterFailure, CustomerLeft, DeliveredOn, DeliveryPolicy, HandshakeStart, HoldPolicy,
    InboundPolicy, NoticeKind, OnUnknown, Policy, ReceiptPolicy, SendReceipts,
};
pub use reason::{Reason, ReasonCode};
pub use record::{ClosedBy, Fate, PostResult, Record};
pub use state::Conversation;

/// Where the time comes from. The one implementation that reads the machine's clock stands in `gateway`.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> jiff::Timestamp;
}
