//! `/sandbox/clients`: the OAuth clients, and what the role of each may do.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control_error::{ControlError, bad, read};
use crate::app::App;
use crate::world::{Client, is_permission};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sandbox/clients", get(list))
        .route("/sandbox/clients/{id}", put(set).delete(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientToMake {
    secret: String,
    permissions: Option<Vec<String>>,
}

/// Lists the clients without their secrets.
async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let world = app.world();
    Json(
        world
            .clients
            .all()
            .map(|(id, client)| json!({"id": id, "permissions": client.permissions}))
            .collect(),
    )
}

async fn set(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ControlError> {
    let ClientToMake { secret, permissions } = read(&body)?;
    if let Some(wrong) = permissions.iter().flatten().find(|each| !is_permission(each)) {
        return Err(bad(format!(
            "{wrong:?} is no permission: one looks like messaging:integration:view"
        )));
    }
    app.world().clients.set(&id, Client { secret, permissions });
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a client; its tokens become invalid at once.
async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    let mut world = app.world();
    if !world.clients.remove(&id) {
        return Err(ControlError(StatusCode::NOT_FOUND, "there is no such client".to_owned()));
    }
    world.tokens.revoke(Some(&id));
    Ok(StatusCode::NO_CONTENT)
}
