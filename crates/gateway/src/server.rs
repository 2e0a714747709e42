//! The HTTP servers: the public one for webhooks and events, and the operators' one.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use axum::routing::{get, post};

use crate::engine::Engine;
use crate::operators::Answered;
use crate::{events, ingress, operators};

/// The public server. It also serves operators' requests, to the callers that `answered` admits.
pub(crate) fn router(engine: Arc<Engine>, answered: Answered) -> Router {
    let doors = Router::new()
        .route("/genesys/{integration}", post(ingress::webhook))
        .route("/connectors/{integration}/events", post(events::events))
        .merge(operators::routes(answered));
    finish(doors, engine, SERVED)
}

/// The operators' server.
pub(crate) fn operators_router(engine: Arc<Engine>) -> Router {
    finish(operators::routes(Answered::Anyone), engine, SERVED_TO_OPERATORS)
}

type Asked = State<Arc<Engine>>;

fn finish(doors: Router<Arc<Engine>>, engine: Arc<Engine>, served: &'static str) -> Router {
    doors
        .route("/healthz", get(async || (SERVER, "ok\n")))
        .fallback(async move |State(engine): Asked, method, uri| {
            unknown_path(&engine, &method, &uri, served)
        })
        .method_not_allowed_fallback(async move |State(engine): Asked, method, uri| {
            wrong_method(&engine, &method, &uri, served)
        })
        .with_state(engine)
}

/// The list of endpoints, for callers who asked for something else.
const SERVED: &str = "POST /genesys/{integration} (Genesys's webhook), POST /connectors/{integration}/events \
                      (a chat service's events), GET /healthz, GET /readyz, GET /metrics";

/// The list of endpoints of the operators' server.
const SERVED_TO_OPERATORS: &str =
    "GET /healthz, GET /readyz, GET /metrics; webhooks and events come in at server.listen";

/// Identifies the gateway to callers, and to `tidegate check`.
pub(crate) const SERVER: [(HeaderName, &str); 1] = [(header::SERVER, connector::http::GATEWAY)];

fn unknown_path(
    engine: &Engine,
    method: &Method,
    uri: &Uri,
    served: &'static str,
) -> (StatusCode, [(HeaderName, &'static str); 1], String) {
    turned_away(engine, method, uri.path(), "unknown_path");
    (
        StatusCode::NOT_FOUND,
        SERVER,
        format!("this gateway serves no {}; it serves {served}\n", shown(uri.path())),
    )
}

fn wrong_method(
    engine: &Engine,
    method: &Method,
    uri: &Uri,
    served: &'static str,
) -> (StatusCode, [(HeaderName, &'static str); 1], String) {
    turned_away(engine, method, uri.path(), "wrong_method");
    let what = format!(
        "{} is not served with {}; this gateway serves {served}\n",
        shown(uri.path()),
        method
    );
    (StatusCode::METHOD_NOT_ALLOWED, SERVER, what)
}

/// Counts and logs a request to a wrong address. Genesys and chat services make such requests if a
/// URL has a mistake in it.
fn turned_away(engine: &Engine, method: &Method, path: &str, why: &'static str) {
    engine.metrics.turned_away(why);
    if let Some(more) = engine.failures.admit("", method.as_str(), path) {
        tracing::warn!(%method, path = shown(path), why, more, "a request was turned away");
    }
}

/// Handles a request that names an integration that is not configured. Returns the answer's text.
/// The names are not secret: they are part of URLs, and each call must be signed.
pub(crate) fn unknown_integration(engine: &Engine, door: &str, name: &str) -> String {
    let named = shown(name);
    let there: Vec<_> =
        engine.integrations().take(MAX_NAMES).map(|name| format!("{:?}", name.as_str())).collect();
    let there = there.join(", ");
    engine.metrics.turned_away("unknown_integration");
    if let Some(more) = engine.failures.admit(&named, door, "unknown integration") {
        tracing::warn!(
            path = format!("{door}/{named}"),
            integrations = there,
            more,
            "a request was turned away: no integration has this name"
        );
    }
    format!(
        "there is no integration {named:?}; the name of an [[integration]] stands in the path, \
         and there are: {there}"
    )
}

/// How many integrations an answer lists.
const MAX_NAMES: usize = 20;

/// How much of a caller's path or name is repeated, in characters.
const LONGEST_SHOWN: usize = 100;

/// A caller's text for answers and log lines: cut, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = clean.take(LONGEST_SHOWN).collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
