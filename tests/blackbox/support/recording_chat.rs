//! A chat service that records when each call begins and ends, and stops answering if the test says
//! so.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use conversation::{ConversationId, IntegrationName};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) struct RecordingChat {
    pub(crate) url: String,
    book: Arc<Book>,
}

struct Book {
    /// How long each call takes.
    takes: Duration,
    /// The conversations whose messages are not answered.
    silent: watch::Sender<HashSet<String>>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The texts of the messages in the order of their first calls, and when those came.
    taken: Vec<(String, Instant)>,
    /// How many calls came for each text.
    calls: HashMap<String, usize>,
    /// What is in progress for each conversation.
    in_progress: HashMap<String, Vec<String>>,
    overlaps: Vec<String>,
}

impl RecordingChat {
    /// Starts one whose calls take this long.
    pub(crate) async fn start(takes: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let book =
            Arc::new(Book { takes, silent: watch::Sender::default(), notes: Mutex::default() });
        let router = Router::new()
            .route("/conversations/{id}/{call}", post(answer))
            .with_state(Arc::clone(&book));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, book }
    }

    /// From now on it accepts these customers' messages, but does not answer.
    pub(crate) fn falls_silent_for<'a>(&self, customers: impl IntoIterator<Item = &'a String>) {
        let conversations =
            customers.into_iter().map(|customer| conversation_of(customer).to_string()).collect();
        self.book.silent.send_replace(conversations);
    }

    /// From now on it answers everybody, including calls in progress.
    pub(crate) fn answers_again(&self) {
        self.book.silent.send_replace(HashSet::new());
    }

    /// When the first call with this text came.
    pub(crate) fn came(&self, text: &str) -> Option<Instant> {
        self.book.notes().taken.iter().find(|(taken, _)| taken == text).map(|(_, at)| *at)
    }

    /// How many calls came with this text.
    pub(crate) fn calls(&self, text: &str) -> usize {
        self.book.notes().calls.get(text).copied().unwrap_or_default()
    }

    /// How many calls are in progress.
    pub(crate) fn in_progress(&self) -> usize {
        self.book.notes().in_progress.values().map(Vec::len).sum()
    }

    /// The texts of the messages in the order of their first calls.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.book.notes().taken.iter().map(|(text, _)| text.clone()).collect()
    }

    /// The calls that began while another about the same conversation was in progress.
    pub(crate) fn overlaps(&self) -> Vec<String> {
        self.book.notes().overlaps.clone()
    }
}

/// The gateway's conversation with a customer.
pub(crate) fn conversation_of(customer: &str) -> ConversationId {
    ConversationId::of(&IntegrationName::new("acme"), customer)
}

impl Book {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no test panicked")
    }
}

/// A call that is in progress. It ends with its answer, or when the caller hangs up.
struct InProgress<'a> {
    book: &'a Book,
    conversation: &'a str,
    what: String,
}

impl<'a> InProgress<'a> {
    fn begin(book: &'a Book, conversation: &'a str, what: String) -> Self {
        let mut notes = book.notes();
        let beside = notes.in_progress.entry(conversation.to_owned()).or_default();
        let overlap = beside.last().map(|other| format!("{what} beside {other} ({conversation})"));
        beside.push(what.clone());
        notes.overlaps.extend(overlap);
        Self { book, conversation, what }
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        let mut notes = self.book.notes();
        let beside = notes.in_progress.entry(self.conversation.to_owned()).or_default();
        if let Some(at) = beside.iter().position(|what| *what == self.what) {
            beside.remove(at);
        }
    }
}

async fn answer(
    State(book): State<Arc<Book>>,
    Path((conversation, call)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let what = match call.as_str() {
        "open" => call.clone(),
        "messages" => text.clone(),
        // These calls are best effort, and change nothing that matters here.
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    let _in_progress = InProgress::begin(&book, &conversation, what);
    if call == "open" {
        tokio::time::sleep(book.takes).await;
        return Json(json!({ "session": "s" })).into_response();
    }
    {
        let mut notes = book.notes();
        let calls = notes.calls.entry(text.clone()).or_default();
        *calls += 1;
        if *calls == 1 {
            notes.taken.push((text, Instant::now()));
        }
    }
    tokio::time::sleep(book.takes).await;
    let mut silent = book.silent.subscribe();
    // The sender lives in the book, so this cannot fail.
    let _ = silent.wait_for(|silent| !silent.contains(&conversation)).await;
    Json(json!({ "status": "delivered", "message_id": body["id"] })).into_response()
}
