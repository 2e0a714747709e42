//! A peer that floods its socket, or does not read, costs little memory and delays nothing else.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{SocketLoop, eventually, webhook};

/// By how much the gateway may grow, in bytes. What waits to be written may have up to 16 MiB.
const GROWTH: usize = 48 << 20;

/// A ping with the longest payload, masked with zeros.
fn ping() -> Vec<u8> {
    let mut bytes = vec![0x89, 0xfd, 0, 0, 0, 0];
    bytes.extend([b'x'; 125]);
    bytes
}

/// Lets a message to each of these customers arrive over any socket that works.
async fn others_go_on(all: &SocketLoop, customers: &[&str]) {
    let mut messages = Vec::new();
    for customer in customers {
        let event = json!({ "type": "message.created", "id": customer, "text": "Hello?",
            "customer": { "id": customer } });
        assert_eq!(all.gateway.events(event.to_string().as_bytes()).await.0, 202);
        messages.push(all.agent_writes(customer, "Good morning!").await);
    }
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, ("Delivered".to_owned(), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_from_a_peer_that_does_not_read_take_no_memory() {
    let all = SocketLoop::start("").await;
    let mut flood = all.socket().await;
    let before = all.gateway.process.memory().1;
    let pings = ping().repeat(1000);
    for _ in 0..1000 {
        flood.write_bytes(&pings).await;
    }
    // It is read after all pings.
    let event = json!({ "type": "message.created", "id": "last", "text": "Hello?",
        "customer": { "id": "noor" } });
    flood.send_raw(Message::text(json!({ "id": "last", "events": event }).to_string())).await;
    all.metric_becomes("tidegate_events_total{integration=\"acme\",result=\"accepted\"}", 1).await;
    let grown = all.gateway.process.memory().1.saturating_sub(before);
    assert!(grown < GROWTH, "it grew by {} MiB for {} MiB of pings", grown >> 20, 131);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_its_answers_cannot_send_on_and_is_closed() {
    let all = SocketLoop::start("dead_after = \"2s\"").await;
    let book = Arc::new(Mutex::new(Vec::new()));
    all.socket().await.works(&book);
    let stuck = all.socket_with_small_buffer().await;
    let before = all.gateway.process.memory().1;
    let frame = json!({ "id": "x".repeat(500), "events": [] }).to_string();
    let sent = tokio::spawn(stuck.floods(frame));
    let closed = "tidegate_sockets_closed_total{integration=\"acme\",result=\"stuck\"}";
    others_go_on(&all, &["customer-1", "customer-2", "customer-3", "customer-4"]).await;
    all.metric_becomes(closed, 1).await;
    let sent = sent.await.expect("no panic");
    assert!(sent < 64 << 20, "it could send {} MiB without reading", sent >> 20);
    let grown = all.gateway.process.memory().1.saturating_sub(before);
    assert!(grown < GROWTH, "it grew by {} MiB", grown >> 20);
    let heard = book.lock().expect("no test panicked").clone();
    assert_eq!(heard.len(), 4, "each message came once, over the other socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_was_begun_is_written_to_its_end_after_its_call() {
    let all = SocketLoop::start("").await;
    all.sandbox.accept_unknown_receipts().await;
    let mut slow = all.socket_with_small_buffer().await;
    let customers: Vec<_> = (0..24).map(|n| format!("customer-{n}")).collect();
    for customer in &customers {
        slow.customer_writes(customer, "Hello?").await;
        let call = slow.call_of("open").await;
        slow.answer(&call, 200, json!({ "session": "s-1" })).await;
    }
    // More than the buffers of both systems hold. From here on the peer reads nothing.
    let text = "x".repeat(500_000);
    for customer in &customers {
        let message = webhook(customer, customer, &text).to_string();
        assert_eq!(all.gateway.webhook(message.as_bytes()).await, 200);
    }
    let attempts =
        |result| format!("tidegate_attempts_total{{integration=\"acme\",result=\"{result}\"}}");
    eventually("some calls are over before and some after their frames left", async || {
        let (unknown, not_taken) =
            (all.metric(&attempts("unknown")).await, all.metric(&attempts("not_taken")).await);
        (unknown > 0 && not_taken > 0 && unknown + not_taken >= 24).then_some(())
    })
    .await;
    let unknown = all.metric(&attempts("unknown")).await;
    // It reads again: each frame is whole, and the calls whose frames never left are not among the
    // first ones.
    let mut keys = Vec::new();
    for _ in 0..unknown {
        let call = slow.call_of("messages").await;
        assert_eq!(call["body"]["text"].as_str().map(str::len), Some(text.len()));
        keys.push(call["conversation"].clone());
        slow.delivered(&call).await;
    }
    keys.sort_by_key(ToString::to_string);
    keys.dedup();
    assert_eq!(keys.len() as u64, unknown, "one frame for each conversation");
}
