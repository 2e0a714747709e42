//! Maps a chat service's answer to an outcome, by the table in docs/connectors.md.
//!
//! These are pure functions. Only this module decides what a status means for a message, over HTTP
//! and over a WebSocket.

use std::time::Duration;

use conversation::{AttemptOutcome, OpenOutcome, Reason, ReasonCode, SessionId};
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::Value;

use super::answer::{Answer, NoAnswer};
use super::reason::in_answer;
use super::{Fields, MAX_ID, MAX_SESSION, SIGNATURE_TOLERANCE};

/// The outcome of a request for a session.
pub(crate) fn open(answer: Result<Answer, NoAnswer>) -> OpenOutcome {
    let answer = match answer {
        Ok(answer) => answer,
        // It does not matter whether the request was sent: a handshake may be requested twice.
        Err(none) => {
            return OpenOutcome::Retry { reason: server_error(none.into_sentence()), after: None };
        }
    };
    match answer.status.as_u16() {
        200 => session(&answer).map_or_else(|| no_session(&answer), OpenOutcome::Opened),
        202 => OpenOutcome::Pending,
        408 | 409 | 425 | 429 => {
            later(&answer, |reason, after| OpenOutcome::Retry { reason, after })
        }
        401 => OpenOutcome::Unauthorized(unauthorized(&answer)),
        400..=499 => OpenOutcome::Refused(given_reason(&answer, ReasonCode::InvalidDestination)),
        _ => later(&answer, |reason, after| OpenOutcome::Retry { reason, after }),
    }
}

/// The outcome of an attempt to forward a message.
pub(crate) fn message(answer: Result<Answer, NoAnswer>) -> AttemptOutcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::NotSent(sentence)) => {
            return AttemptOutcome::NotTaken { reason: server_error(sentence), after: None };
        }
        Err(NoAnswer::Lost(sentence)) => {
            return AttemptOutcome::Unknown { reason: server_error(sentence) };
        }
    };
    match answer.status.as_u16() {
        200..=299 => taken(&answer),
        409 => AttemptOutcome::SessionGone,
        401 if clocks_differ(&answer).is_some() => {
            AttemptOutcome::Rejected { reason: unauthorized(&answer) }
        }
        408 | 425 | 429 => {
            later(&answer, |reason, after| AttemptOutcome::NotTaken { reason, after })
        }
        400..=499 => {
            AttemptOutcome::Rejected { reason: given_reason(&answer, for_status(answer.status)) }
        }
        // A proxy answers this: it has passed the message on, and has lost the answer. So the
        // service may have the message (invariant I7).
        502 | 504 => later(&answer, |reason, _| AttemptOutcome::Unknown { reason }),
        // These are no final statuses of HTTP, so they say nothing about the message.
        ..=199 | 600.. => later(&answer, |reason, _| AttemptOutcome::Unknown { reason }),
        _ => later(&answer, |reason, after| AttemptOutcome::NotTaken { reason, after }),
    }
}

/// Whether the chat service has got an event. A service that does not know or use the event answers
/// with one of the 4xx statuses listed here, which counts as success. Every other status may come
/// from a proxy, or may be temporary.
pub(crate) fn event(answer: Result<Answer, NoAnswer>) -> Result<(), String> {
    let answer = answer.map_err(NoAnswer::into_sentence)?;
    match answer.status.as_u16() {
        200..=299 | 400 | 404 | 405 | 410 | 422 => Ok(()),
        401 => Err(unauthorized(&answer).message),
        other => Err(format!("the chat service answered {other}")),
    }
}

/// Whether a call without consequences has reached the chat service. The error is for the log.
pub(crate) fn best_effort(answer: Result<Answer, NoAnswer>) -> Result<(), String> {
    match answer {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(format!("the chat service answered {}", answer.status.as_u16())),
        Err(none) => Err(none.into_sentence()),
    }
}

/// The outcome of a 2xx answer. The field `status` decides. An answer without content is an
/// acceptance, because 2xx means so. Any other answer leaves the outcome unknown: it may come from
/// a program that is not a connector, so to call the message accepted might be wrong.
fn taken(answer: &Answer) -> AttemptOutcome {
    let status = answer.status.as_u16();
    let unknown = |what: &str| AttemptOutcome::Unknown {
        reason: server_error(format!("the chat service answered {status} {what}")),
    };
    if !answer.whole {
        return unknown("with a body that broke off or is too long");
    }
    let body = lenient::json::mend(&answer.body);
    let text = body.trim();
    if text.is_empty() {
        return AttemptOutcome::Accepted { service_id: None };
    }
    if text.starts_with('<') {
        let message = format!("something that is not a connector answered {status} with a page");
        return AttemptOutcome::Unknown { reason: server_error(message) };
    }
    let Some(fields) = Fields::read(text) else {
        return unknown("with a body that is no JSON object");
    };
    let service_id = fields.usable_id("message_id", MAX_ID).map(Into::into);
    match StatusWord::of(&fields) {
        StatusWord::Failed => {
            AttemptOutcome::Rejected { reason: given_reason(answer, ReasonCode::GeneralError) }
        }
        StatusWord::Delivered | StatusWord::Sent if tells_an_error(&fields) => {
            unknown("and told an error beside its success")
        }
        StatusWord::Delivered => AttemptOutcome::Delivered { service_id },
        StatusWord::Sent => AttemptOutcome::Accepted { service_id },
        // An answer with nothing but an id says no more than an empty one.
        StatusWord::None if fields.names().all(|name| name == "message_id") => {
            AttemptOutcome::Accepted { service_id }
        }
        StatusWord::None => unknown("without a `status`"),
        StatusWord::Other => unknown("with a `status` that is none of delivered, sent and failed"),
    }
}

