//! Which of the things that Genesys is owed goes next: the urgent before the rest, each about one subject after the
//! other, those that failed when their pause is over. Read from the store in pages; nothing here calls anybody.

use std::collections::{BTreeMap, HashMap, VecDeque};

use conversation::{ConversationId, Input};
use store::OutboxItem;
use tokio::time::Instant;

/// How much of a lane is held in memory; the rest waits in the store (I12).
const PAGE: usize = 500;
/// How many may wait for another try before nothing more is read.
const MOST_PAUSED: usize = 10_000;
/// How many calls of a lane are under way at once.
const UNDER_WAY: usize = 256;
/// How many of them may be made again: what never works must not keep others from being tried (I10).
const AGAIN: usize = UNDER_WAY / 2;

/// The two lanes: what somebody waits for, and the rest.
pub(super) const LANES: [bool; 2] = [true, false];

/// One thing that is owed, and what was tried.
#[derive(Debug, PartialEq)]
pub(super) struct Due {
    pub(super) item: OutboxItem,
    pub(super) tries: u32,
    /// Genesys may have it already.
    pub(super) doubt: bool,
    /// It is done, and only its conversation does not know yet.
    pub(super) done: Option<Box<Input>>,
}

/// A conversation, and what it is about.
type Subject = (ConversationId, String);

#[derive(Default)]
pub(super) struct Queue {
    urgent: Lane,
    lazy: Lane,
    subjects: HashMap<Subject, Slot>,
    paused: BTreeMap<(Instant, u64), Due>,
}

#[derive(Default)]
struct Lane {
    ready: VecDeque<Due>,
    /// Those whose pause is over.
    again: VecDeque<Due>,
    /// The last that was read.
    after: u64,
    /// The store may have more behind it.
    more: bool,
    under_way: usize,
    again_under_way: usize,
}

/// What is known of one subject.
struct Slot {
    /// The newest row about it; an older one has been replaced in the store.
    newest: u64,
    under_way: bool,
    /// The newest row, while an older one is under way.
    behind: Option<Due>,
}

impl Queue {
    /// The store has something new.
    pub(super) fn news(&mut self) {
        self.urgent.more = true;
        self.lazy.more = true;
    }

    /// What was read before may have changed hands: everything is read from the beginning. What is known is passed over.
    pub(super) fn start_over(&mut self) {
        self.urgent.after = 0;
        self.lazy.after = 0;
        self.news();
    }

    /// Where to go on reading a lane, and how much; none where there is nothing to read, or no room for it.
    pub(super) fn wants(&self, urgent: bool) -> Option<(u64, usize)> {
        let lane = if urgent { &self.urgent } else { &self.lazy };
        let room = lane.more && lane.ready.len() < PAGE / 2 && self.paused.len() < MOST_PAUSED;
        room.then_some((lane.after, PAGE))
    }

    /// Takes in what was read of a lane.
    pub(super) fn read(&mut self, urgent: bool, items: Vec<OutboxItem>) {
        let lane = self.lane(urgent);
        lane.more = items.len() >= PAGE;
        if let Some(last) = items.last() {
            lane.after = last.seq;
        }
        for item in items {
            let doubt = item.doubt;
            self.add(Due { item, tries: 0, doubt, done: None });
        }
    }

    fn add(&mut self, due: Due) {
        let seq = due.item.seq;
        let slot = self.subjects.entry(subject(&due.item)).or_insert(Slot {
            newest: 0,
            under_way: false,
            behind: None,
        });
        // The other lane may have been read further than this one, and this one before.
        if seq <= slot.newest {
            return;
        }
        slot.newest = seq;
        if slot.under_way {
            slot.behind = Some(due);
        } else {
            self.lane(due.item.owed.is_urgent()).ready.push_back(due);
        }
    }

    /// The next that may go now, of a lane that has room.
    pub(super) fn next(&mut self, now: Instant, has_room: impl Fn(bool) -> bool) -> Option<Due> {
        while let Some(entry) = self.paused.first_entry()
            && entry.key().0 <= now
        {
            let due = entry.remove();
            self.lane(due.item.owed.is_urgent()).again.push_back(due);
        }
        LANES.into_iter().filter(|urgent| has_room(*urgent)).find_map(|urgent| self.next_of(urgent))
    }

