//! The trait of a chat service, and its implementations.
//!
//! The gateway calls a connector's methods, and feeds the [`Event`]s that a chat service sends into
//! conversations. A connector speaks one chat service's protocol and reports truthfully the outcome
//! of each call. It must never retry a call, store a message, or decide what follows from an
//! outcome: the conversation does that.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod call;
mod capabilities;
#[cfg(feature = "conformance")]
pub mod conformance;
mod departure;
mod event;
mod event_source;
pub mod http;
mod kind;
pub mod protocol;
pub mod registry;

use async_trait::async_trait;
use conversation::{AttemptOutcome, ConversationId, OpenOutcome};

pub use call::{Customer, Forward, Open, Refusal, Typing};
pub use capabilities::{Capabilities, ContentKinds, MediaRange, NotAMediaRange};
pub use departure::{Departure, Obstacle};
pub use event::{Event, IncomingEvent};
pub use event_source::{EventSource, EventsRefused};
pub use kind::{Built, Keys, Kind, Parts, Read, Settings};

/// A chat service, as the gateway sees it.
///
/// Every method may be called from several tasks at once, but the calls for one conversation come
/// one after the other. The gateway may drop a call half way when it stops; the call's result is
/// then unknown.
///
/// ```
#[doc = include_str!("../tests/doc/in_memory.rs")]
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let connector = InMemory(Some(Arc::default()));
/// let open = Open {
///     conversation: ConversationId::new("c5f3a9c1e07b44d2"),
///     customer: connector::Customer { id: "noor".to_owned(), ..Default::default() },
///     attempt: 1,
///     departure: Departure::free(),
/// };
/// assert_eq!(connector.open(&open).await, OpenOutcome::Opened(SessionId::new("noor")));
/// # }
/// ```
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// What this chat service can do. Never makes a call, and always returns the same.
    fn capabilities(&self) -> &Capabilities;

    /// Requests a session. It may be called again for the same customer while an earlier handshake
    /// is still in progress.
    ///
    /// It must check [`Open::departure`] immediately before the first byte. If that refuses,
    /// nothing may leave.
    async fn open(&self, call: &Open) -> OpenOutcome;

    /// Attempts once to hand over one message. It must return within [`Forward::timeout`], whatever
    /// the chat service does.
    ///
    /// It returns `Delivered` or `Accepted` only if the chat service said so. It returns `NotTaken`
    /// only if the service did not get the message, or said that it did not take it. It returns
    /// `Unknown` if neither is certain.
    ///
    /// It must check [`Forward::departure`] immediately before the first byte. If that refuses,
    /// nothing may leave, and the outcome is `NotTaken`.
    async fn forward(&self, message: &Forward) -> AttemptOutcome;

    /// Shows that the agent types, or has stopped. Best effort, within a few seconds.
    ///
    /// # Errors
    /// A sentence for the log that says what went wrong. It has no other effect.
    async fn typing(&self, conversation: &ConversationId, typing: Typing) -> Result<(), String>;

    /// Reports that the conversation is over, with a reason for people. Best effort, within a few
    /// seconds.
    ///
    /// # Errors
    /// A sentence for the log that says what went wrong. It has no other effect.
    async fn close(&self, conversation: &ConversationId, reason: &str) -> Result<(), String>;

    /// Reports that Genesys will never have a customer's message, so that someone can tell the
    /// customer. It must return within a few seconds. If it fails, it is called again for a day,
    /// also by the next process. For a chat service that ignores this event, the call counts as
    /// done.
    ///
    /// It must check [`Refusal::departure`] immediately before the first byte.
    ///
    /// # Errors
    /// A sentence for the log that says what went wrong: the chat service may not have heard.
    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        let _ = refusal;
        Ok(())
    }

    /// The URL of a call about a conversation, for log lines, without a user name or password.
    /// Never makes a call.
    fn address(&self, conversation: &ConversationId, call: CallKind) -> Option<String> {
        let _ = (conversation, call);
        None
    }

    /// Checks that the chat service is there, for `tidegate check`. Returns a line for people. It
    /// has no effect on any customer.
    ///
    /// # Errors
    /// * [`CheckError::Unreachable`] if no answer comes.
    /// * Another [`CheckError`] if an answer comes that a chat service in working order does not
    ///   give.
    async fn check(&self) -> Result<String, CheckError>;
}

/// A kind of call about a conversation.
///
/// ```
/// use connector::CallKind;
///
/// assert_eq!(CallKind::Messages.as_str(), "messages");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Requests a session.
    Open,
    /// Hands over a message.
    Messages,
    /// Shows that the agent types.
    Typing,
    /// Reports that the conversation is over.
    Close,
    /// Reports that something happened to a customer's message.
    Events,
}

impl CallKind {
    /// The name in paths, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Messages => "messages",
            Self::Typing => "typing",
            Self::Close => "close",
            Self::Events => "events",
        }
    }
}

/// Why a chat service does not pass `tidegate check`.
///
/// ```
/// use connector::CheckError;
///
/// assert_eq!(CheckError::Failing(503).to_string(), "it answers 503");
/// let error = CheckError::Unauthorized(401).to_string();
/// assert!(error.ends_with("compare the secrets and the clocks"), "it names the way out");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Nothing answers there: correct the address, or start the chat service.
    #[error("{0}")]
    Unreachable(String),
    /// It answers, but rejects the caller: the two sides' secrets or clocks differ.
    #[error(
        "it answers {0}: it does not accept the gateway's signature; compare the secrets and the \
         clocks"
    )]
    Unauthorized(u16),
    /// It answers with an error of its own (an HTTP status of 500 or above).
    #[error("it answers {0}")]
    Failing(u16),
    /// Nothing is served at this address (404 or 410): the path is wrong, or another program
    /// listens there.
    #[error(
        "it answers {0}: nothing is served there; a connector answers a signed GET of its address"
    )]
    Missing(u16),
    /// It redirects the caller. The gateway follows no redirect.
    #[error(
        "it answers {0}, a redirect, which the gateway does not follow; name the final address"
    )]
    Redirect(u16),
    /// A web page answers, whatever its status: a web server or a proxy, not a connector.
    #[error(
        "it answers {0} with a web page: a web server or a proxy listens there, not a connector"
    )]
    WebPage(u16),
    /// The gateway itself answers, or another one.
    #[error(
        "a Tidegate gateway answers there, not a connector; the address must be the chat service's"
    )]
    Gateway,
}
