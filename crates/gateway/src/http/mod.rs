//! The HTTP servers: the public one for webhooks and events, and the operators' one. This module
//! assembles the routers.

mod answers;
mod api;
mod body;
mod connections;
mod console;
mod events;
mod files;
mod operators;
mod readiness;
mod socket;
mod state;
mod tokens;
mod users;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::routing::{any, get, post};

use crate::engine::Engine;
use answers::{SERVER, shown};

pub(crate) use connections::serve;
pub(crate) use operators::Answered;
pub(crate) use state::HttpState;

/// The public server. It also serves operators' requests, to the callers that `answered` admits.
pub(crate) fn router(state: Arc<HttpState>, answered: Answered) -> Router {
    let endpoints = Router::new()
        .route("/genesys/{integration}", post(webhook::webhook))
        .route("/connectors/{integration}/events", post(events::events))
        .route("/connectors/{integration}/socket", get(socket::socket))
        .route(files::ROUTE, get(files::file))
        .merge(operators::routes(answered))
        .merge(api_and_console(&state, answered));
    finish(
        endpoints,
        state,
        if answered == Answered::Elsewhere { SERVED_TO_SERVICES } else { SERVED },
    )
}

/// The operators' server.
pub(crate) fn operators_router(state: Arc<HttpState>) -> Router {
    let endpoints =
        operators::routes(Answered::Anyone).merge(api_and_console(&state, Answered::Anyone));
    finish(endpoints, state, SERVED_TO_OPERATORS)
}

/// What operators use, unless they have an address of their own.
fn api_and_console(state: &Arc<HttpState>, answered: Answered) -> Router<Arc<HttpState>> {
    if answered == Answered::Elsewhere {
        let paths = ["/api/{*path}", "/console", "/console/{*path}"];
        return paths
            .into_iter()
            .fold(Router::new(), |router, path| router.route(path, any(operators::elsewhere)));
    }
    api::routes(state).merge(console::routes(state))
}

type Asked = State<Arc<HttpState>>;

fn finish(
    endpoints: Router<Arc<HttpState>>,
    state: Arc<HttpState>,
    served: &'static str,
) -> Router {
    endpoints
        .route("/healthz", get(async || (SERVER, "ok\n")))
        .fallback(async move |State(state): Asked, method, uri| {
            unknown_path(&state.engine, &method, &uri, served)
        })
        .method_not_allowed_fallback(async move |State(state): Asked, method, uri| {
            wrong_method(&state.engine, &method, &uri, served)
        })
        .with_state(state)
}

/// The list of endpoints, for callers who asked for something else.
const SERVED: &str = "POST /genesys/{integration} (Genesys's webhook), \
                      POST /connectors/{integration}/events (a chat service's events), \
                      GET /connectors/{integration}/socket (its WebSocket), \
                      GET /media/… (files, by signed links), \
                      GET /healthz, GET /readyz, GET /metrics, GET /api/v1/…, GET /console";

/// The same where operators have an address of their own.
const SERVED_TO_SERVICES: &str = "POST /genesys/{integration} (Genesys's webhook), \
                                  POST /connectors/{integration}/events (a chat service's events), \
                                  GET /connectors/{integration}/socket (its WebSocket), \
                                  GET /media/… (files, by signed links), GET /healthz; \
                                  operators are served at admin.listen";

/// The list of endpoints of the operators' server.
const SERVED_TO_OPERATORS: &str = "GET /healthz, GET /readyz, GET /metrics, GET /api/v1/…, \
                                   GET /console; \
                                   webhooks and events come in at server.listen";

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
