//! Whoever posts the webhooks: as fast as they are answered, so many a second, or so many under way until their receipt.

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

/// How long anything may take before a measurement is given up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One connection that is kept open.
pub(crate) struct Caller(SendRequest<Full<Bytes>>);

impl Caller {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the program listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        // It ends with the sender.
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

/// Makes ids and customers: each webhook is another message, over so many conversations.
pub(crate) struct Source {
    /// Ids begin with it; none where they are random.
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

    /// The same for other customers: those behind so many.
    pub(crate) fn behind(run: &str, conversations: usize, first: usize) -> Arc<Self> {
        Arc::new(Self {
            run: Some(run.to_owned()),
            conversations,
            first,
            next: AtomicUsize::new(0),
        })
    }

    /// The same with ids like Genesys's, each of which belongs somewhere else in an index.
    pub(crate) fn random(conversations: usize, first: usize) -> Arc<Self> {
        Arc::new(Self { run: None, conversations, first, next: AtomicUsize::new(0) })
    }

    /// The next message's id and customer.
    pub(crate) fn next(&self) -> (String, String) {
        self.numbered(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The same, if there is to be another.
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

/// The id of a customer's message at this place among his: always the same, and as random as Genesys's.
pub(crate) fn random_id(customer: usize, place: usize) -> String {
    let mut random = fastrand::Rng::with_seed(((customer as u64) << 24) | place as u64);
    format!("{:032x}", random.u128(..))
}

/// What came of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) count: usize,
    pub(crate) over: Duration,
    /// How long each took, the shortest first.
    pub(crate) took: Vec<Duration>,
}

impl Outcome {
    pub(crate) fn of(mut took: Vec<Duration>, over: Duration) -> Self {
        took.sort_unstable();
        Self { count: took.len(), over, took }
    }

    /// Those of two loads at the same time.
    pub(crate) fn and(self, other: Self) -> Self {
        Self::of([self.took, other.took].concat(), self.over.max(other.over))
    }

    /// So many a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.over.as_secs_f64()
    }

    /// The longest of all but one in a hundred, in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.at(0.99)
    }

    /// The one in the middle, in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.at(0.5)
    }

    pub(crate) fn at(&self, part: f64) -> f64 {
        quantile(&self.took, part)
    }
}

/// The longest of this part of them, in milliseconds; they are in order.
pub(crate) fn quantile(took: &[Duration], part: f64) -> f64 {
    let index = (took.len() as f64 * part) as usize;
    took.get(index.min(took.len().saturating_sub(1)))
        .map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
}

/// Each connection posts the next webhook as soon as the last was answered.
pub(crate) async fn closed(
    to: SocketAddr,
    connections: usize,
    over: Duration,
    source: &Arc<Source>,
) -> Outcome {
    in_turn(to, connections, Until::Over(over), source, None).await
}

/// So many webhooks, as fast as they are answered.
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

/// One message for each conversation, to its final receipt: whatever is done once for a conversation is done.
pub(crate) async fn open_sessions(
    to: SocketAddr,
    under_way: usize,
    source: &Arc<Source>,
    seen: &Arc<Seen>,
) {
    in_turn(to, under_way, Until::Each, source, Some(seen)).await;
}

/// So many messages are under way at once, each from its webhook to its final receipt.
pub(crate) async fn loops(
    to: SocketAddr,
    under_way: usize,
    over: Duration,
    source: &Arc<Source>,
    seen: &Arc<Seen>,
) -> Outcome {
    in_turn(to, under_way, Until::Over(over), source, Some(seen)).await
}

/// When nothing new is begun any more.
#[derive(Clone, Copy)]
enum Until {
    /// After this time.
    Over(Duration),
    /// When each conversation has had a message.
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

/// So many webhooks a second, evenly over the connections, whatever becomes of them. Each is timed from when it was due, so
/// that a program that makes others wait does not look fast.
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
                // A timer fires up to a millisecond late, for both sides alike: that is the caller's. That the last answer came
                // too late is not.
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
