//! The events of the connector protocol as JSON, independent of the transport.
//!
//! Called with each body that a chat service sent, after its signature was verified. One bad event
//! does not affect the others, and no error text repeats what a customer wrote.

mod event;
mod fields;
pub(crate) mod reason;
mod split;

use bytes::Bytes;

use crate::IncomingEvent;

pub(crate) use fields::Fields;

/// The most events that one body may hold.
pub const MAX_EVENTS: usize = 1_000;
/// The longest id, in bytes.
pub const MAX_ID: usize = 512;
/// The longest session, in bytes: some services use tokens.
pub const MAX_SESSION: usize = 4_096;
/// The most content elements of one message.
pub const MAX_CONTENT: usize = 100;
/// How deep an event may be nested. This is far below the limits of JSON readers. An event is later
/// wrapped into larger documents, and must still be readable then.
pub const MAX_DEPTH: usize = 32;

/// The body as a whole holds no events.
///
/// ```
/// use connector::protocol::{NotEvents, parse};
///
/// assert_eq!(parse(b"[1, 2").unwrap_err(), NotEvents::NotJson { line: 1, column: 5 });
/// assert_eq!(parse(b"42").unwrap_err(), NotEvents::NeitherOneNorMany);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEvents {
    /// It is not JSON.
    #[error("the body is not JSON: line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is JSON, but neither an object nor an array.
    #[error("the body is neither an event nor an array of events")]
    NeitherOneNorMany,
    /// More than [`MAX_EVENTS`].
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
    /// Its position in the body, from 0.
    pub index: usize,
    /// Its id, if that much could be read.
    pub id: Option<String>,
    /// What is wrong with it, for the author of the connector.
    pub why: String,
}

/// Parses one event, or an array of at most [`MAX_EVENTS`]. Damaged characters are repaired.
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
