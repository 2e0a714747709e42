//! Customers' messages that wait for their files. They hold no place that other posts need: neither
//! one of the calls in progress, nor one of those that wait for the budget.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use conversation::{ConversationId, MessageId};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use store::OutboxItem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Egress;
use crate::customer_message::Part;
use crate::files;

/// How many messages may wait for their files, or go to Genesys with them. Each may be as large as
/// an event.
const MOST: usize = 256;
/// The pause of a message whose wait panicked.
const PANICKED: Duration = Duration::from_secs(5);
/// When a wait for files or for room is over in any case. Files have limits of their own, which are
/// shorter.
const LONGEST: Duration = Duration::from_mins(10);

/// What a message needs before it can be posted.
pub(super) struct NeededFiles {
    pub(super) message: MessageId,
    pub(super) received: Timestamp,
    pub(super) part: Part,
}

/// The room that one message takes, from the start of its wait until it is posted or dropped.
#[derive(Debug)]
pub(super) struct FileRoom {
    _permit: OwnedSemaphorePermit,
}

/// What a message got by a wait.
#[derive(Debug)]
pub(super) enum WaitedFor {
    /// Room to wait for its files.
    Room(FileRoom),
    /// Its files: this part has links of the gateway's own.
    Files(Part, FileRoom),
}

impl WaitedFor {
    /// What is to be posted, if the files are there.
    pub(super) fn part(&self) -> Option<&Part> {
        match self {
            Self::Room(_) => None,
            Self::Files(part, _) => Some(part),
        }
    }
}

#[cfg(test)]
impl WaitedFor {
    pub(super) fn words(text: &str) -> Self {
        let part = Part::Words { text: Some(text.to_owned()), content: Vec::new() };
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
        Self::Files(part, FileRoom { _permit: permit.expect("there is room") })
    }
}

/// The end of a wait.
pub(super) struct WaitEnd {
    /// The item's place among the paused ones.
    pub(super) place: (Instant, u64),
    /// When it may go.
    pub(super) at: Instant,
    /// What it waited for. `None` if it must wait again.
    pub(super) got: Option<WaitedFor>,
}

/// The waits of one integration.
pub(super) struct FileWaits {
    room: Arc<Semaphore>,
    /// The places of the items that wait for room, oldest first. They hold no body.
    without_room: VecDeque<(Instant, u64)>,
    waits: FuturesUnordered<Pin<Box<dyn Future<Output = WaitEnd> + Send>>>,
}

impl Default for FileWaits {
    fn default() -> Self {
        Self::with_room(MOST)
    }
}

impl FileWaits {
    fn with_room(most: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(most)),
            without_room: VecDeque::new(),
            waits: FuturesUnordered::new(),
        }
    }

    /// Begins to wait for the files of an item, or for room to do so. `got` is what the item got by
    /// its last wait. The item is paused until the returned time, or until [`Self::next`] or
    /// [`Self::next_with_room`] returns it.
    pub(super) fn begin(
        &mut self,
        egress: &Arc<Egress>,
        item: &OutboxItem,
        needed: NeededFiles,
        got: Option<WaitedFor>,
    ) -> Instant {
        let at = Instant::now() + LONGEST;
        let place = (at, item.seq);
        let Some(room) = self.room_for(place, got) else { return at };
        let (egress, conversation) = (Arc::clone(egress), item.conversation.clone());
        self.waits.push(Box::pin(async move {
            // A panic here must cost no other message.
            let waited = AssertUnwindSafe(linked(&egress, &conversation, needed));
            let linked = waited.catch_unwind().await.ok();
            let pause = if linked.is_some() { Duration::ZERO } else { PANICKED };
            let got = linked.map(|part| WaitedFor::Files(part, room));
            WaitEnd { place, at: Instant::now() + pause, got }
        }));
        at
    }

    /// Room for an item. Without room, the item gets a place behind those that wait for it.
    fn room_for(&mut self, place: (Instant, u64), got: Option<WaitedFor>) -> Option<FileRoom> {
        if let Some(WaitedFor::Room(room) | WaitedFor::Files(_, room)) = got {
            return Some(room);
        }
        // Items whose pause is over come here again.
        let now = Instant::now();
        while self.without_room.front().is_some_and(|(at, _)| *at <= now) {
            self.without_room.pop_front();
        }
        let room = if self.without_room.is_empty() { self.free_room() } else { None };
        if room.is_none() {
            self.without_room.push_back(place);
        }
        room
    }

    fn free_room(&self) -> Option<FileRoom> {
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(FileRoom { _permit: permit })
    }

    /// The item that has waited longest for room, if there is room now. `None` if there is no such
    /// item, or no room.
    pub(super) fn next_with_room(&mut self) -> Option<WaitEnd> {
        let room = self.free_room()?;
        let place = self.without_room.pop_front()?;
        Some(WaitEnd { place, at: Instant::now(), got: Some(WaitedFor::Room(room)) })
    }

    /// The next item whose files are there, or are given up. `None` if no item waits.
    pub(super) async fn next(&mut self) -> Option<WaitEnd> {
        self.waits.next().await
    }
}

async fn linked(egress: &Egress, conversation: &ConversationId, needed: NeededFiles) -> Part {
    let NeededFiles { message, received, part } = needed;
    let owner = files::FileOwner {
        integration: &egress.integration,
        conversation,
        message: &message,
        received,
    };
    files::inbound::with_links(owner, part, &*egress.clock, &egress.metrics).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seq: u64) -> (Instant, u64) {
        (Instant::now() + LONGEST, seq)
    }

    #[tokio::test(start_paused = true)]
    async fn room_goes_to_the_item_that_has_waited_longest() {
        let mut waits = FileWaits::with_room(1);
        let first = waits.room_for(place(1), None).expect("there is room");
        let (second, third) = (place(2), place(3));
        assert!(waits.room_for(second, None).is_none());
        assert!(waits.room_for(third, None).is_none());
        assert!(waits.next_with_room().is_none(), "the first one has the room");
        drop(first);
        assert!(waits.room_for(place(4), None).is_none(), "it is not ahead of the second one");
        let end = waits.next_with_room().expect("there is room");
        assert_eq!(end.place, second);
        assert!(waits.next_with_room().is_none(), "the room is the second one's");
        let room = waits.room_for(place(2), end.got).expect("it brings its room");
        // It is posted, or no longer owed.
        drop(room);
        assert_eq!(waits.next_with_room().map(|end| end.place), Some(third));
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_that_has_waited_too_long_for_room_is_forgotten() {
        let mut waits = FileWaits::with_room(1);
        let first = waits.room_for(place(1), None).expect("there is room");
        assert!(waits.room_for(place(2), None).is_none());
        tokio::time::advance(LONGEST).await;
        let again = place(2);
        assert!(waits.room_for(again, None).is_none());
        drop(first);
        assert_eq!(waits.next_with_room().map(|end| end.place), Some(again));
        assert!(waits.next_with_room().is_none());
    }
}
