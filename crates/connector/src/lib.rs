//! The trait of a chat service, and each connector.
//!
//! The gateway calls a connector's methods and feeds the [`Event`]s that a chat service sends into conversations.
//! A connector speaks one chat service's language and says truthfully what came of each call. It must never try a
//! call again by itself, keep a message, or decide what follows from an outcome: that is the conversation's part.

mod call;
mod capabilities;
#[cfg(feature = "conformance")]
pub mod conformance;
mod event;
pub mod http;
pub mod protocol;

use async_trait::async_trait;
use conversation::{AttemptOutcome, ConversationId, OpenOutcome};

pub use call::{Customer, Forward, Open, Typing};
pub use capabilities::{Capabilities, ContentKinds, MediaRange, NotAMediaRange};
pub use event::{Event, IncomingEvent};

/// A chat service, as the gateway sees it.
///
/// Every method may be called from several tasks at once, but the calls for one conversation come one after the
/// other. A call may be dropped half way when the gateway stops; what became of it is then unknown.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// What this chat service can do. Never makes a call, and always answers the same.
    fn capabilities(&self) -> &Capabilities;

    /// Asks for a session. It may be asked again for the same customer while an earlier handshake still goes on.
    async fn open(&self, call: &Open) -> OpenOutcome;

    /// One attempt to hand over one message, over by [`Forward::timeout`] whatever the chat service does.
    ///
    /// `Delivered` and `Accepted` only if the chat service said so; `NotTaken` only if it did not get the message or
    /// said that it did not take it; `Unknown` if neither is certain.
    async fn forward(&self, message: &Forward) -> AttemptOutcome;

    /// Shows that the agent types, or has stopped. Best effort, within a few seconds.
    async fn typing(&self, conversation: &ConversationId, typing: Typing);

    /// Says that the conversation is over, with a reason for people. Best effort, within a few seconds.
    async fn close(&self, conversation: &ConversationId, reason: &str);

    /// Is it there? For `tidegate check`: a line for people if so. Has no effect on any customer.
    async fn check(&self) -> Result<String, CheckError>;
}

/// Why a chat service does not pass `tidegate check`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Nobody answers there: name the address right, or start the chat service.
    #[error("{0}")]
    Unreachable(String),
    /// It answers, and does not accept who asks: the secrets of the two sides differ, or their clocks do.
    #[error(
        "it answers {0}: it does not accept the gateway's signature; compare the secrets and the clocks"
    )]
    Unauthorized(u16),
    /// It answers, but with a failure of its own (an HTTP status of 500 and above).
    #[error("it answers {0}")]
    Failing(u16),
}
