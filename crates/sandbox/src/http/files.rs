//! `/sandbox/media` and `/sandbox/uploads`: where files are uploaded to, and fetched from.
//!
//! Files are served so that a browser never executes them: pictures are shown, everything else is a
//! download.

use std::sync::Arc;

use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::call::bearer;
use super::control_error::{ControlError, bad};
use crate::app::App;
use crate::guard::own_pages_only;
use crate::ids;
use crate::media::{File, MAX_FILE, Progress, Upload};
use crate::world::ProfileKind;

/// The longest file name, in characters.
const MAX_NAME: usize = 200;
/// The room in a multipart form for everything besides the file, in bytes.
const MULTIPART_ROOM: usize = 64 * 1024;
/// What a browser may show in a page.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

pub(super) fn routes() -> Router<Arc<App>> {
    let large = DefaultBodyLimit::max(MAX_FILE + MULTIPART_ROOM);
    Router::new()
        .route("/sandbox/media/{id}/{name}", get(download))
        .route("/sandbox/uploads/{id}", post(upload).put(upload).layer(large))
        .layer(from_fn(own_pages_only))
}

/// The upload in one step, which needs no announcement.
pub(super) fn attach_routes() -> Router<Arc<App>> {
    Router::new().route("/sandbox/media", post(attach).layer(DefaultBodyLimit::max(MAX_FILE)))
}

#[derive(Deserialize)]
struct FileName {
    filename: String,
}

/// `POST /sandbox/media?filename=…` answers with the attachment in the form that a message's
/// content has.
async fn attach(
    State(app): State<Arc<App>>,
    Query(named): Query<FileName>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Value>, ControlError> {
    if bytes.is_empty() {
        return Err(bad("the file is empty"));
    }
    let unknown = HeaderValue::from_static("application/octet-stream");
    let mime = headers
        .get(header::CONTENT_TYPE)
        .filter(|mime| mime.to_str().is_ok())
        .cloned()
        .unwrap_or(unknown);
    let id = ids::uuid(app.world().rng());
    let file = kept(&app, id, &named.filename, mime, bytes, &headers)?;
    Ok(Json(file.attachment()))
}

/// Keeps a file under an address by which the caller can reach it.
fn kept(
    app: &App,
    id: String,
    name: &str,
    mime: HeaderValue,
    bytes: Bytes,
    headers: &HeaderMap,
) -> Result<File, ControlError> {
    let name: String =
        name.chars().filter(|each| !each.is_control() && *each != '/').take(MAX_NAME).collect();
    let name = if name.trim_matches(['.', ' ']).is_empty() { "file".to_owned() } else { name };
    let mut url = Url::parse(&here(headers)).map_err(bad)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["sandbox", "media", &id, &name]);
    }
    let file =
        File { id, name, mime, bytes, url: url.into(), created: app.clock.now(), sent: false };
    app.media().add(file.clone());
    Ok(file)
}

/// The sandbox's address, as the caller wrote it.
pub(super) fn here(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("http://{host}")
}

/// A file on its way in.
struct Arriving {
    name: Option<String>,
    mime: Option<HeaderValue>,
    bytes: Bytes,
}

/// `PUT` or `POST /sandbox/uploads/{id}`: the bytes of a medium that was announced, as they are or
/// in a form.
///
/// The address is the secret, as with signed URLs; no token is needed. An upload that cannot be
/// read changes nothing. One that can be read is accepted; whether the medium is valid is judged
/// afterwards, as at Genesys.
async fn upload(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, ControlError> {
    let announced = app.media().upload(&id).cloned();
    let announced = announced
        .ok_or_else(|| ControlError(StatusCode::NOT_FOUND, "there is no such upload".to_owned()))?;
    if announced.progress != Progress::Uploading {
        return Err(ControlError(StatusCode::CONFLICT, "it was uploaded before".to_owned()));
    }
    let headers = request.headers().clone();
    let file = arriving(request).await?;
    let as_announced = as_announced(&announced, &file.bytes);
    let name = Some(announced.name.clone())
        .filter(|name| !name.is_empty())
        .or(file.name)
        .unwrap_or_default();
    let mime = file.mime.unwrap_or_else(|| guessed(&name));
    let allowed = {
        let world = app.world();
        let integration =
            world.conversation(&announced.conversation).map(|found| found.integration.clone())?;
        let content = world.profile_of(ProfileKind::Content, &integration, true);
        content.allows(mime.to_str().unwrap_or_default(), false)
    };
    if allowed && as_announced {
        let file = kept(&app, id.clone(), &name, mime, file.bytes, &headers)?;
        app.media().set_progress(&id, Progress::Valid, Some(&file.name));
    } else {
        app.media().set_progress(&id, Progress::Invalid, Some(&name));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn arriving(request: Request) -> Result<Arriving, ControlError> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let is_form =
        kind.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    let file = if is_form {
        from_form(request).await?
    } else {
        let bytes = Bytes::from_request(request, &()).await;
        let bytes = bytes
            .map_err(|error: BytesRejection| ControlError(error.status(), error.body_text()))?;
        Arriving { name: None, mime: kind.filter(|kind| kind.to_str().is_ok()), bytes }
    };
    match file.bytes.len() {
        0 => Err(bad("the file is empty")),
        size if size > MAX_FILE => Err(ControlError(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a file has at most {MAX_FILE} bytes"),
        )),
        _ => Ok(file),
    }
}

async fn from_form(request: Request) -> Result<Arriving, ControlError> {
    let wrong = |error: MultipartError| ControlError(error.status(), error.body_text());
    let mut form =
        Multipart::from_request(request, &()).await.map_err(|error| bad(error.body_text()))?;
    while let Some(field) = form.next_field().await.map_err(wrong)? {
        if field.name() == Some("file") {
            let name = field.file_name().map(str::to_owned);
            let mime = field.content_type().and_then(|mime| HeaderValue::from_str(mime).ok());
            return Ok(Arriving { name, mime, bytes: field.bytes().await.map_err(wrong)? });
        }
    }
    Err(bad("the form has no field `file`"))
}

/// Whether the bytes have the length and the MD5 that were announced.
fn as_announced(announced: &Upload, bytes: &[u8]) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let digest = Md5::digest(bytes);
    let same = |wanted: &String| {
        *wanted == STANDARD.encode(digest) || wanted.eq_ignore_ascii_case(&hex::encode(digest))
    };
    announced.length.is_none_or(|wanted| wanted == length)
        && announced.md5.as_ref().is_none_or(same)
}

/// The media type of a file with this name.
pub(super) fn guessed(name: &str) -> HeaderValue {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    HeaderValue::from_str(mime.essence_str())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

async fn download(
    State(app): State<Arc<App>>,
    Path((id, _name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let (switches, now) = (app.switches(), app.clock.now());
    if switches.media_token
        && !bearer(&headers).is_some_and(|token| app.world().tokens.lives(token, now))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let file = app.media().file(&id).filter(|file| file.lives(switches.media_life, now)).cloned();
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
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
