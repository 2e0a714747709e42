//! The load. It posts webhooks as fast as they are answered, at a fixed rate, or with a fixed
//! number of messages in the loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::stubs::Seen;
use crate::webhook;

/// How long a step may take before a measurement is given up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One keep-alive connection.
pub(crate) struct Caller(SendRequest<Full<Bytes>>);

impl Caller {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the program listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        // The task ends when the sender is dropped.
        tokio::spawn(connection);
        Self(sender)
    }

    /// Posts one webhook, and reads the answer to its end.
    pub(crate) async fn post(&mut self, id: &str, customer: &str) -> StatusCode {
        self.send(webhook::request(id, customer)).await
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> StatusCode {
        self.0.ready().await.expect("the connection stands");
        let answer = self.0.send_request(request).await.expect("an answer");
        let status = answer.status();
        answer.into_body().collect().await.expect("the whole answer");
        status
    }
}

/// Makes ids and customers: each webhook is a new message, spread over `conversations`.
pub(crate) struct Source {
    /// The prefix of the ids; `None` if they are random.
    run: Option<String>,
    conversations: usize,
    /// The number of the first customer.
    first: usize,
    next: AtomicUsize,
}

impl Source {
    pub(crate) fn new(run: &str, conversations: usize) -> Arc<Self> {
        Self::behind(run, conversations, 0)
    }

    /// The same for other customers, starting at number `first`.
    pub(crate) fn behind(run: &str, conversations: usize, first: usize) -> Arc<Self> {
        Arc::new(Self {
            run: Some(run.to_owned()),
            conversations,
            first,
            next: AtomicUsize::new(0),
        })
    }

    /// The same with random ids like Genesys's, so that neighbours are far apart in an index.
    pub(crate) fn random(conversations: usize, first: usize) -> Arc<Self> {
        Arc::new(Self { run: None, conversations, first, next: AtomicUsize::new(0) })
    }

    /// The next message's id and customer.
    pub(crate) fn next(&self) -> (String, String) {
        self.numbered(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The same; `None` if there is none before `until`.
    fn next_of(&self, until: Until) -> Option<(String, String)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        match until {
            Until::Each if number >= self.conversations => None,
            Until::Each | Until::Over(_) => Some(self.numbered(number)),
        }
    }

    fn numbered(&self, number: usize) -> (String, String) {
        let customer = self.first + number % self.conversations;
        let id = match &self.run {
            Some(run) => format!("{run}-{number:09}"),
            None => random_id(customer, number / self.conversations),
        };
        (id, webhook::customer(customer))
    }
}

/// The id of the customer's message with this index. It is always the same, and as random as
/// Genesys's.
pub(crate) fn random_id(customer: usize, place: usize) -> String {
    let mut random = fastrand::Rng::with_seed(((customer as u64) << 24) | place as u64);
    format!("{:032x}", random.u128(..))
}

/// The outcome of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) count: usize,
    pub(crate) over: Duration,
    /// How long each message took, shortest first.
    pub(crate) took: Vec<Duration>,
}

impl Outcome {
    pub(crate) fn of(mut took: Vec<Duration>, over: Duration) -> Self {
        took.sort_unstable();
        Self { count: took.len(), over, took }
    }

    /// Combines the outcomes of two simultaneous loads.
    pub(crate) fn and(self, other: Self) -> Self {
        Self::of([self.took, other.took].concat(), self.over.max(other.over))
    }

    /// The rate per second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.over.as_secs_f64()
    }

    /// The 99th percentile, in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.at(0.99)
    }

    /// The median, in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.at(0.5)
    }

    pub(crate) fn at(&self, part: f64) -> f64 {
        quantile(&self.took, part)
    }
}

/// The quantile `part`, in milliseconds; `took` is sorted.
pub(crate) fn quantile(took: &[Duration], part: f64) -> f64 {
    let index = (took.len() as f64 * part) as usize;
    took.get(index.min(took.len().saturating_sub(1)))
        .map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
}

/// A closed loop: each connection posts the next webhook as soon as the previous one is answered.
pub(crate) async fn closed(
    to: SocketAddr,
    connections: usize,
    over: Duration,
    source: &Arc<Source>,
) -> Outcome {
    in_turn(to, connections, Until::Over(over), source, None).await
}

