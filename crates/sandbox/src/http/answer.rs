//! What handlers answer: a body with what the transcript should know, or one of Genesys's errors.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::invalid::Invalid;
use crate::switches::LimitCode;
use crate::world::Refusal;

/// How a 403 begins.
const MISSING: &str =
    "Unable to perform the requested action. You are missing the following permission(s): ";

/// What the transcript records of a call, besides what went over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) integration: Option<String>,
    pub(crate) conversation: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) faults: Vec<String>,
}

impl About {
    pub(crate) fn integration(id: &str) -> Self {
        Self { integration: Some(id.to_owned()), ..Self::default() }
    }

    pub(crate) fn conversation(id: &str) -> Self {
        Self { conversation: Some(id.to_owned()), ..Self::default() }
    }

    pub(crate) fn message(self, id: &str) -> Self {
        Self { message: Some(id.to_owned()), ..self }
    }
}

/// The body of an answer, kept beside it for the transcript.
#[derive(Clone, Debug)]
pub(crate) struct Written(pub(crate) Bytes);

/// An answer that is no error.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Option<Bytes>,
    about: About,
}

impl Reply {
    pub(crate) fn ok(body: &impl serde::Serialize, about: About) -> Self {
        // Cannot fail: answers have string keys and contain nothing that cannot be serialized.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { status: StatusCode::OK, body: Some(body.into()), about }
    }

    /// Without a body.
    pub(crate) fn empty(status: StatusCode, about: About) -> Self {
        Self { status, body: None, about }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK), ..self }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, self.body.unwrap_or_default());
        response.extensions_mut().insert(self.about);
        response
    }
}

/// A response with a JSON body, or with none.
pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response {
    let empty = body.is_empty();
    let mut response = Response::new(Body::from(body.clone()));
    *response.status_mut() = status;
    if !empty {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response.extensions_mut().insert(Written(body));
    response
}

/// One of Genesys's errors. The context id is added when the answer is sent.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    code: &'static str,
    message: String,
    /// For 429: requests per minute, and seconds until more are allowed.
    limit: Option<(u32, u64)>,
    /// For 403: the permissions of which one was needed.
    permissions: Option<String>,
    /// For 400: the invalid fields.
    invalid: Box<[Invalid]>,
    pub(crate) about: Box<About>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        let message = message.to_owned();
        Self {
            status,
            code,
            message,
            limit: None,
            permissions: None,
            invalid: Box::default(),
            about: Box::default(),
        }
    }

    /// 400: these fields are invalid. The transcript and the verdict record the first of them.
    pub(crate) fn bad_request(invalid: Vec<Invalid>) -> Self {
        let error = Self::of_status(StatusCode::BAD_REQUEST);
        let faults = invalid.iter().take(1).map(|first| format!("invalid body: {first}")).collect();
        Self {
            about: Box::new(About { faults, ..About::default() }),
            invalid: invalid.into(),
            ..error
        }
    }

    pub(crate) fn not_found(fault: &str) -> Self {
        let error = Self::of_status(StatusCode::NOT_FOUND);
        Self {
            about: Box::new(About { faults: vec![fault.to_owned()], ..About::default() }),
            ..error
        }
    }

    pub(crate) fn limited(allowed: u32, reset: u64, code: LimitCode) -> Self {
        let message =
            format!("Rate limit exceeded the maximum. Retry the request in [{reset}] seconds");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, code.as_str(), &message);
        Self { limit: Some((allowed, reset)), ..error }
    }

    /// The error that goes with a status, in Genesys's words as far as they are known (reference,
    /// section 4.4).
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status.as_u16() {
            400 => (
                "bad.request",
                "The request could not be understood by the server due to malformed syntax.",
            ),
            401 => ("bad.credentials", "Invalid login credentials."),
            403 => ("missing.any.permissions", "Unable to perform the requested action."),
            404 => ("not.found", "The requested resource was not found."),
            405 => ("method.not.allowed", "The request method is not supported."),
            408 => ("request.timeout", "The request timed out."),
            409 => ("conflict", "The request conflicts with the state of the resource."),
            413 => (
                "request.entity.too.large",
                "The request is over the size limit for the content-type.",
            ),
            415 => ("unsupported.media.type", "The request content-type is not supported."),
            503 => (
                "service.unavailable",
                "Service Unavailable - The server is currently unavailable.",
            ),
            504 => ("gateway.timeout", "The request timed out."),
            _ => ("internal.server.error", "The server encountered an unexpected condition."),
        };
        Self::new(status, code, message)
    }

    /// 403: the client's role has none of these permissions.
    pub(crate) fn forbidden(needs: &[&str]) -> Self {
        if needs.is_empty() {
            return Self::of_status(StatusCode::FORBIDDEN);
        }
        let permissions = needs.join(", ");
        let message = format!("{MISSING}{permissions}");
        let error = Self::new(StatusCode::FORBIDDEN, "missing.any.permissions", &message);
        Self { permissions: Some(permissions), ..error }
    }

    pub(crate) fn about(self, about: About) -> Self {
        let faults = [self.about.faults, about.faults].concat();
        Self { about: Box::new(About { faults, ..about }), ..self }
    }

    /// The details about the invalid fields. Genesys often gives none; the sandbox always does.
    fn details(&self) -> Vec<Value> {
        let detail = |each: &Invalid| json!({"errorCode": each.code, "fieldName": each.field});
        self.invalid.iter().map(detail).collect()
    }

    /// The whole answer.
    pub(crate) fn finish(&self, context: &str) -> Response {
        let mut body = json!({
            "message": self.message,
            "code": self.code,
            "status": self.status.as_u16(),
            "contextId": context,
            "details": self.details(),
            "errors": [],
        });
        if let Some(first) = self.invalid.first() {
            body["messageWithParams"] = format!("{} {{reason}}", self.message).into();
            body["messageParams"] = json!({"reason": format!("{first}.")});
        }
        if let Some((allowed, _)) = self.limit {
            let key = "client.credentials.token.rate.per.minute";
            body["limit"] = json!({"key": key, "namespace": "platform.api", "value": allowed});
        }
        if let Some(permissions) = &self.permissions {
            body["messageWithParams"] = format!("{MISSING}{{permissions}}").into();
            body["messageParams"] = json!({"permissions": permissions});
        }
        let mut response = json_response(self.status, Value::to_string(&body).into());
        if let Some((_, reset)) = self.limit {
            response.headers_mut().insert(header::RETRY_AFTER, reset.into());
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::bad_request(vec![invalid])
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ended | Refusal::OwnProfile => Self::of_status(StatusCode::CONFLICT)
                .about(About { faults: vec![refusal.to_string()], ..About::default() }),
            Refusal::MediaNotAllowed => Invalid::new(
                "mediaIds",
                "mediaType",
                "has a file of a type that the supported content does not allow",
            )
            .into(),
            _ => Self::not_found(&refusal.to_string()),
        }
    }
}
