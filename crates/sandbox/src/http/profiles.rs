//! `…/messaging/settings` and `…/messaging/supportedcontent`: named profiles and the organisation's default.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{About, ApiError, Reply};
use super::body::{Body, Page};
use crate::app::App;
use crate::world::ProfileKind as Kind;

pub(super) fn routes() -> Router<Arc<App>> {
    let settings = of(Kind::Setting);
    let default = get(|app: State<Arc<App>>| show_default(app, Kind::Setting))
        .put(|app: State<Arc<App>>, body: Body<Chosen>| choose(app, Kind::Setting, body))
        .delete(unchoose);
    let content = of(Kind::Content);
    let default_content = get(|app: State<Arc<App>>| show_default(app, Kind::Content))
        .put(|app: State<Arc<App>>, body: Body<Chosen>| choose(app, Kind::Content, body));
    settings
        .merge(content)
        .route(&format!("{}/default", Kind::Setting.path()), default)
        .route(&format!("{}/default", Kind::Content.path()), default_content)
}

/// What both kinds have.
fn of(kind: Kind) -> Router<Arc<App>> {
    let all = get(move |app: State<Arc<App>>, page: Page| list(app, kind, page))
        .post(move |app: State<Arc<App>>, body: Body<Map<String, Value>>| make(app, kind, body));
    let one = get(move |app: State<Arc<App>>, id: Path<String>| show(app, kind, id))
        .patch(move |app: State<Arc<App>>, id: Path<String>, body: Body<Map<String, Value>>| {
            change(app, kind, id, body)
        })
        .delete(move |app: State<Arc<App>>, id: Path<String>| remove(app, kind, id));
    Router::new().route(kind.path(), all).route(&format!("{}/{{id}}", kind.path()), one)
}

async fn list(State(app): State<Arc<App>>, kind: Kind, page: Page) -> Reply {
    page.of(&app.world().all_profiles(kind, app.switches().typing), kind.path())
}

async fn make(State(app): State<Arc<App>>, kind: Kind, Body(wanted): Body<Map<String, Value>>) -> Reply {
    Reply::ok(&app.world().make_profile(kind, &wanted, app.clock.now()), About::default())
}

async fn show(State(app): State<Arc<App>>, kind: Kind, Path(id): Path<String>) -> Result<Reply, ApiError> {
    let profile = app.world().profile(kind, Some(&id), app.switches().typing)?;
    Ok(Reply::ok(&profile.to_json(), About::default()))
}

async fn change(
    State(app): State<Arc<App>>,
    kind: Kind,
    Path(id): Path<String>,
    Body(change): Body<Map<String, Value>>,
) -> Result<Reply, ApiError> {
    let changed = app.world().change_profile(kind, &id, &change, app.clock.now())?;
    Ok(Reply::ok(&changed, About::default()))
}

async fn remove(State(app): State<Arc<App>>, kind: Kind, Path(id): Path<String>) -> Result<Reply, ApiError> {
    app.world().remove_profile(kind, &id)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT, About::default()))
}

async fn show_default(State(app): State<Arc<App>>, kind: Kind) -> Result<Reply, ApiError> {
    let profile = app.world().profile(kind, None, app.switches().typing)?;
    Ok(Reply::ok(&profile.to_json(), About::default()))
}

#[derive(Debug, Deserialize)]
struct Chosen {
    #[serde(alias = "settingId")]
    id: String,
}

async fn choose(State(app): State<Arc<App>>, kind: Kind, Body(chosen): Body<Chosen>) -> Result<Reply, ApiError> {
    app.world().set_default_profile(kind, Some(&chosen.id))?;
    show_default(State(app), kind).await
}

async fn unchoose(State(app): State<Arc<App>>) -> Result<Reply, ApiError> {
    app.world().set_default_profile(Kind::Setting, None)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT, About::default()))
}
