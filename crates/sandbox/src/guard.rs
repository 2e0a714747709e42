//! Keeps the pages of other sites away from the paths that need no token: a browser tells where a
//! call comes from.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses calls from a page of another site. Programs send no such header and are let through.
pub(crate) async fn own_pages_only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(|site| site.as_bytes().to_owned());
    match site.as_deref() {
        // Typing the address or following a link is a GET, which changes nothing.
        Some(b"cross-site") if request.method() != axum::http::Method::GET => {
            (StatusCode::FORBIDDEN, "the page of another site may not do this").into_response()
        }
        _ => next.run(request).await,
    }
}
