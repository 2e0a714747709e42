//! The agent's desktop in a browser: its pages, what they read, and what a person does with them.
//!
//! It uses the sandbox's own world, not Genesys's paths, and needs no token. What customers wrote
//! leaves here only as JSON; the pages insert it as text.

mod assets;
mod live;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::{MAX_TEXT, say, show_typing};
use crate::app::App;
use crate::guard::own_pages_only;
use crate::http::{ControlError, bad, read};
use crate::world::{AgentContent, End, Origin};

/// The most conversations and messages that a page shows.
const MOST: usize = 500;
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
        .layer(from_fn(own_pages_only));
    assets::routes().merge(data)
}

#[derive(Deserialize)]
struct DesktopPage {
    limit: Option<usize>,
}

impl DesktopPage {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(MOST).min(MOST)
    }
}

async fn list(State(app): State<Arc<App>>, Query(page): Query<DesktopPage>) -> Json<Value> {
    Json(app.world().desk_list(page.limit()))
}

async fn thread(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(page): Query<DesktopPage>,
) -> Result<Json<Value>, ControlError> {
    Ok(Json(app.world().desk_thread(&id, page.limit())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentSays {
    text: Option<String>,
    #[serde(default)]
    content: Vec<Value>,
}

async fn send(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let send: AgentSays = read(&body)?;
    if send.text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
        return Err(bad(format!("a message has at most {MAX_TEXT} characters")));
    }
    let said = AgentContent::of(&app.schemas, send.text, send.content)?;
    let message = say(&app, &id, said, Origin::Agent)?;
    Ok(Json(json!({"id": message})))
}

async fn typing(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    show_typing(&app, &id, &json!({"type": "On", "duration": TYPING_MS}))?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferTo {
    to: String,
}

async fn transfer(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ControlError> {
    let to = read::<TransferTo>(&body)?.to;
    if to.trim().is_empty() || to.chars().count() > 100 {
        return Err(bad("an agent's name has 1 to 100 characters"));
    }
    app.world().hand_over(&id, "transfer", &to, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    app.world().end(&id, &End::Agent, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}
