//! Timelines of messages and conversations, by any id.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use conversation::ConversationId;
use jiff::Timestamp;
use serde::Serialize;
use store::Dossier;
use timeline::{ConversationTimeline, MessageTimeline};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::find::{self, Place, hits};
use super::problem::Problem;
use crate::http::answers::shown;
use crate::http::state::HttpState;

/// How many conversations one answer shows. An id rarely names more than one.
const MOST: usize = 10;
/// How long a request waits for others that read conversations.
const PATIENCE: Duration = Duration::from_secs(5);

/// The messages that an id names.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages {
    pub(super) messages: Vec<MessageTimeline>,
    /// How many more the id names.
    pub(super) left_out: usize,
}

/// The conversations that an id names.
#[derive(Serialize, ToSchema)]
pub(super) struct Conversations {
    pub(super) conversations: Vec<ConversationTimeline>,
    /// How many more the id names.
    pub(super) left_out: usize,
}

/// The id in the path, if it is text.
pub(super) type IdInPath = Result<Path<String>, PathRejection>;

pub(super) fn id_of(path: IdInPath) -> Result<String, Problem> {
    let not_text = |_| Problem::bad_request("the id in the path is not UTF-8");
    path.map(|Path(id)| id).map_err(not_text)
}

/// Says what became of a message. The id is the sender's or the chat service's.
#[utoipa::path(
    get,
    path = "/api/v1/messages/{id}",
    params(("id" = String, Path, description = "The sender's or the chat service's id.")),
    responses(
        (status = 200, description = "What became of each message with this id.", body = Messages),
        Problem,
    )
)]
pub(super) async fn message(
    State(state): State<Arc<HttpState>>,
    path: IdInPath,
) -> Result<Json<Messages>, Problem> {
    messages(&state, &id_of(path)?).await.map(Json)
}

/// The timelines of the messages that an id names.
pub(super) async fn messages(state: &HttpState, id: &str) -> Result<Messages, Problem> {
    let mut places: Vec<Place> =
        hits(&state.engine, id).await?.into_iter().map(|hit| hit.place).collect();
    places.retain(|place| place.message.is_some());
    places.dedup();
    let left_out = places.len().saturating_sub(MOST);
    places.truncate(MOST);
    let mut messages = Vec::new();
    for place in places {
        let Some((direction, message)) = place.message else { continue };
        let tell =
            move |dossier: &Dossier, now| timeline::message(dossier, direction, &message, now);
        messages.extend(read(state, &place.conversation, tell).await?.flatten());
    }
    if messages.is_empty() {
        return Err(Problem::not_found(format!(
            "no message has the id {:?}; GET /api/v1/search?id=… also looks for conversations \
             and customers; messages are removed store.retention after their end",
            shown(id)
        )));
    }
    Ok(Messages { messages, left_out })
}

/// Says how a conversation stands. The id is the gateway's, Genesys's, the customer's, or that of
/// one of the conversation's messages.
#[utoipa::path(
    get,
    path = "/api/v1/conversations/{id}",
    params(("id" = String, Path, description = "Any id of the conversation.")),
    responses(
        (status = 200, description = "How each conversation stands.", body = Conversations),
        Problem,
    )
)]
pub(super) async fn conversation(
    State(state): State<Arc<HttpState>>,
    path: IdInPath,
) -> Result<Json<Conversations>, Problem> {
    conversations(&state, &id_of(path)?).await.map(Json)
}

/// The timelines of the conversations that an id names.
pub(super) async fn conversations(state: &HttpState, id: &str) -> Result<Conversations, Problem> {
    let found = find::all(&state.engine, id).await?;
    let mut ids: Vec<_> = found.into_iter().map(|hit| hit.place.conversation).collect();
    ids.sort();
    ids.dedup();
    let left_out = ids.len().saturating_sub(MOST);
    ids.truncate(MOST);
    let mut conversations = Vec::new();
    for id in ids {
        conversations.extend(read(state, &id, timeline::conversation).await?);
    }
    if conversations.is_empty() {
        return Err(Problem::not_found(format!(
            "no conversation, customer or message has the id {:?}; conversations are removed \
             store.retention after their end",
            shown(id)
        )));
    }
    Ok(Conversations { conversations, left_out })
}

/// Reads a whole conversation, and makes a timeline of it on a thread that may take its time.
async fn read<T: Send + 'static>(
    state: &HttpState,
    conversation: &ConversationId,
    tell: impl FnOnce(&Dossier, Timestamp) -> T + Send + 'static,
) -> Result<Option<T>, Problem> {
    let place = Arc::clone(&state.conversation_readers).acquire_owned();
    let Ok(Ok(permit)) = timeout(PATIENCE, place).await else {
        return Err(Problem::unavailable(
            "other requests read long conversations now; ask again in a moment",
        ));
    };
    let Some(dossier) = state.engine.store.dossier(conversation).await? else { return Ok(None) };
    // After the dossier, so that no record in it lies in the future.
    let now = state.engine.clock.now();
    let told = tokio::task::spawn_blocking(move || {
        // A caller who hangs up does not end this work, so the place is the work's.
        let _permit = permit;
        tell(&dossier, now)
    });
    let told = told.await;
    told.map(Some).map_err(|_| Problem::bug("this conversation cannot be shown; please report it"))
}
