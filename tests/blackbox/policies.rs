//! What each setting of an integration changes for the people on both sides.

use conversation::{ConversationId, IntegrationName, Record};
use serde_json::Value;

use crate::support::{Loop, delivered, eventually, failed};

/// The agent sends a text, once the conversation exists.
async fn sends(all: &Loop, customer: &str, text: &str) -> String {
    eventually("the agent has the conversation", async || {
        all.sandbox.agent_sends(customer, text).await
    })
    .await
}

#[tokio::test]
async fn the_customers_words_may_wait_until_the_agent_can_answer() {
    let all =
        Loop::start("[integration.hold]\ninbound = \"after-handshake\"", &["--handshake", "2"])
            .await;
    all.chat.says("noor", "Where is my parcel?").await;
    eventually("the handshake has begun", async || (all.chat.count("open") > 0).then_some(()))
        .await;
    assert!(all.heard().await.is_empty(), "Genesys hears nothing yet");
    eventually("the words are at Genesys", async || (all.heard().await.len() == 1).then_some(()))
        .await;
    let log = all.chat.log();
    assert!(
        log.iter().any(|entry| entry["event"]["type"] == "session.opened"),
        "not before the session: {log:?}"
    );
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    all.audited();
}

#[tokio::test]
async fn the_handshake_may_wait_for_the_agents_first_word() {
    let all =
        Loop::start("[integration.hold]\nstart = \"first-outbound\"", &["--handshake", "0.2"])
            .await;
    all.chat.says("noor", "Where is my parcel?").await;
    eventually("the words are at Genesys", async || (all.heard().await.len() == 1).then_some(()))
        .await;
    assert_eq!(all.chat.count("open"), 0, "no session was asked for yet");
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    assert_eq!(all.chat.count("open"), 1);
    all.audited();
}

#[tokio::test]
async fn one_message_more_than_the_hold_takes_fails_at_once() {
    let all = Loop::start(
        "[integration.hold]\nmax_messages = 2",
        &["--handshake", "3", "--delay", "0.1"],
    )
    .await;
    all.chat.says("noor", "Where is my parcel?").await;
    let first = sends(&all, "noor", "One.").await;
    let second = sends(&all, "noor", "Two.").await;
    let third = sends(&all, "noor", "Three.").await;
    assert_eq!(all.sandbox.final_receipt(&third).await, failed("RateLimited"));
    assert!(all.chat.taken().is_empty(), "long before the handshake ended");
    assert_eq!(all.sandbox.final_receipt(&first).await, delivered());
    assert_eq!(all.sandbox.final_receipt(&second).await, delivered());
    assert_eq!(all.chat.taken(), ["One.", "Two."]);
    all.audited();
}

#[tokio::test]
async fn a_chat_service_that_refuses_the_customer_fails_the_message_with_its_reason() {
    let all = Loop::start("", &[]).await;
    all.chat.says("refuse-me", "Hello?").await;
    let message = sends(&all, "refuse-me", "Good morning.").await;
    let (status, code) = all.sandbox.final_receipt(&message).await;
    assert_eq!(status, "Failed");
    assert!(code.is_some(), "it says why");
    assert!(all.chat.taken().is_empty());
    all.audited();
}

#[tokio::test]
async fn a_message_that_the_service_reports_as_failed_ends_failed() {
    let all = Loop::start("", &["--handshake", "0", "--deliver", "fail", "--delay", "0.2"]).await;
    all.chat.says("noor", "Hello?").await;
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await.0, "Failed");
    all.audited();
}

#[tokio::test]
async fn every_true_step_is_told_where_all_receipts_are_wanted() {
    let all = Loop::start(
        "[integration.receipts]\nsend = \"all\"",
        &["--handshake", "0", "--delay", "1.5"],
    )
    .await;
    all.chat.says("noor", "Hello?").await;
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    let told = statuses(&all, &message).await;
    assert_eq!(told, [("Sent".to_owned(), false), ("Delivered".to_owned(), true)]);
    all.audited();
}

#[tokio::test]
async fn only_failures_are_told_where_only_they_are_wanted() {
    let config = "[integration.receipts]\nsend = \"failures\"\n[integration.hold]\nfor = \"1s\"";
    let all = Loop::start(config, &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "Hello?").await;
    all.chat.says("never-ready", "Hello?").await;
    let good = sends(&all, "noor", "Good morning.").await;
    let bad = sends(&all, "never-ready", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&bad).await, failed("MessageExpired"));
    assert_eq!(all.chat.taken(), ["Good morning."]);
    assert!(all.sandbox.receipts(&good).await.is_empty(), "nothing is told of a success");
    all.audited();
}

#[tokio::test]
async fn acceptance_may_count_as_delivery() {
    let config = "[integration.receipts]\ndelivered_on = \"accepted\"";
    // Its own report would come only after an hour.
    let all = Loop::start(config, &["--handshake", "0", "--delay", "3600"]).await;
    all.chat.says("noor", "Hello?").await;
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    all.audited();
}

#[tokio::test]
async fn a_report_that_never_comes_ends_in_sent() {
    let config = "[integration.receipts]\nreport_timeout = \"1s\"";
    let all = Loop::start(config, &["--handshake", "0", "--delay", "3600"]).await;
    all.chat.says("noor", "Hello?").await;
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, ("Sent".to_owned(), None));
    all.audited();
}

