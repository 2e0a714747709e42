//! Parses the events of the connector protocol from JSON, independent of the transport.
//!
//! The signature of a body must be verified before it is parsed. One bad event does not affect the
//! others, and no error quotes what a customer wrote.

pub(crate) mod answer;
pub(crate) mod call;
mod event;
mod fields;
pub(crate) mod outcome;
pub(crate) mod reason;
mod split;

use bytes::Bytes;

use crate::IncomingEvent;

pub(crate) use fields::Fields;

/// The most events that one body may hold.
pub const MAX_EVENTS: usize = 1_000;
/// The longest id, in bytes.
pub const MAX_ID: usize = 512;
/// The longest session id, in bytes. Some services use long tokens.
pub const MAX_SESSION: usize = 4_096;
/// The most content elements of one message.
pub const MAX_CONTENT: usize = 100;
/// How many levels deep an event may be nested. This is far below the limits of JSON parsers, since
/// an event later becomes part of larger documents, which must be readable too.
pub const MAX_DEPTH: usize = 32;

/// How far the time of a signature may differ from the verifier's, in seconds, in either direction.
/// Standard Webhooks recommends this figure.
pub(crate) const SIGNATURE_TOLERANCE: i64 = 5 * 60;

/// The error for a body that as a whole holds no events.
///
/// ```
/// use connector::protocol::{NotEvents, parse};
///
/// assert_eq!(parse(b"[1, 2").unwrap_err(), NotEvents::NotJson { line: 1, column: 5 });
/// assert_eq!(parse(b"42").unwrap_err(), NotEvents::NeitherOneNorMany);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEvents {
    /// The body is not JSON.
    #[error("the body is not JSON: line {line}, column {column}")]
    NotJson {
        /// The line of the mistake, from 1.
        line: usize,
        /// The column of the mistake in bytes, from 1.
        column: usize,
    },
    /// The body is JSON, but neither an object nor an array.
    #[error("the body is neither an event nor an array of events")]
    NeitherOneNorMany,
    /// The array has this many elements, which is more than [`MAX_EVENTS`].
    #[error("the body holds {0} events, and at most {MAX_EVENTS} are taken at once")]
    TooMany(usize),
}

/// One event that could not be read, among others that could.
///
/// ```
/// use connector::protocol::parse;
///
/// let body = br#"[{"type": "typing", "state": "on"}, {"type": "session.lost", "id": "e"}]"#;
/// let events = parse(body)?;
/// let bad = events[0].as_ref().unwrap_err();
/// assert_eq!(bad.to_string(), "event 0: it says neither `customer` nor `conversation`");
/// assert!(events[1].is_ok(), "a bad event does not affect the others");
/// # Ok::<(), connector::protocol::NotEvents>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {index}{}: {why}", id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default())]
pub struct BadEvent {
    /// The event's position in the body, from 0.
    pub index: usize,
    /// The event's id, if it can be read.
    pub id: Option<String>,
    /// A sentence that says what is wrong, for the author of the chat service.
    pub why: String,
}

/// Parses one event, or an array of at most [`MAX_EVENTS`]. U+FFFD replaces damaged characters.
///
/// ```
/// use connector::Event;
/// use connector::protocol::parse;
///
/// let body = br#"{"type": "typing", "customer": "48213", "state": "on"}"#;
/// let events = parse(body)?;
/// assert_eq!(events.len(), 1);
/// let event = &events[0].as_ref().map_err(Clone::clone)?.event;
/// assert!(matches!(event, Event::Typing { on: true, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// * [`NotEvents::NotJson`] if the body is not JSON after its characters are repaired.
/// * [`NotEvents::NeitherOneNorMany`] if it is neither an object nor an array.
/// * [`NotEvents::TooMany`] if the array has more than [`MAX_EVENTS`] elements.
///
/// A [`BadEvent`] stands in the list in place of each event that cannot be read.
pub fn parse(body: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents> {
    let raws = split::events(body)?;
    if raws.len() > MAX_EVENTS {
        return Err(NotEvents::TooMany(raws.len()));
    }
    let read = |(index, raw): (usize, &[u8])| match event::read(&lenient::json::mend(raw)) {
        Ok((event, left_out)) => {
            Ok(IncomingEvent { event, raw: Bytes::copy_from_slice(raw), left_out })
        }
        Err(fault) => Err(BadEvent { index, id: fault.id, why: fault.why }),
    };
    Ok(raws.into_iter().enumerate().map(read).collect())
}

#[cfg(test)]
mod tests;
