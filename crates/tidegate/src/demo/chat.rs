//! The demo's chat service: a small one that speaks the connector protocol, with a handshake that takes its time.
//!
//! It is a stranger to the gateway: all it knows of it are the protocol's calls and the shared secret.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use connector::http::{Secrets, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use conversation::{Clock, MessageId};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::stage::HANDSHAKE;
use super::transcript::line;
use crate::failure::Failure;
use crate::wiring;

/// How long a message takes to the customer's screen.
const TO_SCREEN: Duration = Duration::from_millis(400);

pub(super) struct Chat {
    secrets: Secrets,
    events: String,
    clock: Arc<dyn Clock>,
    client: reqwest::Client,
    state: Mutex<ChatState>,
    /// Rung whenever something reached the service.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct ChatState {
    address: Option<SocketAddr>,
    next: u64,
    /// Customer by conversation.
    customers: HashMap<String, String>,
    /// When each conversation's session opened.
    sessions: HashMap<String, String>,
    /// What each customer's screen shows of the agent, in order, and under which idempotency key it came.
    screens: HashMap<String, Vec<(String, String)>>,
}

impl Chat {
    pub(super) fn new(secrets: Secrets, events: String, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Failure> {
        let client = wiring::connector_client()?;
        let (state, changed) = (Mutex::default(), Notify::new());
        Ok(Arc::new(Self { secrets, events, clock, client, state, changed }))
    }

    /// Serves the protocol's calls until it is aborted.
    pub(super) fn listen(self: &Arc<Self>, listener: TcpListener) -> AbortHandle {
        self.state().address = listener.local_addr().ok();
        let router = Router::new()
            .route("/conversations/{conversation}/open", post(open))
            .route("/conversations/{conversation}/messages", post(message))
            .route("/conversations/{conversation}/typing", post(async || StatusCode::NO_CONTENT))
            .route("/conversations/{conversation}/close", post(close))
            .route("/customers/{customer}/say", post(say))
            .route("/customers/{customer}", get(screen))
            .with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle()
    }

    pub(super) fn address(&self) -> SocketAddr {
        // It is set before anybody can ask.
        self.state().address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The customer writes.
    pub(super) async fn customer_says(&self, customer: &str, text: &str) -> Result<(), String> {
        line(customer, format!("writes “{text}”"));
        let event = json!({
            "type": "message.created", "id": self.next_id("evt"), "text": text, "time": self.clock.now(),
            "customer": { "id": customer, "nickname": customer },
        });
        self.tell(&event).await
    }

    /// What the customer sees of the agent's words, in order.
    pub(super) fn screen(&self, customer: &str) -> Vec<String> {
        let state = self.state();
        state.screens.get(customer).into_iter().flatten().map(|(_, text)| text.clone()).collect()
    }

    /// Whether the customer's handshake has ended.
    pub(super) fn has_session(&self, customer: &str) -> bool {
        let state = self.state();
        state.sessions.keys().any(|conversation| state.customers.get(conversation).is_some_and(|name| name == customer))
    }

    async fn tell(&self, event: &Value) -> Result<(), String> {
        let (id, at, body) = (self.next_id("call"), self.clock.now(), event.to_string());
        let answer = self
            .client
            .post(&self.events)
            .header(WEBHOOK_ID, &id)
            .header(WEBHOOK_TIMESTAMP, at.as_second().to_string())
            .header(WEBHOOK_SIGNATURE, self.secrets.sign(&id, at, body.as_bytes()))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        match answer.status().as_u16() {
            202 => Ok(()),
            status => Err(format!("the gateway answers {status}: {}", answer.text().await.unwrap_or_default())),
        }
    }

    /// Nobody hears of an event that the gateway did not take, so the demo says so.
    async fn tell_or_say(&self, event: Value) {
        if let Err(error) = self.tell(&event).await {
            line("chat", format!("cannot tell the gateway: {error}"));
        }
    }

    fn next_id(&self, kind: &str) -> String {
        let mut state = self.state();
        state.next += 1;
        format!("{kind}-{}-{}", self.clock.now().as_millisecond(), state.next)
    }

    fn state(&self) -> MutexGuard<'_, ChatState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the gateway may call.
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, (StatusCode, String)> {
        let now = self.clock.now();
        self.secrets.verify(headers, body, now).map_err(|error| (StatusCode::UNAUTHORIZED, error.to_string()))?;
        serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
    }
}

type Answer = Result<(StatusCode, Json<Value>), (StatusCode, String)>;

/// The gateway asks for a session.
async fn open(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let call = chat.check(&headers, &body)?;
    let customer = call["customer"]["id"].as_str().unwrap_or("?").to_owned();
    chat.state().customers.insert(conversation.clone(), customer.clone());
    line("chat", format!("handshake with {customer} begins"));
    if !customer.starts_with("never") {
        tokio::spawn(async move {
            tokio::time::sleep(HANDSHAKE).await;
            let session = chat.next_id("session");
            chat.state().sessions.insert(conversation.clone(), session.clone());
            line("chat", format!("handshake with {customer} ends: the session is open"));
            let id = chat.next_id("evt");
            chat.tell_or_say(json!({
                "type": "session.opened", "id": id, "conversation": conversation, "session": session,
            }))
            .await;
        });
    }
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// The gateway forwards a message. The same idempotency key again changes nothing.
async fn message(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let call = chat.check(&headers, &body)?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let text = call["text"].as_str().unwrap_or_default().to_owned();
    let service_id = format!("chat-{}", MessageId::from_foreign(&key));
    let (customer, new) = {
        let mut state = chat.state();
        if !state.sessions.contains_key(&conversation) {
            return Err((StatusCode::CONFLICT, "there is no session".into()));
        }
        let customer = state.customers.get(&conversation).cloned().unwrap_or_default();
        let screen = state.screens.entry(customer.clone()).or_default();
        let new = screen.iter().all(|(other, _)| *other != key);
        if new {
            screen.push((key, text.clone()));
        }
        (customer, new)
    };
    if new {
        line(&customer, format!("reads  “{text}”"));
        chat.changed.notify_waiters();
        let (chat, named) = (Arc::clone(&chat), service_id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(TO_SCREEN).await;
            let id = chat.next_id("evt");
            chat.tell_or_say(json!({ "type": "message.delivered", "id": id, "message_id": named })).await;
        });
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "sent", "message_id": service_id }))))
}

/// The gateway ends the conversation.
async fn close(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    chat.check(&headers, &body)?;
    chat.state().sessions.remove(&conversation);
    Ok((StatusCode::OK, Json(json!({}))))
}

/// A person is the customer.
async fn say(State(chat): State<Arc<Chat>>, Path(customer): Path<String>, body: Bytes) -> Answer {
    let said: Value = serde_json::from_slice(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let text = said["text"].as_str().ok_or_else(|| (StatusCode::BAD_REQUEST, "say {\"text\":\"…\"}".to_owned()))?;
    chat.customer_says(&customer, text).await.map_err(|error| (StatusCode::BAD_GATEWAY, error))?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// What the customer sees.
async fn screen(State(chat): State<Arc<Chat>>, Path(customer): Path<String>) -> Json<Value> {
    Json(json!(chat.screen(&customer)))
}