/// The meaning of an answer's `status`.
enum StatusWord {
    Delivered,
    Sent,
    Failed,
    Other,
    /// There is no `status`.
    None,
}

impl StatusWord {
    /// A `status` of `null` is an unknown word, and not a missing one.
    fn of(fields: &Fields) -> Self {
        if !fields.has("status") {
            return Self::None;
        }
        let status = fields.readable("status");
        let word =
            status.as_ref().and_then(Value::as_str).unwrap_or_default().trim().to_ascii_lowercase();
        match word.as_str() {
            "delivered" => Self::Delivered,
            "sent" => Self::Sent,
            "failed" => Self::Failed,
            _ => Self::Other,
        }
    }
}

/// Whether the answer reports an error. Some services write `"error": null` or `false` if there is
/// none.
fn tells_an_error(fields: &Fields) -> bool {
    fields.names().filter(|name| matches!(*name, "error" | "errors")).any(|name| {
        match fields.readable(name) {
            Some(Value::Bool(told)) => told,
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::Null) => false,
            None => true,
        }
    })
}

/// The outcome of an answer that reports a session without naming it: try again.
fn no_session(answer: &Answer) -> OpenOutcome {
    let reason = server_error("the chat service answered 200 without a session");
    OpenOutcome::Retry { reason, after: answer.retry_after }
}

fn later<T>(answer: &Answer, outcome: impl FnOnce(Reason, Option<Duration>) -> T) -> T {
    let code = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => ReasonCode::RateLimited,
        _ => ReasonCode::ServerError,
    };
    outcome(
        Reason::new(code, format!("the chat service answered {}", answer.status.as_u16())),
        answer.retry_after,
    )
}

fn for_status(status: StatusCode) -> ReasonCode {
    match status {
        StatusCode::FORBIDDEN => ReasonCode::MessageNotAllowed,
        StatusCode::NOT_FOUND | StatusCode::GONE => ReasonCode::InvalidDestination,
        _ => ReasonCode::GeneralError,
    }
}

/// The reason for a 401. It is a problem of the configuration and not of this customer, so the
/// sentence says that before it quotes the answer's own reason.
fn unauthorized(answer: &Answer) -> Reason {
    let own = no_reason(answer, ReasonCode::GeneralError);
    match reason_in(answer, ReasonCode::GeneralError) {
        Some(given) => Reason::new(given.code, format!("{}: {}", own.message, given.message)),
        None => own,
    }
}

fn given_reason(answer: &Answer, fallback: ReasonCode) -> Reason {
    reason_in(answer, fallback).unwrap_or_else(|| no_reason(answer, fallback))
}

fn reason_in(answer: &Answer, fallback: ReasonCode) -> Option<Reason> {
    fields(answer).and_then(|fields| in_answer(&fields, fallback))
}

fn no_reason(answer: &Answer, code: ReasonCode) -> Reason {
    let status = answer.status.as_u16();
    let why = match status {
        401 => match clocks_differ(answer) {
            Some(difference) => format!("; {difference}"),
            None => "; the connector's secret may differ from the gateway's".to_owned(),
        },
        _ => " and gave no reason".to_owned(),
    };
    Reason::new(code, format!("the chat service answered {status}{why}"))
}

/// How the chat service's clock differs from the gateway's, if by so much that it must reject the
/// signature.
fn clocks_differ(answer: &Answer) -> Option<String> {
    let ahead = answer.clock_ahead?;
    if ahead.abs() <= SignedDuration::from_secs(SIGNATURE_TOLERANCE) {
        return None;
    }
    let (minutes, word) =
        (ahead.abs().as_mins(), if ahead.is_positive() { "ahead of" } else { "behind" });
    Some(format!(
        "its clock is {minutes} min {word} the gateway's, and a signature is valid for 5 min"
    ))
}

fn session(answer: &Answer) -> Option<SessionId> {
    fields(answer)?.usable_id("session", MAX_SESSION).map(SessionId::new)
}

/// The body's fields, if it is an object.
fn fields(answer: &Answer) -> Option<Fields> {
    Fields::read(&lenient::json::mend(&answer.body))
}

fn server_error(sentence: impl AsRef<str>) -> Reason {
    Reason::new(ReasonCode::ServerError, sentence)
}
