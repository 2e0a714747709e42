//! One HTTP exchange: sends a request, reads an answer of limited length, and classifies failures.
//!
//! Calls and token requests use it. It never retries.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode};
use reqwest::Response;
use serde::de::DeserializeOwned;

use super::departure::Departure;
use super::transport::CALLED_OFF;
use super::{CallError, MayLeave, RateLimit, Transport};
use crate::cause::Cause;
use crate::error_body::ErrorBody;
use crate::rate_limit::retry_after;

/// The longest answer that is read. Genesys's largest answers are conversations of some hundred
/// kilobytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// An HTTP answer, as far as it could be read.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) limit: Option<RateLimit>,
    pub(super) correlation_id: Option<String>,
    retry_after: Option<Duration>,
    body: ReadBody,
}

/// An answer's body as far as it was read.
#[derive(Default)]
struct ReadBody {
    bytes: Vec<u8>,
    /// Why the rest was not read: it was too long or broke off.
    cut: Option<Cause>,
}

/// How requests are made: over HTTP, or by the caller's own transport.
#[derive(Clone)]
pub(super) enum HttpBackend {
    Http(reqwest::Client),
    Other(Arc<dyn Transport>),
}

impl HttpBackend {
    /// Makes one request and reads its answer. `may_leave` is checked right before the first byte
    /// of a request that may change something at Genesys: one with a body, or a `DELETE`.
    pub(super) async fn exchange(
        &self,
        request: Request<Vec<u8>>,
        timeout: Duration,
        may_leave: &MayLeave,
    ) -> Result<Reply, CallError> {
        match self {
            Self::Http(client) => {
                let departure = Departure::default();
                let (parts, body) = request.into_parts();
                let watched = !body.is_empty();
                let body = if watched {
                    departure.body(body, may_leave)
                } else if parts.method == Method::DELETE {
                    departure.empty_body(may_leave)
                } else {
                    body.into()
                };
                let named = |error| {
                    if watched || departure.was_refused() {
                        of_watched(error, &departure)
                    } else {
                        not_answered(error)
                    }
                };
                let request = Request::from_parts(parts, body);
                let mut request = reqwest::Request::try_from(request).map_err(named)?;
                *request.timeout_mut() = Some(timeout);
                let mut response = client.execute(request).await.map_err(named)?;
                let body = read(&mut response).await;
                Ok(Reply::new(response.status(), response.headers(), body))
            }
            Self::Other(transport) => {
                let (parts, body) =
                    transport.exchange(request, timeout, may_leave).await?.into_parts();
                let body = match body {
                    Ok(bytes) => ReadBody { bytes, cut: None },
                    Err(cut) => ReadBody { bytes: Vec::new(), cut: Some(cut.into()) },
                };
                Ok(Reply::new(parts.status, &parts.headers, body))
            }
        }
    }
}

async fn read(response: &mut Response) -> ReadBody {
    let mut body = ReadBody::default();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.bytes.len() + chunk.len() > LONGEST_ANSWER => {
                let cut = format!("the answer is longer than {LONGEST_ANSWER} bytes");
                body.cut = Some(cut.into());
            }
            Ok(Some(chunk)) => {
                body.bytes.extend_from_slice(&chunk);
                continue;
            }
            Ok(None) => {}
            Err(error) => body.cut = Some(Cause::of_request(error)),
        }
        return body;
    }
}

impl Reply {
    fn new(status: StatusCode, headers: &HeaderMap, body: ReadBody) -> Self {
        let correlation_id =
            headers.get("inin-correlation-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        Self {
            status,
            limit: RateLimit::from_headers(headers),
            correlation_id,
            retry_after: retry_after(headers),
            body,
        }
    }

    /// The body as JSON, or why it cannot be read. The cause does not quote the body, so serde's
    /// own error is not part of it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Cause> {
        if let Some(cut) = &self.body.cut {
            return Err(cut.clone());
        }
        lenient::json::from_slice(&self.body.bytes).map_err(|error| {
            format!(
                "the answer cannot be read ({:?} at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            )
            .to_lowercase()
            .into()
        })
    }

    /// Whether the body is a web page, even one that broke off: a proxy answered, and not Genesys.
    pub(super) fn is_page(&self) -> bool {
        self.body.bytes.trim_ascii_start().first() == Some(&b'<')
    }

    /// Genesys's explanation of its refusal, as far as it can be read.
    pub(super) fn error_body(&self) -> Box<ErrorBody> {
        Box::new(self.json().unwrap_or_default())
    }

    /// Returns the reply if its status is a success. Classifies every other status as an error.
    pub(super) fn success(self) -> Result<Self, CallError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (body, page) = (self.error_body(), self.is_page());
        Err(match self.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let rest = self.limit.map(|limit| limit.reset);
                let retry_after = self.retry_after.or(rest).unwrap_or(Duration::from_mins(1));
                CallError::RateLimited { retry_after, limit: self.limit, body }
            }
            StatusCode::UNAUTHORIZED if !page => {
                let cause = format!("a fresh token is refused ({body})");
                CallError::Unauthorized { cause: cause.into() }
            }
            status
                if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT && !page =>
            {
                CallError::Refused {
                    status,
                    body,
                    correlation_id: self.correlation_id,
                    limit: self.limit,
                }
            }
            // This includes redirects and pages, which come from a proxy: a maintenance page, or an
            // answer that the host is unknown. Genesys itself has refused nothing.
            status => CallError::Unavailable {
                status,
                retry_after: self.retry_after,
                body,
                correlation_id: self.correlation_id,
                limit: self.limit,
            },
        })
    }
}

/// Classifies the failure of a request with a watched body. The body's state makes it certain
/// whether something left.
fn of_watched(error: reqwest::Error, departure: &Departure) -> CallError {
    if departure.was_refused() {
        return CallError::NotSent { cause: CALLED_OFF.into() };
    }
    let cause = Cause::of_request(error);
    if departure.has_left() { CallError::Unknown { cause } } else { CallError::NotSent { cause } }
}

/// Classifies the failure of a request without a body. It is certain that nothing left only if
/// there was no connection, or the request could not be built.
fn not_answered(error: reqwest::Error) -> CallError {
    let nothing_left = error.is_connect() || error.is_builder();
    let cause = Cause::of_request(error);
    if nothing_left { CallError::NotSent { cause } } else { CallError::Unknown { cause } }
}
