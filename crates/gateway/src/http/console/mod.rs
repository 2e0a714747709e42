//! The operators' console, `/console`: the same answers as the API, as pages for people.
//!
//! With users in the configuration, a page needs a session. Without, it is served to callers on
//! this machine. The pages themselves are in the crate `console-pages`.

mod access;
mod dead_letters;
mod form;
mod integration;
mod pages;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::answers::SERVER;
use super::state::HttpState;

/// No resources from other origins, nothing inline, no framing, and forms only to the console.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The routes. Each page is checked by [`access::check`].
pub(super) fn routes(state: &Arc<HttpState>) -> Router<Arc<HttpState>> {
    let checked = Router::new()
        .route("/console", get(pages::overview))
        .route("/console/search", get(pages::search))
        .route("/console/integrations/{name}", get(integration::integration))
        .route("/console/integrations/{name}/{list}", get(integration::list))
        .route("/console/messages/{id}", get(pages::message))
        .route("/console/conversations/{id}", get(pages::conversation))
        .route(
            "/console/dead-letters/{id}/retry",
            get(dead_letters::message).post(dead_letters::retry),
        )
        .route(
            "/console/dead-letters/{id}/discard",
            get(dead_letters::message).post(dead_letters::discard),
        )
        .route_layer(from_fn_with_state(Arc::clone(state), access::check));
    let open = Router::new()
        .route("/console/", get(async || Redirect::permanent("/console")))
        .route("/console/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/{file}", get(file));
    checked.merge(open).layer(map_response(guarded))
}

/// Adds the headers that keep a page from being misused.
async fn guarded(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, a browser would not say that our own forms come from us.
        (header::REFERRER_POLICY, "same-origin"),
        // The pages of one user must not be kept for another.
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn file(Path(name): Path<String>) -> Response {
    match console_pages::asset(&name) {
        Some(asset) => (SERVER, [(header::CONTENT_TYPE, asset.kind)], asset.text).into_response(),
        None => (StatusCode::NOT_FOUND, SERVER, "the console has no such page\n").into_response(),
    }
}

/// A page as an answer.
fn page(status: StatusCode, page: console_pages::Markup) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (status, SERVER, kind, page.into_string()).into_response()
}
