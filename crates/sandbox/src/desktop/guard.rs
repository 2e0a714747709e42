//! Keeps the pages of other sites away from the paths that want no token: a browser says where a call comes from.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses calls that a page of another site makes. Programs send no such header and are let through.
pub(crate) async fn own_pages_only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(|site| site.as_bytes().to_owned());
    match site.as_deref() {
        // A person who types the address or follows a link does not act by it.
        Some(b"cross-site") if request.method() != axum::http::Method::GET => {
            (StatusCode::FORBIDDEN, "the page of another site may not do this").into_response()
        }
        _ => next.run(request).await,
    }
}
