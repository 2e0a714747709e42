//! Sends one signed request to a chat service, and reads the answer.
//!
//! It distinguishes "nothing left" from "something may have left", because that decides whether a
//! repetition could deliver a message twice. It never follows a redirect and never retries.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER, SERVER};
use http_body::{Body, Frame, SizeHint};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use crate::protocol::answer::{Answer, LONGEST_ANSWER, NoAnswer, late, pause};
use crate::{Departure, Obstacle};

/// Sends `body`, if `departure` allows it, and reads the answer, all within `timeout`.
pub(crate) async fn send(
    request: reqwest::RequestBuilder,
    body: Vec<u8>,
    timeout: Duration,
    departure: &Departure,
    now: Timestamp,
) -> Result<Answer, NoAnswer> {
    let deadline = Instant::now() + timeout;
    let body =
        reqwest::Body::wrap(Watched { body: Some(body.into()), departure: departure.clone() });
    let failure = match timeout_at(deadline, request.body(body).send()).await {
        Ok(Ok(response)) => return Ok(read(response, deadline, now).await),
        Ok(Err(error)) => Some(sentence(&error)),
        Err(_) => None,
    };
    // hyper's task may be about to write. Calling it off decides whether something leaves.
    let (lost, not_sent) = match failure {
        Some(failure) => (failure.clone(), failure),
        None => (
            late(timeout),
            format!(
                "the chat service cannot be reached: there was no connection within {timeout:?}"
            ),
        ),
    };
    Err(NoAnswer::after(departure, lost, not_sent))
}

/// Reads the answer's headers and body. The status decides the outcome and is known by now. So a
/// body that breaks off, hangs or does not end is cut, and is not an error.
async fn read(mut response: reqwest::Response, deadline: Instant, now: Timestamp) -> Answer {
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    let clock_ahead = clock_ahead(response.headers(), now);
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let server = header(SERVER).map(str::to_owned);
    let html = header(CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let mut body = Vec::new();
    let whole = loop {
        let Ok(Ok(next)) = timeout_at(deadline, response.chunk()).await else { break false };
        let Some(chunk) = next else { break true };
        let room = LONGEST_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break false;
        }
    };
    Answer { status, retry_after, clock_ahead, server, html, body, whole }
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    pause(text(RETRY_AFTER)?, text(DATE), now)
}

/// The difference of the clocks. It includes the time that the answer took, which is short compared
/// to [`SIGNATURE_TOLERANCE`](crate::protocol::SIGNATURE_TOLERANCE).
fn clock_ahead(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let date = headers.get(DATE)?.to_str().ok()?;
    lenient::http_date(date.trim(), now).map(|sent| sent.duration_since(now))
}

/// The innermost cause, which says what happened (`connection refused`). The outer ones repeat the
/// URL.
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

/// A body that runs the departure check when it is polled.
///
/// hyper polls the body before it writes the first byte of the head, on new connections and on kept
/// ones. It writes nothing if the body fails. So this is the last moment: DNS, connection and TLS
/// are ready. If the body was never polled, nothing has left: DNS, connecting or TLS failed, or the
/// time ran out.
struct Watched {
    body: Option<Bytes>,
    departure: Departure,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Obstacle;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Obstacle>>> {
        if let Err(obstacle) = self.departure.leave() {
            return Poll::Ready(Some(Err(obstacle)));
        }
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
    use crate::protocol::answer::LONGEST_PAUSE;

    fn after(value: &str) -> Option<Duration> {
        let now: Timestamp = "2026-11-20T09:10:00Z".parse().unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]), now)
    }

    #[test]
    fn a_pause_is_never_longer_than_a_day() {
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Friday, 20-Nov-26 09:10:30 GMT"), Some(Duration::from_secs(30)));
        for endless in
            ["99999999999", "99999999999999999999999999", "Fri, 31 Dec 9998 23:59:59 GMT"]
        {
            assert_eq!(after(endless), Some(LONGEST_PAUSE), "{endless}");
        }
    }
}
