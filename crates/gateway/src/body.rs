//! Reading a request's body without believing what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Genesys waits 10 s for the whole call, so whoever is slower than this has given up.
const SLOWEST: Duration = Duration::from_secs(10);

/// How long a body waits for room.
const CROWDED: Duration = Duration::from_secs(1);

/// Why a body was not read.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    TooLarge,
    TooSlow,
    Broken,
    Crowded,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // A 4xx would be final, and the fault may be the network's: whoever sent it should send it again.
            Self::TooSlow | Self::Broken | Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is larger than server.max_body\n",
            Self::TooSlow => "the body did not come in time\n",
            Self::Broken => "the body ended early\n",
            Self::Crowded => "too many bodies are being read; send it again\n",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken",
            Self::Crowded => "crowded",
        }
    }
}

/// A body, and the room that it takes until it is dropped.
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// At most `limit` bytes, in time, where there is `room` (in KiB) for them.
pub(crate) async fn read(body: Body, limit: usize, room: &Arc<Semaphore>) -> Result<Read, Refusal> {
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        return Err(Refusal::TooLarge);
    }
    let most = hint.upper().and_then(|upper| usize::try_from(upper).ok()).map_or(limit, |upper| upper.min(limit));
    let kib = u32::try_from(most.div_ceil(1024)).unwrap_or(u32::MAX);
    let granted = tokio::time::timeout(CROWDED, Arc::clone(room).acquire_many_owned(kib)).await;
    let Ok(Ok(granted)) = granted else { return Err(Refusal::Crowded) };
    match tokio::time::timeout(SLOWEST, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(Read { bytes, _room: granted }),
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
