//! The frames of the socket, in both directions (docs/socket.md). Pure functions.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::limits::{Limits, MAX_CALLS};
use crate::protocol::answer::{self, Answer, LONGEST_ANSWER};
use crate::protocol::{Fields, MAX_ID};

/// The statuses that an answer may have: the final ones of HTTP. Every other one, such as 100 (more
/// will follow), says nothing about the call.
const STATUSES: RangeInclusive<u16> = 200..=599;

/// A call of the gateway.
#[derive(Serialize)]
pub(super) struct CallFrame<'a, Body> {
    pub(super) id: &'a str,
    pub(super) call: &'static str,
    pub(super) conversation: &'a str,
    /// The same in every repetition of the call. Only calls that are repeated have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) body: &'a Body,
}

/// The first frame on a socket.
pub(super) fn hello(integration: &str, node: &str, limits: Limits, max_frame: usize) -> String {
    let hello = serde_json::json!({
        "version": 1,
        "integration": integration,
        "node": node,
        "max_frame": max_frame,
        "max_calls": MAX_CALLS,
        "dead_after_ms": u64::try_from(limits.dead_after.as_millis()).unwrap_or(u64::MAX),
    });
    serde_json::json!({ "hello": hello }).to_string()
}

/// The answer to a frame of the chat service. `id` must be JSON.
pub(super) fn answer(id: Option<&str>, status: u16, body: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Frame<'a, Body> {
        id: Option<Box<RawValue>>,
        status: u16,
        body: &'a Body,
    }

    let id = id.and_then(|id| RawValue::from_string(id.to_owned()).ok());
    // A body of the gateway's own can always be written.
    serde_json::to_string(&Frame { id, status, body }).unwrap_or_default()
}

/// What a frame of the chat service says.
pub(super) enum FromService {
    /// The answer to the call with this id. The error says why the answer cannot be read.
    Answer { id: String, answer: Result<Answer, String> },
    /// Events. `id` is JSON.
    Events { id: String, body: Bytes },
    /// No more calls may come over this socket.
    Drain,
}

/// Why a frame means nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFrame {
    /// The frame's id as JSON, if it can be read.
    pub(super) id: Option<String>,
    /// For the author of the chat service.
    pub(super) why: String,
}

/// Reads a frame. The error quotes none of it but its id.
pub(super) fn read(text: &str, now: Timestamp) -> Result<FromService, BadFrame> {
    let mended = lenient::json::mend(text.as_bytes());
    let Some(fields) = Fields::read(&mended) else {
        return Err(BadFrame { id: None, why: "the frame is not a JSON object".to_owned() });
    };
    let id = fields.usable_id("id", MAX_ID);
    let json = || id.as_ref().and_then(|_| fields.raw("id")).map(str::to_owned);
    let bad = |why: &str| BadFrame { id: json(), why: why.to_owned() };
    match (fields.has("status"), fields.has("events"), fields.has("drain")) {
        (true, false, false) => match &id {
            Some(id) => Ok(FromService::Answer { id: id.clone(), answer: answer_in(&fields, now) }),
            None => Err(bad("an answer needs the `id` of its call")),
        },
        (false, true, false) => match (json(), fields.raw("events")) {
            (Some(id), Some(events)) => {
                Ok(FromService::Events { id, body: Bytes::copy_from_slice(events.as_bytes()) })
            }
            (None, _) => Err(bad("`events` need an `id` that the answer can name")),
            (_, None) => Err(bad("`events` is null")),
        },
        (false, false, true) if fields.raw("drain") == Some("true") => Ok(FromService::Drain),
        (false, false, true) => Err(bad("`drain` is not true")),
        (false, false, false) => {
            Err(bad("the frame has neither `status` (an answer) nor `events`"))
        }
        _ => Err(bad("the frame has more than one of `status`, `events` and `drain`")),
    }
}