#[tokio::test]
async fn a_failed_message_may_take_those_behind_it_with_it() {
    let config = "[integration.delivery]\nafter_failure = \"fail-rest\"\ngive_up_after = \"3s\"";
    let mut all = Loop::start(config, &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "Hello?").await;
    let first = sends(&all, "noor", "First.").await;
    assert_eq!(all.sandbox.final_receipt(&first).await, delivered());
    all.chat.kill();
    let second = sends(&all, "noor", "Second.").await;
    eventually("it is tried", async || attempted(&all, &second).await.then_some(())).await;
    let third = sends(&all, "noor", "Third.").await;
    assert_eq!(all.sandbox.final_receipt(&second).await.0, "Failed");
    assert_eq!(all.sandbox.final_receipt(&third).await, failed("GeneralError"));
    let why = &all.sandbox.receipts(&third).await[0]["reasons"][0]["message"];
    assert_eq!(why, "a message before it failed");
    all.chat.restart().await;
    let after = sends(&all, "noor", "After.").await;
    assert_eq!(all.sandbox.final_receipt(&after).await, delivered());
    assert_eq!(all.chat.taken(), ["First.", "After."]);
    all.audited();
}

#[tokio::test]
async fn the_agent_is_told_in_the_conversation_where_that_is_wanted() {
    let config = "[integration.hold]\nfor = \"1s\"\n[integration.agent_notice]\non = [\"held\", \"expired\"]";
    let all = Loop::start(config, &[]).await;
    all.chat.says("never-ready", "Hello?").await;
    let message = sends(&all, "never-ready", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, failed("MessageExpired"));
    let notes = eventually("two notes", async || {
        let heard = all.heard().await;
        (heard.len() >= 3).then_some(heard)
    })
    .await;
    assert_eq!(notes[0], "Hello?");
    assert!(notes[1..].iter().all(|note| !note.contains("Good morning.")), "{notes:?}");
    all.audited();
}

#[tokio::test]
async fn the_session_is_closed_when_the_agent_ends_the_conversation() {
    let all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "Hello?").await;
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    assert_eq!(all.chat.count("close"), 0);
    all.sandbox.post("/sandbox/agent/end", &serde_json::json!({ "customer": "noor" })).await;
    eventually("the session is closed", async || (all.chat.count("close") == 1).then_some(()))
        .await;
    // She writes again, and gets a session again.
    all.chat.says("noor", "One more thing.").await;
    let message = sends(&all, "noor", "Yes?").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    assert_eq!(all.chat.count("open"), 2);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
}

#[tokio::test]
async fn a_notification_tells_of_the_end_long_before_the_next_poll() {
    let config = "[integration.end]\ndetect = \"notifications\"\npoll = \"1h\"";
    let all = Loop::start(config, &["--handshake", "0", "--deliver", "immediately"]).await;
    for customer in ["noor", "olga"] {
        all.chat.says(customer, "Hello?").await;
        let message = sends(&all, customer, "Good morning.").await;
        assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    }
    let subscribed = async || {
        let calls = all.sandbox.transcript().await;
        let topics = calls.iter().filter(|entry| {
            entry["path"].as_str().is_some_and(|path| path.ends_with("/subscriptions"))
                && entry["status"] == 200
        });
        (topics.filter_map(|entry| entry["body"].as_array()).map(Vec::len).sum::<usize>() >= 2)
            .then_some(())
    };
    eventually("both are listened for", subscribed).await;
    all.sandbox.post("/sandbox/agent/end", &serde_json::json!({ "customer": "noor" })).await;
    eventually("the session is closed", async || (all.chat.count("close") == 1).then_some(()))
        .await;
    // Events during the outage of the socket are found when it is back.
    all.sandbox.post("/sandbox/notifications/close", &serde_json::json!({})).await;
    all.sandbox.post("/sandbox/agent/end", &serde_json::json!({ "customer": "olga" })).await;
    eventually("the other is closed too", async || (all.chat.count("close") == 2).then_some(()))
        .await;
    all.audited();
}

#[tokio::test]
async fn genesys_learns_that_the_customer_has_left() {
    let all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.chat.says("noor", "Hello?").await;
    let message = sends(&all, "noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    let id = ConversationId::of(&IntegrationName::new("acme"), "noor").to_string();
    let closed =
        serde_json::json!({ "type": "session.closed", "id": "left-1", "conversation": id });
    assert_eq!(all.gateway.events(closed.to_string().as_bytes()).await.0, 202);
    eventually("the conversation has ended", async || {
        all.sandbox.transcript().await.iter().any(|entry| entry["state"] == "ended").then_some(())
    })
    .await;
    all.audited();
}

/// The receipts about a message: status, and whether it was final.
async fn statuses(all: &Loop, message: &str) -> Vec<(String, bool)> {
    let receipts = all.sandbox.receipts(message).await;
    let one = |receipt: &Value| {
        Some((receipt["status"].as_str()?.to_owned(), receipt["isFinalReceipt"] == true))
    };
    receipts.iter().filter_map(one).collect()
}

/// Whether the gateway has tried to forward the message.
async fn attempted(all: &Loop, message: &str) -> bool {
    let Some(row) = all.stored(message).await else { return false };
    let journal = all.dossier("noor").await.expect("the conversation is there").journal;
    let tried = |record: &Record| matches!(record, Record::AttemptStarted { message, .. } if *message == row.id);
    journal.iter().filter_map(|row| row.record.as_ref().ok()).any(tried)
}
