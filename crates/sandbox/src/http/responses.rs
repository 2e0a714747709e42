//! `/sandbox/responses`: the canned responses that an agent can send by
//! `messagingTemplate.responseId`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

use super::control_error::{ControlError, read};
use crate::app::App;
use crate::world::{Refusal, Response};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sandbox/responses", get(list))
        .route("/sandbox/responses/{id}", put(set).delete(remove))
}

async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!(app.world().responses))
}

async fn set(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ControlError> {
    let response: Response = read(&body)?;
    // The response is sent much later, so errors in it are reported now.
    response.fill_in(&id, &[]).check(&app.schemas)?;
    app.world().responses.insert(id, response);
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    app.world().responses.remove(&id).ok_or(Refusal::NoResponse)?;
    Ok(StatusCode::NO_CONTENT)
}
