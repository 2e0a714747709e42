//! What a user does about a dead letter, by a form on the message's page.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use conversation::DeadLetterAction;
use store::Acceptance;

use super::access::Viewer;
use super::form;
use super::page;
use crate::http::api;
use crate::http::state::HttpState;

/// A form, and who sends it.
type Submission = (State<Arc<HttpState>>, Extension<Viewer>, Path<String>, HeaderMap);

/// Answers `POST /console/dead-letters/{id}/retry`.
pub(super) async fn retry(sent: Submission, body: Body) -> Response {
    act(sent, body, DeadLetterAction::Retry).await
}

/// Answers `POST /console/dead-letters/{id}/discard`.
pub(super) async fn discard(sent: Submission, body: Body) -> Response {
    act(sent, body, DeadLetterAction::Discard).await
}

/// Answers `GET` for the same paths: leads to the message. A user comes here who signs in after the
/// session ended, or who opens the address of an answer again.
pub(super) async fn message(Path(id): Path<String>) -> Redirect {
    Redirect::to(&console_pages::message_link(&id))
}

async fn act(sent: Submission, body: Body, action: DeadLetterAction) -> Response {
    let (State(state), Extension(viewer), Path(id), headers) = sent;
    let turned_away = || state.engine.metrics.turned_away("console_access");
    let fields = match form::read(&headers, body).await {
        Ok(fields) => fields,
        Err(error) => {
            turned_away();
            return error.into_response();
        }
    };
    let not_done = |status, title: &str, why: &str| {
        page(status, console_pages::not_done(&viewer.clone().frame(), title, why, &id))
    };
    let by = match viewer.operator() {
        Ok(by) => by,
        Err(why) => {
            turned_away();
            return not_done(StatusCode::FORBIDDEN, "Not done", why);
        }
    };
    let integration = fields.get("integration").map_or("", String::as_str);
    let died = fields.get("died").and_then(|died| died.parse().ok());
    match api::act_for_user(&state.engine, (integration, &id, died), action, by).await {
        Ok(Acceptance::Repeated) => {
            let why = "An action on this dead letter was accepted before. This one has no effect.";
            not_done(StatusCode::CONFLICT, "Nothing changed", why)
        }
        Ok(_) => Redirect::to(&console_pages::message_link(&id)).into_response(),
        Err(problem) => not_done(problem.status(), problem.title(), problem.detail()),
    }
}
