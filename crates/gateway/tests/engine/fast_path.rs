//! The order of one conversation's messages, if some of them take the fast path. The store answers
//! when the test lets it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use connector::{Forward, Open};
use conversation::{AttemptOutcome, OpenOutcome, Record, SessionId};
use gateway::{GatewayCore, Limits, SystemClock};
use store::StoreError;
use store::memory::{Database, MemoryStore, SimulatedLink};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::support::{Service, acme, until, webhook};

/// The request to the store for a message on the fast path.
const STRAIGHT: &str = "accept with step";

#[tokio::test(start_paused = true)]
async fn none_overtakes_another_that_is_on_its_way_into_the_inbox() {
    let place = Place::with_an_idle_conversation().await;
    place.line.hold(&["inbox", "accept"]);
    let first = place.webhook("first");
    place.line.until_asked("inbox", 1).await;
    let second = place.webhook("second");
    place.line.until_asked("accept", 1).await;
    place.line.release("inbox");
    assert_eq!(first.await.expect("no panic"), 200);
    place.until_idle().await;
    let third = place.webhook("third");
    place.line.until_asked("accept", 2).await;
    place.line.release("accept");
    assert_eq!(
        (second.await.expect("no panic"), third.await.expect("no panic")),
        (StatusCode::OK, StatusCode::OK)
    );
    assert_eq!(place.line.asked(STRAIGHT), 1, "the first");
    place.until_accepted(&["first", "second", "third"]).await;
}

#[tokio::test(start_paused = true)]
async fn none_overtakes_one_whose_caller_hung_up_until_the_store_has_been_waited_for() {
    let place = Place::with_an_idle_conversation().await;
    place.line.hold(&["inbox", "accept", "ready"]);
    let first = place.webhook("first");
    place.line.until_asked("inbox", 1).await;
    let unheard = place.webhook("unheard");
    place.line.until_asked("accept", 1).await;
    unheard.abort();
    assert!(unheard.await.expect_err("it was aborted").is_cancelled());
    place.line.release("inbox");
    assert_eq!(first.await.expect("no panic"), 200);
    place.until_idle().await;
    let second = place.webhook("second");
    place.line.until_asked("accept", 2).await;
    place.line.release("accept");
    assert_eq!((second.await.expect("no panic"), place.line.asked(STRAIGHT)), (StatusCode::OK, 1));
    place.until_idle().await;
    let looked = place.line.asked("waiting");
    place.line.release("ready");
    // By now, all earlier requests to the store are done, and the inbox is scanned.
    place.line.until_asked("waiting", looked + 1).await;
    place.until_idle().await;
    assert_eq!(
        (place.webhook("third").await.expect("no panic"), place.line.asked(STRAIGHT)),
        (StatusCode::OK, 2)
    );
    place.until_accepted(&["first", "second", "third"]).await;
}

