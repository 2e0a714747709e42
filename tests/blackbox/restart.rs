//! A restart or a lost answer changes nothing for the people on both sides.

use std::time::Duration;

use conversation::Record;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Loop, delivered, eventually, failed, now, webhook};

#[tokio::test]
async fn held_messages_survive_a_stop_during_the_handshake() {
    let mut all = Loop::start("", &["--handshake", "4", "--delay", "0.1"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow."];
    let messages = all.agent_types("noor", &texts).await;
    all.gateway.stop().await;
    assert!(all.chat.taken().is_empty(), "it was stopped during the handshake");
    all.gateway.restart().await;
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    assert_eq!(all.chat.taken(), texts);
    assert_eq!(all.chat.count("message"), texts.len(), "each was forwarded once");
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
}

#[tokio::test]
async fn held_messages_survive_a_kill_during_the_handshake() {
    let mut all = Loop::start("", &["--handshake", "3", "--delay", "0.1"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow."];
    let messages = all.agent_types("noor", &texts).await;
    all.gateway.process.kill();
    assert!(all.chat.taken().is_empty(), "it was killed during the handshake");
    all.gateway.restart().await;
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    assert_eq!(all.chat.taken(), texts);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
}

#[tokio::test]
async fn a_deadline_that_passed_while_the_gateway_was_down_holds_as_soon_as_it_is_back() {
    let mut all = Loop::start("[integration.hold]\nfor = \"3s\"", &[]).await;
    all.chat.says("never-ready", "Hello?").await;
    let message = all.agent_types("never-ready", &["How can I help?"]).await.remove(0);
    let deadline = eventually("it is held", async || {
        let journal = all.dossier("never-ready").await?.journal;
        journal.into_iter().find_map(|entry| match entry.record {
            Ok(Record::Accepted { hold_until, .. }) => Some(hold_until),
            _ => None,
        })
    })
    .await;
    all.gateway.process.kill();
    eventually("its time is over", async || (now() > deadline).then_some(())).await;
    let back = Instant::now();
    all.gateway.restart().await;
    assert_eq!(all.sandbox.final_receipt(&message).await, failed("MessageExpired"));
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
    assert!(all.chat.taken().is_empty());
    all.audited();
}

#[tokio::test]
async fn a_webhook_and_an_event_that_come_again_after_a_restart_change_nothing() {
    let mut all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.sandbox.accept_unknown_receipts().await;
    let body = webhook("twin", "noor", "Once only.").to_string();
    let said = json!({
        "type": "message.created", "id": "said-1", "text": "Hello?", "customer": { "id": "noor", "nickname": "Noor" },
    });
    let said = said.to_string();
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
    assert_eq!(all.gateway.events(said.as_bytes()).await.0, 202);
    assert_eq!(all.sandbox.receipt("twin").await, delivered());
    let heard = async || (all.heard().await == ["Hello?"]).then_some(());
    eventually("the customer's words are at Genesys", heard).await;

    all.gateway.process.kill();
    all.gateway.restart().await;
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
    assert_eq!(all.gateway.events(said.as_bytes()).await.0, 202);
    // The messages after them show that no repeat is still on its way.
    let last = webhook("last", "noor", "Goodbye.").to_string();
    assert_eq!(all.gateway.webhook(last.as_bytes()).await, 200);
    let more = said.replace("said-1", "said-2").replace("Hello?", "Bye.");
    assert_eq!(all.gateway.events(more.as_bytes()).await.0, 202);
    assert_eq!(all.sandbox.receipt("last").await, delivered());
    eventually("the last words are at Genesys", async || {
        (all.heard().await.len() > 1).then_some(())
    })
    .await;
    assert_eq!(all.heard().await, ["Hello?", "Bye."]);
    assert_eq!(all.chat.taken(), ["Once only.", "Goodbye."]);
    assert_eq!(all.chat.count("message"), 2);
    assert_eq!(all.sandbox.receipts("twin").await.len(), 1);
    all.audited();
}

#[tokio::test]
async fn a_receipt_whose_answer_was_lost_is_not_posted_twice() {
    let all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "Hello?").await;
    eventually("a conversation", async || all.sandbox.agent_sends("noor", "First.").await).await;
    all.sandbox.fault(&json!({ "on": "receipt", "action": "drop_answer", "times": 1 })).await;
    let lost = all.agent_types("noor", &["The answer to my receipt is lost."]).await.remove(0);
    assert_eq!(all.sandbox.final_receipt(&lost).await, delivered());
    // The next message's receipt may leave beside this one or only once this one is no longer in
    // doubt. The store shows when both are done.
    let next = all.agent_types("noor", &["Next."]).await.remove(0);
    assert_eq!(all.sandbox.final_receipt(&next).await, delivered());
    eventually("nothing is owed any more", async || {
        all.dossier("noor").await.is_some_and(|dossier| dossier.owed.is_empty()).then_some(())
    })
    .await;
    assert_eq!(receipt_calls(&all, &lost).await, 1, "Genesys was asked instead");
    let verdict = all.sandbox.verdict().await;
    assert_eq!(verdict["receipts_after_final"], json!([]));
    all.audited();
}

#[tokio::test]
async fn genesys_in_trouble_gets_every_receipt_and_every_word_in_the_end() {
    let all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "One.").await;
    let first =
        eventually("a conversation", async || all.sandbox.agent_sends("noor", "First.").await)
            .await;
    for fault in [
        json!({ "on": "receipt", "action": { "status": 500 }, "times": 2 }),
        json!({ "on": "message", "action": { "status": 503 }, "times": 2 }),
        json!({ "on": "message", "action": { "status": 401 }, "times": 1 }),
    ] {
        all.sandbox.fault(&fault).await;
    }
    all.sandbox.post("/sandbox/tokens/revoke", &json!({})).await;
    for words in ["Two.", "Three.", "Four."] {
        all.chat.says("noor", words).await;
    }
    let mut messages = all.agent_types("noor", &["Second.", "Third."]).await;
    // The refused receipts may be this message's; then its receipt comes after the others.
    messages.push(first);
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    eventually("all words are at Genesys", async || (all.heard().await.len() >= 4).then_some(()))
        .await;
    assert_eq!(all.heard().await, ["One.", "Two.", "Three.", "Four."], "in order, none twice");
    let verdict = all.sandbox.verdict().await;
    assert_eq!(verdict["holds"], true, "{verdict}");
    all.audited();
}

#[tokio::test]
async fn a_chat_service_that_forgot_its_sessions_gets_everything_in_order_after_a_second_handshake()
{
    let mut all = Loop::start("", &["--handshake", "0.5", "--delay", "0.1"]).await;
    all.chat.says("noor", "Hello?").await;
    let mut messages = all.agent_types("noor", &["Before."]).await;
    assert_eq!(all.sandbox.final_receipt(&messages[0]).await, delivered());
    all.chat.kill();
    messages.extend(all.agent_types("noor", &["While it is down.", "And more."]).await);
    all.chat.restart().await;
    messages.extend(all.agent_types("noor", &["After."]).await);
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    assert_eq!(all.chat.taken(), ["Before.", "While it is down.", "And more.", "After."]);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
}

#[tokio::test]
async fn a_stop_lets_a_call_under_way_end() {
    let mut all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "Hello?").await;
    let first = all.agent_types("noor", &["First."]).await.remove(0);
    assert_eq!(all.sandbox.final_receipt(&first).await, delivered());
    // Genesys is slow to answer when the stop comes.
    all.sandbox.fault(&json!({ "on": "receipt", "action": { "delay": "3s" }, "times": 1 })).await;
    let slow = all.agent_types("noor", &["Slow."]).await.remove(0);
    eventually("it is forwarded", async || {
        all.chat.taken().contains(&"Slow.".to_owned()).then_some(())
    })
    .await;
    all.gateway.stop().await;
    let calls = receipt_calls(&all, &slow).await;
    all.gateway.restart().await;
    assert_eq!(all.sandbox.final_receipt(&slow).await, delivered());
    assert!(calls <= 1, "at most one call was under way");
    assert_eq!(receipt_calls(&all, &slow).await, 1);
    assert_eq!(all.chat.count("message"), 2);
    all.audited();
}

/// How often a receipt for the message was posted, whatever the answer was.
async fn receipt_calls(all: &Loop, message: &str) -> usize {
    let calls = all.sandbox.transcript().await;
    let ours = |entry: &&serde_json::Value| {
        entry["path"].as_str().is_some_and(|path| path.ends_with("/inbound/open/receipt"))
            && entry["body"]["id"] == message
    };
    calls.iter().filter(ours).count()
}
