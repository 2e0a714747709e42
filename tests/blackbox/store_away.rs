//! Decisions made before the store went away that could be carried out only after it was back.

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

use crate::support::{
    Gateway, Sandbox, WEBHOOK_SECRET, audit, eventually, free_port, now, webhook,
};

#[tokio::test]
async fn a_message_is_not_forwarded_late_because_the_store_was_away() {
    let over = |attempt: jiff::Timestamp, give_up: jiff::Timestamp| {
        give_up.max(attempt + Duration::from_secs(1))
    };
    let away = Away::before("messages", "5s", over).await;
    assert_eq!(away.sandbox.receipt("late").await.0, "Failed");
    assert_eq!(away.forwarded.load(Ordering::SeqCst), 0, "its time was over");
    assert_eq!(
        away.gateway.webhook(webhook("after", "noor", "In time.").to_string().as_bytes()).await,
        200
    );
    assert_eq!(away.sandbox.receipt("after").await.0, "Delivered");
    assert_eq!(away.forwarded.load(Ordering::SeqCst), 1);
    let (code, report) = audit(&away.store);
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test]
async fn what_was_decided_while_the_store_was_away_is_done_and_not_decided_anew_where_there_is_time()
 {
    let long = |call: jiff::Timestamp, _| call + Duration::from_secs(2);
    for call in ["messages", "open"] {
        let away = Away::before(call, "60s", long).await;
        assert_eq!(away.sandbox.receipt("late").await.0, "Delivered");
        assert_eq!(away.forwarded.load(Ordering::SeqCst), 1);
        assert_eq!(
            calls(&away.store, call).await,
            away.calls + 1,
            "{call}: the one that was decided"
        );
        let (code, report) = audit(&away.store);
        assert_eq!(code, Some(0), "{report}");
    }
}

#[tokio::test]
async fn a_message_that_finds_the_store_away_is_accepted_when_it_is_back_and_goes_once_and_in_order()
 {
    let dir = TempDir::new().expect("a folder");
    let (well, forwarded) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let chat = chat("messages", well, Arc::clone(&forwarded)).await;
    let port = free_port();
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    sandbox.accept_unknown_receipts().await;
    let id = sandbox
        .create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET)
        .await;
    let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat, "");
    let gateway = Gateway::start(&config, port).await;
    let path = dir.path().join("tidegate.db");
    let store = format!("sqlite:{}", path.display());

    assert_eq!(gateway.webhook(webhook("first", "noor", "One.").to_string().as_bytes()).await, 200);
    eventually("the conversation has nothing to do", async || {
        matches!(journal(&store).await.last()?.record, Ok(Record::ReceiptDone { .. })).then_some(())
    })
    .await;
    let locked = Connection::open(&path).expect("the store's file");
    locked.busy_timeout(Duration::from_secs(5)).expect("a time-out");
    locked.execute_batch("begin exclusive").expect("the lock");
    let second = webhook("second", "noor", "Two.").to_string();
    let back = async {
        // The message would have become durable together with the decisions about it.
        eventually("it has been tried", async || {
            gateway.process.log().contains("cannot accept a message").then_some(())
        })
        .await;
        locked.execute_batch("rollback").expect("the lock ends");
    };
    let (status, ()) = tokio::join!(gateway.webhook(second.as_bytes()), back);
    assert_eq!(status, 200, "the store is back in time");
    assert_eq!(
        gateway.webhook(webhook("third", "noor", "Three.").to_string().as_bytes()).await,
        200
    );
    for id in ["second", "third"] {
        assert_eq!(sandbox.receipt(id).await.0, "Delivered");
    }
    let started = journal(&store).await.into_iter().filter_map(|entry| match entry.record {
        Ok(Record::AttemptStarted { message, .. }) => Some(message.to_string()),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), ["first", "second", "third"]);
    assert_eq!(forwarded.load(Ordering::SeqCst), 3);
    let (code, report) = audit(&store);
    assert_eq!(code, Some(0), "{report}");
}

/// A gateway whose store was away when it decided to call the chat service once more, and is back.
struct Away {
    sandbox: Sandbox,
    gateway: Gateway,
    /// Messages that the chat service took.
    forwarded: Arc<AtomicUsize>,
    store: String,
    /// The number of calls before that.
    calls: usize,
    _dir: TempDir,
}

impl Away {
    /// The call fails at first. `back` gets the time of the retry and the time at which the message
    /// is given up, and returns when the store is back.
    async fn before(
        call: &'static str,
        give_up_after: &str,
        back: impl Fn(jiff::Timestamp, jiff::Timestamp) -> jiff::Timestamp,
    ) -> Self {
        let dir = TempDir::new().expect("a folder");
        let (well, forwarded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let chat = chat(call, Arc::clone(&well), Arc::clone(&forwarded)).await;
        let port = free_port();
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        sandbox.accept_unknown_receipts().await;
        let id = sandbox
            .create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET)
            .await;
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

        assert_eq!(
            gateway.webhook(webhook("late", "noor", "Too late?").to_string().as_bytes()).await,
            200
        );
        // Waits for the pause before a call, so that the next call is decided while the store is
        // away.
        let (again, give_up) = eventually("the next call is some time away", async || {
            let next = next_call(&store).await?;
            (next.0 > now() + Duration::from_millis(300)).then_some(next)
        })
        .await;
        let locked = Connection::open(&path).expect("the store's file");
        locked.busy_timeout(Duration::from_secs(5)).expect("a time-out");
        locked.execute_batch("begin exclusive").expect("the lock");
        well.store(true, Ordering::SeqCst);
        let calls = calls(&store, call).await;
        let back = back(again, give_up) + Duration::from_millis(200);
        eventually("the store was away for long", async || (now() > back).then_some(())).await;
        locked.execute_batch("rollback").expect("the lock ends");
        Self { sandbox, gateway, forwarded, store, calls, _dir: dir }
    }
}

/// How many of these calls the journal has.
async fn calls(url: &str, call: &str) -> usize {
    let begun = journal(url).await.into_iter().filter(|entry| match entry.record {
        Ok(Record::AttemptStarted { .. }) => call == "messages",
        Ok(Record::HandshakeStarted { .. }) => call == "open",
        _ => false,
    });
    begun.count()
}

async fn journal(url: &str) -> Vec<store::JournalRow> {
    let store = SqliteStore::open_read_only(url).expect("the store");
    let conversation = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let dossier = store.dossier(&conversation).await.expect("the store can be read");
    dossier.map(|dossier| dossier.journal).unwrap_or_default()
}

/// When the journal says that the last call is to be repeated, and when the message is given up.
async fn next_call(url: &str) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let journal = journal(url).await;
    let give_up = journal.iter().find_map(|entry| match &entry.record {
        Ok(Record::Accepted { give_up, .. }) => Some(*give_up),
        _ => None,
    });
    match &journal.last()?.record {
        Ok(Record::AttemptEnded { retry_at, .. } | Record::HandshakeFailed { retry_at, .. }) => {
            retry_at.zip(give_up)
        }
        _ => None,
    }
}

/// A chat service that has a session for everybody and accepts every message, except that one kind
/// of call fails while it is not `well`.
async fn chat(fails: &'static str, well: Arc<AtomicBool>, forwarded: Arc<AtomicUsize>) -> String {
    let call = async move |Path((_, call)): Path<(String, String)>| -> (StatusCode, Json<Value>) {
        match call.as_str() {
            call if call == fails && !well.load(Ordering::SeqCst) => {
                (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null))
            }
            "open" => (StatusCode::OK, Json(json!({ "session": "s" }))),
            "messages" => {
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
