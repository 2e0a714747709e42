//! Events that the gateway could not take keep their order.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{SocketLoop, eventually};

/// A frame with what noor writes. The frame's id is that of the event.
fn frame(text: &str) -> Value {
    let event = json!({ "type": "message.created", "id": text, "text": text,
        "customer": { "id": "noor" } });
    json!({ "id": text, "events": event })
}

#[tokio::test]
async fn an_event_on_its_way_does_not_overtake_one_that_was_refused() {
    let all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    socket.customer_writes("noor", "Zero").await;
    let store = Connection::open(all.dir.path().join("tidegate.db")).expect("the store's file");
    store.busy_timeout(Duration::from_secs(5)).expect("a time-out");
    store.execute_batch("begin exclusive").expect("the lock");
    for text in ["One", "Two", "Three"] {
        socket.send(&frame(text)).await;
    }
    assert_eq!(socket.reply(&json!("One")).await["status"], 503, "the store is away");
    store.execute_batch("rollback").expect("the lock ends");
    // From here on the store could take each of them.
    for text in ["Two", "Three"] {
        assert_eq!(socket.reply(&json!(text)).await["status"], 503, "{text} was on its way");
    }
    for (text, status) in [("Three", 503), ("One", 202), ("Three", 503), ("Two", 202)] {
        socket.send(&frame(text)).await;
        let reply = socket.reply(&json!(text)).await;
        assert_eq!(reply["status"], status, "{text}: {reply}");
        if status == 503 {
            let why = reply["body"]["error"].as_str().unwrap_or_default();
            assert!(why.contains("came earlier and was not taken; send it again first"), "{why}");
        }
        // Asking whether the gateway is there has no place in the order.
        assert_eq!(socket.events(json!([])).await["status"], 202);
    }
    socket.send(&frame("Three")).await;
    assert_eq!(socket.reply(&json!("Three")).await["status"], 202);
    eventually("Genesys has them in their order", async || {
        let entries = all.sandbox.transcript().await.into_iter();
        let posted = entries.filter(|entry| {
            let path = entry["path"].as_str().unwrap_or_default();
            path.contains("/inbound/open/message") && entry["status"] == 200
        });
        let said: Vec<_> =
            posted.filter_map(|entry| entry["body"]["text"].as_str().map(str::to_owned)).collect();
        (said.len() == 4).then(|| assert_eq!(said, ["Zero", "One", "Two", "Three"]))
    })
    .await;
}

#[tokio::test]
async fn a_new_socket_begins_without_the_refusals_of_the_old_one() {
    let all = SocketLoop::start("").await;
    let mut old = all.socket().await;
    let store = Connection::open(all.dir.path().join("tidegate.db")).expect("the store's file");
    store.busy_timeout(Duration::from_secs(5)).expect("a time-out");
    store.execute_batch("begin exclusive").expect("the lock");
    old.send(&frame("One")).await;
    assert_eq!(old.reply(&json!("One")).await["status"], 503);
    store.execute_batch("rollback").expect("the lock ends");
    old.send(&frame("Two")).await;
    assert_eq!(old.reply(&json!("Two")).await["status"], 503);
    let mut new = all.socket().await;
    new.send(&frame("Two")).await;
    assert_eq!(new.reply(&json!("Two")).await["status"], 202);
}
