//! An agent's media on Genesys's own paths: announcing and reading them, and what Genesys caches of
//! those that were sent.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::agent::is_agent;
use super::answer::{About, ApiError, Reply};
use super::body::{Body, Page};
use super::files::{guessed, here};
use crate::app::App;
use crate::ids;
use crate::invalid::Invalid;
use crate::media::{MAX_FILE, Progress, Upload, path_of};
use crate::world::Refusal;

const CACHED: &str = "/api/v2/conversations/messages/cachedmedia";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Announced {
    file_name: String,
    content_length_bytes: u64,
    content_md5: Option<String>,
}

/// `POST …/{conversationId}/communications/{communicationId}/messages/media/uploads`: announces a
/// file of at most [`MAX_FILE`] bytes; the answer says where to upload it.
pub(super) async fn announce(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    headers: HeaderMap,
    Body(announced): Body<Announced>,
) -> Result<Reply, ApiError> {
    if usize::try_from(announced.content_length_bytes).map_or(true, |length| length > MAX_FILE) {
        return Err(Invalid::new(
            "contentLengthBytes",
            "maximum",
            format!("is greater than {MAX_FILE}"),
        )
        .into());
    }
    let kind = guessed(&announced.file_name);
    let upload = make(&app, &conversation, &communication, &headers, Some(announced))?;
    let answer = json!({
        "id": upload.id,
        "name": upload.name,
        "uploadUrl": upload.url,
        "uploadHeaders": {"Content-Type": kind.to_str().unwrap_or_default()},
        "selfUri": upload.to_json(None)["selfUri"],
    });
    Ok(Reply::ok(&answer, About::conversation(&conversation)))
}

/// `POST …/{conversationId}/communications/{communicationId}/messages/media`, which says nothing
/// about the file.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Reply, ApiError> {
    let upload = make(&app, &conversation, &communication, &headers, None)?;
    Ok(Reply::ok(&upload.to_json(None), About::conversation(&conversation)))
}

fn make(
    app: &App,
    conversation: &str,
    communication: &str,
    headers: &HeaderMap,
    announced: Option<Announced>,
) -> Result<Upload, ApiError> {
    let id = {
        let mut world = app.world();
        let found = world.conversation(conversation)?;
        is_agent(found, communication)?;
        if found.ended.is_some() {
            return Err(Refusal::Ended.into());
        }
        ids::uuid(world.rng())
    };
    let (name, length, md5) = announced.map_or_else(
        || (String::new(), None, None),
        |announced| {
            (announced.file_name, Some(announced.content_length_bytes), announced.content_md5)
        },
    );
    let upload = Upload {
        url: format!("{}/sandbox/uploads/{id}", here(headers)),
        id,
        name,
        conversation: conversation.to_owned(),
        communication: communication.to_owned(),
        length,
        md5,
        progress: Progress::Uploading,
    };
    app.media().announce(upload.clone());
    Ok(upload)
}

/// `GET …/{conversationId}/communications/{communicationId}/messages/media/{mediaId}`: one
/// announced medium, with the `url` of its file once it is valid.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path((conversation, communication, id)): Path<(String, String, String)>,
) -> Result<Reply, ApiError> {
    app.world().conversation(&conversation)?;
    let media = app.media();
    let upload = media.uploads_of(&conversation, &communication).find(|each| each.id == id);
    let upload = upload.ok_or(Refusal::NoMedium)?;
    Ok(Reply::ok(&upload.to_json(media.file(&id)), About::conversation(&conversation)))
}

#[derive(Debug, Deserialize)]
pub(super) struct MediaFilter {
    status: Option<String>,
    url: Option<String>,
}

/// `GET …/{conversationId}/communications/{communicationId}/messages/media`: the announced media,
/// oldest first, all of them or those of one status.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    Query(wanted): Query<MediaFilter>,
    page: Page,
) -> Result<Reply, ApiError> {
    is_agent(app.world().conversation(&conversation)?, &communication)?;
    let media = app.media();
    let of_status = |each: &&Upload| {
        wanted.status.as_ref().is_none_or(|status| status == each.progress.as_str())
    };
    let all = media.uploads_of(&conversation, &communication).filter(of_status);
    let path = path_of(&conversation, &communication);
    Ok(page.of(&all.collect::<Vec<_>>(), &path, |each| each.to_json(media.file(&each.id))))
}

/// `GET /api/v2/conversations/messages/cachedmedia`: the files that agents have sent, oldest first,
/// all of them or the one at an address.
pub(super) async fn cached(
    State(app): State<Arc<App>>,
    Query(wanted): Query<MediaFilter>,
    page: Page,
) -> Reply {
    let life = app.switches().media_life;
    let media = app.media();
    let all = media.cached().filter(|file| wanted.url.as_ref().is_none_or(|url| *url == file.url));
    page.of(&all.collect::<Vec<_>>(), CACHED, |file| file.cached(life))
}

/// `GET /api/v2/conversations/messages/cachedmedia/{cachedMediaItemId}`: one file that an agent has
/// sent; 404 for a file that was only uploaded.
pub(super) async fn cached_item(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let media = app.media();
    let file = media.file(&id).filter(|file| file.sent).ok_or(Refusal::NoMedium)?;
    Ok(Reply::ok(&file.cached(app.switches().media_life), About::default()))
}

/// `DELETE /api/v2/conversations/messages/cachedmedia/{cachedMediaItemId}`: its address stops
/// working.
pub(super) async fn uncache(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let mut media = app.media();
    media.file(&id).filter(|file| file.sent).ok_or(Refusal::NoMedium)?;
    media.remove(&id);
    Ok(Reply::empty(StatusCode::ACCEPTED, About::default()))
}
