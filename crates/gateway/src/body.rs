//! Reading a request's body without believing what it says of itself.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::StatusCode;

/// Genesys waits 10 s for the whole call, so whoever is slower than this has given up.
const SLOWEST: Duration = Duration::from_secs(10);

/// Why a body was not read.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    TooLarge,
    TooSlow,
    Broken,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // A 4xx would be final, and the fault may be the network's: whoever sent it should send it again.
            Self::TooSlow | Self::Broken => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is larger than server.max_body\n",
            Self::TooSlow => "the body did not come in time\n",
            Self::Broken => "the body ended early\n",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken",
        }
    }
}

/// At most `limit` bytes, in time.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge);
    }
    match tokio::time::timeout(SLOWEST, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if too_large(&error) => Err(Refusal::TooLarge),
        Ok(Err(_)) => Err(Refusal::Broken),
        Err(_) => Err(Refusal::TooSlow),
    }
}

fn too_large(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
