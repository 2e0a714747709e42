//! Stops and restarts, of the gateway and of the chat service.

use serde_json::json;

use crate::support::{PATIENCE, SocketLoop, audit, eventually};

/// Holds three messages, and returns their ids. The handshake does not end.
async fn held(all: &SocketLoop) -> (crate::support::ServiceSocket, Vec<String>) {
    let mut socket = all.socket().await;
    socket.customer_writes("noor", "Hello?").await;
    let open = socket.call_of("open").await;
    socket.answer(&open, 202, json!({})).await;
    let mut messages = Vec::new();
    for text in ["One", "Two", "Three"] {
        messages.push(all.agent_writes("noor", text).await);
    }
    (socket, messages)
}

/// The messages come over a new socket, in order and once each.
async fn come(all: &SocketLoop, messages: &[String]) {
    let mut socket = all.socket().await;
    for message in messages {
        let call = socket.call_of("messages").await;
        assert_eq!(call["idempotency_key"], json!(message));
        socket.delivered(&call).await;
    }
    for message in messages {
        assert_eq!(all.sandbox.final_receipt(message).await, ("Delivered".to_owned(), None));
    }
    let (code, report) = audit(&all.store());
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test]
async fn held_messages_survive_a_stop_and_come_over_the_next_socket() {
    let mut all = SocketLoop::start("").await;
    let (mut socket, messages) = held(&all).await;
    all.gateway.stop().await;
    assert_eq!(socket.next().await.expect_err("it is closed").code, 1001);
    all.gateway.restart().await;
    come(&all, &messages).await;
}

#[tokio::test]
async fn held_messages_survive_a_kill_and_a_frame_without_an_answer_comes_again() {
    let mut all = SocketLoop::start("").await;
    let (mut socket, messages) = held(&all).await;
    let session = json!({ "type": "session.opened", "id": "e-1", "session": "s-1",
        "conversation": crate::support::conversation_of("noor") });
    assert_eq!(socket.events(session).await["status"], 202);
    let call = socket.call_of("messages").await;
    assert_eq!(call["idempotency_key"], json!(messages[0]));
    all.gateway.process.kill();
    assert_eq!(socket.next().await.expect_err("it broke").code, 0);
    all.gateway.restart().await;
    come(&all, &messages).await;
}

#[tokio::test]
async fn a_stop_waits_for_the_answer_to_a_call() {
    let mut all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    socket.customer_writes("noor", "Hello?").await;
    let message = all.agent_writes("noor", "One").await;
    let call = socket.call_of("messages").await;
    all.gateway.process.signal("TERM");
    eventually("the gateway is stopping", async || {
        all.gateway.process.log().contains("stopping").then_some(())
    })
    .await;
    socket.delivered(&call).await;
    assert_eq!(socket.next().await.expect_err("it is closed").code, 1001);
    assert_eq!(all.gateway.process.ends_by_itself(PATIENCE).await, Some(0));
    all.gateway.restart().await;
    assert_eq!(all.sandbox.final_receipt(&message).await, ("Delivered".to_owned(), None));
    let unknown = "tidegate_attempts_total{integration=\"acme\",result=\"unknown\"}";
    assert_eq!(all.metric(unknown).await, 0);
}

#[tokio::test]
async fn a_chat_service_leaves_without_a_lost_answer() {
    let all = SocketLoop::start("").await;
    let mut old = all.socket().await;
    old.customer_writes("noor", "Hello?").await;
    let first = all.agent_writes("noor", "One").await;
    let call = old.call_of("messages").await;
    old.send(&json!({ "drain": true })).await;
    // Its answer shows that the gateway has read the frame before it.
    old.events(json!([])).await;
    let mut new = all.socket().await;
    new.customer_writes("amir", "Hello too?").await;
    let second = all.agent_writes("amir", "Two").await;
    let other = new.call_of("messages").await;
    assert_eq!(other["idempotency_key"], json!(second), "the old socket gets no calls");
    new.delivered(&other).await;
    old.delivered(&call).await;
    let closed = old.next().await.expect_err("it is closed");
    assert_eq!((closed.code, closed.reason.as_str()), (1000, "every call was answered"));
    for message in [first, second] {
        assert_eq!(all.sandbox.final_receipt(&message).await, ("Delivered".to_owned(), None));
    }
}
