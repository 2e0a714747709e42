//! What agents attach: kept in memory, and given to whoever has its address, as at Genesys.
//!
//! It is served so that a browser never runs it: pictures are shown, everything else is a download.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{Wrong, bad};
use crate::app::App;
use crate::ids;

/// The largest attachment (25 MB in Genesys's agent interface).
const MAX_FILE: usize = 25 * 1024 * 1024;
/// How much is kept of all attachments; the oldest go first.
const MAX_KEPT: usize = 128 * 1024 * 1024;
/// The longest file name, in characters.
const MAX_NAME: usize = 200;
/// What a browser may show in a page.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The attachments, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Media {
    files: VecDeque<File>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct File {
    id: String,
    mime: HeaderValue,
    bytes: Bytes,
}

impl Media {
    fn add(&mut self, file: File, most: usize) {
        self.bytes += file.bytes.len();
        self.files.push_back(file);
        while self.bytes > most {
            let Some(oldest) = self.files.pop_front() else { return };
            self.bytes -= oldest.bytes.len();
        }
    }

    fn get(&self, id: &str) -> Option<File> {
        self.files.iter().find(|file| file.id == id).cloned()
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sandbox/media", post(upload).layer(DefaultBodyLimit::max(MAX_FILE)))
        .route("/sandbox/media/{id}/{name}", get(download))
}

#[derive(Deserialize)]
struct Named {
    filename: String,
}

/// `POST /sandbox/media?filename=…` answers the attachment as it stands in a message's content.
async fn upload(
    State(app): State<Arc<App>>,
    Query(named): Query<Named>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Value>, Wrong> {
    if bytes.is_empty() {
        return Err(bad("the file is empty"));
    }
    let unknown = HeaderValue::from_static("application/octet-stream");
    let mime = headers.get(header::CONTENT_TYPE).filter(|mime| mime.to_str().is_ok()).cloned().unwrap_or(unknown);
    let kind = mime.to_str().unwrap_or_default().to_owned();
    let name: String =
        named.filename.chars().filter(|each| !each.is_control() && *each != '/').take(MAX_NAME).collect();
    let name = if name.trim_matches(['.', ' ']).is_empty() { "file".to_owned() } else { name };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let mut url = Url::parse(&format!("http://{host}/")).map_err(|error| bad(error.to_string()))?;
    let id = ids::uuid(app.world().rng());
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["sandbox", "media", &id, &name]);
    }
    let size = bytes.len();
    app.media().add(File { id: id.clone(), mime, bytes }, MAX_KEPT);
    Ok(Json(json!({
        "id": id,
        "mediaType": media_type(&kind),
        "url": url,
        "mime": kind,
        "filename": name,
        "contentSizeBytes": size,
    })))
}

fn media_type(mime: &str) -> &'static str {
    match mime.split('/').next() {
        Some("image") => "Image",
        Some("video") => "Video",
        Some("audio") => "Audio",
        _ => "File",
    }
}

async fn download(State(app): State<Arc<App>>, Path((id, _name)): Path<(String, String)>) -> Response {
    let Some(file) = app.media().get(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let shown = PICTURES.iter().any(|picture| file.mime == picture);
    let disposition = if shown { "inline" } else { "attachment" };
    let headers = [
        (header::CONTENT_TYPE, file.mime),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, file.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_first() {
        let mut media = Media::default();
        for id in ["a", "b", "c"] {
            let mime = HeaderValue::from_static("image/png");
            media.add(File { id: id.to_owned(), mime, bytes: Bytes::from_static(&[0; 400]) }, 1_000);
        }
        assert!(media.get("a").is_none() && media.get("b").is_some() && media.get("c").is_some());
        assert_eq!(media.bytes, 800);
    }
}
