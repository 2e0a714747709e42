//! The form of a call: its content type, its body's schema, and the schema of its answer.

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;

use super::super::answer::{ApiError, Written};
use super::super::body::Checked;
use super::super::operations::Operation;
use crate::app::App;
use crate::invalid::Invalid;

/// Some callers begin their JSON with it; Genesys-like parsers skip it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Refuses a body of another type than JSON with 415. A body without a type is taken for JSON.
pub(super) fn fits_type(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let has_body = matches!(*method, Method::POST | Method::PATCH | Method::PUT);
    if has_body && !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err(ApiError::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(())
}

/// The body as JSON that conforms to the schema of this name, or 400 with what is wrong with it.
pub(super) fn checked(app: &App, schema: &str, body: &[u8]) -> Result<Checked, ApiError> {
    let body = serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body));
    let body = app.schemas.known(schema, body.map_err(|error| no_json(&error))?);
    let invalid = app.schemas.faults_in(schema, &body);
    if invalid.is_empty() { Ok(Checked(body)) } else { Err(ApiError::bad_request(invalid)) }
}

/// The error for a body that is not JSON. The parser's message is left out, since it may quote the
/// body.
fn no_json(error: &serde_json::Error) -> Invalid {
    Invalid::new(
        "body",
        "json",
        format!("is no JSON: line {}, column {}", error.line(), error.column()),
    )
}

/// How a successful answer violates its own description, if it does.
pub(super) fn violation(
    app: &App,
    operation: Option<&Operation>,
    answer: &Response,
) -> Option<String> {
    if !answer.status().is_success() {
        return None;
    }
    let Some(operation) = operation else {
        return Some("the call is not among the operations".to_owned());
    };
    let (id, status) = (operation.id, answer.status().as_u16());
    let written =
        answer.extensions().get::<Written>().map(|body| body.0.as_ref()).unwrap_or_default();
    if !operation.answers.contains(&status) {
        return Some(format!("{id} may not answer {status}"));
    }
    let Some(schema) = operation.answer else {
        return (!written.is_empty()).then(|| format!("{id} has no answer"));
    };
    let fault = match serde_json::from_slice(written) {
        Ok(answer) => app.schemas.faults_in(schema, &answer).first()?.to_string(),
        Err(error) => error.to_string(),
    };
    Some(format!("the answer of {id}: {fault}"))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde_json::json;

    use super::super::super::answer::{About, Reply};
    use super::*;
    use crate::config::SandboxConfig;

    #[test]
    fn an_answer_that_is_not_as_described_does_not_pass() {
        let app = App::new(SandboxConfig::default()).unwrap();
        let told = |operation: Option<&Operation>, answer: Reply| {
            violation(&app, operation, &answer.into_response())
        };
        let threading =
            Operation::find(&Method::GET, "/api/v2/conversations/messaging/threadingtimeline")
                .unwrap();
        let timeline = || Reply::ok(&json!({"settings": []}), About::default());
        assert_eq!(told(Some(threading), timeline()), None);
        assert!(
            told(Some(threading), Reply::ok(&json!({"settings": 1}), About::default())).is_some()
        );
        assert!(told(Some(threading), timeline().with_status(202)).is_some());
        assert!(told(Some(threading), Reply::empty(StatusCode::OK, About::default())).is_some());
        assert!(told(None, timeline()).is_some(), "a route that is not among the operations");
        assert_eq!(told(None, timeline().with_status(404)), None);
        let delete =
            Operation::find(&Method::DELETE, "/api/v2/conversations/messaging/settings/{id}")
                .unwrap();
        assert_eq!(
            told(Some(delete), Reply::empty(StatusCode::NO_CONTENT, About::default())),
            None
        );
        assert!(told(Some(delete), timeline().with_status(204)).is_some());
    }
}
