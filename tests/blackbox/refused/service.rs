//! A chat service that remembers what it is told about refused messages.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use connector::http::{Secret, Secrets};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{CONNECTOR_SECRET, now};

/// One call of the kind `events`.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) path: String,
    /// Its `webhook-id`.
    pub(super) id: String,
    pub(super) signed: bool,
    pub(super) body: Value,
    /// The status that it got; 0 if there was none.
    pub(super) answered: u16,
}

#[derive(Clone)]
pub(super) struct Service {
    pub(super) url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    status: Arc<AtomicU16>,
    hangs: Arc<AtomicBool>,
}

impl Service {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let status = Arc::new(AtomicU16::new(200));
        let service = Self { url, heard: Arc::default(), status, hangs: Arc::default() };
        let router = Router::new().fallback(answer).with_state(service.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        service
    }

    /// From now on it answers with this status.
    pub(super) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// From now on it never answers, or does again.
    pub(super) fn hangs(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// What it was told, oldest first.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }
}

async fn answer(
    State(service): State<Service>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !uri.path().ends_with("/events") {
        return axum::Json(json!({ "session": "s-1" })).into_response();
    }
    let secret: Secret = CONNECTOR_SECRET.parse().expect("a secret");
    let id =
        headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let signed = Secrets::from(secret).verify(&headers, &body, now()).is_ok();
    let hangs = service.hangs.load(Ordering::SeqCst);
    let answered = if hangs { 0 } else { service.status.load(Ordering::SeqCst) };
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let heard = Heard { path: uri.path().to_owned(), id, signed, body, answered };
    service.heard.lock().expect("no panic").push(heard);
    if hangs {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(answered).expect("a status").into_response()
}
