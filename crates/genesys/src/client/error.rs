//! Why a call failed, by what the caller can do about it.

use std::time::Duration;

use http::StatusCode;

use super::RateLimit;
use crate::error_body::ErrorBody;

/// A call failed. The text says how, with Genesys's code and context id; it holds no secret and no message.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing left this machine (or only the wish for a token did): the call was certainly not done.
    #[error("the call did not leave: {cause}")]
    NotSent {
        /// What was in the way.
        cause: String,
    },
    /// The call left, and no answer came that says what became of it: it may have been done.
    #[error("the outcome of the call is not known: {cause}")]
    Unknown {
        /// What was in the way.
        cause: String,
    },
    /// The token's limit is reached. The call was not done.
    #[error("rate limited for {} s (status 429, {body})", retry_after.as_secs())]
    RateLimited {
        /// How long to make no call with this client: `Retry-After`, or else the rest of the window, or a minute.
        retry_after: Duration,
        /// Where the token stands.
        limit: Option<RateLimit>,
        /// What Genesys said.
        body: Box<ErrorBody>,
    },
    /// Genesys takes neither these credentials nor a new token of theirs. A matter of configuration.
    #[error("unauthorized: {cause}")]
    Unauthorized {
        /// Who refused what.
        cause: String,
    },
    /// Genesys will not do this call, now or later (any other 4xx). It was not done.
    #[error("refused (status {}, {body})", status.as_u16())]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// What Genesys said.
        body: Box<ErrorBody>,
        /// Genesys's support asks for it.
        correlation_id: Option<String>,
        /// Where the token stands.
        limit: Option<RateLimit>,
    },
    /// Genesys cannot do this call now (5xx, 408), or something before it answers (3xx). It may have been done all the same.
    #[error("unavailable (status {}, {body})", status.as_u16())]
    Unavailable {
        /// The answer's status.
        status: StatusCode,
        /// How long Genesys asks to be left alone.
        retry_after: Option<Duration>,
        /// What Genesys said.
        body: Box<ErrorBody>,
        /// Genesys's support asks for it.
        correlation_id: Option<String>,
        /// Where the token stands.
        limit: Option<RateLimit>,
    },
}

impl CallError {
    /// Where the token stands, where the answer said so.
    pub fn limit(&self) -> Option<RateLimit> {
        match self {
            Self::RateLimited { limit, .. }
            | Self::Refused { limit, .. }
            | Self::Unavailable { limit, .. } => *limit,
            Self::NotSent { .. } | Self::Unknown { .. } | Self::Unauthorized { .. } => None,
        }
    }
}
