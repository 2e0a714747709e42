//! The receiving end: what a chat service posts to `/connectors/{integration}/events`.
//!
//! The gateway's ingress calls [`Inbound::verify`] over the raw body first, then [`Inbound::parse`]. Nothing here
//! remembers anything: repeated events are known by their ids, in the store.

use std::sync::Arc;

use conversation::Clock;
use http::HeaderMap;

use super::{NotSigned, Secrets};
use crate::IncomingEvent;
use crate::protocol::{self, BadEvent, NotEvents};

/// Why a body of events is refused with a 401.
pub type EventsRefused = NotSigned;

/// Checks and reads the events of one integration's chat service.
#[derive(Clone)]
pub struct Inbound {
    secrets: Secrets,
    clock: Arc<dyn Clock>,
}

impl Inbound {
    /// Events signed by one of `secrets`, by the time of `clock`.
    pub fn new(secrets: Secrets, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, clock }
    }

    /// Is the body what the chat service signed, within the last five minutes? `body` is the bytes as they came.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), EventsRefused> {
        self.secrets.verify(headers, body, self.clock.now())
    }

    /// Reads one event, or an array of at most [`protocol::MAX_EVENTS`].
    pub fn parse(&self, body: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents> {
        protocol::parse(body)
    }
}
