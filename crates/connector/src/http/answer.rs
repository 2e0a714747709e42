//! What a connector's answer means: the table of docs/connectors.md, as code.
//!
//! Pure functions from an answer to an outcome. Here, and nowhere else, is decided what an HTTP status says about a
//! message.

use std::time::Duration;

use conversation::{AttemptOutcome, OpenOutcome, Reason, ReasonCode, SessionId};
use http::StatusCode;
use serde_json::Value;

use super::call::{Answer, NoAnswer};
use crate::protocol;

/// What came of a call for a session.
pub(super) fn open(answer: Result<Answer, NoAnswer>) -> OpenOutcome {
    let answer = match answer {
        Ok(answer) => answer,
        // Sent or not makes no difference: a handshake may be asked for twice.
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
        400..=499 => OpenOutcome::Refused(given_reason(&answer, ReasonCode::InvalidDestination)),
        _ => later(&answer, |reason, after| OpenOutcome::Retry { reason, after }),
    }
}

/// What came of an attempt to forward a message.
pub(super) fn message(answer: Result<Answer, NoAnswer>) -> AttemptOutcome {
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
        408 | 425 | 429 => {
            later(&answer, |reason, after| AttemptOutcome::NotTaken { reason, after })
        }
        400..=499 => {
            AttemptOutcome::Rejected { reason: given_reason(&answer, for_status(answer.status)) }
        }
        // A proxy says that: it has passed the message on, and has lost the answer (I7).
        502 | 504 => later(&answer, |reason, _| AttemptOutcome::Unknown { reason }),
        _ => later(&answer, |reason, after| AttemptOutcome::NotTaken { reason, after }),
    }
}

/// A status of the 200s: the service took the message. Its body says whether the message arrived too.
///
/// A body that cannot be read changes nothing about that: to send the message again would show it to the customer
/// twice wherever the service does not know `Idempotency-Key`. But a page of HTML was not written by a connector at
/// all: a proxy's "back in a minute" comes with 200 as well, and to call that delivered would be a lie. Whether the
/// message was taken is then unknown, and the policy for that decides.
fn taken(answer: &Answer) -> AttemptOutcome {
    if answer.body.trim_ascii_start().starts_with(b"<") {
        let message = format!(
            "something that is not a connector answered {} with a page",
            answer.status.as_u16()
        );
        return AttemptOutcome::Unknown { reason: server_error(message) };
    }
    let body = json(answer);
    let service_id = short_text(&body, "message_id", protocol::MAX_ID).map(Into::into);
    match body.get("status").and_then(Value::as_str) {
        Some("delivered") => AttemptOutcome::Delivered { service_id },
        // Not of the protocol, but plain enough: to take it for a success would be a lie too.
        Some("failed") => {
            AttemptOutcome::Rejected { reason: given_reason(answer, ReasonCode::GeneralError) }
        }
        _ => AttemptOutcome::Accepted { service_id },
    }
}

/// It said that there is a session and did not say which: it is asked again.
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

fn given_reason(answer: &Answer, fallback: ReasonCode) -> Reason {
    protocol::reason(json(answer).get("reason"), fallback).unwrap_or_else(|| {
        Reason::new(
            fallback,
            format!("the chat service answered {} and gave no reason", answer.status.as_u16()),
        )
    })
}

fn session(answer: &Answer) -> Option<SessionId> {
    short_text(&json(answer), "session", protocol::MAX_SESSION).map(SessionId::new)
}

/// The body as JSON; `null` if it is none.
fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn short_text(body: &Value, name: &str, longest: usize) -> Option<String> {
    let text = body.get(name)?.as_str()?;
    (!text.is_empty() && text.len() <= longest).then(|| text.to_owned())
}

fn server_error(sentence: impl AsRef<str>) -> Reason {
    Reason::new(ReasonCode::ServerError, sentence)
}
