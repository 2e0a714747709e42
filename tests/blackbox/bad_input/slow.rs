//! Callers that begin and never end.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::webhooks::goes_on;
use super::{MARKER, Memory, QUICK};
use crate::support::{Loop, webhook};

/// How many of each kind.
const CALLERS: usize = 100;

#[tokio::test]
async fn two_hundred_half_requests_do_not_keep_others_from_being_served() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let memory = Memory::of(&all.gateway);
    let address = all.gateway.url.strip_prefix("http://").expect("an address").to_owned();
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        let path = ["genesys/acme", "connectors/acme/events"][caller % 2];
        let head = format!("POST /{path} HTTP/1.1\r\nhost: localhost\r\nx-filler: ");
        callers.push(drip(&address, head.clone()).await);
        callers.push(
            drip(&address, format!("{head}x\r\ncontent-length: 100000\r\n\r\n{{\"id\":")).await,
        );
    }
    for n in 0..20 {
        let begun = Instant::now();
        let body = webhook(&format!("prompt-{n}"), "noor", &format!("{MARKER} {n}")).to_string();
        assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
        let event = json!({ "type": "message.created", "id": format!("e-{n}"), "customer": { "id": "olga" }, "text": MARKER });
        assert_eq!(all.gateway.events(event.to_string().as_bytes()).await.0, 202);
        assert!(begun.elapsed() < Duration::from_secs(5), "served at once");
        assert_eq!(all.settled(&format!("prompt-{n}")).await.state, "delivered");
    }
    let open = callers.iter().filter(|caller| !caller.is_finished()).count();
    assert!(open >= CALLERS, "{open} callers are still at it");
    goes_on(&mut all).await;
    memory.stayed_small(&all.gateway);
    callers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Sends `begin`, and then a byte from time to time for as long as the gateway listens.
async fn drip(address: &str, begin: String) -> tokio::task::JoinHandle<()> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(begin.as_bytes()).await.expect("it is sent");
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(500));
        loop {
            beat.tick().await;
            if stream.write_all(b"x").await.is_err() {
                return;
            }
        }
    })
}
