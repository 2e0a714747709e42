//! Decides which owed item goes next. Urgent items come first, items about one subject go one at a
//! time, and failed items wait for their backoff. Items are read from the store in pages; nothing
//! here makes a call.

use std::collections::{BTreeMap, HashMap, VecDeque};

use conversation::{ConversationId, Input};
use store::{OutboxItem, OutboxLane};
use tokio::time::Instant;

use super::file_waits::{WaitEnd, WaitedFor};

/// How many items one read of a lane returns. A lane is read again once fewer than half as many are
/// ready. The rest waits in the store (I12).
const PAGE: usize = 500;
/// How many items of a lane may wait for their backoff to end, or for their turn after it. With
/// more, that lane is not read.
const MOST_PAUSED: usize = 10_000;
/// How many calls of a lane may be in progress at once.
const UNDER_WAY: usize = 256;
/// How many of these calls may be retries. Items that never succeed must not keep others from being
/// tried (I10).
const AGAIN: usize = UNDER_WAY / 2;

/// An owed item, and what was tried so far.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) item: OutboxItem,
    pub(super) tries: u32,
    /// Genesys may have it already.
    pub(super) doubt: bool,
    /// The result, if the item is done but its conversation has not been told yet.
    pub(super) done: Option<Box<Input>>,
    /// When the previous attempt was made, if there was one.
    pub(super) before: Option<Instant>,
    /// What it got by its wait for files, if it had to wait.
    pub(super) got: Option<WaitedFor>,
}

impl Due {
    /// An item of which nothing else is known.
    pub(super) fn new(item: OutboxItem, tries: u32, doubt: bool) -> Self {
        Self { item, tries, doubt, done: None, before: None, got: None }
    }
}

/// A conversation, and the key of what is owed, such as one message's receipt.
type Subject = (ConversationId, String);

#[derive(Default)]
pub(super) struct Queue {
    urgent: LaneState,
    deferred: LaneState,
    subjects: HashMap<Subject, SubjectState>,
    paused: BTreeMap<(Instant, u64), Due>,
}

#[derive(Default)]
struct LaneState {
    ready: VecDeque<Due>,
    /// How many items wait for the end of their backoff.
    paused: usize,
    /// Items to be retried whose backoff is over.
    again: VecDeque<Due>,
    /// The position of the last item that was read.
    after: u64,
    /// The store may have more items after it.
    more: bool,
    under_way: usize,
    again_under_way: usize,
    /// Whether the last item that was taken was a retry. First attempts and retries take turns, so
    /// neither uses up the rate budget alone (I10).
    last_was_retry: bool,
}

impl LaneState {
    /// Adds an item whose pause is over. An item that waited for files has had its turn, so it goes
    /// ahead of others. It is a retry only if Genesys has been called for it: items that never
    /// succeed must not delay it (I10).
    fn resume(&mut self, due: Due) {
        let lane = if due.tries == 0 { &mut self.ready } else { &mut self.again };
        if due.got.is_some() { lane.push_front(due) } else { lane.push_back(due) }
    }

    fn take(&mut self) -> Option<Due> {
        let turn_of_retries = !self.last_was_retry || self.ready.is_empty();
        let may_retry = self.again_under_way < AGAIN && turn_of_retries;
        let again = if may_retry { self.again.pop_front() } else { None };
        self.last_was_retry = again.is_some();
        again.or_else(|| self.ready.pop_front())
    }
}

/// A row's position, and the lease epoch in which it was read. A row read in an earlier epoch is
/// ignored, so the same row read again counts as newer.
type Reading = (u64, u64);

fn reading(item: &OutboxItem) -> Reading {
    (item.seq, item.epoch)
}

/// The state of one subject.
struct SubjectState {
    /// The newest row about it, as last read. The store has replaced all older rows.
    newest: Reading,
    under_way: bool,
    /// The newest row, while an older one is in progress.
    behind: Option<Due>,
}

impl Queue {
    /// The store has something new.
    pub(super) fn news(&mut self) {
        self.urgent.more = true;
        self.deferred.more = true;
    }

    /// Reads everything from the beginning, because items may have changed hands. Known items are
    /// skipped.
    pub(super) fn start_over(&mut self) {
        self.urgent.after = 0;
        self.deferred.after = 0;
        self.news();
    }