/// The wait for the store ends with an error that is not worth a retry.
#[tokio::test(start_paused = true)]
async fn the_fast_path_opens_again_after_a_wait_for_the_store_that_failed() {
    let place = Place::with_an_idle_conversation().await;
    place.line.hold(&["inbox", "accept"]);
    *place.line.damaged.lock().expect("no test panicked") = Some("ready");
    let first = place.webhook("first");
    place.line.until_asked("inbox", 1).await;
    let unheard = place.webhook("unheard");
    place.line.until_asked("accept", 1).await;
    unheard.abort();
    assert!(unheard.await.expect_err("it was aborted").is_cancelled());
    place.line.release("inbox");
    place.line.release("accept");
    assert_eq!(first.await.expect("no panic"), 200);
    place.line.until_asked("ready", 1).await;
    // At the latest, the next regular scan waits for the store again.
    tokio::time::sleep(Duration::from_secs(16)).await;
    let straight = place.line.asked(STRAIGHT);
    assert_eq!(place.webhook("second").await.expect("no panic"), 200);
    assert_eq!(place.line.asked(STRAIGHT), straight + 1);
    place.until_accepted(&["first", "second"]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_came_later_by_the_inbox_does_not_go_before_the_one_on_the_fast_path() {
    let place = Place::with_an_idle_conversation().await;
    place.line.hold(&["inbox"]);
    let first = place.webhook("first");
    place.line.until_asked("inbox", 1).await;
    assert_eq!(place.webhook("second").await.expect("no panic"), 200);
    place.line.release("inbox");
    assert_eq!((first.await.expect("no panic"), place.line.asked(STRAIGHT)), (StatusCode::OK, 1));
    place.until_accepted(&["first", "second"]).await;
}

/// A gateway on an in-memory store, whose one conversation has a session.
struct Place {
    line: Arc<SlowLine>,
    router: Router,
    journal: Arc<Mutex<Vec<Record>>>,
    _inside: GatewayCore,
}

impl Place {
    async fn with_an_idle_conversation() -> Self {
        let (line, journal) = (Arc::new(SlowLine::default()), Arc::new(Mutex::new(Vec::new())));
        let database = Database::new(None);
        let told = Arc::clone(&journal);
        database.watch(Arc::new(move |_, _, _, records: &[Record]| {
            told.lock().expect("no test panicked").extend_from_slice(records);
        }));
        let store = MemoryStore::alone(&database, Arc::<SlowLine>::clone(&line));
        let inside = GatewayCore::start(
            vec![Arc::new(acme(Arc::new(Chat)))],
            Arc::new(store),
            Arc::new(SystemClock),
            Limits::default(),
        );
        let place = Self { line, router: inside.router(), journal, _inside: inside };
        assert_eq!(place.webhook("handshake").await.expect("no panic"), 200);
        place.until_idle().await;
        place.line.asked.lock().expect("no test panicked").clear();
        place
    }

    /// Sends a webhook in a task of its own.
    fn webhook(&self, id: &str) -> JoinHandle<StatusCode> {
        let (router, request) = (self.router.clone(), webhook(id, "noor"));
        tokio::spawn(async move { router.oneshot(request).await.expect("an answer").status() })
    }

    /// Waits until every accepted message has been delivered, and the conversation's task has
    /// ended.
    async fn until_idle(&self) {
        let open = || {
            let journal = self.journal.lock().expect("no test panicked");
            let count = |wanted: fn(&Record) -> bool| {
                journal.iter().filter(|record| wanted(record)).count()
            };
            let settled = count(|record| matches!(record, Record::Settled { .. }));
            count(|record| matches!(record, Record::Accepted { .. })) - settled
        };
        until("the conversation is idle", || open() == 0).await;
        // Everything that can run has run before simulated time advances.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Waits until these have been accepted, after the handshake's message, and checks their order.
    async fn until_accepted(&self, ids: &[&str]) {
        let accepted = || {
            let journal = self.journal.lock().expect("no test panicked");
            let accepted = journal.iter().filter_map(|record| match record {
                Record::Accepted { message, .. } => Some(message.to_string()),
                _ => None,
            });
            accepted.skip(1).collect::<Vec<_>>()
        };
        until("all are accepted", || accepted().len() >= ids.len()).await;
        assert_eq!(accepted(), ids);
    }
}

/// A connection to the database that holds back some requests.
#[derive(Default)]
struct SlowLine {
    held: Mutex<HashSet<&'static str>>,
    /// The next request of this kind meets a damaged row.
    damaged: Mutex<Option<&'static str>>,
    asked: Mutex<Vec<&'static str>>,
    released: Notify,
}

impl SlowLine {
    fn hold(&self, what: &[&'static str]) {
        self.held.lock().expect("no test panicked").extend(what);
    }

    fn release(&self, what: &str) {
        self.held.lock().expect("no test panicked").remove(what);
        self.released.notify_waiters();
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().expect("no test panicked").iter().filter(|asked| **asked == what).count()
    }

    async fn until_asked(&self, what: &str, times: usize) {
        until(what, || self.asked(what) >= times).await;
    }
}

#[async_trait]
impl SimulatedLink for SlowLine {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        self.asked.lock().expect("no test panicked").push(what);
        loop {
            let released = self.released.notified();
            if !self.held.lock().expect("no test panicked").contains(what) {
                let damaged = self
                    .damaged
                    .lock()
                    .expect("no test panicked")
                    .take_if(|damaged| *damaged == what);
                return damaged.map_or(Ok(()), |_| Err(StoreError::Corrupt("a row".into())));
            }
            released.await;
        }
    }
}

/// A chat service that accepts everything at once.
struct Chat;

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("session"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Delivered { service_id: None }
    }
}
