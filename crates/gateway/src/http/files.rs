//! The endpoint for the gateway's own links to files.
//!
//! Files come from strangers, so a browser must never run one: only pictures, sound and film are
//! shown, and everything else is a download.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use conversation::IntegrationName;
use media::{BadLink, Download, ReadError};
use serde::Deserialize;
use store::Chain;

use super::answers::SERVER;
use super::state::HttpState;

/// The query of a link. Whatever is missing is empty, and the link is not valid.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Proof {
    expires: String,
    signature: String,
}

/// The path of a link: the file's key, and a name that is there for people.
pub(super) const ROUTE: &str = "/media/{day}/{integration}/{conversation}/{file}/{name}";

/// Answers `GET` and `HEAD` of a link with the file: 404 if the link is not one of ours, 410 if its
/// time is over or the file was removed.
pub(super) async fn file(
    State(state): State<Arc<HttpState>>,
    Path((day, integration, conversation, file, _)): Path<(String, String, String, String, String)>,
    Query(proof): Query<Proof>,
) -> Response {
    let engine = &state.engine;
    let media = engine
        .integration(&IntegrationName::new(&integration))
        .and_then(|integration| integration.media.as_ref());
    let key = format!("{day}/{integration}/{conversation}/{file}");
    let read = match media {
        Some(media) => media.read(&key, &proof.expires, &proof.signature, engine.clock.now()).await,
        None => Err(ReadError::Link(BadLink::Unsigned)),
    };
    match read {
        Ok(download) => answer(download),
        Err(error) => refusal(&error),
    }
}

fn answer(Download { kept, bytes }: Download) -> Response {
    let shown = is_shown(&kept.mime);
    let mime = HeaderValue::try_from(&kept.mime)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, mime),
        (header::CONTENT_LENGTH, kept.size.into()),
        (header::CONTENT_DISPOSITION, disposition(shown, &kept.name)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        // The link is the permission to read the file.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (SERVER, headers, Body::from_stream(bytes)).into_response()
}

fn refusal(error: &ReadError) -> Response {
    let status = match error {
        ReadError::Link(BadLink::Unsigned) => StatusCode::NOT_FOUND,
        ReadError::Link(BadLink::Expired) | ReadError::Removed => StatusCode::GONE,
        ReadError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        ReadError::Unavailable(_) => {
            tracing::warn!(error = %Chain(error), "a file could not be read");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let again = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(header::RETRY_AFTER, "2")]);
    (status, SERVER, again, format!("{error}\n")).into_response()
}

/// Whether a browser may show a file. What consists of XML, such as a drawing (SVG), may contain a
/// program.
fn is_shown(mime: &str) -> bool {
    let class = mime.split('/').next().unwrap_or_default();
    matches!(class, "image" | "audio" | "video") && !mime.ends_with("xml")
}

/// The header with the file's name, in ASCII and as it is (RFC 6266).
fn disposition(shown: bool, name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' })
        .collect();
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    let kind = if shown { "inline" } else { "attachment" };
    HeaderValue::try_from(format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_does_not_run_is_shown() {
        for (mime, shown) in [
            ("image/png", true),
            ("audio/ogg", true),
            ("video/mp4", true),
            ("image/svg+xml", false),
            ("image/x-drawing+xml", false),
            ("application/xhtml+xml", false),
            ("text/html", false),
            ("application/pdf", false),
            ("", false),
        ] {
            assert_eq!(is_shown(mime), shown, "{mime}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let header = disposition(false, "a\"; x=\u{fc}\r\n.png");
        let expected = "attachment; filename=\"a_; x=___.png\"; \
             filename*=UTF-8''a%22%3B%20x%3D%C3%BC%0D%0A.png";
        assert_eq!(header, expected);
    }
}
