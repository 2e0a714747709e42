//! The endpoints for operators: readiness and metrics.
//!
//! They are served at an address of their own, if one is configured. Otherwise they are served at
//! the public address, and only to this machine.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::answers::SERVER;
use super::connections::Peer;
use super::state::HttpState;

/// Which callers an address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Every caller.
    Anyone,
    /// Callers on this machine.
    ThisMachine,
    /// No caller: operators have an address of their own.
    Elsewhere,
}

/// The operators' routes, for the callers that `answered` admits.
pub(crate) fn routes(answered: Answered) -> Router<Arc<HttpState>> {
    match answered {
        Answered::Anyone => asked(),
        Answered::ThisMachine => asked().route_layer(axum::middleware::from_fn(only_this_machine)),
        Answered::Elsewhere => {
            Router::new().route("/readyz", get(elsewhere)).route("/metrics", get(elsewhere))
        }
    }
}

fn asked() -> Router<Arc<HttpState>> {
    Router::new().route("/readyz", get(ready)).route("/metrics", get(metrics))
}

pub(super) async fn elsewhere() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, SERVER, "this is served at the address of admin.listen\n")
}

/// Checks the address of the connection's other end.
async fn only_this_machine(request: Request, next: Next) -> Response {
    let here = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_this_machine());
    if here {
        return next.run(request).await;
    }
    let why = "this is served to callers on the gateway's own machine; set admin.listen to an \
        address for operators\n";
    (StatusCode::FORBIDDEN, SERVER, why).into_response()
}

/// Answers `GET /readyz`. Ready means that the store can make writes durable now.
async fn ready(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    let (status, text) = state.readiness.ask(&state.engine).await;
    (status, SERVER, text)
}

async fn metrics(State(state): State<Arc<HttpState>>) -> impl IntoResponse {
    let engine = &state.engine;
    let kind =
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    if let Some(health) = engine.store.health() {
        engine.metrics.store(health);
    }
    (SERVER, kind, engine.metrics.render())
}
