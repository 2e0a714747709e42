//! The pages: what the API answers, for people.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use console_pages::{Frame, Hit, IntegrationRow, Overview};
use conversation::IntegrationName;
use timeline::SessionState;

use super::access::Viewer;
use super::page;
use crate::http::api::{self, Problem};
use crate::http::state::HttpState;

type AppState = State<Arc<HttpState>>;

/// Answers `GET /console`.
pub(super) async fn overview(
    State(state): AppState,
    Extension(viewer): Extension<Viewer>,
) -> Response {
    let frame = Frame { live: true, now: state.engine.clock.now(), ..viewer.frame() };
    let engine = &state.engine;
    let dead_letters = match engine.store.dead_letters().await {
        Ok(dead_letters) => dead_letters,
        Err(error) => return problem(&frame, &error.into()),
    };
    let (ready, why) = state.readiness.ask(engine).await;
    let row = |name: &IntegrationName| {
        let totals = engine.metrics.totals(name.as_str());
        IntegrationRow {
            name: name.to_string(),
            chat_service: totals.chat_service,
            delivered: totals.delivered,
            failed: totals.failed,
            posted: totals.posted,
            retried: totals.retried,
            dead_letters: dead_letters.get(name).copied().unwrap_or_default(),
        }
    };
    let overview = Overview {
        version: env!("CARGO_PKG_VERSION"),
        store: if ready.is_success() { Ok(()) } else { Err(why.trim_end().to_owned()) },
        active: u64::try_from(engine.metrics.active.get()).unwrap_or_default(),
        integrations: engine.integrations().map(row).collect(),
    };
    page(StatusCode::OK, console_pages::overview(&frame, &overview))
}

/// Answers `GET /console/search?id=…`. One result is shown at once.
pub(super) async fn search(
    State(state): AppState,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let mut fields = url::form_urlencoded::parse(query.as_bytes());
    let sought =
        fields.find(|(name, _)| name == "id").map_or_else(String::new, |(_, id)| id.into());
    let frame = Frame { sought, ..viewer.frame() };
    if frame.sought.trim().is_empty() {
        return Redirect::to("/console").into_response();
    }
    let hits = match api::search(&state.engine, &frame.sought).await {
        Ok(found) => found,
        Err(error) => return problem(&frame, &error),
    };
    let mut links: Vec<String> = hits.iter().map(Hit::link).collect();
    links.dedup();
    match links.as_slice() {
        [only] => Redirect::to(only).into_response(),
        [] => page(StatusCode::NOT_FOUND, console_pages::found(&frame, &hits)),
        _ => page(StatusCode::OK, console_pages::found(&frame, &hits)),
    }
}

/// Answers `GET /console/messages/{id}`.
pub(super) async fn message(
    State(state): AppState,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Response {
    let mut frame = Frame { sought: id.clone(), ..viewer.frame() };
    match api::messages(&state, &id).await {
        Ok((messages, left_out)) => {
            frame.now = state.engine.clock.now();
            // No node handles the conversations of an integration that is not configured.
            let known =
                |name: &str| state.engine.integration(&IntegrationName::new(name)).is_some();
            frame.acts &= messages.iter().all(|one| known(&one.integration));
            // What is final needs no updates, each of which reads the whole conversation.
            frame.live = messages.iter().any(|one| one.outcome.is_open() || one.next.is_some());
            page(StatusCode::OK, console_pages::messages(&frame, &messages, left_out))
        }
        Err(error) => problem(&frame, &error),
    }
}

/// Answers `GET /console/conversations/{id}`.
pub(super) async fn conversation(
    State(state): AppState,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Response {
    let mut frame = Frame { sought: id.clone(), ..viewer.frame() };
    match api::conversations(&state, &id).await {
        Ok((all, left_out)) => {
            frame.now = state.engine.clock.now();
            frame.live = all
                .iter()
                .any(|one| one.next.is_some() || one.session.state != SessionState::Closed);
            page(StatusCode::OK, console_pages::conversations(&frame, &all, left_out))
        }
        Err(error) => problem(&frame, &error),
    }
}

/// The page about a request that failed.
pub(super) fn problem(frame: &Frame, problem: &Problem) -> Response {
    let frame = Frame { live: false, ..frame.clone() };
    page(problem.status(), console_pages::notice(&frame, problem.title(), problem.detail()))
}
