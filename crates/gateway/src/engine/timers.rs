//! Wakes conversations when their time comes. Only the near future is in memory; the rest stands in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conversation::{ConversationId, Input};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::{Engine, PAGE};

/// How far ahead wake-ups are in memory.
const HORIZON: Duration = Duration::from_secs(30);

/// How long a wake-up waits where too many conversations have work already, as they may after a long stop.
const CROWDED: Duration = Duration::from_millis(50);

struct Timers {
    queue: DelayQueue<ConversationId>,
    keys: HashMap<ConversationId, Key>,
    /// Wake-ups after this stand in the store only.
    horizon: Timestamp,
}

/// Runs until the gateway stops.
pub(super) async fn run(engine: Arc<Engine>, mut set: mpsc::UnboundedReceiver<(ConversationId, Timestamp)>) {
    let mut timers = Timers { queue: DelayQueue::new(), keys: HashMap::new(), horizon: Timestamp::MIN };
    // Deadlines that passed while nobody was there come first.
    let mut look = Box::pin(tokio::time::sleep(Duration::ZERO));
    loop {
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
            Some(expired) = timers.queue.next() => {
                let conversation = expired.into_inner();
                timers.keys.remove(&conversation);
                if engine.has_room() {
                    // Nobody waits for the answer: the next wake-up follows from the state.
                    if let Some(drive) = engine.store.drive(&conversation) {
                        drop(engine.deliver(&conversation, drive, Input::Tick));
                    }
                } else {
                    timers.set(conversation, CROWDED);
                }
            }
            Some((conversation, at)) = set.recv() => {
                if at <= timers.horizon {
                    timers.set(conversation, until(engine.clock.now(), at));
                }
            }
        }
    }
}

impl Timers {
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
        let mut from = if anew { Timestamp::UNIX_EPOCH } else { self.horizon };
        loop {
            let page = engine.patiently("look for deadlines", || engine.store.due(from, until_then, PAGE)).await?;
            let last = page.last().map(|due| due.at);
            let full = page.len() == PAGE;
            for due in page {
                self.set(due.conversation, until(now, due.at));
            }
            match last {
                // Many may share one millisecond; a page full of them would be read for ever.
                Some(last) if full && last > from => from = last,
                Some(last) if full => from = last.checked_add(Duration::from_millis(1)).unwrap_or(Timestamp::MAX),
                Some(_) | None => break,
            }
        }
        self.horizon = until_then;
        Some(())
    }
}

/// How long from `now` to `at`; a moment longer, since a timer that fires early finds nothing to do.
pub(super) fn until(now: Timestamp, at: Timestamp) -> Duration {
    let ahead = at.duration_since(now);
    Duration::try_from(ahead).map_or(Duration::ZERO, |ahead| ahead + Duration::from_millis(1))
}
