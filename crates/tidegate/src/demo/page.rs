//! The customers' page of the demo's chat service, and the calls with which a person or a program
//! acts as a customer.
//!
//! The files of `page/` are built into the program.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};

use super::chat::Chat;

/// The page loads nothing from other origins, runs nothing inline, and cannot be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const PAGE: &str = include_str!("page/index.html");
const FILES: [(&str, &str, &str); 4] = [
    ("chat.css", "text/css; charset=utf-8", include_str!("page/chat.css")),
    ("chat.js", SCRIPT, include_str!("page/chat.js")),
    ("lines.js", SCRIPT, include_str!("page/lines.js")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The longest name of a customer, and the longest text of a message, in bytes.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 16_000;

pub(super) fn routes() -> Router<Arc<Chat>> {
    Router::new()
        .route("/", get(async || served("text/html; charset=utf-8", PAGE)))
        .route("/page/{file}", get(file))
        .route("/customers", get(customers))
        .route("/customers/events", get(events))
        .route("/customers/{customer}", get(screen))
        .route("/customers/{customer}/say", post(say))
        .route("/customers/{customer}/typing", post(typing))
        .layer(from_fn(own_page_only))
}

/// Refuses requests from another site's page, which must not write in a customer's name. Programs
/// do not send this header.
async fn own_page_only(request: Request, next: Next) -> Response {
    let from_elsewhere =
        request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if from_elsewhere && request.method() != Method::GET {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

async fn file(Path(wanted): Path<String>) -> Response {
    match FILES.iter().find(|(name, ..)| *name == wanted) {
        Some((_, kind, text)) => served(kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn served(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// Everything that the page shows.
async fn customers(State(chat): State<Arc<Chat>>) -> Json<Value> {
    let now = chat.clock.now();
    Json(chat.state().customers.shown(now))
}

/// Tells the page that something changed. The page then requests everything.
async fn events(
    State(chat): State<Arc<Chat>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut changes = chat.changes.subscribe();
    changes.mark_changed();
    let events = stream::unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        Some((Ok(Event::default().data("changed")), changes))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

type PageReply = Result<(StatusCode, Json<Value>), (StatusCode, String)>;

/// A person writes as the customer.
async fn say(
    State(chat): State<Arc<Chat>>,
    Path(customer): Path<String>,
    body: Bytes,
) -> PageReply {
    let said: Value = serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let text =
        said["text"].as_str().filter(|text| !text.trim().is_empty() && text.len() <= MAX_TEXT);
    let text = text.ok_or_else(|| (StatusCode::BAD_REQUEST, "say {\"text\":\"…\"}".to_owned()))?;
    if customer.len() > MAX_NAME || !chat.state().customers.takes(&customer) {
        return Err((
            StatusCode::BAD_REQUEST,
            "the name is too long, or there are too many customers".to_owned(),
        ));
    }
    chat.customer_says(&customer, text).await.map_err(|error| (StatusCode::BAD_GATEWAY, error))?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

async fn typing(State(chat): State<Arc<Chat>>, Path(customer): Path<String>) -> PageReply {
    chat.customer_types(&customer).await.map_err(|error| (StatusCode::BAD_GATEWAY, error))?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// The agent's texts on the customer's screen.
async fn screen(State(chat): State<Arc<Chat>>, Path(customer): Path<String>) -> Json<Value> {
    Json(json!(chat.screen(&customer)))
}
