//! Reads a request's body without trusting the size that the request claims.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Genesys waits 10 s for the whole call, so a slower caller has already given up.
const SLOWEST: Duration = Duration::from_secs(10);

/// How long a body waits for room. Also how long the rest of a body that is too large is read.
const CROWDED: Duration = Duration::from_secs(1);

/// If a body is too large, the gateway still reads up to this many times the limit. Most callers
/// look for an answer only after they have sent everything. If the connection closes before that,
/// they take it for a network failure.
pub(crate) const SPARE: usize = 4;

/// Why a body was not read.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    TooLarge,
    TooSlow,
    Broken,
    Overloaded,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // A 4xx would be final, but the network may be at fault: the caller should send the
            // request again.
            Self::TooSlow | Self::Broken | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is larger than server.max_body\n",
            Self::TooSlow => "the body did not come in time\n",
            Self::Broken => "the body ended early\n",
            Self::Overloaded => "too many requests at once; send it again\n",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken",
            Self::Overloaded => "crowded",
        }
    }
}

/// How many requests of one kind may wait for their answers. A request beyond this limit would be
/// answered too late, and would delay all others. It is refused at once, so that the caller sends
/// it again.
const WAITING: usize = 1_024;

/// Capacity for what callers send before the gateway knows whether they are authorized.
pub(crate) struct BodyAdmission {
    /// Capacity for bodies, in KiB.
    kib: Arc<Semaphore>,
    /// Places for webhooks that have arrived and wait for their answers.
    webhooks: Arc<Semaphore>,
    /// Places for events. They are separate, so that a busy chat service does not block Genesys.
    events: Arc<Semaphore>,
}

/// The endpoint that received a request.
#[derive(Clone, Copy)]
pub(crate) enum Endpoint {
    Webhooks,
    Events,
}

impl BodyAdmission {
    pub(crate) fn new(kib: usize) -> Self {
        let [kib, webhooks, events] =
            [kib, WAITING, WAITING].map(|places| Arc::new(Semaphore::new(places)));
        Self { kib, webhooks, events }
    }

    fn waiting(&self, door: Endpoint) -> &Arc<Semaphore> {
        match door {
            Endpoint::Webhooks => &self.webhooks,
            Endpoint::Events => &self.events,
        }
    }
}

/// Takes capacity for `bytes` that have arrived by another way than a request's body. The permit
/// holds it until it is dropped.
pub(crate) async fn admit(
    bytes: usize,
    room: &BodyAdmission,
) -> Result<OwnedSemaphorePermit, Refusal> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let granted = Arc::clone(&room.kib).acquire_many_owned(kib);
    match tokio::time::timeout(CROWDED, granted).await {
        Ok(Ok(granted)) => Ok(granted),
        _ => Err(Refusal::Overloaded),
    }
}

/// A body, with the capacity that it and its request hold until it is dropped.
pub(crate) struct AdmittedBody {
    pub(crate) bytes: Bytes,
    _room: (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

/// Reads a body of at most `limit` bytes, within 10 s, if there is `room` for it.
pub(crate) async fn read(
    mut body: Body,
    limit: usize,
    room: &BodyAdmission,
    door: Endpoint,
) -> Result<AdmittedBody, Refusal> {
    let collected = if body.size_hint().lower() > limit as u64 {
        Err(Refusal::TooLarge)
    } else {
        let collected = tokio::time::timeout(SLOWEST, collect(&mut body, limit, &room.kib)).await;
        collected.unwrap_or(Err(Refusal::TooSlow))
    };
    if matches!(collected, Err(Refusal::TooLarge)) {
        let _ = tokio::time::timeout(CROWDED, pass_over(body, limit.saturating_mul(SPARE))).await;
    }
    let (bytes, taken) = collected?;
    // Taken only now, so that a slow caller holds no place while it sends.
    let waiting =
        Arc::clone(room.waiting(door)).try_acquire_owned().map_err(|_| Refusal::Overloaded)?;
    Ok(AdmittedBody { bytes, _room: (taken, waiting) })
}

/// Reads and discards the rest of the body, up to `most` bytes.
async fn pass_over(mut body: Body, mut most: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        most = most.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if most == 0 {
            return;
        }
    }
}

/// Reads a body. Capacity is taken only for bytes that have arrived: a caller that announces a
/// large body, or sends it slowly, takes none from others.
async fn collect(
    body: &mut Body,
    limit: usize,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let (mut bytes, mut taken): (Vec<u8>, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Refusal::TooLarge);
        }
        let kib = (bytes.len() + data.len()).div_ceil(1024);
        let more = kib - taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            let granted =
                tokio::time::timeout(CROWDED, Arc::clone(room).acquire_many_owned(more)).await;
            let Ok(Ok(granted)) = granted else { return Err(Refusal::Overloaded) };
            match &mut taken {
                Some(taken) => taken.merge(granted),
                None => taken = Some(granted),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), taken))
}
