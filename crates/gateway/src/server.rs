//! The HTTP doors: webhooks, events, and what an operator's machines ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};

use crate::engine::Engine;
use crate::{events, ingress};

pub(crate) fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/genesys/{integration}", post(ingress::webhook))
        .route("/connectors/{integration}/events", post(events::events))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(engine)
}

/// Ready means that what is accepted now would be durable.
async fn ready(State(engine): State<Arc<Engine>>) -> (StatusCode, String) {
    if engine.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match tokio::time::timeout(Duration::from_secs(2), engine.store.ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the store does not answer\n".to_owned())
        }
    }
}

async fn metrics(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    let kind =
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (kind, engine.metrics.render())
}
