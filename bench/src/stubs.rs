//! The stubs around a measured program: a chat service and a Genesys that answer at once and record
//! what they receive. They cost as little as an HTTP server can, and are the same for every
//! program.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limit::{Admission, Limit};

/// By the message's id, the sender that wakes the task which waits for the message.
type Waiting = Mutex<HashMap<String, oneshot::Sender<Instant>>>;

/// What the stubs have received, and how they behave.
#[derive(Default)]
pub(crate) struct Seen {
    receipts: Waiting,
    forwards: Waiting,
    pub(crate) failed: AtomicU64,
    /// Final receipts.
    pub(crate) finals: AtomicU64,
    /// Handshakes stay pending until an event ends them.
    pub(crate) slow_handshakes: AtomicBool,
    /// The chat service answers 503 to a request for a session.
    pub(crate) away: AtomicBool,
    /// A request for a session is never answered.
    pub(crate) silent: AtomicBool,
    /// The messages that came to the chat service since [`Log::begin`].
    pub(crate) forwarded: Log,
    /// The final receipts that came to Genesys since [`Log::begin`].
    pub(crate) receipted: Log,
    /// If set, Genesys limits its calls, and the chat service refuses some messages.
    pub(crate) limit: OnceLock<Limit>,
}

/// Ids of messages and times, in order of arrival.
#[derive(Default)]
pub(crate) struct Log(Mutex<Option<Vec<(String, Instant)>>>);

impl Log {
    /// Starts to record.
    pub(crate) fn begin(&self) {
        *self.0.lock().expect("no test panicked") = Some(Vec::new());
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("no test panicked").as_ref().map_or(0, Vec::len)
    }

    /// Stops recording and returns the entries.
    pub(crate) fn take(&self) -> Vec<(String, Instant)> {
        self.0.lock().expect("no test panicked").take().unwrap_or_default()
    }

    fn note(&self, id: &str, at: Instant) {
        if let Some(all) = self.0.lock().expect("no test panicked").as_mut() {
            all.push((id.to_owned(), at));
        }
    }
}

impl Seen {
    /// Resolves when the message's final receipt has come.
    pub(crate) fn receipt(&self, id: &str) -> oneshot::Receiver<Instant> {
        wait(&self.receipts, id)
    }

    /// Resolves when the message has come to the chat service.
    pub(crate) fn forward(&self, id: &str) -> oneshot::Receiver<Instant> {
        wait(&self.forwards, id)
    }
}

fn wait(waiting: &Waiting, id: &str) -> oneshot::Receiver<Instant> {
    let (tell, told) = oneshot::channel();
    waiting.lock().expect("no test panicked").insert(id.to_owned(), tell);
    told
}

fn tell(waiting: &Waiting, id: &str, at: Instant) {
    if let Some(tell) = waiting.lock().expect("no test panicked").remove(id) {
        // The waiting task may have gone.
        let _ = tell.send(at);
    }
}

/// The two stubs, each on its own port.
pub(crate) struct Stubs {
    pub(crate) chat: SocketAddr,
    pub(crate) genesys: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

impl Stubs {
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let chat = serve(&seen, chat).await;
        let genesys = serve(&seen, genesys).await;
        Self { chat, genesys, seen }
    }
}

type Answer = Response<Full<Bytes>>;

async fn serve(
    seen: &Arc<Seen>,
    answer: fn(&Seen, &str, &HeaderMap, &Bytes) -> Answer,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let seen = Arc::clone(seen);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let seen = Arc::clone(&seen);
            let service = service_fn(move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body
                        .collect()
                        .await
                        .map(http_body_util::Collected::to_bytes)
                        .unwrap_or_default();
                    if seen.silent.load(Ordering::Relaxed) && head.uri.path().ends_with("/open") {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(answer(&seen, head.uri.path(), &head.headers, &body))
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

fn json(status: StatusCode, body: &'static str) -> Answer {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("an answer")
}

fn chat(seen: &Seen, path: &str, headers: &HeaderMap, _: &Bytes) -> Answer {
    let now = Instant::now();
    match path.rsplit('/').next().unwrap_or_default() {
        "open" if seen.away.load(Ordering::Relaxed) => json(StatusCode::SERVICE_UNAVAILABLE, "{}"),
        "open" if seen.slow_handshakes.load(Ordering::Relaxed) => json(StatusCode::ACCEPTED, "{}"),
        "open" => json(StatusCode::OK, r#"{"session":"s"}"#),
        "messages" => {
            let id =
                headers.get("idempotency-key").and_then(|id| id.to_str().ok()).unwrap_or_default();
            seen.forwarded.note(id, now);
            tell(&seen.forwards, id, now);
            if seen.limit.get().is_some_and(|limit| limit.refuses(id, now)) {
                return json(StatusCode::FORBIDDEN, "{}");
            }
            json(StatusCode::OK, r#"{"status":"delivered","message_id":"x"}"#)
        }
        _ => json(StatusCode::OK, "{}"),
    }
}

#[derive(Deserialize)]
struct Receipt<'a> {
    id: &'a str,
    status: &'a str,
    #[serde(rename = "isFinalReceipt")]
    is_final: bool,
}

/// The body of a 429.
const LIMITED: &str = r#"{"message":"Rate limit exceeded the maximum","code":"too.many.requests","status":429,"limit":{"key":"client.credentials.token.rate.per.minute","namespace":"platform.api","value":300}}"#;

fn genesys(seen: &Seen, path: &str, _: &HeaderMap, body: &Bytes) -> Answer {
    let now = Instant::now();
    if path.ends_with("/oauth/token") {
        return json(
            StatusCode::OK,
            r#"{"access_token":"t","token_type":"bearer","expires_in":86400}"#,
        );
    }
    // Effectively unlimited, unless a limit is set.
    let mut limits = [
        ("inin-ratelimit-count", 1_u64),
        ("inin-ratelimit-allowed", 60_000_000),
        ("inin-ratelimit-reset", 60),
    ];
    if let Some(limit) = seen.limit.get() {
        match limit.admit(now) {
            Admission::Taken { count, reset } => {
                for (header, value) in
                    limits.iter_mut().zip([count.into(), limit.allowed().into(), reset])
                {
                    header.1 = value;
                }
            }
            Admission::Limited { reset } => {
                let mut answer = json(StatusCode::TOO_MANY_REQUESTS, LIMITED);
                answer.headers_mut().insert("retry-after", reset.into());
                return answer;
            }
        }
    }
    if path.ends_with("/inbound/open/receipt") {
        // An unreadable body is not a receipt. The task that waits for the receipt then fails.
        if let Ok(receipt) = serde_json::from_slice::<Receipt<'_>>(body)
            && receipt.is_final
        {
            if receipt.status == "Failed" {
                seen.failed.fetch_add(1, Ordering::Relaxed);
                if let Some(limit) = seen.limit.get() {
                    limit.failed(receipt.id, now);
                }
            }
            seen.receipted.note(receipt.id, now);
            seen.finals.fetch_add(1, Ordering::Relaxed);
            tell(&seen.receipts, receipt.id, now);
        }
    }
    let mut answer = json(StatusCode::OK, "{}");
    // The gateway ignores an answer that does not name the message.
    if let Some(id) = path.strip_suffix("/details").and_then(|path| path.rsplit('/').next()) {
        *answer.body_mut() = Full::new(Bytes::from(format!(r#"{{"id":"{id}"}}"#)));
    }
    for (name, value) in limits {
        answer.headers_mut().insert(name, value.into());
    }
    answer
}
