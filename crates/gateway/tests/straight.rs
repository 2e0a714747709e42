//! The order of one conversation's messages, some of which become durable together with what is decided about them, on a
//! store that answers when the test says so.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use connector::http::{Inbound, Secret, Secrets};
use connector::{Capabilities, CheckError, Connector, ContentKinds, Forward, Open, Typing};
use conversation::{
    AttemptOutcome, Clock, ConversationId, IntegrationName, OpenOutcome, Policy, Record, SessionId,
};
use gateway::{DetectEnd, Inside, Integration, Limits, NoticeTexts, SystemClock};
use genesys::{
    Budget, BudgetConfig, CallError, Client, Credentials, Exchange, Hosts, Transport, signature,
};
use serde_json::json;
use store::StoreError;
use store::memory::{Database, Line, MemoryStore};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tower::ServiceExt;

const SECRET: &str = "a-webhook-secret-of-these-tests";
/// What the store is asked where a message goes straight.
const STRAIGHT: &str = "accept with step";

#[tokio::test(start_paused = true)]
async fn none_goes_straight_past_another_that_is_on_its_way_into_the_inbox() {
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
async fn none_goes_straight_past_one_whose_caller_hung_up_until_the_store_has_been_waited_for() {
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
    // Now whatever was asked of the store before has been done, and the inbox is looked through.
    place.line.until_asked("waiting", looked + 1).await;
    place.until_idle().await;
    assert_eq!(
        (place.webhook("third").await.expect("no panic"), place.line.asked(STRAIGHT)),
        (StatusCode::OK, 2)
    );
    place.until_accepted(&["first", "second", "third"]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_came_later_by_the_inbox_does_not_go_before_the_one_that_goes_straight() {
    let place = Place::with_an_idle_conversation().await;
    place.line.hold(&["inbox"]);
    let first = place.webhook("first");
    place.line.until_asked("inbox", 1).await;
    assert_eq!(place.webhook("second").await.expect("no panic"), 200);
    place.line.release("inbox");
    assert_eq!((first.await.expect("no panic"), place.line.asked(STRAIGHT)), (StatusCode::OK, 1));
    place.until_accepted(&["first", "second"]).await;
}

/// A gateway on a store in memory, whose one conversation has a session.
struct Place {
    line: Arc<SlowLine>,
    router: Router,
    journal: Arc<Mutex<Vec<Record>>>,
    _inside: Inside,
}

impl Place {
    async fn with_an_idle_conversation() -> Self {
        let (line, journal) = (Arc::new(SlowLine::default()), Arc::new(Mutex::new(Vec::new())));
        let database = Database::new(None);
        let told = Arc::clone(&journal);
        database.watch(Arc::new(move |_, _, _, records: &[Record]| {
            told.lock().expect("nobody panicked").extend_from_slice(records);
        }));
        let store = MemoryStore::alone(&database, Arc::<SlowLine>::clone(&line));
        let inside = Inside::start(
            vec![Arc::new(acme())],
            Arc::new(store),
            Arc::new(SystemClock),
            Limits::default(),
        );
        let place = Self { line, router: inside.router(), journal, _inside: inside };
        assert_eq!(place.webhook("handshake").await.expect("no panic"), 200);
        place.until_idle().await;
        place.line.asked.lock().expect("nobody panicked").clear();
        place
    }

    /// Posts a webhook in a task of its own.
    fn webhook(&self, id: &str) -> JoinHandle<StatusCode> {
        let body = json!({
            "id": id,
            "channel": {
                "id": "b3f0", "platform": "Open", "type": "Private", "messageId": id,
                "to": { "id": "noor", "idType": "Opaque" }, "from": { "id": "b3f0", "idType": "Opaque" },
                "time": SystemClock.now().to_string(),
            },
            "type": "Text", "text": id, "originatingEntity": "Human", "direction": "Outbound",
        });
        let body = body.to_string().into_bytes();
        let signed = signature::sign(&SECRET.into(), &body);
        let request =
            Request::post("/genesys/acme").header(signature::HEADER, signed).body(Body::from(body));
        let router = self.router.clone();
        tokio::spawn(async move {
            router.oneshot(request.expect("a request")).await.expect("an answer").status()
        })
    }

    /// Until every message that was accepted has been delivered, and the conversation's task has ended.
    async fn until_idle(&self) {
        let open = || {
            let journal = self.journal.lock().expect("nobody panicked");
            let count = |wanted: fn(&Record) -> bool| {
                journal.iter().filter(|record| wanted(record)).count()
            };
            let settled = count(|record| matches!(record, Record::Settled { .. }));
            count(|record| matches!(record, Record::Accepted { .. })) - settled
        };
        until("the conversation is idle", || open() == 0).await;
        // Everything that can run has run before simulated time goes on.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Until these have been accepted, which must be in this order, behind the one for the handshake.
    async fn until_accepted(&self, ids: &[&str]) {
        let accepted = || {
            let journal = self.journal.lock().expect("nobody panicked");
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

/// Simulated time goes on until it is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within a simulated minute: {what}");
}

/// A way to the database on which some requests are held.
#[derive(Default)]
struct SlowLine {
    held: Mutex<HashSet<&'static str>>,
    asked: Mutex<Vec<&'static str>>,
    released: Notify,
}

impl SlowLine {
    fn hold(&self, what: &[&'static str]) {
        self.held.lock().expect("nobody panicked").extend(what);
    }

    fn release(&self, what: &str) {
        self.held.lock().expect("nobody panicked").remove(what);
        self.released.notify_waiters();
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().expect("nobody panicked").iter().filter(|asked| **asked == what).count()
    }

    async fn until_asked(&self, what: &str, times: usize) {
        until(what, || self.asked(what) >= times).await;
    }
}

#[async_trait]
impl Line for SlowLine {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        self.asked.lock().expect("nobody panicked").push(what);
        loop {
            let released = self.released.notified();
            if !self.held.lock().expect("nobody panicked").contains(what) {
                return Ok(());
            }
            released.await;
        }
    }

    async fn answer(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }
}

fn acme() -> Integration {
    let host = url::Url::parse("https://genesys.invalid").expect("a URL");
    let hosts = Hosts { api: host.clone(), login: host };
    let client = Client::over(
        Arc::new(NoGenesys),
        hosts,
        Credentials { id: "id".into(), secret: "secret".into() },
    );
    let mut policy = Policy::default();
    // Nobody has to be told anything, so that a conversation whose messages are delivered is idle.
    policy.receipts.send = conversation::SendReceipts::Failures;
    let secret: Secret = "whsec_c3RyYWlnaHQtc3RyYWlnaHQtc3RyYWlnaHQ=".parse().expect("a secret");
    Integration {
        name: IntegrationName::new("acme"),
        genesys_id: "b3f0".to_owned(),
        webhook_secrets: vec![SECRET.into()],
        budget: Budget::new(vec![client], BudgetConfig::default(), fastrand::Rng::with_seed(1)),
        policy,
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Off,
        connector: Arc::new(Chat(Capabilities {
            reports_delivery: false,
            idempotent: true,
            typing: false,
            max_text: None,
            media: Vec::new(),
            content: ContentKinds::Any,
        })),
        events: Inbound::new(
            Secrets::new(vec![secret]).expect("one secret"),
            Arc::new(SystemClock),
        ),
    }
}

/// A chat service that takes everything at once.
struct Chat(Capabilities);

#[async_trait]
impl Connector for Chat {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("session"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Delivered { service_id: None }
    }

    async fn typing(&self, _: &ConversationId, _: Typing) {}

    async fn close(&self, _: &ConversationId, _: &str) {}

    async fn check(&self) -> Result<String, CheckError> {
        Ok("it is there".to_owned())
    }
}

struct NoGenesys;

impl Transport for NoGenesys {
    fn exchange(&self, _: Request<Vec<u8>>, _: Duration) -> Exchange<'_> {
        Box::pin(async { Err(CallError::NotSent { cause: "there is no Genesys here".to_owned() }) })
    }
}
