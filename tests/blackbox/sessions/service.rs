//! A chat service for one customer that answers each call as the test says, and remembers what it
//! was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;

/// An answer; the last one of a list is repeated.
#[derive(Clone)]
pub(super) struct Answer {
    status: u16,
    body: String,
    /// If set, the answer is held back until this is notified.
    until: Option<Arc<Notify>>,
}

impl Answer {
    pub(super) fn new(status: u16, body: &Value) -> Self {
        Self {
            status,
            body: if body.is_null() { String::new() } else { body.to_string() },
            until: None,
        }
    }

    pub(super) fn opened(session: &str) -> Self {
        Self::new(200, &json!({ "session": session }))
    }

    pub(super) fn pending() -> Self {
        Self::new(202, &Value::Null)
    }

    /// An answer that is held back until the test releases it.
    pub(super) fn held(mut self) -> (Self, Arc<Notify>) {
        let until = Arc::new(Notify::new());
        self.until = Some(Arc::clone(&until));
        (self, until)
    }
}

#[derive(Clone)]
pub(super) struct Service {
    pub(super) url: String,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    answers: HashMap<&'static str, Vec<Answer>>,
    calls: Vec<(String, Instant, Value)>,
}

impl Service {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let service = Self { url, known: Arc::default() };
        service.messages(&[Answer::new(200, &json!({"status": "delivered"}))]);
        let router = Router::new().fallback(answer).with_state(service.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        service
    }

    pub(super) fn opens(&self, answers: &[Answer]) {
        self.known.lock().expect("no panic").answers.insert("open", answers.to_vec());
    }

    pub(super) fn messages(&self, answers: &[Answer]) {
        self.known.lock().expect("no panic").answers.insert("messages", answers.to_vec());
    }

    /// The bodies of the calls of a kind, oldest first.
    pub(super) fn calls(&self, kind: &str) -> Vec<Value> {
        let known = self.known.lock().expect("no panic");
        known
            .calls
            .iter()
            .filter(|(call, _, _)| call == kind)
            .map(|(_, _, body)| body.clone())
            .collect()
    }

    /// When the calls of a kind came, oldest first.
    pub(super) fn times(&self, kind: &str) -> Vec<Instant> {
        let known = self.known.lock().expect("no panic");
        known.calls.iter().filter(|(call, _, _)| call == kind).map(|(_, at, _)| *at).collect()
    }

    fn takes(&self, kind: &str, body: &[u8]) -> Answer {
        let mut known = self.known.lock().expect("no panic");
        let body = serde_json::from_slice(body).unwrap_or_default();
        known.calls.push((kind.to_owned(), Instant::now(), body));
        match known.answers.get_mut(kind) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) if !answers.is_empty() => answers[0].clone(),
            _ => Answer::new(204, &Value::Null),
        }
    }
}

async fn answer(State(service): State<Service>, uri: Uri, body: Bytes) -> Response {
    let answer = service.takes(uri.path().rsplit('/').next().unwrap_or_default(), &body);
    if let Some(until) = answer.until {
        until.notified().await;
    }
    let status = StatusCode::from_u16(answer.status).expect("a status");
    (status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response()
}
