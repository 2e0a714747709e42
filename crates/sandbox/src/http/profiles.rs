//! `…/messaging/settings` and `…/messaging/supportedcontent`: named profiles and the organisation's
//! default.

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
use crate::world::{Profile, ProfileKind as Kind};

pub(super) fn routes() -> Router<Arc<App>> {
    let settings = get(async |State(app): Place| show_default(&app, Kind::Setting))
        .put(async |State(app): Place, body: Body<Chosen>| choose(&app, Kind::Setting, body))
        .delete(async |State(app): Place| unchoose(&app));
    let content = get(async |State(app): Place| show_default(&app, Kind::Content))
        .put(async |State(app): Place, body: Body<Chosen>| choose(&app, Kind::Content, body));
    of(Kind::Setting)
        .merge(of(Kind::Content))
        .route(&format!("{}/default", Kind::Setting.path()), settings)
        .route(&format!("{}/default", Kind::Content.path()), content)
}

type Place = State<Arc<App>>;
type Fields = Body<Map<String, Value>>;

/// The routes that both kinds have.
fn of(kind: Kind) -> Router<Arc<App>> {
    let all = get(async move |State(app): Place, page: Page| list(&app, kind, page))
        .post(async move |State(app): Place, body: Fields| make(&app, kind, &body));
    let one = get(async move |State(app): Place, Path(id): Path<String>| show(&app, kind, &id))
        .patch(async move |State(app): Place, Path(id): Path<String>, body: Fields| {
            change(&app, kind, &id, &body)
        })
        .delete(async move |State(app): Place, Path(id): Path<String>| remove(&app, kind, &id));
    Router::new().route(kind.path(), all).route(&format!("{}/{{id}}", kind.path()), one)
}

fn list(app: &App, kind: Kind, page: Page) -> Reply {
    page.of(&app.world().all_profiles(kind, app.switches().typing), kind.path(), Profile::to_json)
}

fn make(app: &App, kind: Kind, Body(wanted): &Fields) -> Reply {
    Reply::ok(&app.world().make_profile(kind, wanted, app.clock.now()), About::default())
}

fn show(app: &App, kind: Kind, id: &str) -> Result<Reply, ApiError> {
    let profile = app.world().profile(kind, Some(id), app.switches().typing)?;
    Ok(Reply::ok(&profile.to_json(), About::default()))
}

fn change(app: &App, kind: Kind, id: &str, Body(change): &Fields) -> Result<Reply, ApiError> {
    let changed = app.world().change_profile(kind, id, change, app.clock.now())?;
    Ok(Reply::ok(&changed, About::default()))
}

fn remove(app: &App, kind: Kind, id: &str) -> Result<Reply, ApiError> {
    app.world().remove_profile(kind, id)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT, About::default()))
}

fn show_default(app: &App, kind: Kind) -> Result<Reply, ApiError> {
    let profile = app.world().profile(kind, None, app.switches().typing)?;
    Ok(Reply::ok(&profile.to_json(), About::default()))
}

#[derive(Debug, Deserialize)]
struct Chosen {
    #[serde(alias = "settingId")]
    id: String,
}

fn choose(app: &App, kind: Kind, Body(chosen): Body<Chosen>) -> Result<Reply, ApiError> {
    app.world().set_default_profile(kind, Some(&chosen.id))?;
    show_default(app, kind)
}

fn unchoose(app: &App) -> Result<Reply, ApiError> {
    app.world().set_default_profile(Kind::Setting, None)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT, About::default()))
}
