//! Makes the gateway's calls, also with signatures that no gateway would make.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conversation::{AttemptOutcome, Clock, OpenOutcome};
use http::header::CONTENT_TYPE;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::Departure;
use crate::http::call;
use crate::http::{BaseUrl, Secret, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::protocol::answer::{Answer, NoAnswer};
use crate::protocol::outcome;

/// Signs calls that must be refused: no connector has a secret of zeros.
const OTHER_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// How old a signature is that must be refused. The limit is five minutes.
const OLD: SignedDuration = SignedDuration::from_secs(10 * 60);
/// How long to wait after a 429 or 503 that names no time.
const PAUSE: Duration = Duration::from_millis(500);

/// How a call is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signing {
    Right,
    OtherSecret,
    Old,
    Unsigned,
}

pub(super) struct Caller {
    url: BaseUrl,
    secret: Secret,
    other_secret: Secret,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    run: String,
    ids: AtomicU64,
}

impl Caller {
    pub(super) fn new(
        url: BaseUrl,
        secret: Secret,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Self {
        let other_secret = OTHER_SECRET.parse().expect("it is whsec_ and base64 of 32 bytes");
        // A connector may remember earlier runs, so ids must differ from theirs.
        let run = format!("{:x}", clock.now().as_microsecond());
        let ids = AtomicU64::new(1);
        Self { url, secret, other_secret, client, clock, timeout, run, ids }
    }

    /// An id that has not been used before: letters and digits.
    pub(super) fn new_id(&self, kind: &str) -> String {
        format!("{kind}{}n{}", self.run, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) async fn get(&self, segments: &[&str], signing: Signing) -> Reply {
        let url = if segments.is_empty() { self.url.whole() } else { self.url.join(segments) };
        let request = self.client.request(Method::GET, url);
        self.send(request, &self.new_id("get"), Vec::new(), signing).await
    }

    /// A call about a conversation. `id` is signed; for a message it is the key as well.
    pub(super) async fn post(
        &self,
        (conversation, call): (&str, &str),
        id: &str,
        body: Vec<u8>,
        signing: Signing,
    ) -> Reply {
        let url = self.url.join(&["conversations", conversation, call]);
        let mut request = self.client.request(Method::POST, url);
        if call == "messages" {
            request = request.header("idempotency-key", id);
        }
        self.send(request, id, body, signing).await
    }

    /// The same, rightly signed. Like the gateway, it tries again while the connector asks for time
    /// (429, 503), for at most `limit`.
    pub(super) async fn post_patiently(
        &self,
        call: (&str, &str),
        id: &str,
        body: &Value,
        limit: Duration,
    ) -> Reply {
        let end = Instant::now() + limit;
        loop {
            let reply = self.post(call, id, body.to_string().into(), Signing::Right).await;
            let pause = match &reply.0 {
                Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => {
                    answer.retry_after.unwrap_or(PAUSE)
                }
                _ => return reply,
            };
            if Instant::now() + pause > end {
                return reply;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        id: &str,
        body: Vec<u8>,
        signing: Signing,
    ) -> Reply {
        let now = self.clock.now();
        let at = if signing == Signing::Old { now - OLD } else { now };
        let secret =
            if signing == Signing::OtherSecret { &self.other_secret } else { &self.secret };
        if signing != Signing::Unsigned {
            request = request
                .header(WEBHOOK_ID, id)
                .header(WEBHOOK_TIMESTAMP, at.as_second())
                .header(WEBHOOK_SIGNATURE, secret.sign(id, at, &body));
        }
        let request = request.header(CONTENT_TYPE, "application/json");
        Reply(call::send(request, body, self.timeout, &Departure::free(), now).await)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Reply(Result<Answer, NoAnswer>);

impl Reply {
    /// The status; `None` if there was no answer in time.
    pub(super) fn status(&self) -> Option<u16> {
        self.0.as_ref().ok().map(|answer| answer.status.as_u16())
    }

    /// What happened, as a clause.
    pub(super) fn told(&self) -> String {
        match &self.0 {
            Ok(answer) if answer.is_page() => {
                format!("the answer was {} with a web page", answer.status.as_u16())
            }
            Ok(answer) => format!("the answer was {}", answer.status.as_u16()),
            Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => why.clone(),
        }
    }

    /// The body, if it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        lenient::json::from_slice(&self.0.as_ref().ok()?.body).ok()
    }

    /// The status and the body, to compare with another answer. The order of keys does not count.
    pub(super) fn content(&self) -> (Option<u16>, String) {
        let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
        let body = match self.json() {
            Some(json) => json.to_string(),
            None => self.0.as_ref().map(text).unwrap_or_default(),
        };
        (self.status(), body)
    }

    /// Whether it is a web page.
    pub(super) fn is_page(&self) -> bool {
        self.0.as_ref().is_ok_and(Answer::is_page)
    }

    /// What the gateway makes of it, if it answers a message.
    pub(super) fn of_message(&self) -> AttemptOutcome {
        outcome::message(self.0.clone())
    }

    /// What the gateway makes of it, if it answers `open`.
    pub(super) fn of_open(&self) -> OpenOutcome {
        outcome::open(self.0.clone())
    }

    /// Whether the gateway would stop after it, if it answers `events`.
    pub(super) fn of_event(&self) -> Result<(), String> {
        outcome::event(self.0.clone())
    }
}
