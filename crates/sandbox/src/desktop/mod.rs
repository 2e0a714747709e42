//! The agent's desktop in a browser: its pages, what they read, and what a person does with them.
//!
//! It goes by the sandbox's own world, not over Genesys's paths, and wants no token. What customers wrote leaves here as
//! JSON only; the pages put it in as text.

mod assets;
mod guard;
mod live;
mod media;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::app::App;
use crate::handle::agent_types;
use crate::webhook;
use crate::world::{End, Origin, Refusal, Said};

pub(crate) use guard::own_pages_only;
pub(crate) use media::Media;

/// The most conversations and messages that a page shows.
const MOST: usize = 500;
/// The most characters of a text, as in Genesys's agent interface.
const MAX_TEXT: usize = 4_000;
/// How long one keystroke shows as typing, in milliseconds.
const TYPING_MS: u64 = 5_000;

pub(crate) fn routes() -> Router<Arc<App>> {
    let data = Router::new()
        .route("/sandbox/desktop/events", get(live::events))
        .route("/sandbox/desktop/conversations", get(list))
        .route("/sandbox/desktop/conversations/{id}", get(thread))
        .route("/sandbox/desktop/conversations/{id}/messages", post(send))
        .route("/sandbox/desktop/conversations/{id}/typing", post(typing))
        .route("/sandbox/desktop/conversations/{id}/transfer", post(transfer))
        .route("/sandbox/desktop/conversations/{id}/end", post(end))
        .merge(media::routes())
        .layer(from_fn(own_pages_only));
    assets::routes().merge(data)
}

/// What was wrong with a call, in words.
struct Wrong(StatusCode, String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        let status = if refusal == Refusal::Ended { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND };
        Self(status, refusal.to_string())
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(|error| bad(error.to_string()))
}

fn bad(what: impl Into<String>) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, what.into())
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(MOST).min(MOST)
    }
}

async fn list(State(app): State<Arc<App>>, Query(page): Query<Page>) -> Json<Value> {
    Json(app.world().desk_list(page.limit()))
}

async fn thread(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Wrong> {
    Ok(Json(app.world().desk_thread(&id, page.limit())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    text: Option<String>,
    #[serde(default)]
    content: Vec<Value>,
}

async fn send(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Json<Value>, Wrong> {
    let send: Send = read(&body)?;
    let text = send.text.filter(|text| !text.trim().is_empty());
    if text.is_none() && send.content.is_empty() {
        return Err(bad("text or content is needed"));
    }
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
        return Err(bad(format!("a message has at most {MAX_TEXT} characters")));
    }
    let said = Said { text, content: send.content };
    let outgoing = app.world().say(&id, said, Origin::Agent, app.clock.now())?;
    let answer = json!({"id": outgoing.id});
    webhook::send(&app, outgoing);
    Ok(Json(answer))
}

async fn typing(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Wrong> {
    agent_types(&app, &id, &json!({"type": "On", "duration": TYPING_MS}))?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    to: String,
}

async fn transfer(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<StatusCode, Wrong> {
    let to = read::<Transfer>(&body)?.to;
    if to.trim().is_empty() || to.chars().count() > 100 {
        return Err(bad("an agent's name has 1 to 100 characters"));
    }
    app.world().hand_over(&id, "transfer", &to, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Wrong> {
    app.world().end(&id, &End::Agent, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}
