//! How a chat service's events come in.

use http::HeaderMap;

use crate::IncomingEvent;
use crate::protocol::{BadEvent, NotEvents};

/// Verifies and parses what one integration's chat service posts to the gateway.
///
/// The gateway calls [`Self::verify`] over the raw body first, then [`Self::parse`]. An
/// implementation keeps no state: the store recognizes repeated events by their ids.
/// [`crate::http::Inbound`] is the one for the connector protocol over HTTP.
pub trait EventSource: Send + Sync + 'static {
    /// Checks that the chat service sent this body. `body` must be the raw bytes.
    ///
    /// # Errors
    /// Why the body is refused. The gateway answers with a 401.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), EventsRefused>;

    /// Reads the events of a body, in the order in which they happened.
    ///
    /// # Errors
    /// [`NotEvents`] if the body as a whole holds no events. A [`BadEvent`] stands in the list in
    /// place of each event that cannot be read.
    fn parse(&self, body: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents>;
}

/// Why a body of events is refused with a 401. Its text is for the author of the chat service.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EventsRefused(Box<dyn std::error::Error + Send + Sync>);

impl EventsRefused {
    /// Refuses for this cause.
    ///
    /// ```
    /// use connector::EventsRefused;
    ///
    /// assert_eq!(EventsRefused::new("the token is wrong").to_string(), "the token is wrong");
    /// ```
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
