//! Posts signed webhooks: as fast as they are answered, or at a fixed rate whether or not they are
//! answered.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{Gateway, WEBHOOK_SECRET, webhook};

/// How many calls are under way at once in the closed loop.
const CLOSED: usize = 64;
/// The maximum in the open loop: a test may have no more connections than files. Beyond it, what is
/// due is not sent.
const OPEN: usize = 8_000;
/// The least value of that limit: twice as many as the gateway lets wait.
const CROWD: usize = 2_048;
/// How many customers there are: each has their own conversation.
const CUSTOMERS: usize = 4_000;
/// How long a caller waits: longer than Genesys, to see how long it takes.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(super) struct Answers {
    /// The webhooks that were answered 200: their ids, and how long each took.
    pub(super) taken: Vec<(String, Duration)>,
    /// How long each 503 took.
    pub(super) refused: Vec<Duration>,
    /// Connections that broke, or no answer at all.
    pub(super) broken: usize,
    /// There were too many calls under way already: nothing was sent.
    pub(super) unsent: usize,
}

impl Answers {
    pub(super) fn offered(&self) -> usize {
        self.taken.len() + self.refused.len() + self.broken + self.unsent
    }

    pub(super) fn taken_ids(&self) -> HashSet<String> {
        self.taken.iter().map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn taken_p99(&self) -> Duration {
        p99(self.taken.iter().map(|(_, took)| *took).collect())
    }

    pub(super) fn refused_p99(&self) -> Duration {
        p99(self.refused.clone())
    }

    fn add(&mut self, id: String, status: Option<u16>, took: Duration) {
        match status {
            Some(200) => self.taken.push((id, took)),
            Some(503) => self.refused.push(took),
            Some(other) => panic!("{id} was answered {other}"),
            None => self.broken += 1,
        }
    }
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

#[derive(Clone)]
pub(super) struct Load {
    address: Arc<str>,
    /// Idle connections.
    idle: Arc<Mutex<Vec<TcpStream>>>,
}

impl Load {
    pub(super) fn on(gateway: &Gateway) -> Self {
        Self {
            address: gateway.url.strip_prefix("http://").expect("an address").into(),
            idle: Arc::default(),
        }
    }

    /// The gateway may have closed connections that were idle for a while.
    fn hang_up(&self) {
        self.idle.lock().expect("no test panicked").clear();
    }

    /// Each caller posts the next webhook as soon as the previous one was answered.
    pub(super) async fn closed(&self, name: &'static str, over: Duration) -> Answers {
        self.hang_up();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let end = Instant::now() + over;
        let mut callers = JoinSet::new();
        for caller in 0..CLOSED {
            let (load, answers) = (self.clone(), Arc::clone(&answers));
            callers.spawn(async move {
                let mut number = 0;
                while Instant::now() < end {
                    let (id, request) =
                        request(&format!("{name}-{caller}-{number}"), caller * 1_000 + number);
                    let asked = Instant::now();
                    let status = load.post(&request).await;
                    answers.lock().expect("no test panicked").add(id, status, asked.elapsed());
                    number += 1;
                }
            });
        }
        while callers.join_next().await.is_some() {}
        std::mem::take(&mut answers.lock().expect("no test panicked"))
    }

    /// Posts `rate` webhooks per second, whether or not others are answered, as long as fewer than
    /// `under_way` wait. That limit is at least `CROWD` and at most `OPEN`.
    pub(super) async fn open(
        &self,
        name: &'static str,
        rate: usize,
        under_way: usize,
        over: Duration,
    ) -> Answers {
        const BEAT: Duration = Duration::from_millis(10);
        self.hang_up();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let room = Arc::new(Semaphore::new(under_way.clamp(CROWD, OPEN)));
        let mut calls = JoinSet::new();
        let (begun, mut number) = (Instant::now(), 0);
        let mut beat = tokio::time::interval(BEAT);
        while begun.elapsed() < over {
            beat.tick().await;
            let due =
                usize::try_from(begun.elapsed().as_millis()).expect("not that long") * rate / 1_000;
            while number < due {
                number += 1;
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                    answers.lock().expect("no test panicked").unsent += 1;
                    continue;
                };
                let (load, answers) = (self.clone(), Arc::clone(&answers));
                calls.spawn(async move {
                    let (id, request) = request(&format!("{name}-{number}"), number);
                    let asked = Instant::now();
                    let status = load.post(&request).await;
                    answers.lock().expect("no test panicked").add(id, status, asked.elapsed());
                    drop(place);
                });
            }
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
        std::mem::take(&mut answers.lock().expect("no test panicked"))
    }

    /// The status of the answer, if there is one.
    async fn post(&self, request: &[u8]) -> Option<u16> {
        let idle = self.idle.lock().expect("no test panicked").pop();
        let call = async {
            let mut stream = match idle {
                Some(stream) => stream,
                None => TcpStream::connect(&*self.address).await.ok()?,
            };
            stream.write_all(request).await.ok()?;
            let status = read(&mut stream).await?;
            self.idle.lock().expect("no test panicked").push(stream);
            Some(status)
        };
        tokio::time::timeout(LONGEST, call).await.ok()?
    }
}

/// A whole request, signed.
fn request(id: &str, customer: usize) -> (String, Vec<u8>) {
    let body =
        webhook(id, &format!("customer-{}", customer % CUSTOMERS), "Too many words at once.")
            .to_string();
    let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), body.as_bytes());
    let (name, length) = (genesys::signature::HEADER, body.len());
    let head = format!(
        "POST /genesys/acme HTTP/1.1\r\nhost: localhost\r\n{name}: {signature}\r\ncontent-length: \
         {length}"
    );
    (id.to_owned(), format!("{head}\r\n\r\n{body}").into_bytes())
}

/// Reads one answer to its end. Returns its status.
async fn read(stream: &mut TcpStream) -> Option<u16> {
    let (mut answer, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}
