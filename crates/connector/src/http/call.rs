//! One signed `POST` to a connector, and what came back.
//!
//! It tells "nothing left" from "something may have left", which decides whether a message may be lost or doubled.
//! It never follows a redirect and never tries again.

use std::convert::Infallible;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

/// The most of an answer that is read, in bytes. What a connector has to say fits many times.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest that a connector may ask to be left alone; it keeps sums of times far from overflow.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// What a connector answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// As much of it as came within the time and the limit; perhaps nothing.
    pub(super) body: Vec<u8>,
}

/// Why there is no answer. Each with a sentence for people.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Not a byte was written to a connection.
    NotSent(String),
    /// Bytes were written, or may have been.
    Lost(String),
}

impl NoAnswer {
    pub(super) fn into_sentence(self) -> String {
        match self {
            Self::NotSent(sentence) | Self::Lost(sentence) => sentence,
        }
    }
}

/// Sends `body` and reads the answer, all within `timeout`.
pub(super) async fn send(
    request: reqwest::RequestBuilder,
    body: Vec<u8>,
    timeout: Duration,
    now: Timestamp,
) -> Result<Answer, NoAnswer> {
    let deadline = Instant::now() + timeout;
    let written = Arc::new(AtomicBool::new(false));
    let body =
        reqwest::Body::wrap(Watched { body: Some(body.into()), written: Arc::clone(&written) });
    let outcome = match timeout_at(deadline, request.body(body).send()).await {
        Ok(Ok(response)) => return Ok(read(response, deadline, now).await),
        Ok(Err(error)) => sentence(&error),
        Err(_) => format!("the chat service did not answer within {timeout:?}"),
    };
    if written.load(Ordering::Acquire) {
        Err(NoAnswer::Lost(outcome))
    } else {
        Err(NoAnswer::NotSent(outcome))
    }
}

/// From here on the status is known, and it says what became of the call; the body only adds to it. So a body that
/// breaks off, hangs or has no end is cut, and is no error.
async fn read(mut response: reqwest::Response, deadline: Instant, now: Timestamp) -> Answer {
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    let mut body = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
        let room = LONGEST_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Answer { status, retry_after, body }
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number too large for 64 bits fails here.
        value.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let until = jiff::fmt::rfc2822::DateTimeParser::new()
            .relaxed_weekday(true)
            .parse_timestamp(value)
            .ok()?;
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// The innermost cause, which names what happened (`connection refused`); the outer ones repeat the URL.
fn sentence(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause =
        if error.source().is_some() { cause.to_string() } else { "the request failed".to_owned() };
    if error.is_connect() {
        format!("the chat service cannot be reached: {cause}")
    } else {
        format!("the connection to the chat service broke: {cause}")
    }
}

/// A body that remembers whether it was asked for.
///
/// hyper takes the body before it writes the first byte of the head to the connection, so a body that nobody asked
/// for means that nothing has left: no name was found, nobody listened, TLS failed, or the time ran out before.
struct Watched {
    body: Option<Bytes>,
    written: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.written.store(true, Ordering::Release);
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(value: &str) -> Option<Duration> {
        let now: Timestamp = "2026-11-20T09:10:00Z".parse().unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]), now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_longer_than_a_day() {
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("0"), Some(Duration::ZERO));
        assert_eq!(pause("Fri, 20 Nov 2026 09:10:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(
            pause("Fri, 20 Nov 2026 09:09:30 GMT"),
            Some(Duration::ZERO),
            "a time past is now"
        );
        for endless in
            ["99999999999", "99999999999999999999999999", "Fri, 31 Dec 9998 23:59:59 GMT"]
        {
            assert_eq!(pause(endless), Some(LONGEST_PAUSE), "{endless}");
        }
        for nonsense in ["", "soon", "-5", "1.5", "2026-11-20"] {
            assert_eq!(pause(nonsense), None, "{nonsense}");
        }
    }
}
