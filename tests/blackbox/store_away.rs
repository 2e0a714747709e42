//! What was decided before the store went away, and could be done only after it was back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use conversation::{ConversationId, IntegrationName, Record};
use rusqlite::Connection;
use serde_json::{Value, json};
use store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Gateway, Sandbox, WEBHOOK_SECRET, audit, eventually, free_port, now, webhook};

#[tokio::test]
async fn a_message_is_not_forwarded_late_because_the_store_was_away() {
    let away = Away::during_an_attempt("5s", |attempt, give_up| give_up.max(attempt + Duration::from_secs(1))).await;
    assert_eq!(away.sandbox.receipt("late").await.0, "Failed");
    assert_eq!(away.forwarded.load(Ordering::SeqCst), 0, "its time was over");
    assert_eq!(away.gateway.webhook(webhook("after", "noor", "In time.").to_string().as_bytes()).await, 200);
    assert_eq!(away.sandbox.receipt("after").await.0, "Delivered");
    assert_eq!(away.forwarded.load(Ordering::SeqCst), 1);
    let (code, report) = audit(&away.store);
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test]
async fn what_was_decided_while_the_store_was_away_is_done_and_not_decided_anew_where_there_is_time() {
    let long = |attempt: jiff::Timestamp, _| attempt + Duration::from_secs(2);
    let away = Away::during_an_attempt("60s", long).await;
    assert_eq!(away.sandbox.receipt("late").await.0, "Delivered");
    assert_eq!(away.forwarded.load(Ordering::SeqCst), 1);
    assert_eq!(attempts(&away.store, "noor").await, away.attempts + 1, "the one that was decided");
    let (code, report) = audit(&away.store);
    assert_eq!(code, Some(0), "{report}");
}

/// A gateway whose store was away when it decided to make a message's next attempt, and is back.
struct Away {
    sandbox: Sandbox,
    gateway: Gateway,
    /// Messages that the chat service took.
    forwarded: Arc<AtomicUsize>,
    store: String,
    /// The attempts before.
    attempts: usize,
    _dir: TempDir,
}

impl Away {
    /// The store is back at a time that follows from when the attempt was due, and when the message is given up.
    async fn during_an_attempt(
        give_up_after: &str,
        back: impl Fn(jiff::Timestamp, jiff::Timestamp) -> jiff::Timestamp,
    ) -> Self {
        let dir = TempDir::new().expect("a folder");
        let (well, forwarded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let chat = chat(Arc::clone(&well), Arc::clone(&forwarded)).await;
        let port = free_port();
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        sandbox.accept_unknown_receipts().await;
        let id = sandbox.create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET).await;
        let times = format!(
            r#"
[integration.delivery]
give_up_after = "{give_up_after}"
retry_initial = "2s"
retry_max = "2s"
"#
        );
        let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat, &times);
        let gateway = Gateway::start(&config, port).await;
        let path = dir.path().join("tidegate.db");
        let store = format!("sqlite:{}", path.display());

        assert_eq!(gateway.webhook(webhook("late", "noor", "Too late?").to_string().as_bytes()).await, 200);
        // In the pause before an attempt, so that the next one is decided while the store is away.
        let (attempt, give_up) = eventually("the next attempt is some time away", async || {
            let next = next_attempt(&store, "noor").await?;
            (next.0 > now() + Duration::from_millis(300)).then_some(next)
        })
        .await;
        let locked = Connection::open(&path).expect("the store's file");
        locked.busy_timeout(Duration::from_secs(5)).expect("a time-out");
        locked.execute_batch("begin exclusive").expect("the lock");
        well.store(true, Ordering::SeqCst);
        let attempts = attempts(&store, "noor").await;
        let back = back(attempt, give_up) + Duration::from_millis(200);
        eventually("the store was away for long", async || (now() > back).then_some(())).await;
        locked.execute_batch("rollback").expect("the lock ends");
        Self { sandbox, gateway, forwarded, store, attempts, _dir: dir }
    }
}

/// How many attempts the journal has.
async fn attempts(url: &str, customer: &str) -> usize {
    let begun = |entry: &&store::JournalRow| matches!(entry.record, Ok(Record::AttemptStarted { .. }));
    journal(url, customer).await.iter().filter(begun).count()
}

async fn journal(url: &str, customer: &str) -> Vec<store::JournalRow> {
    let store = SqliteStore::open_read_only(url).expect("the store");
    let conversation = ConversationId::of(&IntegrationName::new("acme"), customer);
    let dossier = store.dossier(&conversation).await.expect("the store can be read");
    dossier.map(|dossier| dossier.journal).unwrap_or_default()
}

/// When the journal says that a customer's last attempt is to be repeated, and when there is to be none any more.
async fn next_attempt(url: &str, customer: &str) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let journal = journal(url, customer).await;
    let give_up = journal.iter().find_map(|entry| match &entry.record {
        Ok(Record::Accepted { give_up, .. }) => Some(*give_up),
        _ => None,
    });
    match &journal.last()?.record {
        Ok(Record::AttemptEnded { retry_at, .. }) => retry_at.zip(give_up),
        _ => None,
    }
}

/// A chat service that has a session for everybody, and takes messages only while it is well.
async fn chat(well: Arc<AtomicBool>, forwarded: Arc<AtomicUsize>) -> String {
    let call = async move |Path((_, call)): Path<(String, String)>| -> (StatusCode, Json<Value>) {
        match call.as_str() {
            "open" => (StatusCode::OK, Json(json!({ "session": "s" }))),
            "messages" if well.load(Ordering::SeqCst) => {
                forwarded.fetch_add(1, Ordering::SeqCst);
                (StatusCode::OK, Json(json!({ "status": "delivered", "message_id": "m" })))
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null)),
        }
    };
    let router = Router::new().route("/conversations/{id}/{call}", post(call));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
