//! The HTTP side: Genesys's paths under `/oauth` and `/api/v2`, the sandbox's own under `/sandbox`, and
//! the agent's desktop.

mod agent;
mod answer;
mod call;
mod control;
mod inbound;
mod integrations;
mod notifications;
mod oauth;
mod openapi;
mod reads;
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

pub(crate) use integrations::refused as integration_refused;

use crate::app::App;
use crate::desktop::own_pages_only;

/// The most bytes that a request may have (`request.bytes.max` of Genesys's limits page).
const MAX_BODY: usize = 512_000;

pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .merge(api().layer(from_fn_with_state(app.clone(), call::api)))
        .merge(Router::new().route("/oauth/token", post(oauth::token)))
        .merge(control::routes().layer(from_fn(own_pages_only)))
        .merge(socket::routes())
        .merge(openapi::routes())
        .merge(crate::desktop::routes())
        .with_state(app.clone())
}

fn api() -> Router<Arc<App>> {
    Router::new()
        .nest("/api/v2/conversations/messaging/integrations/open", integrations::routes())
        .merge(notifications::routes())
        .route("/api/v2/conversations/messages/inbound/open", post(inbound::legacy))
        .route("/api/v2/conversations/messages/agentless", post(agent::agentless))
        .route("/api/v2/conversations/messages/{id}", get(reads::conversation).patch(agent::end))
        .route("/api/v2/conversations/messages/{id}/details", get(reads::details))
        .route("/api/v2/conversations/messages/{id}/messages/bulk", post(reads::bulk))
        .route("/api/v2/conversations/messages/{id}/messages/{message}", get(reads::message))
        .route("/api/v2/conversations/messages/{id}/inbound/open/message", post(inbound::message))
        .route("/api/v2/conversations/messages/{id}/inbound/open/receipt", post(inbound::receipt))
        .route("/api/v2/conversations/messages/{id}/inbound/open/event", post(inbound::event))
        .route("/api/v2/conversations/messages/{id}/inbound/open/structured/response", post(inbound::structured))
        .route("/api/v2/conversations/messages/{id}/communications/{communication}/messages", post(agent::send))
        .route("/api/v2/conversations/messages/{id}/communications/{communication}/typing", post(agent::typing))
        .route("/api/v2/conversations/messages/{id}/participants/{participant}", axum::routing::patch(agent::leave))
        .fallback(call::nowhere)
        .method_not_allowed_fallback(call::wrong_method)
}
