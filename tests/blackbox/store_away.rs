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

const TIMES: &str = r#"
[integration.delivery]
give_up_after = "5s"
retry_initial = "2s"
retry_max = "2s"
"#;

#[tokio::test]
async fn a_message_is_not_forwarded_late_because_the_store_was_away() {
    let dir = TempDir::new().expect("a folder");
    let (well, forwarded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let chat = chat(Arc::clone(&well), Arc::clone(&forwarded)).await;
    let port = free_port();
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    sandbox.accept_unknown_receipts().await;
    let id = sandbox.create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET).await;
    let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat, TIMES);
    let gateway = Gateway::start(&config, port).await;
    let path = dir.path().join("tidegate.db");
    let url = format!("sqlite:{}", path.display());

    assert_eq!(gateway.webhook(webhook("late", "noor", "Too late.").to_string().as_bytes()).await, 200);
    // In the pause before an attempt, so that the next one is decided while the store is away.
    let give_up = eventually("the next attempt is some time away", async || {
        let (at, give_up) = next_attempt(&url, "noor").await?;
        (at > now() + Duration::from_millis(300)).then_some(give_up)
    })
    .await;
    let locked = Connection::open(&path).expect("the store's file");
    locked.busy_timeout(Duration::from_secs(5)).expect("a time-out");
    locked.execute_batch("begin exclusive").expect("the lock");
    well.store(true, Ordering::SeqCst);
    eventually("its time is over", async || (now() > give_up).then_some(())).await;
    locked.execute_batch("rollback").expect("the lock ends");

    assert_eq!(sandbox.receipt("late").await.0, "Failed");
    assert_eq!(forwarded.load(Ordering::SeqCst), 0, "its time was over");
    assert_eq!(gateway.webhook(webhook("after", "noor", "In time.").to_string().as_bytes()).await, 200);
    assert_eq!(sandbox.receipt("after").await.0, "Delivered");
    assert_eq!(forwarded.load(Ordering::SeqCst), 1);
    let (code, report) = audit(&url);
    assert_eq!(code, Some(0), "{report}");
}

/// When the journal says that a customer's last attempt is to be repeated, and when there is to be none any more.
async fn next_attempt(url: &str, customer: &str) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let store = SqliteStore::open_read_only(url).expect("the store");
    let conversation = ConversationId::of(&IntegrationName::new("acme"), customer);
    let journal = store.dossier(&conversation).await.expect("the store can be read")?.journal;
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
