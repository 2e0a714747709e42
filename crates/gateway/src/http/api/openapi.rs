//! The OpenAPI 3.1 document of this API. The operations and schemas come from the handlers and their
//! types.

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};

use crate::http::answers::SERVER;

/// Where it is served.
pub(super) const PATH: &str = "/api/v1/openapi.json";

/// What is common to all operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tidegate, for operators",
        description = "Where a message is, what needs a look, and what can be done about it.",
    ),
    modifiers(&BearerToken),
    security(("token" = [])),
)]
struct Head;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_with(Components::new)
            .add_security_scheme("token", scheme);
    }
}

/// The document without its operations.
pub(super) fn head() -> OpenApi {
    Head::openapi()
}

/// The document as it is served.
pub(super) fn text(document: &OpenApi) -> Bytes {
    // Cannot fail: the document has no value that JSON cannot write.
    document.to_json().unwrap_or_default().into()
}

pub(super) fn answer(document: Bytes) -> impl IntoResponse {
    (SERVER, [(header::CONTENT_TYPE, "application/json")], document)
}
