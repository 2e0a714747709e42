//! Verifies and parses the events that a chat service posts to `/connectors/{integration}/events`.
//!
//! Nothing here keeps state: the store recognizes repeated events by their ids.

use std::sync::Arc;

use conversation::Clock;
use http::HeaderMap;

use super::Secrets;
use crate::protocol::{self, BadEvent, NotEvents};
use crate::{EventSource, EventsRefused, IncomingEvent};

/// Verifies and parses the events from the chat service of one integration.
///
/// ```
/// use std::sync::Arc;
///
/// use connector::EventSource;
/// use connector::http::{
///     Inbound, Secret, Secrets, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
/// };
/// use jiff::Timestamp;
///
/// /// A clock that stands still.
/// struct Stopped(Timestamp);
///
/// impl conversation::Clock for Stopped {
///     fn now(&self) -> Timestamp {
///         self.0
///     }
/// }
///
/// let now = Timestamp::from_second(1_700_000_000)?;
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let body = br#"{"type": "session.lost", "id": "e-1"}"#;
/// let mut headers = http::HeaderMap::new();
/// headers.insert(WEBHOOK_ID, "e-1".parse()?);
/// headers.insert(WEBHOOK_TIMESTAMP, "1700000000".parse()?);
/// headers.insert(WEBHOOK_SIGNATURE, secret.sign("e-1", now, body).parse()?);
///
/// let inbound = Inbound::new(Secrets::from(secret), Arc::new(Stopped(now)));
/// inbound.verify(&headers, body)?;
/// assert_eq!(inbound.parse(body)?.len(), 1);
/// assert!(inbound.verify(&headers, b"another body").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Inbound {
    secrets: Secrets,
    clock: Arc<dyn Clock>,
}

impl Inbound {
    /// Creates a receiver that accepts events signed with one of `secrets`. `clock` says how old a
    /// signature is.
    pub fn new(secrets: Secrets, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, clock }
    }
}

impl EventSource for Inbound {
    /// Checks that the chat service signed this body, and that the time of its signature differs
    /// from now by at most five minutes.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), EventsRefused> {
        self.secrets.verify(headers, body, self.clock.now()).map_err(EventsRefused::new)
    }

    /// Reads one event, or an array of at most [`protocol::MAX_EVENTS`].
    fn parse(&self, body: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents> {
        protocol::parse(body)
    }
}
