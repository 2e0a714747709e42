//! What the API answers when it has no result: a problem by RFC 9457.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::http::answers::SERVER;

/// A problem, as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema, IntoResponses)]
#[response(
    status = "default",
    description = "A problem, by RFC 9457.",
    content_type = "application/problem+json"
)]
pub(crate) struct Problem {
    /// A stable word for programs, as a reference into this API.
    #[schema(value_type = String)]
    r#type: &'static str,
    #[schema(value_type = String)]
    title: &'static str,
    status: u16,
    /// What is wrong with this request, and what to do.
    detail: String,
}

impl Problem {
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new("bad-request", "The request cannot be understood", 400, detail)
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new("unauthorized", "The token is missing or wrong", 401, detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new("forbidden", "This caller is not served", 403, detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "GET /api/v1/openapi.json says what is served, and with which method";
        Self::new("method-not-allowed", "This path is not served with this method", 405, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new("not-found", "The id names nothing", 404, detail)
    }

    /// No message of a customer has this id, which must be fit to be shown.
    pub(super) fn no_message(id: &str) -> Self {
        Self::not_found(format!(
            "no message of a customer has the id {id:?} at a configured integration; messages are \
             removed store.retention after their end"
        ))
    }

    /// The message with this id is in another state.
    pub(super) fn no_dead_letter(id: &str, state: &str) -> Self {
        let detail = format!(
            "the message {id:?} is `{state}`, and only a dead letter (`refused`) can be retried or \
             discarded; its timeline says what happened"
        );
        Self::new("no-dead-letter", "The message is no dead letter", 409, detail)
    }

    pub(super) fn another_dead_letter(id: &str) -> Self {
        let detail = format!(
            "the message {id:?} has become a dead letter again since you saw it; look at it before \
             you act"
        );
        Self::new("another-dead-letter", "The message has changed", 409, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new("store-unavailable", "The store does not answer", 503, detail)
    }

    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::new("store-damaged", "The store has data that cannot be read", 500, detail)
    }

    pub(super) fn bug(detail: impl Into<String>) -> Self {
        Self::new("bug", "The gateway has a bug", 500, detail)
    }

    pub(in crate::http) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }

    pub(in crate::http) fn title(&self) -> &'static str {
        self.title
    }

    pub(in crate::http) fn detail(&self) -> &str {
        &self.detail
    }

    fn new(
        r#type: &'static str,
        title: &'static str,
        status: u16,
        detail: impl Into<String>,
    ) -> Self {
        Self { r#type, title, status, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, SERVER, kind, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
