//! The middleware around every API call: what happens before its handler, and how its answer goes
//! out.
//!
//! * `admission`: the token, the rate limit, the permission.
//! * `faults`: what goes wrong on purpose.
//! * `schema`: what body and answer must conform to.
//! * `transcript`: what is recorded of the call.

mod admission;
mod faults;
mod schema;
mod transcript;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

pub(super) use admission::{Caller, bearer};

use super::MAX_BODY;
use super::answer::{About, ApiError, Written};
use super::operations::Operation;
use crate::app::App;
use crate::connection_breaker::ConnectionBreaker;
use crate::faults::Action;
use crate::ids;
use admission::RateWindow;
use transcript::Call;

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
    ConnectInfo(cut): ConnectInfo<ConnectionBreaker>,
    request: Request,
    next: Next,
) -> Response {
    let context = ids::uuid(app.world().rng());
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.to_string());
    let route = parts.extensions.get::<MatchedPath>();
    let operation = route.and_then(|route| Operation::find(&method, route.as_str()));
    let mut gate = Gate::default();
    let (body, response) = match read(body).await {
        Ok(body) => {
            let request = Request::from_parts(parts, Body::empty());
            let answer = guarded(&app, &cut, &mut gate, operation, request, &body, next).await;
            (body, answer.unwrap_or_else(IntoResponse::into_response))
        }
        Err(error) => (Bytes::new(), error.into_response()),
    };
    let response = conforming(&app, operation, &method, &gate, response);
    let (mut response, mut about) = written(response, &context);
    if let Ok(context) = HeaderValue::from_str(&context) {
        response.headers_mut().insert("inin-correlation-id", context);
    }
    if let Some(window) = gate.window {
        window.show_in(response.headers_mut());
    }
    about.faults.extend(gate.fault.as_ref().map(Action::name));
    Call { method: &method, path, body: &body }.note(&app, &response, &about, gate.fault.as_ref());
    if gate.fault == Some(Action::DropAnswer) {
        cut.cut();
    }
    response
}

/// What was decided before the handler is called.
#[derive(Debug, Default)]
struct Gate {
    /// What the answer's headers say about the rate limit; `None` if they say nothing.
    window: Option<RateWindow>,
    fault: Option<Action>,
}

/// Everything that stands before a handler, in this order: token and rate limit, faults on
/// purpose, permission, the form of the body.
async fn guarded(
    app: &App,
    cut: &ConnectionBreaker,
    gate: &mut Gate,
    operation: Option<&Operation>,
    mut request: Request,
    body: &[u8],
    next: Next,
) -> Result<Response, ApiError> {
    let admitted = admission::admit(app, request.headers(), &mut gate.window)?;
    gate.fault = faults::strike(app, request.method(), request.uri().path(), body);
    if let Some(fault) = &gate.fault {
        faults::happen(app, cut, fault, operation, &admitted, &mut gate.window).await?;
    }
    if let Some(operation) = operation {
        admission::authorize(app, &admitted.caller, operation)?;
        schema::fits_type(request.method(), request.headers())?;
        if let Some(schema) = operation.body {
            request.extensions_mut().insert(schema::checked(app, schema, body)?);
        }
    }
    request.extensions_mut().insert(admitted.caller);
    Ok(next.run(request).await)
}

/// The answer, unless it violates its own description.
///
/// A violation is a bug in the sandbox, and must not look like an answer from Genesys: it becomes a
/// 500. The exception is a call that took effect, whose caller would repeat it after an error. Its
/// violation is only recorded.
fn conforming(
    app: &App,
    operation: Option<&Operation>,
    method: &Method,
    gate: &Gate,
    mut response: Response,
) -> Response {
    if matches!(gate.fault, Some(Action::Status(_))) {
        return response;
    }
    let Some(fault) = schema::violation(app, operation, &response) else { return response };
    if method.is_safe() {
        let error = ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR);
        return error.about(About { faults: vec![fault], ..About::default() }).into_response();
    }
    response.extensions_mut().get_or_insert_default::<About>().faults.push(fault);
    response
}

/// The answer with its body, and what the transcript records of it.
fn written(mut response: Response, context: &str) -> (Response, About) {
    let about = response.extensions_mut().remove::<About>().unwrap_or_default();
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        return (error.finish(context), *error.about);
    }
    if !response.status().is_success() && response.extensions().get::<Written>().is_none() {
        // A path or a body that axum itself could not read.
        response = ApiError::of_status(response.status()).finish(context);
    }
    (response, about)
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_PATIENCE, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        // If the body broke off, no one is left to read the answer.
        Ok(Err(_)) => Err(ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => Err(ApiError::of_status(StatusCode::REQUEST_TIMEOUT)),
    }
}
