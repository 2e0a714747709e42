//! The whole loop without durability. The gateway's own libraries verify, parse, forward and
//! receipt the messages, and each customer has a queue in memory. It lacks the rest of a gateway: a
//! crash loses everything, every failure is final, nothing is deduplicated, and no message waits
//! for a handshake.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use connector::http::{HttpConfig, HttpConnector, Secret, Secrets, client_settings};
use connector::{Connector, Departure, Forward};
use conversation::Clock as _;
use conversation::{AttemptOutcome, ConversationId, IntegrationName, MessageId, SessionId};
use genesys::inbound::InboundReceipt;
use genesys::message::IdType;
use genesys::receipt::ReceiptStatus;
use genesys::{Client, Party, WebhookMessage, signature};
use url::Url;

use crate::programs::CONNECTOR_SECRET;
use crate::webhook;

struct Relay {
    secrets: [genesys::Secret; 1],
    name: IntegrationName,
    connector: HttpConnector,
    genesys: Client,
    /// The messages that wait for each customer. A request that finds no queue starts the task for
    /// its customer.
    queues: Mutex<HashMap<ConversationId, VecDeque<WebhookMessage>>>,
}

pub(super) fn router(chat: Url, genesys_url: Url) -> Router {
    let relay = Relay {
        secrets: [webhook::SECRET.into()],
        name: IntegrationName::new("acme"),
        connector: chat_service(chat),
        genesys: genesys(genesys_url),
        queues: Mutex::default(),
    };
    Router::new().route("/genesys/{integration}", post(accept)).with_state(Arc::new(relay))
}

/// The client for the chat service, the same as in the gateway.
pub(super) fn chat_service(url: Url) -> HttpConnector {
    let config =
        HttpConfig::new(connector::http::BaseUrl::new(url).expect("a URL"), chat_service_secrets());
    HttpConnector::new(config, client(), Arc::new(gateway::SystemClock))
}

pub(super) fn chat_service_secrets() -> Secrets {
    let secret: Secret = CONNECTOR_SECRET.parse().expect("a secret");
    Secrets::from(secret)
}

/// The client for Genesys, the same as in the gateway.
pub(super) fn genesys(url: Url) -> Client {
    let credentials =
        genesys::Credentials { id: "bench".to_owned(), secret: "bench-secret".into() };
    Client::new(client(), genesys::Hosts { api: url.clone(), login: url }, credentials)
}

fn client() -> reqwest::Client {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    client_settings(reqwest::Client::builder()).build().expect("a client")
}

async fn accept(State(relay): State<Arc<Relay>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = headers.get(signature::HEADER).map(axum::http::HeaderValue::as_bytes);
    if signature::verify(&relay.secrets, header, &body).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(message) = WebhookMessage::read(&body) else { return StatusCode::OK };
    let customer = message.to().map(|to| to.id.as_str()).unwrap_or_default();
    let conversation = ConversationId::of(&relay.name, customer);
    let mut queues = relay.queues.lock().expect("no test panicked");
    if let Some(queue) = queues.get_mut(&conversation) {
        queue.push_back(message);
    } else {
        queues.insert(conversation.clone(), VecDeque::from([message]));
        drop(queues);
        tokio::spawn(work(relay, conversation));
    }
    StatusCode::OK
}

/// Handles a customer's messages one after the other, and ends when the queue is empty.
async fn work(relay: Arc<Relay>, conversation: ConversationId) {
    loop {
        let message = {
            let mut queues = relay.queues.lock().expect("no test panicked");
            let Some(message) = queues.get_mut(&conversation).and_then(VecDeque::pop_front) else {
                queues.remove(&conversation);
                return;
            };
            message
        };
        let forward = Forward {
            unavailable: Vec::new(),
            conversation: conversation.clone(),
            id: MessageId::from_foreign(&message.id),
            time: message.timestamp().unwrap_or_default(),
            text: message.text.clone(),
            content: Vec::new(),
            sender: None,
            session: SessionId::new("s"),
            timeout: Duration::from_secs(10),
            departure: Departure::free(),
        };
        let status = match relay.connector.forward(&forward).await {
            AttemptOutcome::Delivered { .. } => ReceiptStatus::Delivered,
            _ => ReceiptStatus::Failed,
        };
        let relay = Arc::clone(&relay);
        tokio::spawn(async move {
            let to = message.to().map_or_else(
                || Party::new("unknown", IdType::Opaque),
                |to| Party::new(&to.id, IdType::Opaque),
            );
            let receipt =
                InboundReceipt::new(&message.id, to, gateway::SystemClock.now(), status, true);
            if let Err(error) = relay.genesys.post_receipt("b3f0", &receipt).await {
                eprintln!("a receipt was lost: {}", store::Chain(&error));
            }
        });
    }
}
