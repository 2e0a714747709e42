//! `/api/v2/conversations/messaging/integrations/open`: integrations, made, read, changed and deleted.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use genesys::integration::{IntegrationRequest, IntegrationUpdate};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::answer::{About, ApiError, Reply};
use super::inbound::checked;
use crate::app::App;
use crate::handle::create_integration;
use crate::switches::PlainHttp;
use crate::world::Refusal;

const PATH: &str = "/api/v2/conversations/messaging/integrations/open";
/// Entries a page, unless asked for otherwise, and at most.
const PAGE: usize = 25;
const MAX_PAGE: usize = 100;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(list).post(create)).route("/{id}", get(show).patch(update).delete(remove))
}

async fn create(State(app): State<Arc<App>>, body: Bytes) -> Result<Reply, ApiError> {
    let request: IntegrationRequest = checked(&app.schemas.integration_create, &body)?;
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
    let made = create_integration(&app, change).map_err(ApiError::bad_request)?;
    Ok(Reply::ok(&made.to_json(app.clock.now()), About::integration(&made.id)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    page_size: Option<usize>,
    page_number: Option<usize>,
}

async fn list(State(app): State<Arc<App>>, query: Result<Query<Page>, QueryRejection>) -> Result<Reply, ApiError> {
    let Ok(Query(page)) = query else {
        return Err(ApiError::bad_request("pageSize and pageNumber are numbers".to_owned()));
    };
    let (size, number) = (page.page_size.unwrap_or(PAGE), page.page_number.unwrap_or(1));
    if !(1..=MAX_PAGE).contains(&size) || number == 0 {
        return Err(ApiError::bad_request(format!("pageSize is 1 to {MAX_PAGE}, pageNumber starts at 1")));
    }
    let now = app.clock.now();
    let world = app.world();
    let skip = (number - 1).saturating_mul(size);
    let entities: Vec<Value> = world.integrations.all().skip(skip).take(size).map(|each| each.to_json(now)).collect();
    let total = world.integrations.len();
    let pages = total.div_ceil(size);
    let uri = |number: usize| format!("{PATH}?pageSize={size}&pageNumber={number}");
    let mut answer = json!({
        "entities": entities,
        "pageSize": size,
        "pageNumber": number,
        "total": total,
        "pageCount": pages,
        "selfUri": uri(number),
        "firstUri": uri(1),
        "lastUri": uri(pages.max(1)),
    });
    if number < pages {
        answer["nextUri"] = uri(number + 1).into();
    }
    if number > 1 {
        answer["previousUri"] = uri(number - 1).into();
    }
    Ok(Reply::ok(&answer, About::default()))
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Reply, ApiError> {
    let world = app.world();
    let integration = world.integrations.get(&id).ok_or(Refusal::NoIntegration)?;
    Ok(Reply::ok(&integration.to_json(app.clock.now()), About::integration(&id)))
}

async fn update(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Reply, ApiError> {
    let change: IntegrationUpdate = checked(&app.schemas.integration_update, &body)?;
    if let Some(reason) = refused(&change, app.switches().plain_http) {
        return Err(ApiError::bad_request(reason));
    }
    let now = app.clock.now();
    let mut world = app.world();
    let integration = world.integrations.get_mut(&id).ok_or(Refusal::NoIntegration)?;
    integration.apply(change, now);
    Ok(Reply::ok(&integration.to_json(now), About::integration(&id)))
}

async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Reply, ApiError> {
    if app.world().integrations.remove(&id) {
        Ok(Reply::empty(StatusCode::NO_CONTENT, About::integration(&id)))
    } else {
        Err(Refusal::NoIntegration.into())
    }
}

/// Why an integration cannot be so, beyond what the schema says.
pub(crate) fn refused(change: &IntegrationUpdate, plain_http: PlainHttp) -> Option<String> {
    let secret = change.outbound_notification_webhook_signature_secret_token.as_ref();
    if secret.is_some_and(|secret| secret.expose().chars().count() < IntegrationRequest::SECRET_MIN_CHARS) {
        return Some("the secret has fewer than 16 characters".to_owned());
    }
    let headers = change.webhook_headers.iter().flatten();
    for (name, value) in headers {
        if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value.expose()).is_err() {
            return Some("webhookHeaders holds what cannot be a header".to_owned());
        }
    }
    let url = change.outbound_notification_webhook_url.as_ref()?;
    match Url::parse(url) {
        Ok(url) if url.scheme() == "https" => None,
        Ok(url) if url.scheme() == "http" && (plain_http == PlainHttp::Anywhere || is_loopback(&url)) => None,
        Ok(url) if url.scheme() == "http" => {
            Some("the webhook's URL is plain http and not on this machine (switch plain_http)".to_owned())
        }
        _ => Some("the webhook's URL is no URL of https".to_owned()),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
