//! The last check whether a call may leave is at its first byte, after DNS and connecting, tested
//! on real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use genesys::agent::ParticipantPatch;
use genesys::inbound::{InboundChannel, InboundEvent, InboundMessage, InboundReceipt};
use genesys::message::{IdType, Party};
use genesys::receipt::ReceiptStatus;
use genesys::{CallError, Client, Credentials, Hosts, Secret};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use url::Url;

/// A name that is resolved when the test says so.
struct LateName {
    address: SocketAddr,
    asked: mpsc::UnboundedSender<()>,
    found: watch::Receiver<bool>,
}

impl Resolve for LateName {
    fn resolve(&self, _: Name) -> Resolving {
        let (address, mut found) = (self.address, self.found.clone());
        self.asked.send(()).unwrap();
        Box::pin(async move {
            found.wait_for(|found| *found).await?;
            Ok(Box::new(std::iter::once(address)) as Addrs)
        })
    }
}

/// A client of an API whose name is resolved late.
struct Place {
    client: Client,
    asked: mpsc::UnboundedReceiver<()>,
    found: watch::Sender<bool>,
    /// All bytes of each connection that has ended.
    bytes: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Place {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tokens = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let login = format!("http://{}", tokens.local_addr().unwrap());
        let token = r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#;
        let router = axum::Router::new().fallback(move || async move { token });
        tokio::spawn(async move { axum::serve(tokens, router).await });

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, bytes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut all = Vec::new();
                // Ends with the connection; no answer is sent.
                let _ = stream.read_to_end(&mut all).await;
                let _ = seen.send(all);
            }
        });

        let (asking, asked) = mpsc::unbounded_channel();
        let found = watch::Sender::new(false);
        let resolver = LateName { address, asked: asking, found: found.subscribe() };
        let http = reqwest::Client::builder().no_proxy().dns_resolver(resolver).build().unwrap();
        let api = format!("http://api.example:{}", address.port());
        let hosts = Hosts { api: Url::parse(&api).unwrap(), login: Url::parse(&login).unwrap() };
        let credentials = Credentials { id: "client".to_owned(), secret: Secret::new("s") };
        Self { client: Client::new(http, hosts, credentials), asked, found, bytes }
    }
}

/// How many kinds of calls there are that change something.
const CALLS: usize = 5;

/// Every call that changes something for a customer, and one without a body.
async fn call(client: &Client, which: usize) -> Result<(), CallError> {
    let time = "2026-11-20T09:14:04.9Z".parse().unwrap();
    let customer = || Party::new("c", IdType::Opaque);
    match which {
        0 => {
            let receipt =
                InboundReceipt::new("m", customer(), time, ReceiptStatus::Delivered, true);
            client.post_receipt("i", &receipt).await.map(drop)
        }
        1 => {
            let channel = InboundChannel::new(customer(), time);
            let message =
                InboundMessage { channel, text: Some("hi".into()), ..InboundMessage::default() };
            client.post_message("i", &message, true).await.map(drop)
        }
        2 => client.post_event("i", &InboundEvent::typing(customer(), time)).await.map(drop),
        3 => client.patch_participant("c", "p", &ParticipantPatch::disconnect()).await.map(drop),
        _ => client.delete_integration("i").await.map(drop),
    }
}

#[tokio::test]
async fn a_call_whose_right_is_lost_while_it_connects_sends_not_a_byte() {
    for which in 0..CALLS {
        let mut place = Place::new().await;
        let right = Arc::new(AtomicBool::new(true));
        let holds = Arc::clone(&right);
        let client = place.client.clone().only_while(move || holds.load(Ordering::Relaxed));
        let lost = async {
            place.asked.recv().await.unwrap();
            right.store(false, Ordering::Relaxed);
            place.found.send_replace(true);
        };
        let (outcome, ()) = tokio::join!(call(&client, which), lost);
        assert!(matches!(outcome, Err(CallError::NotSent { .. })), "call {which}: {outcome:?}");
        // The connection was made, and is closed unused.
        let bytes = place.bytes.recv().await.unwrap();
        assert!(bytes.is_empty(), "call {which} sent {:?}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn a_call_whose_right_holds_until_then_leaves() {
    let mut place = Place::new().await;
    let client = place.client.clone().with_timeout(Duration::from_millis(500)).only_while(|| true);
    place.found.send_replace(true);
    // No answer comes, so the call's outcome is unknown.
    let outcome = call(&client, 0).await;
    assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
    let bytes = place.bytes.recv().await.unwrap();
    assert!(
        bytes.starts_with(b"POST /api/v2/conversations/messages/i/inbound/open/receipt"),
        "{bytes:?}"
    );
}

/// Its head is that of any other client, although it has a body that is asked.
#[tokio::test]
async fn a_call_without_a_body_announces_none() {
    let mut place = Place::new().await;
    let client = place.client.clone().with_timeout(Duration::from_millis(500)).only_while(|| true);
    place.found.send_replace(true);
    let outcome = call(&client, 4).await;
    assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
    let bytes = String::from_utf8(place.bytes.recv().await.unwrap()).unwrap().to_lowercase();
    assert!(bytes.starts_with("delete /api/v2/conversations/messaging/"), "{bytes}");
    assert!(bytes.ends_with("\r\n\r\n") && !bytes.contains("transfer-encoding"), "{bytes}");
    assert!(!bytes.contains("content-length"), "{bytes}");
}

#[tokio::test]
async fn a_call_whose_time_runs_out_while_it_connects_was_not_sent() {
    let place = Place::new().await;
    let client = place.client.clone().with_timeout(Duration::from_millis(300));
    // Nobody can tell whether a call without a body has left, so its outcome is unknown.
    for which in 0..CALLS - 1 {
        let outcome = call(&client, which).await;
        assert!(matches!(outcome, Err(CallError::NotSent { .. })), "call {which}: {outcome:?}");
    }
}
