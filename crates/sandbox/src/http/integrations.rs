//! `/api/v2/conversations/messaging/integrations/open`: creates, reads, changes and deletes
//! integrations.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use genesys::integration::{IntegrationRequest, IntegrationUpdate};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{About, ApiError, Reply};
use super::body::{Body, Page};
use crate::app::App;
use crate::integrations;
use crate::world::{Integration, ProfileKind, Refusal, World};

const PATH: &str = "/api/v2/conversations/messaging/integrations/open";
const IDENTITY: &str = "/api/v2/conversations/messaging/identityresolution/integrations/open";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(PATH, get(list).post(create))
        .route(&format!("{PATH}/{{id}}"), get(show).patch(update).delete(remove))
        .route(&format!("{IDENTITY}/{{id}}"), get(identity).put(set_identity))
}

async fn create(
    State(app): State<Arc<App>>,
    Body(request): Body<IntegrationRequest>,
) -> Result<Reply, ApiError> {
    let change = IntegrationUpdate {
        name: request.name,
        outbound_notification_webhook_url: Some(request.outbound_notification_webhook_url),
        outbound_notification_webhook_signature_secret_token: Some(
            request.outbound_notification_webhook_signature_secret_token,
        ),
        webhook_headers: request.webhook_headers,
        supported_content: request.supported_content,
        messaging_setting: request.messaging_setting,
        ..IntegrationUpdate::default()
    };
    let made = integrations::create(&app, change)?;
    show(State(app), Path(made.id)).await
}

/// The profiles by which a listing is filtered.
#[derive(Debug, Deserialize)]
struct ProfileFilter {
    #[serde(rename = "supportedContent.id")]
    content: Option<String>,
    #[serde(rename = "messagingSetting.id")]
    setting: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    Query(wanted): Query<ProfileFilter>,
    page: Page,
) -> Reply {
    let world = app.world();
    let typing = app.switches().typing;
    let has = |each: &Integration, kind, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| world.profile_of(kind, &each.id, typing).id() == wanted)
    };
    let all = world.integrations.all().filter(|each| {
        has(each, ProfileKind::Content, &wanted.content)
            && has(each, ProfileKind::Setting, &wanted.setting)
    });
    page.of(&all.collect::<Vec<_>>(), PATH, |each| shown(&app, &world, each))
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Reply, ApiError> {
    let world = app.world();
    let integration = world.integrations.get(&id).ok_or(Refusal::NoIntegration)?;
    Ok(Reply::ok(&shown(&app, &world, integration), About::integration(&id)))
}

/// An integration as Genesys shows it.
fn shown(app: &App, world: &World, integration: &Integration) -> Value {
    let typing = app.switches().typing;
    let profile = |kind| world.profile_of(kind, &integration.id, typing);
    integration.to_json(
        &profile(ProfileKind::Setting),
        &profile(ProfileKind::Content),
        app.clock.now(),
    )
}

async fn update(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(change): Body<IntegrationUpdate>,
) -> Result<Reply, ApiError> {
    if let Some(invalid) = integrations::refused(&change, app.switches().plain_http) {
        return Err(invalid.into());
    }
    {
        let mut world = app.world();
        world.names_profiles(&change)?;
        world
            .integrations
            .get_mut(&id)
            .ok_or(Refusal::NoIntegration)?
            .apply(change, app.clock.now());
    }
    show(State(app), Path(id)).await
}

/// `GET …/messaging/identityresolution/integrations/open/{integrationId}`
async fn identity(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Reply, ApiError> {
    let world = app.world();
    let integration = world.integrations.get(&id).ok_or(Refusal::NoIntegration)?;
    let mut answer = integration.identity.clone();
    answer["selfUri"] = format!("{IDENTITY}/{id}").into();
    Ok(Reply::ok(&answer, About::integration(&id)))
}

/// `PUT …/messaging/identityresolution/integrations/open/{integrationId}`: stored and shown only;
/// no customer is looked up.
async fn set_identity(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(wanted): Body<Value>,
) -> Result<Reply, ApiError> {
    app.world().integrations.get_mut(&id).ok_or(Refusal::NoIntegration)?.identity = wanted;
    identity(State(app), Path(id)).await
}

async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Reply, ApiError> {
    if app.world().integrations.remove(&id) {
        Ok(Reply::empty(StatusCode::NO_CONTENT, About::integration(&id)))
    } else {
        Err(Refusal::NoIntegration.into())
    }
}
