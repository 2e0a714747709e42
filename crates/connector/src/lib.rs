//! The trait [`Connector`] for chat services, and its implementation for the connector protocol.
//!
//! A connector translates the gateway's calls into the protocol of one chat service, and reports
//! the outcome of each call truthfully. In the other direction, the gateway passes the [`Event`]s
//! that a chat service sends to their conversations. A connector must not retry a call, store a
//! message, or decide what follows from an outcome. The crate `conversation` does that.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod call;
mod capabilities;
mod capability_keys;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod departure;
mod event;
mod event_source;
pub mod http;
mod kind;
pub mod protocol;
pub mod registry;
#[cfg(feature = "suite")]
pub mod suite;
pub mod websocket;

use std::sync::Arc;

use async_trait::async_trait;
use conversation::{AttemptOutcome, ConversationId, OpenOutcome};

pub use call::{Customer, Forward, Open, Refusal, Sender, SenderKind, Typing, Unavailable};
pub use capabilities::{Capabilities, ContentKinds, MediaRange, NotAMediaRange};
pub use content::{Fallback, Rendered};
pub use departure::{Departure, Obstacle};
pub use event::{EarlierMessage, Event, IncomingEvent, ServiceState};
pub use event_source::{EventSource, EventsRefused};
use websocket::Sockets;

pub use kind::{
    BuildParts, Built, Description, Keys, Kind, Read, Setting, SettingDefault, SettingValue,
    Settings,
};

/// A chat service, as the gateway sees it.
///
/// The gateway may call every method from several tasks at once, but it makes the calls of one
/// conversation one after the other. It may drop the future of a call before it is complete, for
/// example when it stops. The outcome of that call is then unknown.
///
/// A test runs `connector::conformance` (feature `conformance`) to check an implementation.
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
    /// What this chat service can do. It must always return the same, and must not make a call.
    fn capabilities(&self) -> &Capabilities;

    /// Requests a session with a customer. The gateway may call it again for the same customer
    /// while an earlier handshake is in progress.
    ///
    /// It must call [`Departure::leave`] on [`Open::departure`] immediately before the first byte.
    /// If that fails, nothing may leave.
    async fn open(&self, call: &Open) -> OpenOutcome;

    /// Attempts once to forward one message. It must return within [`Forward::timeout`], whatever
    /// the chat service does.
    ///
    /// It must return `Delivered` or `Accepted` only if the chat service said so. It must return
    /// `NotTaken` only if the service did not get the message, or said that it did not take it. If
    /// neither is certain, it must return `Unknown`.
    ///
    /// It must call [`Departure::leave`] on [`Forward::departure`] immediately before the first
    /// byte. If that fails, nothing may leave, and the outcome is `NotTaken`.
    async fn forward(&self, message: &Forward) -> AttemptOutcome;

    /// Reports that the agent types, or has stopped. It must return within a few seconds. No
    /// message depends on it.
    ///
    /// # Errors
    /// A sentence for the log, if the chat service could not be reached or refused the call. It has
    /// no other effect.
    async fn typing(&self, conversation: &ConversationId, typing: Typing) -> Result<(), String>;

    /// Reports that the conversation is over. `reason` is a text for people. It must return within
    /// a few seconds. No message depends on it.
    ///
    /// # Errors
    /// A sentence for the log, if the chat service could not be reached or refused the call. It has
    /// no other effect.
    async fn close(&self, conversation: &ConversationId, reason: &str) -> Result<(), String>;

    /// Reports that Genesys will never get a customer's message, so that the chat service can tell
    /// the customer. It must return within a few seconds. If it fails, the gateway calls it again
    /// for a day, even after a restart. It must succeed if the chat service does not use this
    /// report; the default does so.
    ///
    /// It must call [`Departure::leave`] on [`Refusal::departure`] immediately before the first
    /// byte.
    ///
    /// # Errors
    /// A sentence for the log, if the chat service may not have got the report.
    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        let _ = refusal;
        Ok(())
    }

    /// The URL of a call about a conversation, for log lines. It must not contain a user name or a
    /// password. It must not make a call. The default returns `None`.
    fn address(&self, conversation: &ConversationId, call: CallKind) -> Option<String> {
        let _ = (conversation, call);
        None
    }

    /// Checks that the chat service is there, for the command `tidegate check`. Returns a line for
    /// people. It must not affect a customer.
    ///
    /// # Errors
    /// * [`CheckError::Unreachable`] if no answer comes.
    /// * Another [`CheckError`] if an answer comes that a chat service in working order does not
    ///   give.
    async fn check(&self) -> Result<String, CheckError>;

    /// The sockets that its chat service opens to the gateway. `None`, the default, if it opens
    /// none: the gateway then refuses requests for one.
    fn sockets(&self) -> Option<&Arc<Sockets>> {
        None
    }
}

/// A kind of call about a conversation, for logs and metrics.
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
    /// Forwards a message.
    Messages,
    /// Reports that the agent types.
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
    /// Nothing answers at the address. Correct the address, or start the chat service. The text
    /// says what happened.
    #[error("{0}")]
    Unreachable(String),
    /// The chat service answers, but rejects the gateway's signature with this status: the two
    /// sides' secrets or clocks differ.
    #[error(
        "it answers {0}: it does not accept the gateway's signature; compare the secrets and the \
         clocks"
    )]
    Unauthorized(u16),
    /// The chat service answers with an error of its own: this HTTP status, which is 500 or above.
    #[error("it answers {0}")]
    Failing(u16),
    /// Nothing is served at this address (status 404 or 410): the path is wrong, or another program
    /// listens there.
    #[error(
        "it answers {0}: nothing is served there; a connector answers a signed GET of its address"
    )]
    Missing(u16),
    /// The answer is a redirect with this status. The gateway does not follow redirects.
    #[error(
        "it answers {0}, a redirect, which the gateway does not follow; name the final address"
    )]
    Redirect(u16),
    /// The answer is a web page with this status: a web server or a proxy listens there.
    #[error(
        "it answers {0} with a web page: a web server or a proxy listens there, not a connector"
    )]
    WebPage(u16),
    /// A Tidegate gateway answers, this one or another.
    #[error(
        "a Tidegate gateway answers there, not a connector; the address must be the chat service's"
    )]
    Gateway,
}
