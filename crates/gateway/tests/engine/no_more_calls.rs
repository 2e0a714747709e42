//! A node that stops or hands over a conversation completes the call in progress, and makes no
//! other.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Forward, Open, Refusal};
use conversation::{AttemptOutcome, Clock, OpenOutcome, Record, SessionId};
use gateway::{GatewayCore, Limits};
use store::memory::{Database, Direct, MemoryStore, SimulatedLink};
use store::{Ownership, Store, StoreError};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::support::{Service, Simulated, acme, are_refused, journal_of, until, webhook};

const TAKEOVER: Duration = Duration::from_secs(8);
/// How long a message may take.
const GIVE_UP: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_tells_of_no_other_refusal() {
    let (database, clock, chat) = (Database::new(None), Simulated::from_now(), Chat::new());
    are_refused(&database, &*clock, &["first", "second", "third"], &["first", "second", "third"])
        .await;
    let store = Arc::new(MemoryStore::alone(&database, Arc::new(Direct)));
    let inside = start(&chat, store, clock);
    until("the first is told", || !chat.calls().is_empty()).await;
    tokio::join!(inside.shutdown(), async { chat.answer() });
    assert_eq!(chat.calls(), ["refused first"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_while_the_store_is_slow_tells_of_no_refusal() {
    let (database, clock, chat) = (Database::new(None), Simulated::from_now(), Chat::new());
    are_refused(&database, &*clock, &["first", "second"], &["first", "second"]).await;
    let line = Arc::new(SlowAtFirst::default());
    let store = MemoryStore::alone(&database, Arc::<SlowAtFirst>::clone(&line));
    let inside = start(&chat, Arc::new(store), clock);
    until("it has decided to tell the first", || line.is_asked.load(Relaxed)).await;
    inside.shutdown().await;
    assert_eq!(chat.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hands_over_forwards_no_other_message() {
    let (database, clock, chat) = (Database::new(None), Simulated::from_now(), Chat::new());
    let journal = journal_of(&database);
    let store = Arc::new(MemoryStore::shared(&database, Arc::new(Direct), "one", TAKEOVER));
    let inside = start(&chat, Arc::<MemoryStore>::clone(&store), clock);
    until("it has all conversations", || database.shards("one") == 256).await;
    takes(&inside, "first").await;
    takes(&inside, "second").await;
    until("the first is forwarded", || chat.calls().len() == 2).await;
    tokio::time::sleep(GIVE_UP / 2).await;
    takes(&inside, "third").await;
    // The second message has no time for another attempt. If its first attempt is withdrawn, the
    // third message is next.
    tokio::time::sleep(GIVE_UP * 47 / 100).await;
    store.step_down();
    until("it hands over what it can", || database.shards("one") == 1).await;
    chat.answer();
    until("it has handed over all", || database.shards("one") == 0).await;
    assert_eq!(chat.calls(), ["open", "forward first"]);
    let journal = journal.lock().expect("no test panicked");
    let withdrawn = journal.iter().filter_map(|record| match record {
        Record::AttemptEnded { outcome: AttemptOutcome::NotTaken { reason, .. }, .. } => {
            Some(&*reason.message)
        }
        _ => None,
    });
    let why = "the conversation was being handed over to another node";
    assert_eq!(withdrawn.collect::<Vec<_>>(), [why; 2], "the gateway does not stop");
}

fn start(chat: &Arc<Chat>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> GatewayCore {
    let mut integration = acme(Arc::<Chat>::clone(chat));
    integration.policy.delivery.give_up_after = GIVE_UP;
    GatewayCore::start(vec![Arc::new(integration)], store, clock, Limits::default())
}

async fn takes(inside: &GatewayCore, id: &str) {
    let answer = inside.router().oneshot(webhook(id, "noor")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// A connection to the database on which the first append takes 1.5 s. That is longer than a node
/// that stops may take between a decision and its call.
#[derive(Default)]
struct SlowAtFirst {
    is_asked: AtomicBool,
}

#[async_trait]
impl SimulatedLink for SlowAtFirst {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "append" && !self.is_asked.swap(true, Relaxed) {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        Ok(())
    }
}

/// A chat service that opens a session at once, and accepts everything else when the test lets it.
struct Chat {
    answers: watch::Sender<bool>,
    calls: Mutex<Vec<String>>,
}

impl Chat {
    fn new() -> Arc<Self> {
        Arc::new(Self { answers: watch::Sender::new(false), calls: Mutex::default() })
    }

    fn answer(&self) {
        self.answers.send_replace(true);
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no test panicked").clone()
    }

    fn note(&self, call: &str) {
        self.calls.lock().expect("no test panicked").push(call.to_owned());
    }

    async fn answered(&self) {
        let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
    }
}

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        self.note("open");
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        self.note(&format!("forward {}", message.id));
        self.answered().await;
        AttemptOutcome::Delivered { service_id: None }
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        self.note(&format!("refused {}", refusal.message_id));
        self.answered().await;
        Ok(())
    }
}
