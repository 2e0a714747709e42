//! `/sandbox/…`: the paths that control and read the sandbox, for scripts and tests. They need no
//! token.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control_error::{ControlError, bad, read};
use crate::agent::{conversation_of, say_to_customer, show_typing};
use crate::app::App;
use crate::faults::Rule;
use crate::span::Span;
use crate::world::channels::Signal;
use crate::world::{AgentContent, DISCONNECT_TYPES, End, FIRST_AGENT, Origin};

/// Entries of the transcript in one answer, unless asked for otherwise.
const TRANSCRIPT_PAGE: usize = 10_000;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sandbox/clock", get(clock).put(set_clock))
        .route("/sandbox/clock/advance", post(advance))
        .route("/sandbox/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/sandbox/switches", get(switches).put(set_switches))
        .route("/sandbox/tokens/revoke", post(revoke))
        .route("/sandbox/notifications/close", post(close_sockets))
        .route("/sandbox/transcript", get(transcript))
        .route("/sandbox/verdict", get(verdict).delete(reset_verdict))
        .route("/sandbox/verdict/reset", post(reset_verdict))
        .route("/sandbox/agent/send", post(send))
        .route("/sandbox/agent/typing", post(typing))
        .route("/sandbox/agent/end", post(end))
        .route("/sandbox/agent/transfer", post(transfer))
}

async fn clock(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"now": app.clock.now(), "scale": app.clock.scale()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    scale: f64,
}

async fn set_clock(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ControlError> {
    app.clock.set_scale(read::<Scale>(&body)?.scale).map_err(bad)?;
    Ok(clock(State(app)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    by: Span,
}

async fn advance(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ControlError> {
    app.clock.advance(read::<Advance>(&body)?.by.0).map_err(bad)?;
    Ok(clock(State(app)).await)
}

async fn faults(State(app): State<Arc<App>>) -> Json<Vec<Rule>> {
    Json(app.faults().rules().to_vec())
}

async fn add_fault(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Vec<Rule>>, ControlError> {
    app.faults().add(read(&body)?).map_err(bad)?;
    Ok(faults(State(app)).await)
}

async fn clear_faults(State(app): State<Arc<App>>) -> StatusCode {
    app.faults().clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Describe {
    #[serde(default)]
    describe: bool,
}

/// The switches as they are; with `?describe=true`, what each does, which values it takes, and its
/// default.
async fn switches(State(app): State<Arc<App>>, Query(wanted): Query<Describe>) -> Json<Value> {
    let switches = app.switches();
    Json(if wanted.describe { json!(switches.describe()) } else { json!(*switches) })
}

async fn set_switches(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let switches = app.switch(read(&body)?).map_err(bad)?;
    Ok(Json(json!(*switches)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    client: Option<String>,
}

async fn revoke(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ControlError> {
    let revoke: Revoke = if body.is_empty() { Revoke::default() } else { read(&body)? };
    let revoked = app.world().tokens.revoke(revoke.client.as_deref());
    Ok(Json(json!({"revoked": revoked})))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseSockets {
    client: Option<String>,
    /// With the warning that Genesys gives before maintenance, a minute ahead.
    #[serde(default)]
    warn: bool,
}

/// Closes the sockets of a client's notification channels, or all.
async fn close_sockets(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let close: CloseSockets = if body.is_empty() { CloseSockets::default() } else { read(&body)? };
    let signal = if close.warn { Signal::CloseSoon } else { Signal::Close };
    let told = app.world().channels.signal(close.client.as_deref(), &signal);
    Ok(Json(json!({"sockets": told})))
}

#[derive(Deserialize)]
struct TranscriptPage {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// A JSON array, or one JSON a line if the caller accepts `application/x-ndjson`.
async fn transcript(
    State(app): State<Arc<App>>,
    Query(wanted): Query<TranscriptPage>,
    headers: HeaderMap,
) -> Response {
    let entries =
        app.world().transcript.after(wanted.after, wanted.limit.unwrap_or(TRANSCRIPT_PAGE));
    let accepted =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accepted.contains("ndjson") {
        return Json(entries).into_response();
    }
    let lines = entries.iter().filter_map(|entry| serde_json::to_string(entry).ok());
    let body: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn verdict(State(app): State<Arc<App>>) -> Response {
    let verdict = app.world().verdict();
    Json(verdict).into_response()
}

/// Forgets what happened so far, such as mistakes made by hand or by the previous test.
async fn reset_verdict(State(app): State<Arc<App>>) -> StatusCode {
    app.world().reset_verdict();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerSays {
    customer: String,
    integration: Option<String>,
    text: Option<String>,
    #[serde(default)]
    content: Vec<Value>,
    #[serde(default)]
    from: Speaker,
}

/// Who speaks to the customer: an agent, or the bot of the flow.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    #[default]
    Agent,
    Bot,
}

async fn send(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ControlError> {
    let send: CustomerSays = read(&body)?;
    let said = AgentContent::of(&app.schemas, send.text, send.content)?;
    let origin = match send.from {
        Speaker::Agent => Origin::Agent,
        Speaker::Bot => Origin::Bot,
    };
    let message = say_to_customer(&app, send.integration.as_deref(), &send.customer, said, origin)?;
    Ok(Json(json!({"id": message.id, "conversationId": message.conversation})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerQuery {
    customer: String,
    integration: Option<String>,
    duration: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaving {
    customer: String,
    integration: Option<String>,
    #[serde(rename = "disconnectType")]
    disconnect_type: Option<String>,
}

async fn typing(State(app): State<Arc<App>>, body: Bytes) -> Result<StatusCode, ControlError> {
    let whose: CustomerQuery = read(&body)?;
    let conversation = conversation_of(&app, whose.integration.as_deref(), &whose.customer)?;
    show_typing(
        &app,
        &conversation,
        &json!({"type": "On", "duration": whose.duration.unwrap_or(5_000)}),
    )?;
    Ok(StatusCode::ACCEPTED)
}

/// Ends a conversation as the agent, or as Genesys itself if a disconnect type such as `inactivity`
/// is given.
async fn end(State(app): State<Arc<App>>, body: Bytes) -> Result<StatusCode, ControlError> {
    let leaving: Leaving = read(&body)?;
    let how = match leaving.disconnect_type.as_deref() {
        None => End::Agent,
        Some(named) => End::By(disconnect_type(named, false)?),
    };
    let conversation = conversation_of(&app, leaving.integration.as_deref(), &leaving.customer)?;
    app.world().end(&conversation, &how, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}

/// The agent hands over to the next one.
async fn transfer(State(app): State<Arc<App>>, body: Bytes) -> Result<StatusCode, ControlError> {
    let leaving: Leaving = read(&body)?;
    let how = disconnect_type(leaving.disconnect_type.as_deref().unwrap_or("transfer"), true)?;
    let conversation = conversation_of(&app, leaving.integration.as_deref(), &leaving.customer)?;
    app.world().hand_over(&conversation, how, FIRST_AGENT, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}

fn disconnect_type(named: &str, transfer: bool) -> Result<&'static str, ControlError> {
    let found = DISCONNECT_TYPES
        .iter()
        .find(|each| **each == named && each.starts_with("transfer") == transfer);
    found.copied().ok_or_else(|| bad("there is no such disconnectType for that"))
}
