//! The connector protocol's events as JSON, whatever carries them.
//!
//! Called with each body that a chat service sent, after its signature was checked. One bad event never spoils its
//! neighbours, and no error text repeats what a customer wrote.

mod event;
mod fields;

use serde_json::value::RawValue;

use crate::IncomingEvent;

pub(crate) use fields::reason;

/// The most events that one body may hold.
pub const MAX_EVENTS: usize = 1_000;
/// The longest id, in bytes.
pub const MAX_ID: usize = 512;
/// The longest session, in bytes: some services use tokens.
pub const MAX_SESSION: usize = 4_096;
/// The most content elements of one message.
pub const MAX_CONTENT: usize = 100;
/// How deep an event may be nested. Far below what JSON readers bear, because what is kept here is wrapped into
/// larger documents later and must still be readable then.
pub const MAX_DEPTH: usize = 32;

/// The body as a whole holds no events.
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {index}{}: {why}", id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default())]
pub struct BadEvent {
    /// Its place in the body, from 0.
    pub index: usize,
    /// Its id, if that much could be read.
    pub id: Option<String>,
    /// What is wrong with it, for the author of the connector.
    pub why: String,
}

/// Reads one event, or an array of at most [`MAX_EVENTS`].
pub fn parse(body: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents> {
    let raws = split(body)?;
    if raws.len() > MAX_EVENTS {
        return Err(NotEvents::TooMany(raws.len()));
    }
    let read = |(index, raw): (usize, &RawValue)| match event::read(raw) {
        Ok(event) => Ok(IncomingEvent { event, raw: raw.to_owned() }),
        Err(fault) => Err(BadEvent { index, id: fault.id, why: fault.why }),
    };
    Ok(raws.into_iter().enumerate().map(read).collect())
}

fn split(body: &[u8]) -> Result<Vec<&RawValue>, NotEvents> {
    let not_json = |error: &serde_json::Error| NotEvents::NotJson {
        line: error.line(),
        column: error.column(),
    };
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => serde_json::from_slice(body).map_err(|error| not_json(&error)),
        Some(b'{') => Ok(vec![serde_json::from_slice(body).map_err(|error| not_json(&error))?]),
        _ => match serde_json::from_slice::<&RawValue>(body) {
            Ok(_) => Err(NotEvents::NeitherOneNorMany),
            Err(error) => Err(not_json(&error)),
        },
    }
}

#[cfg(test)]
mod tests;
