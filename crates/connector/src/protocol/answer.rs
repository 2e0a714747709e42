//! The answer to a call, or why there is none. HTTP responses and WebSocket frames become the same.

use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::{Departure, Obstacle};

/// How much of an answer's body is read, in bytes. Real answers are far smaller.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest pause that an answer may ask for. It also keeps sums of times far from overflow.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// The obstacle that stops a call which has ended without an answer.
pub(crate) const OVER: Obstacle = Obstacle("the call is over");

/// A chat service's answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    /// How far the chat service's clock is ahead of the gateway's, by the header `date`.
    pub(crate) clock_ahead: Option<SignedDuration>,
    /// The header `server`, if it is text.
    pub(crate) server: Option<String>,
    /// Whether the answer's content type is HTML.
    pub(crate) html: bool,
    /// The part that came within the time and the limit; it may be empty.
    pub(crate) body: Vec<u8>,
    /// Whether the body is complete: it neither broke off nor was cut.
    pub(crate) whole: bool,
}

impl Answer {
    /// Whether it is a web page: no connector sends one.
    pub(crate) fn is_page(&self) -> bool {
        self.html || self.body.trim_ascii_start().starts_with(b"<")
    }
}

/// Why there is no answer, with a sentence for people.
#[derive(Clone, Debug)]
pub(crate) enum NoAnswer {
    /// No byte was written to a connection.
    NotSent(String),
    /// Bytes were written, or may have been.
    Lost(String),
}

impl NoAnswer {
    /// Ends a call that got no answer. Its first byte may be about to leave: calling it off decides
    /// whether it does. `lost` is the reason if it has left, `not_sent` if it has not. If an
    /// obstacle has stopped it before, that is the reason.
    pub(crate) fn after(departure: &Departure, lost: String, not_sent: String) -> Self {
        match departure.call_off(OVER) {
            None => Self::Lost(lost),
            Some(OVER) => Self::NotSent(not_sent),
            Some(Obstacle(why)) => Self::NotSent(why.to_owned()),
        }
    }

    pub(crate) fn into_sentence(self) -> String {
        match self {
            Self::NotSent(sentence) | Self::Lost(sentence) => sentence,
        }
    }
}

/// The reason for a call whose answer did not come in time.
pub(crate) fn late(timeout: Duration) -> String {
    format!("the chat service did not answer within {timeout:?}")
}

/// Reads how long to wait: seconds, or a date that is compared with `date`, else with `now`.
pub(crate) fn pause(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    lenient::retry_after(value, date, Some(now)).map(|pause| pause.min(LONGEST_PAUSE))
}
