//! One HTTP exchange: a request goes out, a bounded answer comes back, and what failed gets its right name.
//!
//! Called by the client and by its token. It repeats nothing.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use reqwest::Response;
use serde::de::DeserializeOwned;

use super::rate_limit::retry_after;
use super::{CallError, RateLimit, Transport};
use crate::error_body::ErrorBody;

/// The longest answer that is read. Genesys's largest are conversations of some hundred kilobytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// An answer. Its body is lost where it was too long or broke off.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) limit: Option<RateLimit>,
    pub(super) correlation_id: Option<String>,
    retry_after: Option<Duration>,
    body: Result<Vec<u8>, String>,
}

/// How requests leave.
#[derive(Clone)]
pub(super) enum Way {
    Http(reqwest::Client),
    Other(Arc<dyn Transport>),
}

impl Way {
    pub(super) async fn exchange(
        &self,
        request: Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Reply, CallError> {
        match self {
            Self::Http(client) => {
                let mut request =
                    reqwest::Request::try_from(request).map_err(|error| not_answered(&error))?;
                *request.timeout_mut() = Some(timeout);
                let mut response =
                    client.execute(request).await.map_err(|error| not_answered(&error))?;
                let body = read(&mut response).await;
                Ok(Reply::new(response.status(), response.headers(), body))
            }
            Self::Other(transport) => {
                let (parts, body) = transport.exchange(request, timeout).await?.into_parts();
                Ok(Reply::new(parts.status, &parts.headers, body))
            }
        }
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| root(&error))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Reply {
    fn new(status: StatusCode, headers: &HeaderMap, body: Result<Vec<u8>, String>) -> Self {
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

    /// The body as JSON, or why it cannot be had. The reason quotes nothing of it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        serde_json::from_slice(body).map_err(|error| {
            format!(
                "the answer cannot be read ({:?} at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            )
            .to_lowercase()
        })
    }

    /// Whether it is a page for people: something that stands between has answered, and not Genesys.
    pub(super) fn is_page(&self) -> bool {
        self.body.as_ref().is_ok_and(|body| body.trim_ascii_start().first() == Some(&b'<'))
    }

    /// What Genesys says about its refusal, as far as it can be read.
    pub(super) fn error_body(&self) -> Box<ErrorBody> {
        Box::new(self.json().unwrap_or_default())
    }

    /// Passes a success, and gives everything else its name.
    pub(super) fn success(self) -> Result<Self, CallError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body = self.error_body();
        Err(match self.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let rest = self.limit.map(|limit| limit.reset);
                let retry_after = self.retry_after.or(rest).unwrap_or(Duration::from_mins(1));
                CallError::RateLimited { retry_after, limit: self.limit, body }
            }
            StatusCode::UNAUTHORIZED => {
                CallError::Unauthorized { cause: format!("a fresh token is refused ({body})") }
            }
            status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                CallError::Refused {
                    status,
                    body,
                    correlation_id: self.correlation_id,
                    limit: self.limit,
                }
            }
            // Redirects are among them: they come from something that stands between, such as a page that says that
            // it is being worked on.
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

/// Whether anything left is known only where the connection was never there, or the request never written.
fn not_answered(error: &reqwest::Error) -> CallError {
    let cause = root(error);
    if error.is_connect() || error.is_builder() {
        CallError::NotSent { cause }
    } else {
        CallError::Unknown { cause }
    }
}

/// The innermost cause, without the URL.
fn root(error: &reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() {
        return "no answer in time".to_owned();
    }
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(
        || "the request cannot be made".to_owned(),
        |cause| cause.to_string().to_lowercase(),
    )
}
