//! The operators' API, `/api/v1`: where a message is, by any of its ids, and which need a look.
//!
//! The answers have ids, times, outcomes and reasons. They never have the words of an agent or a
//! customer.

mod access;
mod actions;
mod find;
mod lists;
mod openapi;
mod problem;
mod timelines;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use serde::Serialize;
use store::{Chain, StoreError};
use timeline::{ConversationTimeline, MessageTimeline};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::HttpState;
use crate::engine::Engine;
pub(super) use access::local_only;
pub(super) use actions::act_for_user;
pub(super) use lists::{conversations_page, messages_page};
pub(crate) use problem::Problem;

/// The routes. Each request is checked by [`access::check`]. A route is served as its OpenAPI
/// operation says, so there is none without one.
pub(super) fn routes(state: &Arc<HttpState>) -> Router<Arc<HttpState>> {
    let (router, document) = documented().split_for_parts();
    let document = openapi::text(&document);
    router
        .route(openapi::PATH, get(async move || openapi::answer(document.clone())))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .route_layer(from_fn_with_state(Arc::clone(state), access::check))
}

fn documented() -> OpenApiRouter<Arc<HttpState>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(find::search))
        .routes(routes!(lists::conversations))
        .routes(routes!(timelines::conversation))
        .routes(routes!(lists::messages))
        .routes(routes!(timelines::message))
        .routes(routes!(lists::dead_letters))
        .routes(routes!(actions::retry))
        .routes(routes!(actions::discard))
        .routes(routes!(status))
}

/// What an id names, for the console.
pub(super) async fn search(engine: &Engine, id: &str) -> Result<Vec<console_pages::Hit>, Problem> {
    let hit = |hit: find::Hit| console_pages::Hit {
        by: hit.by.replace('_', " "),
        integration: hit.integration,
        conversation: hit.conversation,
        message: hit.message,
    };
    Ok(find::all(engine, id).await?.into_iter().map(hit).collect())
}

/// The messages that an id names, and how many were left out, for the console.
pub(super) async fn messages(
    state: &HttpState,
    id: &str,
) -> Result<(Vec<MessageTimeline>, usize), Problem> {
    let found = timelines::messages(state, id).await?;
    Ok((found.messages, found.left_out))
}

/// The conversations that an id names, and how many were left out, for the console.
pub(super) async fn conversations(
    state: &HttpState,
    id: &str,
) -> Result<(Vec<ConversationTimeline>, usize), Problem> {
    let found = timelines::conversations(state, id).await?;
    Ok((found.conversations, found.left_out))
}

/// What the gateway is, and how each integration stands.
#[derive(Serialize, ToSchema)]
struct Status {
    #[schema(value_type = String)]
    version: &'static str,
    /// Whether the store makes writes durable now.
    ready: bool,
    integrations: Vec<IntegrationStatus>,
}

/// How an integration stands.
#[derive(Serialize, ToSchema)]
struct IntegrationStatus {
    name: String,
    /// Customers' messages that Genesys will never have.
    dead_letters: u64,
}

/// Says whether the gateway is ready, and how each integration stands.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    responses(
        (status = 200, description = "How the gateway stands.", body = Status),
        Problem,
    )
)]
async fn status(State(state): State<Arc<HttpState>>) -> Result<Json<Status>, Problem> {
    let engine = &state.engine;
    let dead = engine.store.dead_letters().await?;
    let integrations = engine.integrations().map(|name| IntegrationStatus {
        name: name.to_string(),
        dead_letters: dead.get(name).copied().unwrap_or_default(),
    });
    let integrations = integrations.collect();
    let (ready, _) = state.readiness.ask(engine).await;
    let version = env!("CARGO_PKG_VERSION");
    Ok(Json(Status { version, ready: ready.is_success(), integrations }))
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => Self::unavailable(format!("{}", Chain(&error))),
            StoreError::Corrupt(_) => Self::damaged(format!("{}", Chain(&error))),
        }
    }
}
