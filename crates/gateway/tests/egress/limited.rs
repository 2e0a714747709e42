//! A call that waits for the rate limit must not hold anything that another node needs.

use std::time::Duration;

use conversation::{ConversationId, IntegrationName, Policy};
use serde_json::json;
use store::Ownership;
use store::memory::Database;
use tokio::time::Instant;

use crate::stage::{Said, Stage};

const TAKEOVER: Duration = Duration::from_secs(8);

/// Genesys answers a receipt with 429, and `Retry-After` is three minutes. When the node must hand
/// over the conversation, it does so at once. It does not wait until work in progress is cancelled,
/// an eighth of the takeover time later. The next node posts the receipt.
#[tokio::test(start_paused = true)]
async fn a_receipt_that_waits_for_three_minutes_keeps_its_conversation_on_no_node() {
    let database = Database::new(None);
    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let first = Stage::node(&database, "first", TAKEOVER, Policy::default());
    first.genesys.answer(|_| Said::Limited(180));
    first.until("it drives the conversation", |first| first.store.acquire(&noor).is_some()).await;
    first.webhook("m1").await;
    first.until("a receipt was refused", |first| first.genesys.count("POST receipt") == 1).await;
    // This is longer than the backoff after a failed call, so the post waits for the budget.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = Stage::node(&database, "second", TAKEOVER, Policy::default());
    second.genesys.answer(|call| match call.what.as_str() {
        "GET details" => Said::Json(200, json!({ "id": "m1", "normalizedReceipts": [] })),
        _ => Said::Json(202, json!({ "id": "x" })),
    });

    let begun = Instant::now();
    lets_go(&first, &database, &noor).await;
    second
        .until("the next node posts the receipt", |second| {
            second.genesys.count("POST receipt") == 1
        })
        .await;
    // Well before the next sweep of the outbox, which comes every 15 s.
    assert!(begun.elapsed() < TAKEOVER, "it need not wait: {:?}", begun.elapsed());
    second.until_done().await;
    assert_eq!((first.genesys.count("POST receipt"), second.genesys.count("POST receipt")), (1, 1));
    first.shutdown().await;
    second.shutdown().await;
}

/// The same for a question whether a conversation has ended. The question must not delay a stop
/// either.
#[tokio::test(start_paused = true)]
async fn a_question_that_waits_for_three_minutes_keeps_its_conversation_on_no_node() {
    let database = Database::new(None);
    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let first = Stage::polling_node(&database, "first", TAKEOVER, Duration::from_secs(10));
    first.genesys.answer(|call| match call.what.as_str() {
        "GET conversation" => Said::Limited(180),
        _ => Said::Json(202, json!({ "id": "x", "conversationId": "g1" })),
    });
    first.until("it drives the conversation", |first| first.store.acquire(&noor).is_some()).await;
    first.webhook("m1").await;
    first.says("noor", "c1").await;
    first.until("it asked", |first| first.genesys.count("GET conversation") == 1).await;
    // The next question is due, and waits for the budget.
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(first.genesys.count("GET conversation"), 1);

    lets_go(&first, &database, &noor).await;
    let begun = Instant::now();
    first.shutdown().await;
    assert!(begun.elapsed() < TAKEOVER, "the stop took {:?}", begun.elapsed());
}

/// The node steps down, and releases the conversation well before its calls are cancelled.
async fn lets_go(node: &Stage, database: &Database, conversation: &ConversationId) {
    let begun = Instant::now();
    node.store.step_down();
    while database.holder(conversation).is_some_and(|node| node == "first") {
        let held = begun.elapsed();
        assert!(held < TAKEOVER / 16, "what waits has held its conversation for {held:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