    /// The position from which to read a lane, and how many items. `None` if there is nothing to
    /// read, or no room for it.
    pub(super) fn wants(&self, lane: OutboxLane) -> Option<(u64, usize)> {
        let lane = match lane {
            OutboxLane::Urgent => &self.urgent,
            OutboxLane::Deferred => &self.deferred,
        };
        // Each lane by itself: receipts that Genesys keeps refusing must not stop the reading of
        // customers' messages (I10).
        let retries = lane.paused + lane.again.len();
        let room = lane.more && lane.ready.len() < PAGE / 2 && retries < MOST_PAUSED;
        room.then_some((lane.after, PAGE))
    }

    /// Adds what was read of a lane.
    pub(super) fn read(&mut self, lane: OutboxLane, items: Vec<OutboxItem>) {
        let lane = self.lane(lane);
        lane.more = items.len() >= PAGE;
        if let Some(last) = items.last() {
            lane.after = last.seq;
        }
        for item in items {
            let doubt = item.doubt;
            self.add(Due::new(item, 0, doubt));
        }
    }

    fn add(&mut self, due: Due) {
        let reading = reading(&due.item);
        let slot = self.subjects.entry(subject(&due.item)).or_insert(SubjectState {
            newest: (0, 0),
            under_way: false,
            behind: None,
        });
        // The other lane may have been read further than this one, or this one may have been read
        // before.
        if reading <= slot.newest {
            return;
        }
        slot.newest = reading;
        if slot.under_way {
            slot.behind = Some(due);
        } else {
            self.lane_of(&due.item).ready.push_back(due);
        }
    }

    /// The next item that may go now, from a lane that has room.
    pub(super) fn next(
        &mut self,
        now: Instant,
        has_room: impl Fn(OutboxLane) -> bool,
    ) -> Option<Due> {
        while let Some(entry) = self.paused.first_entry()
            && entry.key().0 <= now
        {
            let due = entry.remove();
            let lane = self.lane_of(&due.item);
            lane.paused -= 1;
            lane.resume(due);
        }
        OutboxLane::ALL
            .into_iter()
            .filter(|lane| has_room(*lane))
            .find_map(|lane| self.next_of(lane))
    }

    fn next_of(&mut self, lane: OutboxLane) -> Option<Due> {
        loop {
            let state = self.lane(lane);
            if state.under_way >= UNDER_WAY {
                return None;
            }
            let due = state.take()?;
            let Some(slot) = self.subjects.get_mut(&subject(&due.item)) else { continue };
            if slot.newest != reading(&due.item) {
                continue;
            }
            slot.under_way = true;
            let state = self.lane(lane);
            state.under_way += 1;
            state.again_under_way += usize::from(due.tries > 0);
            return Some(due);
        }
    }

    /// Ends the pause of an item that waited for files, or for room to do so.
    pub(super) fn has_waited(&mut self, end: WaitEnd) {
        let WaitEnd { place, at, got } = end;
        // If it is no longer paused, it is read again, or no longer owed.
        if let Some(due) = self.paused.remove(&place) {
            self.paused.insert((at, place.1), Due { got, ..due });
        }
    }

    /// When the first backoff ends.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        self.paused.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes an item from those in progress. `tries` counts the attempts before this one. `again`
    /// is the next attempt and its time, if the item is to be retried.
    pub(super) fn ended(&mut self, item: &OutboxItem, tries: u32, again: Option<(Instant, Due)>) {
        let lane = self.lane_of(item);
        lane.under_way -= 1;
        lane.again_under_way -= usize::from(tries > 0);
        let subject = subject(item);
        let Some(slot) = self.subjects.get_mut(&subject) else { return };
        slot.under_way = false;
        if let Some(newer) = slot.behind.take() {
            if newer.item.seq == item.seq {
                // The same row was read again meanwhile. Only the store knows whether it is still
                // owed.
                self.subjects.remove(&subject);
                return self.start_over();
            }
            // Whatever the result of the older one is, it is no longer owed.
            self.lane_of(&newer.item).ready.push_front(newer);
        } else if slot.newest != reading(item) {
            // The newer one waits in its lane.
        } else if let Some((at, due)) = again {
            self.lane_of(&due.item).paused += 1;
            self.paused.insert((at, item.seq), due);
        } else {
            self.subjects.remove(&subject);
        }
    }

    fn lane(&mut self, lane: OutboxLane) -> &mut LaneState {
        match lane {
            OutboxLane::Urgent => &mut self.urgent,
            OutboxLane::Deferred => &mut self.deferred,
        }
    }

