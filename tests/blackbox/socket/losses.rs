//! A socket that is lost loses and doubles nothing.

use serde_json::json;

use crate::support::{SocketLoop, audit};

/// The count of attempts whose outcome is unknown.
const UNKNOWN: &str = "tidegate_attempts_total{integration=\"acme\",result=\"unknown\"}";

#[tokio::test]
async fn a_socket_breaks_between_frame_and_answer_and_the_message_comes_again_with_its_key() {
    let all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    socket.customer_writes("noor", "Hello?").await;
    let mut messages = Vec::new();
    for text in ["One", "Two", "Three"] {
        messages.push(all.agent_writes("noor", text).await);
    }
    let mut taken = Vec::new();
    for message in &messages {
        // Each message is taken, and its first answer is lost.
        let call = socket.call_of("messages").await;
        assert_eq!(call["idempotency_key"], json!(message));
        taken.push(call["body"]["text"].clone());
        socket.breaks();
        socket = all.socket().await;
        let again = socket.call_of("messages").await;
        assert_eq!(again["idempotency_key"], call["idempotency_key"], "so it is known");
        assert_ne!(again["id"], call["id"], "an answer to the first is not one to the second");
        // An answer to a call of another socket changes nothing.
        socket.answer(&call, 500, json!({})).await;
        socket.delivered(&again).await;
    }
    assert_eq!(taken, ["One", "Two", "Three"]);
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, ("Delivered".to_owned(), None));
    }
    assert_eq!(all.metric(UNKNOWN).await, 3, "a lost answer is never a success");
    let refused = "tidegate_frames_refused_total{integration=\"acme\",result=\"unexpected\"}";
    assert_eq!(all.metric(refused).await, 3);
    let (code, report) = audit(&all.store());
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test]
async fn a_service_that_knows_no_keys_gets_no_message_twice() {
    let all = SocketLoop::start("idempotent = false").await;
    let mut socket = all.socket().await;
    socket.customer_writes("noor", "Hello?").await;
    let first = all.agent_writes("noor", "Once").await;
    let call = socket.call_of("messages").await;
    assert_eq!(call["body"]["text"], "Once");
    socket.breaks();
    let receipt = all.sandbox.final_receipt(&first).await;
    assert_eq!(receipt, ("Failed".to_owned(), Some("ServerError".to_owned())));
    let receipts = all.sandbox.receipts(&first).await;
    let why = receipts[0]["reasons"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("may have"), "{why}");
    let mut socket = all.socket().await;
    let second = all.agent_writes("noor", "Twice").await;
    let call = socket.call_of("messages").await;
    assert_eq!(call["body"]["text"], "Twice", "the first never comes again");
    socket.delivered(&call).await;
    assert_eq!(all.sandbox.final_receipt(&second).await.0, "Delivered");
    assert_eq!(all.metric(UNKNOWN).await, 1);
}

#[tokio::test]
async fn without_a_socket_a_message_waits_and_nothing_is_unknown() {
    let all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    socket.customer_writes("noor", "Hello?").await;
    let first = all.agent_writes("noor", "One").await;
    let call = socket.call_of("messages").await;
    socket.delivered(&call).await;
    assert_eq!(all.sandbox.final_receipt(&first).await.0, "Delivered");
    socket.breaks();
    all.metric_becomes("tidegate_sockets{integration=\"acme\"}", 0).await;
    let second = all.agent_writes("noor", "Two").await;
    let refused = "tidegate_attempts_total{integration=\"acme\",result=\"not_taken\"}";
    all.metric_becomes(refused, 1).await;
    let mut socket = all.socket().await;
    let call = socket.call_of("messages").await;
    assert_eq!(call["idempotency_key"], json!(second));
    socket.delivered(&call).await;
    assert_eq!(all.sandbox.final_receipt(&second).await, ("Delivered".to_owned(), None));
    assert_eq!(all.metric(UNKNOWN).await, 0, "what never left has no unknown outcome");
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_and_its_message_goes_elsewhere() {
    let all = SocketLoop::start("dead_after = \"400ms\"").await;
    let mut silent = all.socket().await;
    silent.customer_writes("noor", "Hello?").await;
    let message = all.agent_writes("noor", "One").await;
    let call = silent.call_of("messages").await;
    // From here on it reads nothing, so it answers no ping. Its connection stays open.
    let closed = "tidegate_sockets_closed_total{integration=\"acme\",result=\"silent\"}";
    all.metric_becomes(closed, 1).await;
    let mut lively = all.socket().await;
    let again = lively.call_of("messages").await;
    assert_eq!(again["idempotency_key"], call["idempotency_key"]);
    lively.delivered(&again).await;
    assert_eq!(all.sandbox.final_receipt(&message).await, ("Delivered".to_owned(), None));
    // Nine pings come in three times `dead_after`. Answering them is enough to stay.
    for _ in 0..9 {
        assert!(lively.is_pinged().await, "nothing but pings comes");
    }
    assert_eq!(all.metric(closed).await, 1);
    // It is told why, should it ever read that: 4408 is 0x1138.
    let unread = silent.unread_bytes().await;
    let told = b"\x11\x38nothing came for 400ms, not even a pong";
    assert!(unread.ends_with(told), "{}", String::from_utf8_lossy(&unread));
}
