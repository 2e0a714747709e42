//! The demo's chat service: a small server that speaks the connector protocol, with a slow
//! handshake.
//!
//! It uses nothing of the gateway except the protocol and the shared secret.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use connector::http::{Secrets, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use conversation::{Clock, MessageId};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::customers::{Customers, Handshake, Line, SessionRequest};
use super::scene::HANDSHAKE;
use super::transcript::line;
use crate::failure::Failure;
use crate::wiring;

/// How long a message takes to reach the customer's screen.
const TO_SCREEN: Duration = Duration::from_millis(400);

pub(super) struct Chat {
    secrets: Secrets,
    events: String,
    pub(super) clock: Arc<dyn Clock>,
    client: reqwest::Client,
    state: Mutex<ChatState>,
    /// Counts the changes of what the customers' page shows.
    pub(super) changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct ChatState {
    address: Option<SocketAddr>,
    next: u64,
    pub(super) customers: Customers,
}

impl Chat {
    pub(super) fn new(
        secrets: Secrets,
        events: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Failure> {
        let client = wiring::connector_clients()?.here();
        let (state, changes) = (Mutex::default(), watch::Sender::new(0));
        Ok(Arc::new(Self { secrets, events, clock, client, state, changes }))
    }

    /// Serves the gateway's calls, and `pages` for people, until it is aborted.
    pub(super) fn listen(
        self: &Arc<Self>,
        listener: TcpListener,
        pages: Router<Arc<Self>>,
    ) -> AbortHandle {
        self.state().address = listener.local_addr().ok();
        let router = Router::new()
            .route("/conversations/{conversation}/open", post(open))
            .route("/conversations/{conversation}/messages", post(message))
            .route("/conversations/{conversation}/typing", post(typing))
            .route("/conversations/{conversation}/close", post(close))
            .merge(pages)
            .with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle()
    }

    pub(super) fn address(&self) -> SocketAddr {
        // `listen` sets it before anything calls this.
        self.state().address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The customer writes.
    pub(super) async fn customer_says(&self, customer: &str, text: &str) -> Result<(), String> {
        line(customer, format!("writes “{text}”"));
        let (id, now) = (self.next_id("evt"), self.clock.now());
        let said = Line {
            id: id.clone(),
            agent: false,
            text: text.to_owned(),
            content: Value::Null,
            at: now,
        };
        self.change(|customers| customers.named(customer).lines.push(said));
        let event = json!({
            "type": "message.created", "id": id, "text": text, "time": now,
            "customer": { "id": customer, "nickname": nickname(customer) },
        });
        self.tell(&event).await
    }

    /// The customer types.
    pub(super) async fn customer_types(&self, customer: &str) -> Result<(), String> {
        let id = self.next_id("evt");
        self.tell(&json!({ "type": "typing", "id": id, "customer": customer, "state": "on" })).await
    }

    /// The agent's texts on the customer's screen, in order.
    pub(super) fn screen(&self, customer: &str) -> Vec<String> {
        self.state().customers.screen(customer)
    }

    /// Whether the customer's handshake has ended.
    pub(super) fn has_session(&self, customer: &str) -> bool {
        self.state()
            .customers
            .get(customer)
            .is_some_and(|one| matches!(one.handshake, Handshake::Open))
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
            status => Err(format!(
                "the gateway answers {status}: {}",
                answer.text().await.unwrap_or_default()
            )),
        }
    }

    /// Sends an event, and prints an error if the gateway did not accept it. Otherwise the loss
    /// would go unnoticed.
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

    pub(super) fn state(&self) -> MutexGuard<'_, ChatState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the customers' page shows, and notifies the open pages.
    fn change<T>(&self, what: impl FnOnce(&mut Customers) -> T) -> T {
        let answer = what(&mut self.state().customers);
        self.changes.send_modify(|count| *count += 1);
        answer
    }

    /// Verifies that the gateway made the call, and parses the body.
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, (StatusCode, String)> {
        let now = self.clock.now();
        self.secrets
            .verify(headers, body, now)
            .map_err(|error| (StatusCode::UNAUTHORIZED, error.to_string()))?;
        serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
    }
}

/// A nickname made from the customer's name: `never-ready` becomes "Never ready".
fn nickname(customer: &str) -> String {
    let words = customer.replace(['-', '_'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

type ChatReply = Result<(StatusCode, Json<Value>), (StatusCode, String)>;

/// The gateway requests a session. It may repeat the request while the handshake is pending.
async fn open(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ChatReply {
    let call = chat.check(&headers, &body)?;
    let customer = call["customer"]["id"].as_str().unwrap_or("?").to_owned();
    let now = chat.clock.now();
    match chat.change(|customers| customers.wanted(&conversation, &customer, now)) {
        SessionRequest::IsThere(session) => {
            return Ok((StatusCode::OK, Json(json!({ "session": session }))));
        }
        SessionRequest::GoesOn => return Ok((StatusCode::ACCEPTED, Json(json!({})))),
        SessionRequest::Begins => line("chat", format!("handshake with {customer} begins")),
    }
    if Handshake::ends_for(&customer) {
        tokio::spawn(async move {
            tokio::time::sleep(HANDSHAKE).await;
            let session = chat.next_id("session");
            chat.change(|customers| customers.opened(&customer, &session));
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

/// The gateway forwards a message. A repetition with the same idempotency key changes nothing.
async fn message(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ChatReply {
    let mut call = chat.check(&headers, &body)?;
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let text = call["text"].as_str().unwrap_or_default().to_owned();
    let service_id = format!("chat-{}", MessageId::from_foreign(&key));
    let said = Line {
        id: key,
        agent: true,
        text: text.clone(),
        content: call["content"].take(),
        at: chat.clock.now(),
    };
    let shown = if text.is_empty() { "(no text)".to_owned() } else { format!("“{text}”") };
    let taken = chat.change(|customers| customers.show(&conversation, said));
    let Some((customer, new)) = taken else {
        return Err((StatusCode::CONFLICT, "there is no session".into()));
    };
    if new {
        line(&customer, format!("reads  {shown}"));
        let (chat, named) = (Arc::clone(&chat), service_id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(TO_SCREEN).await;
            let id = chat.next_id("evt");
            chat.tell_or_say(json!({ "type": "message.delivered", "id": id, "message_id": named }))
                .await;
        });
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "sent", "message_id": service_id }))))
}

/// The agent types.
async fn typing(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ChatReply {
    let call = chat.check(&headers, &body)?;
    let span = if call["state"] == "on" {
        call["duration_ms"].as_u64().unwrap_or(5_000).min(30_000)
    } else {
        0
    };
    let until = chat.clock.now().checked_add(Duration::from_millis(span)).ok();
    chat.change(|customers| customers.agent_types(&conversation, until));
    Ok((StatusCode::OK, Json(json!({}))))
}

/// The gateway ends the conversation.
async fn close(
    State(chat): State<Arc<Chat>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ChatReply {
    chat.check(&headers, &body)?;
    chat.change(|customers| customers.close(&conversation));
    Ok((StatusCode::OK, Json(json!({}))))
}