    fn next_of(&mut self, urgent: bool) -> Option<Due> {
        loop {
            let lane = self.lane(urgent);
            if lane.under_way >= UNDER_WAY {
                return None;
            }
            let again = if lane.again_under_way < AGAIN { lane.again.pop_front() } else { None };
            let due = again.or_else(|| lane.ready.pop_front())?;
            let Some(slot) = self.subjects.get_mut(&subject(&due.item)) else { continue };
            if slot.newest != due.item.seq {
                continue;
            }
            slot.under_way = true;
            let lane = self.lane(urgent);
            lane.under_way += 1;
            lane.again_under_way += usize::from(due.tries > 0);
            return Some(due);
        }
    }

    /// When a pause ends.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        self.paused.first_key_value().map(|((at, _), _)| *at)
    }

    /// One that was under way for the `tries`th time after the first has ended; `again` says when it is to be tried again.
    pub(super) fn ended(&mut self, item: &OutboxItem, tries: u32, again: Option<(Instant, Due)>) {
        let lane = self.lane(item.owed.is_urgent());
        lane.under_way -= 1;
        lane.again_under_way -= usize::from(tries > 0);
        let subject = subject(item);
        let Some(slot) = self.subjects.get_mut(&subject) else { return };
        slot.under_way = false;
        if let Some(newer) = slot.behind.take() {
            // Whatever became of the older one, it is not owed any more.
            self.lane(newer.item.owed.is_urgent()).ready.push_front(newer);
        } else if slot.newest != item.seq {
            // The newer one waits in its lane.
        } else if let Some((at, due)) = again {
            self.paused.insert((at, item.seq), due);
        } else {
            self.subjects.remove(&subject);
        }
    }

    fn lane(&mut self, urgent: bool) -> &mut Lane {
        if urgent { &mut self.urgent } else { &mut self.lazy }
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
            since: Timestamp::UNIX_EPOCH,
            owed,
            doubt: false,
            term: 0,
        }
    }

    fn failed() -> Fate {
        Fate::Failed { reason: Reason::new(ReasonCode::GeneralError, "no") }
    }

    fn reads(queue: &mut Queue, items: Vec<OutboxItem>) {
        for item in items {
            queue.news();
            queue.read(item.owed.is_urgent(), vec![item]);
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
        assert_eq!(queue.next(now, |_| true), None, "not beside the first");
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
    fn what_is_read_again_goes_once_and_what_was_passed_over_goes_too() {
        let now = Instant::now();
        let mut queue = Queue::default();
        reads(&mut queue, vec![item(5, "a", failed()), item(7, "b", failed())]);
        assert_eq!(drain(&mut queue, now), [5, 7]);
        queue.ended(&item(7, "b", failed()), 0, None);
        queue.start_over();
        assert_eq!(queue.wants(true), Some((0, PAGE)));
        // Another node left one behind at a place that was passed already.
        reads(&mut queue, vec![item(3, "c", failed()), item(5, "a", failed())]);
        assert_eq!(drain(&mut queue, now), [3], "5 is under way");
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

    #[test]
    fn memory_and_calls_are_bounded() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.news();
        let page = (1..=PAGE as u64).map(|seq| item(seq, &format!("m{seq}"), failed())).collect();
        queue.read(true, page);
        assert_eq!(queue.wants(true), None, "there is enough to do");
        assert_eq!(drain(&mut queue, now).len(), UNDER_WAY);
        for seq in 1..=PAGE as u64 {
            queue.ended(&item(seq, &format!("m{seq}"), failed()), 0, None);
            while queue.next(now, |_| true).is_some() {}
            if seq > PAGE as u64 / 2 {
                assert_eq!(
                    queue.wants(true),
                    Some((PAGE as u64, PAGE)),
                    "the page was full: there may be more"
                );
            }
        }
        assert!(queue.subjects.is_empty());
    }
}
