//! Forms that a browser sends: that they are the console's own, and their fields.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use console_pages::Frame;

use super::page;

/// The longest form, in bytes.
const MAX_FORM: usize = 16 << 10;
/// How long a form may take to arrive.
const SLOWEST: Duration = Duration::from_secs(10);

pub(super) type Fields = HashMap<String, String>;

/// Why a form is not taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum FormError {
    OtherSite,
    Unreadable,
}

impl IntoResponse for FormError {
    fn into_response(self) -> Response {
        match self {
            Self::OtherSite => refused(
                StatusCode::FORBIDDEN,
                "This form was sent by a page of another site. Open the console, and try again \
                 there.",
            ),
            Self::Unreadable => refused(
                StatusCode::BAD_REQUEST,
                "The form did not arrive, or is too large. Go back, and try again.",
            ),
        }
    }
}

/// Reads a form that a page of the console has sent.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Fields, FormError> {
    check(headers)?;
    let bytes = tokio::time::timeout(SLOWEST, axum::body::to_bytes(body, MAX_FORM)).await;
    match bytes {
        Ok(Ok(bytes)) => Ok(fields(&bytes)),
        _ => Err(FormError::Unreadable),
    }
}

/// Refuses a form of another site.
pub(super) fn check(headers: &HeaderMap) -> Result<(), FormError> {
    if is_own_form(headers) { Ok(()) } else { Err(FormError::OtherSite) }
}

/// The fields of a form or of a query.
pub(super) fn fields(encoded: &[u8]) -> Fields {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

/// The page that says why nothing was done.
fn refused(status: StatusCode, why: &str) -> Response {
    page(status, console_pages::notice(&Frame::default(), "Not done", why))
}

/// Whether a form was sent by a page of the console, and not by a page of another site.
fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    // Every current browser says where a request comes from.
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        }
        (Some(_), None) => false,
        // A program without either header is no browser.
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_refused() {
        let sent = |headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: header::HeaderName = name.parse().expect("a name");
                map.insert(name, value.parse().expect("a value"));
            }
            is_own_form(&map)
        };
        let host = ("host", "gateway:9090");
        assert!(sent(&[host]), "a program");
        assert!(sent(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(sent(&[host, ("origin", "https://gateway:9090")]));
        for site in ["cross-site", "same-site"] {
            assert!(!sent(&[host, ("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["https://evil.example", "null", "https://gateway:9090.evil.example"] {
            assert!(!sent(&[host, ("origin", origin)]), "{origin}");
        }
    }
}
