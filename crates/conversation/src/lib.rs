//! The pure heart of Tidegate.

mod ids;
mod outcome;
mod reason;

pub use ids::{ConversationId, IntegrationName, MessageId, SessionId};
pub use outcome::{AttemptOutcome, MessageRef, OpenOutcome, Report};
pub use reason::{Reason, ReasonCode};

/// Where the time comes from. The one implementation that reads the machine's clock stands in `gateway`.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> jiff::Timestamp;
}