    fn lane_of(&mut self, item: &OutboxItem) -> &mut LaneState {
        self.lane(OutboxLane::of(&item.owed))
    }
}

fn subject(item: &OutboxItem) -> Subject {
    (item.conversation.clone(), item.owed.key())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use conversation::{Fate, MessageId, Owed, Reason, ReasonCode};
    use jiff::Timestamp;

    use super::*;

    fn item(seq: u64, message: &str, fate: impl Into<Option<Fate>>) -> OutboxItem {
        let fate = fate.into();
        let owed = Owed::Receipt { message: MessageId::new(message), fate };
        OutboxItem {
            seq,
            conversation: ConversationId::new("c"),
            customer: "{}".into(),
            since: Timestamp::UNIX_EPOCH,
            owed,
            doubt: false,
            epoch: 0,
        }
    }

    fn failed() -> Fate {
        Fate::Failed { reason: Reason::new(ReasonCode::GeneralError, "no") }
    }

    fn reads(queue: &mut Queue, items: Vec<OutboxItem>) {
        for item in items {
            queue.news();
            queue.read(OutboxLane::of(&item.owed), vec![item]);
        }
    }

    fn drain(queue: &mut Queue, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(now, |_| true)).map(|due| due.item.seq).collect()
    }

    #[test]
    fn what_somebody_waits_for_overtakes_the_rest() {
        let mut queue = Queue::default();
        reads(
            &mut queue,
            vec![item(1, "a", Fate::Delivered), item(2, "b", failed()), item(3, "c", failed())],
        );
        assert_eq!(drain(&mut queue, Instant::now()), [2, 3, 1]);
    }

    #[test]
    fn a_newer_receipt_replaces_one_that_has_not_left() {
        let mut queue = Queue::default();
        reads(&mut queue, vec![item(1, "a", None), item(2, "a", Fate::Delivered)]);
        assert_eq!(drain(&mut queue, Instant::now()), [2]);
        // In the other lane, and read before the older one.
        reads(&mut queue, vec![item(9, "b", failed()), item(8, "b", None)]);
        assert_eq!(drain(&mut queue, Instant::now()), [9]);
    }

    #[test]
    fn a_newer_receipt_waits_for_the_end_of_the_one_under_way_and_not_for_its_repetition() {
        let now = Instant::now();
        let mut queue = Queue::default();
        reads(&mut queue, vec![item(1, "a", None)]);
        let sent = queue.next(now, |_| true).expect("it goes");
        reads(&mut queue, vec![item(2, "a", failed())]);
        assert!(queue.next(now, |_| true).is_none(), "not beside the first");
        let first = item(1, "a", None);
        queue.ended(&first, 0, Some((now + Duration::from_secs(1), sent)));
        assert_eq!(drain(&mut queue, now + Duration::from_secs(5)), [2]);
        queue.ended(&item(2, "a", failed()), 0, None);
        assert!(queue.subjects.is_empty() && queue.paused.is_empty(), "nothing is left of it");
    }

    #[test]
    fn a_pause_holds_back_nothing_else() {
        let now = Instant::now();
        let mut queue = Queue::default();
        reads(&mut queue, vec![item(1, "a", failed()), item(2, "b", failed())]);
        let first = queue.next(now, |_| true).expect("it goes");
        let of = item(1, "a", failed());
        queue.ended(&of, 0, Some((now + Duration::from_secs(1), first)));
        assert_eq!(queue.wakeup(), Some(now + Duration::from_secs(1)));
        assert_eq!(drain(&mut queue, now), [2]);
        assert_eq!(drain(&mut queue, now + Duration::from_secs(1)), [1]);
    }

    #[test]
    fn an_item_that_waited_for_files_goes_with_them_when_they_are_there() {
        let now = Instant::now();
        let mut queue = Queue::default();
        reads(&mut queue, vec![item(1, "a", failed()), item(2, "b", failed())]);
        let first = queue.next(now, |_| true).expect("it goes");
        let latest = now + Duration::from_mins(10);
        queue.ended(&item(1, "a", failed()), 0, Some((latest, first)));
        assert_eq!(drain(&mut queue, now), [2], "it holds back nothing else");
        queue.has_waited(WaitEnd {
            place: (latest, 1),
            at: now,
            got: Some(WaitedFor::words("words")),
        });
        let due = queue.next(now, |_| true).expect("it goes again");
        assert_eq!((due.item.seq, due.tries), (1, 0));
        assert!(due.got.is_some_and(|got| got.part().is_some()), "it has its files");
        queue.has_waited(WaitEnd {
            place: (latest, 1),
            at: now,
            got: Some(WaitedFor::words("words")),
        });
        assert!(queue.next(now, |_| true).is_none(), "it goes once");
    }

    /// Thousands of receipts that Genesys keeps refusing, whose next tries are due.
    #[test]
    fn what_waited_for_files_does_not_wait_behind_what_never_works() {
        let (now, mut queue) = (Instant::now(), Queue::default());
        let later = now + Duration::from_secs(1);
        let bad = |seq: u64| item(seq, &format!("bad{seq}"), failed());
        let fail = |queue: &mut Queue, due: Due, at| {
            let (item, tries) = (due.item.clone(), due.tries);
            queue.ended(&item, tries, Some((at, Due { tries: tries + 1, got: None, ..due })));
        };
        for first in (1..3_000).step_by(200) {
            reads(&mut queue, (first..first + 200).map(bad).collect());
            while let Some(due) = queue.next(now, |_| true) {
                fail(&mut queue, due, later);
            }
        }
        // Neither the first attempt with files nor the second one ends up behind them.
        reads(&mut queue, vec![item(9_000, "new", failed()), item(9_001, "tried", failed())]);
        let latest = now + Duration::from_mins(10);
        for tries in [0, 1] {
            let due = queue.next(now, |_| true).expect("it goes");
            let item = due.item.clone();
            queue.ended(&item, 0, Some((latest, Due { tries, ..due })));
        }
        assert!(queue.next(later, |_| false).is_none(), "their pauses are over");
        for seq in [9_000, 9_001] {
            queue.has_waited(WaitEnd {
                place: (latest, seq),
                at: later,
                got: Some(WaitedFor::words("words")),
            });
        }
        let next = drain(&mut queue, later);
        let first: Vec<_> = next.into_iter().take(4).collect();
        assert!(first.contains(&9_000) && first.contains(&9_001), "{first:?}");
    }

    #[test]
    fn what_is_read_again_goes_once_and_what_was_passed_over_goes_too() {
        let now = Instant::now();
        let mut queue = Queue::default();
        reads(&mut queue, vec![item(5, "a", failed()), item(7, "b", failed())]);
        assert_eq!(drain(&mut queue, now), [5, 7]);
        queue.ended(&item(7, "b", failed()), 0, None);
        queue.start_over();
        assert_eq!(queue.wants(OutboxLane::Urgent), Some((0, PAGE)));
        // Another node left an item late, at a position that this node has already passed.
        reads(&mut queue, vec![item(3, "c", failed()), item(5, "a", failed())]);
        assert_eq!(drain(&mut queue, now), [3], "5 is under way");
    }

    /// A node loses a conversation and gets it back: items that it read under the first lease are
    /// ignored.
    #[test]
    fn what_is_read_under_another_right_goes_although_it_waits_or_is_under_way_under_the_last() {
        let (now, mut queue) = (Instant::now(), Queue::default());
        let in_epoch =
            |seq: u64, epoch| OutboxItem { epoch, ..item(seq, &format!("m{seq}"), failed()) };
        reads(&mut queue, vec![in_epoch(1, 1), in_epoch(2, 1), in_epoch(3, 1)]);
        let (first, second) = (queue.next(now, |_| true), queue.next(now, |_| true));
        let paused = second.map(|due| (now + Duration::from_secs(1), Due { tries: 1, ..due }));
        queue.ended(&in_epoch(2, 1), 0, paused);
        assert_eq!(
            first.map(|due| due.item.seq),
            Some(1),
            "it is under way, one is paused, and one is ready"
        );
        queue.start_over();
        reads(&mut queue, vec![in_epoch(1, 2), in_epoch(2, 2), in_epoch(3, 2)]);
        queue.ended(&in_epoch(1, 1), 0, None);
        assert_eq!(
            queue.wants(OutboxLane::Urgent),
            Some((0, PAGE)),
            "whether the one under way is still owed is asked"
        );
        reads(&mut queue, vec![in_epoch(1, 2), in_epoch(2, 2), in_epoch(3, 2)]);
        let left = std::iter::from_fn(|| queue.next(now + Duration::from_secs(5), |_| true));
        let mut left: Vec<_> = left.map(|due| (due.item.seq, due.item.epoch)).collect();
        left.sort_unstable();
        assert_eq!(left, [(1, 2), (2, 2), (3, 2)], "each once");
        for (seq, epoch) in left {
            queue.ended(&in_epoch(seq, epoch), 0, None);
        }
        assert!(queue.subjects.is_empty() && queue.paused.is_empty(), "nothing is left of it");
    }

    #[test]
    fn what_never_works_leaves_room_for_others() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let bad = |seq: u64| item(seq, &format!("bad{seq}"), failed());
        reads(&mut queue, (1..=UNDER_WAY as u64).map(bad).collect());
        let later = now + Duration::from_secs(1);
        let first: Vec<_> = std::iter::from_fn(|| queue.next(now, |_| true)).collect();
        for due in first {
            queue.ended(&bad(due.item.seq), 0, Some((later, Due { tries: 1, ..due })));
        }
        reads(&mut queue, vec![item(99, "good", failed())]);
        let next = drain(&mut queue, later);
        assert_eq!(next.len(), AGAIN + 1, "{next:?}");
        assert!(next.contains(&99), "{next:?}");
    }

    /// Only a few posts may wait for the rate budget. Retries alone could take all of those places.
    #[test]
    fn retries_that_use_up_the_budget_leave_every_second_turn_to_others() {
        const PLACES: usize = 32;
        let pause = Duration::from_secs(15);
        let (mut now, mut queue, mut waiting) = (Instant::now(), Queue::default(), VecDeque::new());
        let bad = |seq: u64| item(seq, &format!("bad{seq}"), failed());
        reads(&mut queue, (1..=120).map(bad).collect());
        for turn in 0..400 {
            if turn == 300 {
                reads(&mut queue, vec![item(999, "good", failed())]);
            }
            while waiting.len() < PLACES
                && let Some(due) = queue.next(now, |_| true)
            {
                waiting.push_back(due);
            }
            // The budget grants five calls a second.
            now += Duration::from_millis(200);
            let Some(due) = waiting.pop_front() else { continue };
            if due.item.seq == 999 {
                return;
            }
            let (item, tries) = (due.item.clone(), due.tries);
            queue.ended(&item, tries, Some((now + pause, Due { tries: tries + 1, ..due })));
        }
        panic!("it is not tried in twenty seconds");
    }

    #[test]
    fn retries_whose_pause_is_over_count_before_more_is_read() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let bad = |seq: u64| item(seq, &format!("bad{seq}"), failed());
        let mut last = 0;
        while queue.wants(OutboxLane::Urgent).is_some() || last == 0 {
            queue.news();
            queue.read(OutboxLane::Urgent, (last + 1..=last + 200).map(bad).collect());
            last += 200;
            let taken: Vec<_> = std::iter::from_fn(|| queue.next(now, |_| true)).collect();
            for due in taken {
                let (item, tries) = (due.item.clone(), due.tries);
                let again = (now + Duration::from_secs(1), Due { tries: tries + 1, ..due });
                queue.ended(&item, tries, Some(again));
            }
            queue.news();
        }
        assert!(queue.next(now + Duration::from_secs(2), |_| false).is_none());
        assert_eq!(queue.wants(OutboxLane::Urgent), None, "{last} items are in memory");
        assert!(queue.wants(OutboxLane::Deferred).is_some(), "the other lane is not to blame");
    }

    #[test]
    fn memory_and_calls_are_bounded() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.news();
        let page = (1..=PAGE as u64).map(|seq| item(seq, &format!("m{seq}"), failed())).collect();
        queue.read(OutboxLane::Urgent, page);
        assert_eq!(queue.wants(OutboxLane::Urgent), None, "there is enough to do");
        assert_eq!(drain(&mut queue, now).len(), UNDER_WAY);
        for seq in 1..=PAGE as u64 {
            queue.ended(&item(seq, &format!("m{seq}"), failed()), 0, None);
            while queue.next(now, |_| true).is_some() {}
            if seq > PAGE as u64 / 2 {
                assert_eq!(
                    queue.wants(OutboxLane::Urgent),
                    Some((PAGE as u64, PAGE)),
                    "the page was full: there may be more"
                );
            }
        }
        assert!(queue.subjects.is_empty());
    }
}
