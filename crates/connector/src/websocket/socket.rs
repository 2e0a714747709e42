//! One open socket: the calls that wait for answers on it, and whether its peer is alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::limits::MAX_CALLS;
use crate::protocol::answer::{Answer, NoAnswer};
use crate::{Departure, Obstacle};

/// Why a frame that waited to be written is not written any more.
const SILENT: Obstacle =
    Obstacle("the chat service fell silent before the call could be sent over its socket");

/// What a call gets in the end.
pub(super) type CallResult = Result<Answer, NoAnswer>;

/// The calls that wait for answers, by their ids.
type PendingCalls = HashMap<String, oneshot::Sender<CallResult>>;

/// The gateway's end of one open socket.
pub(super) struct Socket {
    pub(super) number: u64,
    /// One permit for each call that waits for its answer. Closed when the socket takes no more
    /// calls.
    pub(super) places: Arc<Semaphore>,
    pub(super) frames: mpsc::Sender<QueuedCall>,
    /// `None` once the socket is gone.
    pending: Mutex<Option<PendingCalls>>,
    /// Notified when no call waits for an answer any more.
    idle: Notify,
    liveness: Mutex<Liveness>,
}

/// When the peer last gave a sign of life.
struct Liveness {
    dead_after: Duration,
    heard: Instant,
    /// Since when one frame is being written.
    writing_since: Option<Instant>,
}

impl Liveness {
    /// Whether a call has a chance of being answered. The gateway sends a ping in each third of
    /// `dead_after`. So after two thirds of silence, the answer to a ping is overdue by at least
    /// the time between two pings. A frame that cannot be written for as long shows that the peer
    /// does not read.
    fn is_responsive(&self, now: Instant) -> bool {
        now < self.responsive_until()
    }

    /// Until when it is responsive, if nothing comes and no frame is written.
    fn responsive_until(&self) -> Instant {
        let heard = self.heard + self.dead_after / 3 * 2;
        self.writing_since.map_or(heard, |since| heard.min(since + self.dead_after / 3))
    }
}

impl Socket {
    /// Creates a socket, and the queue of the calls to be written to it.
    pub(super) fn new(
        number: u64,
        dead_after: Duration,
    ) -> (Arc<Self>, mpsc::Receiver<QueuedCall>) {
        let (frames, queue) = mpsc::channel(MAX_CALLS);
        let heard = Instant::now();
        let socket = Self {
            number,
            places: Arc::new(Semaphore::new(MAX_CALLS)),
            frames,
            pending: Mutex::new(Some(HashMap::new())),
            idle: Notify::new(),
            liveness: Mutex::new(Liveness { dead_after, heard, writing_since: None }),
        };
        (Arc::new(socket), queue)
    }

    /// Notes that a call waits for its answer. Returns `None` if the socket is gone.
    pub(super) fn expect(&self, id: &str) -> Option<oneshot::Receiver<CallResult>> {
        let (sender, receiver) = oneshot::channel();
        self.pending().as_mut()?.insert(id.to_owned(), sender);
        Some(receiver)
    }

    /// Removes a call that waited for its answer.
    pub(super) fn forget(&self, id: &str) -> Option<oneshot::Sender<CallResult>> {
        let mut pending = self.pending();
        let pending = pending.as_mut()?;
        let sender = pending.remove(id);
        if pending.is_empty() {
            self.idle.notify_waiters();
        }
        sender
    }

    /// Ends a call. Returns whether something still waited for it.
    pub(super) fn finish(&self, id: &str, result: CallResult) -> bool {
        self.forget(id).is_some_and(|sender| sender.send(result).is_ok())
    }

    /// Ends every call that waits for an answer: none will come.
    pub(super) fn abandon(&self) {
        drop(self.pending().take());
    }

    /// Returns when no call waits for its answer.
    pub(super) async fn until_idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.pending().as_ref().is_none_or(HashMap::is_empty) {
                return;
            }
            idle.await;
        }
    }

    /// Whether the peer is alive, as far as the gateway can know.
    pub(super) fn is_responsive(&self) -> bool {
        self.liveness().is_responsive(Instant::now())
    }

    /// Returns when the peer does not seem to be alive. A frame whose writing begins meanwhile may
    /// shorten the time, so it looks again after a third of `dead_after` at the latest.
    pub(super) async fn until_silent(&self) {
        loop {
            let now = Instant::now();
            let (until, third) = {
                let liveness = self.liveness();
                (liveness.responsive_until(), liveness.dead_after / 3)
            };
            if now >= until {
                return;
            }
            sleep_until(until.min(now + third)).await;
        }
    }

    /// Notes that something came from the peer. Returns whether the socket is responsive again.
    pub(super) fn heard(&self) -> bool {
        self.changes(|liveness, now| liveness.heard = now)
    }

    /// Notes that a frame is being written.
    pub(super) fn write_begins(&self) {
        self.liveness().writing_since = Some(Instant::now());
    }

    /// Notes that it is written. Returns whether the socket is responsive again.
    pub(super) fn write_ends(&self) -> bool {
        self.changes(|liveness, _| liveness.writing_since = None)
    }

    /// Changes the liveness. Returns whether the socket was not responsive, and now is.
    fn changes(&self, change: impl FnOnce(&mut Liveness, Instant)) -> bool {
        let now = Instant::now();
        let mut liveness = self.liveness();
        let before = liveness.is_responsive(now);
        change(&mut liveness, now);
        !before && liveness.is_responsive(now)
    }

    fn pending(&self) -> MutexGuard<'_, Option<PendingCalls>> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn liveness(&self) -> MutexGuard<'_, Liveness> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.liveness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frame of a call that waits to be written, and the last check before its first byte.
pub struct QueuedCall {
    pub(super) socket: Arc<Socket>,
    pub(super) id: String,
    pub(super) text: String,
    pub(super) departure: Departure,
}

impl QueuedCall {
    /// The text to write, unless the call must not leave. Then the call ends now, and is not taken.
    /// It must be called immediately before the text is written. After that, the text must be
    /// written to its end, or the socket must be closed.
    pub fn leave(self) -> Option<String> {
        if !self.socket.is_responsive() {
            self.departure.call_off(SILENT);
        }
        match self.departure.leave() {
            Ok(()) => Some(self.text),
            Err(Obstacle(why)) => {
                self.socket.finish(&self.id, Err(NoAnswer::NotSent(why.to_owned())));
                None
            }
        }
    }
}
