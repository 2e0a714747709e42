//! What happens around every API call: its size, its token, its permission, the rate limit, faults
//! on purpose, the schemas of its body and its answer, the transcript.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::MAX_BODY;
use super::answer::{About, ApiError, Written};
use super::body::Checked;
use super::operations::Operation;
use crate::app::App;
use crate::clock::wire_time;
use crate::cut::Cut;
use crate::faults::{Action, Target};
use crate::ids;
use crate::invalid::Invalid;
use crate::transcript::{Direction, Entry, Kind, body_of};
use crate::verdict::RefusedCall;
use crate::world::Admission;

/// Some callers begin their JSON with it; Genesys-like parsers skip it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How long a request's body may take to arrive, in real time.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// No such path.
pub(super) async fn nowhere() -> ApiError {
    ApiError::not_found("no such path")
}

/// No such method there.
pub(super) async fn wrong_method() -> ApiError {
    ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The middleware around every call to `/api/v2`.
pub(super) async fn api(
    State(app): State<Arc<App>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
    next: Next,
) -> Response {
    let context = ids::uuid(app.world().rng());
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.to_string());
    let route = parts.extensions.get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let operation = route.and_then(|route| Operation::find(&method, &route));
    let mut gate = Gate::default();
    let (body, mut response) = match read(body).await {
        Ok(body) => {
            let request = Request::from_parts(parts, Body::empty());
            let response =
                guarded(&app, &cut, &mut gate, operation, request, body.clone(), next).await;
            (body, response)
        }
        Err(error) => (Bytes::new(), error.into_response()),
    };
    let genuine = !matches!(gate.fault, Some(Action::Status(_)));
    let mut unlike = unlike(&app, operation, &response).filter(|_| genuine);
    if let Some(fault) = unlike.take_if(|_| method.is_safe()) {
        // This would be a bug in the sandbox, and must not look like an answer from Genesys.
        let error = ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR);
        response = error.about(About { faults: vec![fault], ..About::default() }).into_response();
    }
    let mut about = response.extensions_mut().remove::<About>().unwrap_or_default();
    // A call that took effect is not answered with an error: the caller would repeat it.
    about.faults.extend(unlike);
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = error.finish(&context);
        about = *error.about;
    } else if !response.status().is_success() && response.extensions().get::<Written>().is_none() {
        // A path or a body that axum itself could not read.
        response = ApiError::of_status(response.status()).finish(&context);
    }
    if let Ok(context) = HeaderValue::from_str(&context) {
        response.headers_mut().insert("inin-correlation-id", context);
    }
    if let Some((count, allowed, reset)) = gate.admitted {
        let headers = response.headers_mut();
        headers.insert("inin-ratelimit-count", count.into());
        headers.insert("inin-ratelimit-allowed", allowed.into());
        headers.insert("inin-ratelimit-reset", reset.into());
    }
    about.faults.extend(gate.fault.as_ref().map(Action::name));
    note(&app, &method, path, &body, &response, &about, gate.fault.is_some());
    if gate.fault == Some(Action::DropAnswer) {
        cut.cut();
    }
    response
}

/// The caller, for handlers that need it.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The OAuth client's id.
    pub(super) client: String,
}

/// What was decided before the handler is called.
#[derive(Debug, Default)]
struct Gate {
    /// Count, allowed, seconds to the window's end.
    admitted: Option<(u32, u32, u64)>,
    fault: Option<Action>,
}

