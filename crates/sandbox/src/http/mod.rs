//! The HTTP side: Genesys's paths under `/oauth` and `/api/v2`, and the sandbox's own under
//! `/sandbox`.

mod agent;
mod answer;
mod body;
mod call;
mod clients;
mod control;
mod control_error;
mod files;
mod inbound;
mod integrations;
mod media;
mod notifications;
mod oauth;
mod openapi;
mod operations;
mod profiles;
mod reads;
mod responses;
mod socket;
mod threading;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

pub(crate) use control_error::{ControlError, bad, read};

use crate::app::App;
use crate::guard::own_pages_only;

/// The most bytes that a request may have (`request.bytes.max` of Genesys's limits page).
const MAX_BODY: usize = 512_000;

/// An agent's media.
const MEDIA: &str =
    "/api/v2/conversations/messages/{id}/communications/{communication}/messages/media";

/// What a middleware uses: Genesys's own paths, the addresses that their answers name, and the
/// description of it all. They need a token, or an id that cannot be guessed.
pub(crate) fn api_routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .merge(api().layer(from_fn_with_state(app.clone(), call::api)))
        .merge(Router::new().route("/oauth/token", post(oauth::token)))
        .merge(files::routes())
        .merge(socket::routes())
        .merge(openapi::routes())
}

/// The paths that control and read the sandbox. They need no token, so pages of other sites are
/// kept away from them.
pub(crate) fn control_routes() -> Router<Arc<App>> {
    control::routes()
        .merge(clients::routes())
        .merge(responses::routes())
        .merge(files::attach_routes())
        .layer(from_fn(own_pages_only))
}

fn api() -> Router<Arc<App>> {
    Router::new()
        .merge(integrations::routes())
        .merge(profiles::routes())
        .merge(notifications::routes())
        .route(
            "/api/v2/conversations/messaging/threadingtimeline",
            get(threading::show).put(threading::set),
        )
        .route("/api/v2/conversations/messages/inbound/open", post(inbound::legacy))
        .route("/api/v2/conversations/messages/agentless", post(agent::agentless))
        .route("/api/v2/conversations/messages/cachedmedia", get(media::cached))
        .route(
            "/api/v2/conversations/messages/cachedmedia/{id}",
            get(media::cached_item).delete(media::uncache),
        )
        .route("/api/v2/conversations/{id}", get(reads::whole))
        .route("/api/v2/conversations/{id}/disconnect", post(agent::disconnect))
        .route("/api/v2/conversations/messages/{id}", get(reads::conversation).patch(agent::end))
        .route("/api/v2/conversations/messages/{id}/details", get(reads::details))
        .route("/api/v2/conversations/messages/{id}/messages/bulk", post(reads::bulk))
        .route("/api/v2/conversations/messages/{id}/messages/{message}", get(reads::message))
        .route("/api/v2/conversations/messages/{id}/inbound/open/message", post(inbound::message))
        .route("/api/v2/conversations/messages/{id}/inbound/open/receipt", post(inbound::receipt))
        .route("/api/v2/conversations/messages/{id}/inbound/open/event", post(inbound::event))
        .route(
            "/api/v2/conversations/messages/{id}/inbound/open/structured/response",
            post(inbound::structured),
        )
        .route(
            "/api/v2/conversations/messages/{id}/communications/{communication}/messages",
            post(agent::send),
        )
        .route(MEDIA, get(media::list).post(media::create))
        .route(&format!("{MEDIA}/uploads"), post(media::announce))
        .route(&format!("{MEDIA}/{{media}}"), get(media::show))
        .route(
            "/api/v2/conversations/messages/{id}/communications/{communication}/typing",
            post(agent::typing),
        )
        .route(
            "/api/v2/conversations/messages/{id}/participants/{participant}",
            axum::routing::patch(agent::leave),
        )
        .route(
            "/api/v2/conversations/messages/{id}/participants/{participant}/replace",
            post(agent::replace),
        )
        .fallback(call::nowhere)
        .method_not_allowed_fallback(call::wrong_method)
}