fn answer_in(fields: &Fields, now: Timestamp) -> Result<Answer, String> {
    let status = fields.usable_id("status", MAX_ID).and_then(|status| status.parse::<u16>().ok());
    let status = status.filter(|status| STATUSES.contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| {
        let (first, last) = (STATUSES.start(), STATUSES.end());
        format!(
            "the chat service answered with a `status` that is no number from {first} to {last}"
        )
    })?;
    let body = fields.raw("body").unwrap_or_default().as_bytes();
    let whole = body.len() <= LONGEST_ANSWER;
    let body = body[..body.len().min(LONGEST_ANSWER)].to_vec();
    let retry_after: Option<Duration> =
        fields.usable_id("retry_after", MAX_ID).and_then(|value| answer::pause(&value, None, now));
    let (clock_ahead, server) = (None, None);
    Ok(Answer { status, retry_after, clock_ahead, server, html: false, body, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_now(text: &str) -> Result<FromService, BadFrame> {
        read(text, "2026-11-20T09:10:00Z".parse().unwrap())
    }

    fn answer_of(text: &str) -> Result<Answer, String> {
        match read_now(text) {
            Ok(FromService::Answer { id, answer }) if id == "7" => answer,
            _ => panic!("not an answer: {text}"),
        }
    }

    #[test]
    fn an_answer_is_read_like_one_over_http() {
        let answer = answer_of(r#"{"id":7,"status":429,"retry_after":3,"body":{"a":1},"x":[]}"#);
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), &*answer.body), (429, &br#"{"a":1}"#[..]));
        assert_eq!(answer.retry_after, Some(Duration::from_secs(3)));
        let date = r#"{"id":"7","status":"503","retry_after":"Fri, 20 Nov 2026 09:10:30 GMT"}"#;
        assert_eq!(answer_of(date).unwrap().retry_after, Some(Duration::from_secs(30)));
        let empty = answer_of(r#"{"id":"7","status":202,"body":null}"#).unwrap();
        assert!(empty.body.is_empty() && empty.whole);
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_none() {
        for status in [
            "null", "-1", "99", "100", "102", "199", "600", "999", "1000", "200.5", "\"ok\"",
            "[200]",
        ] {
            assert!(answer_of(&format!(r#"{{"id":"7","status":{status}}}"#)).is_err(), "{status}");
        }
        let long = format!(r#"{{"id":"7","status":200,"body":"{}"}}"#, "x".repeat(LONGEST_ANSWER));
        let cut = answer_of(&long).unwrap();
        assert!(!cut.whole && cut.body.len() == LONGEST_ANSWER);
    }

    #[test]
    fn events_keep_their_bytes_and_their_id() {
        let Ok(FromService::Events { id, body }) =
            read_now(r#"{"events" : [ {"a":1.0} ],"id":"ü"}"#)
        else {
            panic!("not events")
        };
        assert_eq!((&*id, &*body), (r#""ü""#, &br#"[ {"a":1.0} ]"#[..]));
        assert_eq!(answer(Some(&id), 202, &[1]), r#"{"id":"ü","status":202,"body":[1]}"#);
    }

    #[test]
    fn garbage_is_told_with_the_id_if_there_is_one() {
        for (text, id) in [
            ("", None),
            ("[1]", None),
            ("{\"id\":1", None),
            (r#"{"id":[1],"status":200}"#, None),
            (r#"{"id":"","events":[]}"#, None),
            (r#"{"id":"a","events":null}"#, Some(r#""a""#)),
            (r#"{"id":"a"}"#, Some(r#""a""#)),
            (r#"{"id":5,"status":200,"events":[]}"#, Some("5")),
        ] {
            let Err(bad) = read_now(text) else { panic!("{text} means something") };
            assert_eq!(bad.id.as_deref(), id, "{text}: {}", bad.why);
        }
    }

    #[test]
    fn a_damaged_character_costs_nothing_else() {
        let answer = answer_of(r#"{"id":"7","status":200,"body":{"session":"\ud83d"}}"#).unwrap();
        assert_eq!(answer.body, "{\"session\":\"\u{fffd}\"}".as_bytes());
    }
}
