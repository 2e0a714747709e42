//! Reading a request's body without believing what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Genesys waits 10 s for the whole call, so whoever is slower than this has given up.
const SLOWEST: Duration = Duration::from_secs(10);

/// How long a body waits for room.
const CROWDED: Duration = Duration::from_secs(1);

/// How many times as much as may come is still read of a body that is too large: most callers look for an answer only when they
/// have sent all they have, and a connection that closes before that looks to them like a failure of the network.
const SPARE: usize = 4;

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
            Self::Crowded => "too many requests at once; send it again\n",
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

/// How many requests of a door may wait for their answers. Whoever comes behind so many would hear it too late to be of use, and make
/// all others wait as long: it is better told at once to come again.
const WAITING: usize = 1_024;

/// Room for what callers send, before anybody knows whether they have a right to send it.
pub(crate) struct Room {
    /// For bodies, in KiB.
    kib: Arc<Semaphore>,
    /// For webhooks that have come and wait for their answers.
    webhooks: Arc<Semaphore>,
    /// The same for events: a chat service that has a lot to tell must not stand in Genesys's way.
    events: Arc<Semaphore>,
}

/// Where a request came in.
#[derive(Clone, Copy)]
pub(crate) enum Door {
    Webhooks,
    Events,
}

impl Room {
    pub(crate) fn new(kib: usize) -> Self {
        let [kib, webhooks, events] =
            [kib, WAITING, WAITING].map(|places| Arc::new(Semaphore::new(places)));
        Self { kib, webhooks, events }
    }

    fn waiting(&self, door: Door) -> &Arc<Semaphore> {
        match door {
            Door::Webhooks => &self.webhooks,
            Door::Events => &self.events,
        }
    }
}

/// A body, and the room that it and its request take until it is dropped.
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    _room: (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

/// At most `limit` bytes, in time, where there is `room` for them.
pub(crate) async fn read(
    mut body: Body,
    limit: usize,
    room: &Room,
    door: Door,
) -> Result<Read, Refusal> {
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
    // Only now: whoever sends drop by drop must not take a place from others meanwhile.
    let waiting =
        Arc::clone(room.waiting(door)).try_acquire_owned().map_err(|_| Refusal::Crowded)?;
    Ok(Read { bytes, _room: (taken, waiting) })
}

/// Reads what is left, up to so many bytes, and keeps none of it.
async fn pass_over(mut body: Body, mut most: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        most = most.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if most == 0 {
            return;
        }
    }
}

/// Room is taken for what has come: whoever only announces a lot, or sends it drop by drop, takes none from others.
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
            let Ok(Ok(granted)) = granted else { return Err(Refusal::Crowded) };
            match &mut taken {
                Some(taken) => taken.merge(granted),
                None => taken = Some(granted),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), taken))
}
