//! The desktop's pages: files of this folder, built into the program.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::app::App;

/// No resources from other origins, nothing inline, and no framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const PAGE: &str = include_str!("web/index.html");
const FILES: [(&str, &str, &str); 16] = [
    ("app.js", SCRIPT, include_str!("web/app.js")),
    ("attach.js", SCRIPT, include_str!("web/attach.js")),
    ("calls.js", SCRIPT, include_str!("web/calls.js")),
    ("composer.js", SCRIPT, include_str!("web/composer.js")),
    ("content.js", SCRIPT, include_str!("web/content.js")),
    ("details.js", SCRIPT, include_str!("web/details.js")),
    ("dialogs.js", SCRIPT, include_str!("web/dialogs.js")),
    ("dom.js", SCRIPT, include_str!("web/dom.js")),
    ("list.js", SCRIPT, include_str!("web/list.js")),
    ("message.js", SCRIPT, include_str!("web/message.js")),
    ("thread.js", SCRIPT, include_str!("web/thread.js")),
    ("words.js", SCRIPT, include_str!("web/words.js")),
    ("base.css", STYLE, include_str!("web/base.css")),
    ("layout.css", STYLE, include_str!("web/layout.css")),
    ("thread.css", STYLE, include_str!("web/thread.css")),
    ("icon.svg", "image/svg+xml", include_str!("web/icon.svg")),
];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/desktop", get(async || served("text/html; charset=utf-8", PAGE)))
        .route("/desktop/", get(async || Redirect::permanent("/desktop")))
        .route("/desktop/{file}", get(file))
}

async fn file(Path(wanted): Path<String>) -> Response {
    match FILES.iter().find(|(name, ..)| *name == wanted) {
        Some((_, kind, text)) => served(kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn served(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program may run on the same port tomorrow.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
