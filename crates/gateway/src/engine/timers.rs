//! Wakes conversations when their time comes. Only the near future is in memory; the rest stands in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conversation::{ConversationId, Input};
use futures_util::StreamExt;
use jiff::Timestamp;
use store::Due;
use tokio::sync::mpsc;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::{Engine, PAGE};

/// How far ahead wake-ups are in memory.
const HORIZON: Duration = Duration::from_secs(30);

/// How many wake-ups are in memory; past this the rest stands in the store, however near it is (I12).
const MOST: usize = 100_000;

/// How long wake-ups wait for room where too many conversations have work already, as they may after a long stop.
const CROWDED: Duration = Duration::from_millis(10);

struct Timers {
    queue: DelayQueue<ConversationId>,
    keys: HashMap<ConversationId, Key>,
    /// Wake-ups after this stand in the store only.
    horizon: Timestamp,
    /// There was no room for all that were to be in memory.
    cut: bool,
}

/// Runs until the gateway stops.
pub(super) async fn run(engine: Arc<Engine>, mut set: mpsc::UnboundedReceiver<(ConversationId, Timestamp)>) {
    let mut timers = Timers { queue: DelayQueue::new(), keys: HashMap::new(), horizon: Timestamp::MIN, cut: false };
    // Deadlines that passed while nobody was there come first.
    let mut look = Box::pin(tokio::time::sleep(Duration::ZERO));
    loop {
        // Whoever is due first has the first room: those that find none stay where they are.
        let room = engine.has_room();
        tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            () = engine.gained.notified() => {
                timers.horizon = Timestamp::MIN;
                look = Box::pin(tokio::time::sleep(Duration::ZERO));
            }
            () = &mut look => {
                if timers.look(&engine).await.is_none() {
                    return;
                }
                look = Box::pin(tokio::time::sleep(HORIZON / 2));
            }
            Some(expired) = timers.queue.next(), if room => {
                let conversation = expired.into_inner();
                timers.keys.remove(&conversation);
                // Nobody waits for the answer: the next wake-up follows from the state.
                if let Some(drive) = engine.store.drive(&conversation) {
                    drop(engine.deliver(&conversation, drive, Input::Tick));
                }
                if timers.cut && timers.queue.len() < MOST / 2 {
                    look = Box::pin(tokio::time::sleep(Duration::ZERO));
                }
            }
            () = tokio::time::sleep(CROWDED), if !room => {}
            Some((conversation, at)) = set.recv() => {
                timers.take(conversation, at, engine.clock.now());
            }
        }
    }
}

impl Timers {
    /// Keeps a wake-up, if it is near and there is room; else it is found in the store when its time comes near.
    fn take(&mut self, conversation: ConversationId, at: Timestamp, now: Timestamp) {
        if at > self.horizon {
            return;
        }
        if self.queue.len() < MOST || self.keys.contains_key(&conversation) {
            self.set(conversation, until(now, at));
        } else {
            self.leave(at);
        }
    }

    /// Leaves what is due at `at` and later to the store, until there is room.
    fn leave(&mut self, at: Timestamp) {
        self.horizon = at.checked_sub(Duration::from_millis(1)).unwrap_or(Timestamp::MIN);
        self.cut = true;
    }

    fn set(&mut self, conversation: ConversationId, delay: Duration) {
        if let Some(key) = self.keys.get(&conversation) {
            self.queue.reset(key, delay);
        } else {
            let key = self.queue.insert(conversation.clone(), delay);
            self.keys.insert(conversation, key);
        }
    }

    /// Moves the horizon, and takes what has come under it from the store.
    async fn look(&mut self, engine: &Engine) -> Option<()> {
        let now = engine.clock.now();
        let until_then = now.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        // Where others work on the store too, what they left may be due already.
        let anew = self.horizon == Timestamp::MIN || engine.store.is_shared();
        let mut after = (!anew).then(|| Due::before(self.horizon));
        self.horizon = until_then;
        self.cut = false;
        loop {
            let ask = || engine.store.due(after.as_ref(), until_then, PAGE);
            let page = engine.patiently("look for deadlines", ask).await?;
            let full = page.len() == PAGE;
            let last = page.last().cloned();
            for due in page {
                self.set(due.conversation, until(now, due.at));
            }
            let Some(last) = last.filter(|_| full) else { return Some(()) };
            if self.queue.len() >= MOST {
                // Those that share its millisecond are read once more.
                self.leave(last.at);
                return Some(());
            }
            after = Some(last);
        }
    }
}

/// How long from `now` to `at`; a moment longer, since a timer that fires early finds nothing to do.
pub(super) fn until(now: Timestamp, at: Timestamp) -> Duration {
    let ahead = at.duration_since(now);
    Duration::try_from(ahead).map_or(Duration::ZERO, |ahead| ahead + Duration::from_millis(1))
}
