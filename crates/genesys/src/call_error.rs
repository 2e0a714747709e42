//! Why a call failed, classified by what the caller can do about it.

use std::time::Duration;

use http::StatusCode;

use crate::cause::Cause;
use crate::error_body::ErrorBody;
use crate::rate_limit::RateLimit;

/// Why a call failed, and thus whether Genesys may have done it. The text has Genesys's code and
/// context id if there are any. What is behind the error is its source, and not part of its text.
/// Neither contains a secret or part of a message.
///
/// ```
/// use genesys::CallError;
///
/// /// Whether a repetition cannot have the effect of two calls.
/// fn may_repeat(error: &CallError) -> bool {
///     matches!(error, CallError::NotSent { .. } | CallError::RateLimited { .. })
/// }
///
/// let error = CallError::NotSent { cause: "the process was stopped".into() };
/// assert!(may_repeat(&error));
/// assert_eq!((error.kind(), error.status()), ("not_sent", None));
/// assert!(!may_repeat(&CallError::Unknown { cause: "no answer in time".into() }));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing left this machine, except possibly a request for a token: the call was certainly not
    /// made.
    #[error("the call did not leave")]
    NotSent {
        /// What kept the call back.
        #[source]
        cause: Cause,
    },
    /// The call left, but no answer shows its result: it may have been done.
    #[error("the outcome of the call is not known")]
    Unknown {
        /// What happened instead of an answer.
        #[source]
        cause: Cause,
    },
    /// The token's limit is reached. The call was not done.
    #[error("rate limited for {} s (status 429, {body})", retry_after.as_secs())]
    RateLimited {
        /// How long to make no call with this client: `Retry-After`, or else the rest of the
        /// window, or a minute.
        retry_after: Duration,
        /// The token's use of its rate limit.
        limit: Option<RateLimit>,
        /// What Genesys said.
        body: Box<ErrorBody>,
    },
    /// Genesys refuses the credentials, or a token that they have just got. The call was not done.
    /// This is a problem of the configuration.
    #[error("unauthorized")]
    Unauthorized {
        /// Whether Genesys refused the credentials or a new token, and its code.
        #[source]
        cause: Cause,
    },
    /// Genesys refuses this call, now and later (any other 4xx). It was not done.
    #[error("refused (status {}, {body})", status.as_u16())]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// What Genesys said.
        body: Box<ErrorBody>,
        /// An id that Genesys's support asks for.
        correlation_id: Option<String>,
        /// The token's use of its rate limit.
        limit: Option<RateLimit>,
    },
    /// Genesys cannot do this call now (5xx, 408), or a proxy answered in its place (3xx, any
    /// page). It may have been done.
    #[error("unavailable (status {}, {body})", status.as_u16())]
    Unavailable {
        /// The answer's status.
        status: StatusCode,
        /// The pause that Genesys asks for.
        retry_after: Option<Duration>,
        /// What Genesys said.
        body: Box<ErrorBody>,
        /// An id that Genesys's support asks for.
        correlation_id: Option<String>,
        /// The token's use of its rate limit.
        limit: Option<RateLimit>,
    },
}

impl CallError {
    /// The name of the variant in snake case, such as `not_sent`. For metrics, and for logs that
    /// suppress repetitions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Unknown { .. } => "unknown",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The answer's status, if there was an answer that has one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::RateLimited { .. } => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::Refused { status, .. } | Self::Unavailable { status, .. } => Some(*status),
            Self::NotSent { .. } | Self::Unknown { .. } | Self::Unauthorized { .. } => None,
        }
    }

    /// The token's use of its rate limit, if the answer reported it.
    pub fn limit(&self) -> Option<RateLimit> {
        match self {
            Self::RateLimited { limit, .. }
            | Self::Refused { limit, .. }
            | Self::Unavailable { limit, .. } => *limit,
            Self::NotSent { .. } | Self::Unknown { .. } | Self::Unauthorized { .. } => None,
        }
    }
}
