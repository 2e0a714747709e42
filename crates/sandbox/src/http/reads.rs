//! Reads: a conversation, one message of it, many messages of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use crate::app::App;

/// `GET /api/v2/conversations/messages/{conversationId}`: a conversation with the status of each of
/// its messages, without their texts.
pub(super) async fn conversation(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let answer = app.world().conversation_json(&id)?;
    Ok(Reply::ok(&answer, About::conversation(&id)))
}

/// `GET /api/v2/conversations/{conversationId}`: the same conversation, with all of its media.
pub(super) async fn whole(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let answer = app.world().whole_json(&id)?;
    Ok(Reply::ok(&answer, About::conversation(&id)))
}

/// `GET /api/v2/conversations/messages/{messageId}/details`: a message with its text and its
/// receipts.
pub(super) async fn details(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let answer = app.world().message_json(&id)?;
    Ok(Reply::ok(&answer, About::default().message(&id)))
}

/// `GET /api/v2/conversations/messages/{conversationId}/messages/{messageId}`: the same as
/// [`details`]; 404 if the message is in another conversation.
pub(super) async fn message(
    State(app): State<Arc<App>>,
    Path((conversation, id)): Path<(String, String)>,
) -> Result<Reply, ApiError> {
    let answer = app.world().message_json_in(&conversation, &id)?;
    Ok(Reply::ok(&answer, About::conversation(&conversation).message(&id)))
}

/// `POST /api/v2/conversations/messages/{conversationId}/messages/bulk`; ids that do not exist are
/// left out.
pub(super) async fn bulk(
    State(app): State<Arc<App>>,
    Path(conversation): Path<String>,
    Body(ids): Body<Vec<String>>,
) -> Result<Reply, ApiError> {
    let world = app.world();
    world.conversation(&conversation)?;
    let entities: Vec<Value> =
        ids.iter().filter_map(|id| world.message_json_in(&conversation, id).ok()).collect();
    Ok(Reply::ok(&json!({"entities": entities}), About::conversation(&conversation)))
}
