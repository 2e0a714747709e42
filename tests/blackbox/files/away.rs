//! A server of files that is slow, or away for a while.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::{AGAIN, PNG, Stage, fetched, message_with, picture, said};
use crate::support::{delivered, eventually};

/// A customer's message with a text and perhaps a file.
fn by(customer: &str, id: &str, files: &[Value]) -> Value {
    let mut event = said(id, files);
    event["customer"]["id"] = customer.into();
    event
}

#[tokio::test]
async fn files_that_do_not_come_keep_no_other_words_waiting() {
    const CUSTOMERS: usize = 300;
    let all = Stage::start(Duration::ZERO).await;
    all.chat.inside.serves.send_replace(false);
    let file = picture(&all.chat.link("a.png"));
    for number in 0..CUSTOMERS {
        let (customer, id) = (format!("customer-{number}"), format!("c-{number}"));
        all.customer_writes(&by(&customer, &id, std::slice::from_ref(&file))).await;
    }
    all.customer_writes(&by("noor", "the words", &[])).await;
    let got = all.inbound(1).await;
    assert_eq!((got.len(), &got[0]["text"]), (1, &json!("words of the words")), "{got:?}");
    // The control: with the files, the others come.
    all.chat.inside.serves.send_replace(true);
    let got = all.inbound(20).await;
    let with_file = |message: &&Value| !message["content"][0]["attachment"]["url"].is_null();
    assert!(got.iter().filter(with_file).count() >= 19, "{got:?}");
}

#[tokio::test]
async fn a_gateway_that_stops_while_a_file_is_awaited_has_sent_nothing() {
    let tables = "[integration.delivery]\non_unknown = \"fail\"";
    let mut all = Stage::configured(Duration::ZERO, tables, "").await;
    all.chat.inside.serves.send_replace(false);
    all.customer_writes(&said("c-1", &[])).await;
    let file = picture(&all.chat.link("a.png"));
    let message = all.agent_sends(Some("Your label."), &[file]).await;
    eventually("an attempt waits for the file", async || {
        let (_, found) = all.gateway.get(&format!("/api/v1/messages/{message}")).await;
        found.contains("On its way: attempt 1").then_some(())
    })
    .await;
    all.gateway.stop().await;
    all.chat.inside.serves.send_replace(true);
    all.gateway.restart().await;
    let got = all.chat.message(&message).await;
    let ours = got["content"][0]["attachment"]["url"].as_str().expect("a link");
    assert_eq!(fetched(ours).await.2.as_ref(), PNG);
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
}

#[tokio::test]
async fn a_message_that_is_nothing_but_a_file_waits_for_a_server_that_is_away() {
    let all = Stage::configured(Duration::ZERO, "", "fetch_timeout = \"1s\"\n").await;
    all.chat.inside.is_away.store(true, Ordering::SeqCst);
    all.customer_writes(&said("c-1", &[])).await;
    let file = picture(&all.chat.link("a.png"));
    let message = all.agent_sends(None, &[file]).await;
    // Longer than an attempt waits.
    eventually("the first attempt ends", async || {
        all.gateway.get("/metrics").await.1.contains("\"not_taken\"").then_some(())
    })
    .await;
    all.chat.inside.is_away.store(false, Ordering::SeqCst);
    let got = all.chat.message(&message).await;
    assert!(got["content"][0]["attachment"]["url"].is_string(), "{got}");
    assert_eq!(got.get("unavailable"), None, "{got}");
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
}

#[tokio::test]
async fn words_do_not_wait_long_for_a_server_that_is_away() {
    let all = Stage::configured(Duration::ZERO, "", "fetch_timeout = \"1s\"\n").await;
    all.chat.inside.is_away.store(true, Ordering::SeqCst);
    let file = picture(&all.chat.link("a.png"));
    all.customer_writes(&said("c-1", std::slice::from_ref(&file))).await;
    let inbound = &all.inbound(1).await[0];
    let line = "[File not available: a.png] (the link answered 503)";
    assert_eq!(inbound["text"], format!("words of c-1\n{line}"));
    let message = all.agent_sends(Some(&format!("Look. {AGAIN}")), &[file]).await;
    let got = all.chat.message(&message).await;
    all.chat.inside.is_away.store(false, Ordering::SeqCst);
    assert_eq!(got["text"], format!("Look. {AGAIN}\n[File not available: a.png]"), "{got}");
    assert_eq!(got["unavailable"][0]["reason"]["code"], "GeneralError", "{got}");
    // The file is there now, but each attempt has the same key, and must send the same.
    assert_eq!(all.chat.attempt(&message, 1).await, got);
}

/// A sender that did not get the answer repeats a message.
#[tokio::test]
async fn a_repeated_message_fetches_nothing() {
    let all = Stage::start(Duration::ZERO).await;
    all.sandbox.accept_unknown_receipts().await;
    let file = picture(&all.chat.link("a.png"));
    let event = said("c-1", std::slice::from_ref(&file));
    all.customer_writes(&event).await;
    all.inbound(1).await;
    let webhook = message_with("m-1", "Your label.", std::slice::from_ref(&file));
    assert_eq!(all.gateway.webhook(&webhook).await, 200);
    all.chat.message("m-1").await;
    assert_eq!(*all.chat.inside.asked.borrow(), 2);
    // As retention does.
    let media = all.dir.path().join("media");
    for entry in media.read_dir().expect("a folder").flatten() {
        if entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).expect("removed");
        }
    }
    all.customer_writes(&event).await;
    assert_eq!(all.gateway.webhook(&webhook).await, 200);
    // What was started before these two has been asked for when they have come.
    all.customer_writes(&said("c-2", std::slice::from_ref(&file))).await;
    all.inbound(2).await;
    assert_eq!(all.gateway.webhook(&message_with("m-2", "Another.", &[file])).await, 200);
    all.chat.message("m-2").await;
    assert_eq!(*all.chat.inside.asked.borrow(), 4, "one for each message");
}