async fn guarded(
    app: &Arc<App>,
    cut: &Cut,
    gate: &mut Gate,
    operation: Option<&Operation>,
    mut request: Request,
    body: Bytes,
    next: Next,
) -> Response {
    let switches = app.switches();
    let (allowed, code) = (switches.rate_per_minute, switches.limit_code);
    let (admission, client) = match bearer(request.headers()) {
        Some(token) => {
            let mut world = app.world();
            (world.tokens.admit(token, app.clock.now(), allowed), world.tokens.client_of(token))
        }
        None => (Admission::Refused, None),
    };
    let client = client.unwrap_or_default();
    request.extensions_mut().insert(Caller { client: client.clone() });
    let counted = match admission {
        Admission::Refused => return ApiError::of_status(StatusCode::UNAUTHORIZED).into_response(),
        Admission::Limited { allowed, reset } => {
            gate.admitted = Some((allowed.saturating_add(1), allowed, reset));
            return ApiError::limited(allowed, reset, code).into_response();
        }
        Admission::Admitted { count, allowed, reset } => {
            gate.admitted = Some((count, allowed, reset)).filter(|_| allowed > 0);
            (count, allowed, reset)
        }
    };
    let targets = [Target::Api, target(request.method(), request.uri().path())];
    gate.fault = app.strike_call(&targets, &body);
    match &gate.fault {
        Some(Action::Status(status)) => {
            let (_, allowed, reset) = gate.admitted.unwrap_or((0, allowed, 60));
            return match StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
                StatusCode::TOO_MANY_REQUESTS => ApiError::limited(allowed, reset, code),
                StatusCode::FORBIDDEN => ApiError::forbidden(operation.map_or(&[], |operation| operation.needs)),
                status => ApiError::of_status(status),
            }
            .into_response();
        }
        Some(Action::RevokeToken) => {
            if let Some(token) = bearer(request.headers()) {
                app.world().tokens.kill(token);
            }
            return ApiError::of_status(StatusCode::UNAUTHORIZED).into_response();
        }
        Some(Action::Limit(lowered)) => {
            let (count, _, reset) = counted;
            gate.admitted = Some((count, *lowered, reset));
            if count > *lowered {
                return ApiError::limited(*lowered, reset, code).into_response();
            }
        }
        Some(Action::Delay(span)) => app.clock.sleep(span.0).await,
        Some(Action::Hang(_)) => {
            app.stop.cancelled().await;
            cut.cut();
            return ApiError::of_status(StatusCode::SERVICE_UNAVAILABLE).into_response();
        }
        _ => {}
    }
    let Some(operation) = operation else { return next.run(request).await };
    if !operation.needs.is_empty() && !app.world().clients.may(&client, operation.needs) {
        return ApiError::forbidden(operation.needs).into_response();
    }
    if let Some(error) = unfit(request.method(), request.headers()) {
        return error.into_response();
    }
    if let Some(schema) = operation.body {
        match checked(app, schema, &body) {
            Ok(checked) => request.extensions_mut().insert(checked),
            Err(invalid) => return ApiError::bad_request(invalid).into_response(),
        };
    }
    next.run(request).await
}

/// The body as JSON that conforms to its schema, or what is wrong with it.
fn checked(app: &App, schema: &str, body: &[u8]) -> Result<Checked, Vec<Invalid>> {
    let body = serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body));
    let body = body.map_err(|error| vec![no_json(&error)])?;
    let body = app.schemas.known(schema, body);
    let invalid = app.schemas.faults_in(schema, &body);
    if invalid.is_empty() { Ok(Checked(body)) } else { Err(invalid) }
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
fn unlike(app: &App, operation: Option<&Operation>, answer: &Response) -> Option<String> {
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

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_PATIENCE, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        // If the body broke off, no one is left to read the answer.
        Ok(Err(_)) => Err(ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => Err(ApiError::of_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The error for a body in a form that is not accepted.
fn unfit(method: &Method, headers: &HeaderMap) -> Option<ApiError> {
    if !matches!(*method, Method::POST | Method::PATCH | Method::PUT) {
        return None;
    }
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    let json =
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    (!json).then(|| ApiError::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// Which fault rules match a call, by its path.
fn target(method: &Method, path: &str) -> Target {
    if path.ends_with("/inbound/open/receipt") {
        Target::Receipt
    } else if path.ends_with("/inbound/open/event") {
        Target::Event
    } else if path.ends_with("/inbound/open") || path.contains("/inbound/open/") {
        Target::Message
    } else if path.contains("/notifications/") {
        Target::Channel
    } else if path.contains("/messaging/integrations/open") {
        Target::Integration
    } else if *method == Method::POST
        && (path.contains("/communications/") || path.ends_with("/agentless"))
    {
        Target::Agent
    } else {
        Target::Conversation
    }
}

fn note(
    app: &App,
    method: &Method,
    path: String,
    body: &[u8],
    answer: &Response,
    about: &About,
    injected: bool,
) {
    let status = answer.status().as_u16();
    let (body, answer) =
        (body_of(body), answer.extensions().get::<Written>().and_then(|body| body_of(&body.0)));
    let mut world = app.world();
    let at = wire_time(app.clock.now());
    if !injected {
        let refused = |reason: Option<&String>| RefusedCall {
            path: path.clone(),
            reason: reason.cloned(),
            at: at.clone(),
        };
        match status {
            400 | 413 | 415 => world.record.invalid_bodies.push(refused(about.faults.first())),
            429 => world.record.rate_limited.push(refused(None)),
            _ => {}
        }
    }
    world.transcript.write(Entry {
        at,
        kind: Kind::Request,
        direction: Direction::In,
        method: Some(method.to_string()),
        path: Some(path),
        status: Some(status),
        integration: about.integration.clone(),
        conversation: about.conversation.clone(),
        message: about.message.clone(),
        body,
        answer,
        faults: about.faults.clone(),
        ..Entry::default()
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answer::Reply;
    use super::*;
    use crate::config::SandboxConfig;

    #[test]
    fn an_answer_that_is_not_as_described_does_not_pass() {
        let app = App::new(SandboxConfig::default()).unwrap();
        let told = |operation: Option<&Operation>, answer: Reply| {
            unlike(&app, operation, &answer.into_response())
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
