//! What a user does about a dead letter, by a form on the message's page.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use conversation::DeadLetterAction;

use super::access::Viewer;
use super::form;
use super::pages::problem;
use crate::http::api;
use crate::http::state::HttpState;

/// A form, and who sends it.
type Submission = (State<Arc<HttpState>>, Extension<Viewer>, Path<String>, Method, HeaderMap);

/// Answers `POST /console/dead-letters/{id}/retry`.
pub(super) async fn retry(sent: Submission, body: Body) -> Response {
    act(sent, body, DeadLetterAction::Retry).await
}

/// Answers `POST /console/dead-letters/{id}/discard`.
pub(super) async fn discard(sent: Submission, body: Body) -> Response {
    act(sent, body, DeadLetterAction::Discard).await
}

async fn act(sent: Submission, body: Body, action: DeadLetterAction) -> Response {
    let (State(state), Extension(viewer), Path(id), method, headers) = sent;
    let fields = match form::read(&method, &headers, body).await {
        Ok(fields) => fields,
        Err(error) => return error.into_response(),
    };
    let Some(by) = viewer.operator() else {
        let why = "Only a user with role = \"operator\" in console.users may act, because the \
                   journal names who did it.";
        return form::refused(StatusCode::FORBIDDEN, why);
    };
    let integration = fields.get("integration").map_or("", String::as_str);
    match api::act_for_user(&state.engine, (integration, &id), action, by).await {
        Ok(()) => Redirect::to(&console_pages::message_link(&id)).into_response(),
        Err(error) => problem(&viewer.frame(), &error),
    }
}