/// Posts a fixed number of webhooks, as fast as they are answered.
pub(crate) async fn all(
    to: SocketAddr,
    connections: usize,
    count: usize,
    source: &Arc<Source>,
) -> Outcome {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..connections {
        let source = Arc::clone(source);
        let share = count / connections + usize::from(number < count % connections);
        callers.spawn(async move {
            let mut caller = Caller::connect(to).await;
            let mut took = Vec::with_capacity(share);
            for _ in 0..share {
                let (id, customer) = source.next();
                let asked = Instant::now();
                assert_eq!(caller.post(&id, &customer).await, StatusCode::OK, "{id}");
                took.push(asked.elapsed());
            }
            took
        });
    }
    let all = callers.join_all().await;
    Outcome::of(all.concat(), begun.elapsed())
}

/// Sends one message per conversation and waits for its final receipt, so that the one-time work of
/// a conversation is done.
pub(crate) async fn open_sessions(
    to: SocketAddr,
    under_way: usize,
    source: &Arc<Source>,
    seen: &Arc<Seen>,
) {
    in_turn(to, under_way, Until::Each, source, Some(seen)).await;
}

/// Keeps `under_way` messages in the loop at a time, each from its webhook to its final receipt.
pub(crate) async fn loops(
    to: SocketAddr,
    under_way: usize,
    over: Duration,
    source: &Arc<Source>,
    seen: &Arc<Seen>,
) -> Outcome {
    in_turn(to, under_way, Until::Over(over), source, Some(seen)).await
}

/// When the load stops starting new messages.
#[derive(Clone, Copy)]
enum Until {
    /// After this time.
    Over(Duration),
    /// Once each conversation has had a message.
    Each,
}

async fn in_turn(
    to: SocketAddr,
    callers: usize,
    until: Until,
    source: &Arc<Source>,
    receipts: Option<&Arc<Seen>>,
) -> Outcome {
    let (begun, end) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let (source, end, receipts) = (Arc::clone(source), Arc::clone(&end), receipts.cloned());
        all.spawn(async move {
            let mut caller = Caller::connect(to).await;
            let mut took = Vec::new();
            while !end.load(Ordering::Relaxed) {
                let Some((id, customer)) = source.next_of(until) else { break };
                let receipt = receipts.as_ref().map(|seen| seen.receipt(&id));
                let asked = Instant::now();
                assert_eq!(caller.post(&id, &customer).await, StatusCode::OK, "{id}");
                if let Some(receipt) = receipt {
                    tokio::time::timeout(PATIENCE, receipt)
                        .await
                        .expect("a receipt in time")
                        .expect("a receipt");
                }
                took.push(asked.elapsed());
            }
            took
        });
    }
    if let Until::Over(over) = until {
        tokio::time::sleep_until(begun + over).await;
        end.store(true, Ordering::Relaxed);
    }
    Outcome::of(all.join_all().await.concat(), begun.elapsed())
}

/// An open loop: posts webhooks at a fixed rate, evenly over the connections. Each is timed from
/// when it was due, so that a program does not look fast if a slow answer delays the next webhook.
pub(crate) async fn open(
    to: SocketAddr,
    connections: usize,
    rate: f64,
    over: Duration,
    source: &Arc<Source>,
) -> Outcome {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    let each = Duration::from_secs_f64(connections as f64 / rate);
    for number in 0..connections {
        let source = Arc::clone(source);
        callers.spawn(async move {
            let mut caller = Caller::connect(to).await;
            let mut took = Vec::new();
            let mut due = begun + each.mul_f64(number as f64 / connections as f64);
            while due < begun + over {
                let late = Instant::now() >= due;
                tokio::time::sleep_until(due).await;
                // A timer fires up to a millisecond late, on both sides alike. That delay belongs
                // to the caller and does not count. A delay because the previous answer came too
                // late does count.
                let asked =
                    if late { due } else { Instant::now().min(due + Duration::from_millis(1)) };
                let (id, customer) = source.next();
                assert_eq!(caller.post(&id, &customer).await, StatusCode::OK, "{id}");
                took.push(asked.elapsed());
                due += each;
            }
            took
        });
    }
    let all = callers.join_all().await;
    Outcome::of(all.concat(), begun.elapsed())
}
