//! Wakes conversations when their time comes. Only the near future is in memory; the rest is in the
//! store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use conversation::{ConversationId, Input};
use jiff::Timestamp;
use store::Due;
use tokio::sync::mpsc;

use super::{Engine, LAST_PAUSE, NoAnswer, PAGE};

/// How far ahead wake-ups are held in memory.
const HORIZON: Duration = Duration::from_secs(30);

/// How many wake-ups are held in memory: the earliest ones. The rest stays in the store, even if it
/// is near (I12).
const MOST: usize = 100_000;

/// Wakes conversations until the gateway stops. `set` receives wake-ups that are in the store too.
pub(super) async fn run(engine: Arc<Engine>, mut set: mpsc::Receiver<Due>) {
    let mut near = NearWakeUps::new(MOST);
    // Deadlines that passed while no process ran come first.
    let mut look = Box::pin(tokio::time::sleep(Duration::ZERO));
    loop {
        if near.wants_more() {
            look = Box::pin(tokio::time::sleep(Duration::ZERO));
        }
        // Without room for a task, wake-ups stay where they are. The earliest gets the first free
        // place.
        let room = engine.has_room();
        let first = near.first().map(|first| until(engine.clock.now(), first));
        tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            () = engine.gained.notified() => {
                near.start_over();
                look = Box::pin(tokio::time::sleep(Duration::ZERO));
            }
            () = &mut look => {
                let pause = match read(&engine, &mut near).await {
                    Ok(()) => HORIZON / 2,
                    Err(NoAnswer::Damaged) => LAST_PAUSE,
                    Err(NoAnswer::Stopped) => return,
                };
                look = Box::pin(tokio::time::sleep(pause));
            }
            () = tokio::time::sleep(first.unwrap_or_default()), if room && first.is_some() => {
                wake(&engine, &mut near);
            }
            () = engine.freed.notified(), if !room => {}
            Some(due) = set.recv() => near.set(due),
        }
    }
}

/// Wakes the conversations whose time has come, while there is room for them.
fn wake(engine: &Arc<Engine>, near: &mut NearWakeUps) {
    // In batches, so that other tasks on this thread can run.
    for _ in 0..PAGE {
        if !engine.has_room() {
            return;
        }
        let Some(conversation) = near.pop(engine.clock.now()) else { return };
        // The result is not awaited: the next wake-up follows from the state. If this node holds no
        // lease on the conversation, the next owner reads the due wake-ups from the store.
        if let Some(guard) = engine.store.acquire_to_finish(&conversation) {
            drop(engine.deliver(&conversation, guard, Input::Tick));
        }
    }
}

/// Reads wake-ups up to [`HORIZON`] from the store.
async fn read(engine: &Engine, near: &mut NearWakeUps) -> Result<(), NoAnswer> {
    // If other nodes use the store too, wake-ups that they left may be due already.
    if engine.store.is_clustered() || near.has_gap {
        near.start_over();
    }
    let end = engine.clock.now().checked_add(HORIZON).unwrap_or(Timestamp::MAX);
    loop {
        let after = near.horizon.clone();
        let ask = || engine.store.due(after.as_ref(), end, PAGE);
        let page = match engine.read_for_all("read the deadlines", "", ask).await {
            Ok(page) => page,
            Err(why) => {
                near.go_on_with_gap(Due::before(end));
                return Err(why);
            }
        };
        let whole = page.len() < PAGE;
        near.read(page, whole.then(|| Due::before(end)));
        if whole || near.is_full() {
            return Ok(());
        }
    }
}

/// The wake-ups in memory: all up to the horizon, and maybe some after it.
struct NearWakeUps {
    most: usize,
    order: BTreeSet<Due>,
    at: HashMap<ConversationId, Timestamp>,
    /// How far the store was read. `None` if it must be read from the beginning.
    horizon: Option<Due>,
    /// The store has more near wake-ups, for which there was no room.
    cut: bool,
    /// The store could not be read. It may have wake-ups before the horizon that are not in memory.
    has_gap: bool,
}

impl NearWakeUps {
    fn new(most: usize) -> Self {
        let (order, at) = (BTreeSet::new(), HashMap::new());
        Self { most, order, at, horizon: None, cut: false, has_gap: false }
    }

    /// Reads the store from the beginning, because conversations may have changed hands.
    fn start_over(&mut self) {
        self.horizon = None;
        self.has_gap = false;
    }

    /// The store cannot be read now. Wake-ups before `end` that are set from now on are still held in
    /// memory. The next read starts over.
    fn go_on_with_gap(&mut self, end: Due) {
        self.horizon = Some(end);
        self.cut = false;
        self.has_gap = true;
    }

    /// Records a wake-up that is in the store. One after the horizon is read from there in time.
    fn set(&mut self, due: Due) {
        self.remove(&due.conversation);
        if self.horizon.as_ref().is_some_and(|horizon| due <= *horizon) {
            self.insert(due);
            self.bound();
        }
    }

    /// Adds a page that follows the horizon in the store. It is the last page before `end`, if
    /// `end` is given.
    fn read(&mut self, page: Vec<Due>, end: Option<Due>) {
        self.cut = end.is_none();
        self.horizon = end.or_else(|| page.last().cloned());
        for due in page {
            self.remove(&due.conversation);
            self.insert(due);
        }
        self.bound();
    }

    /// Drops the latest wake-ups from memory if there are too many. The store still has them.
    fn bound(&mut self) {
        while self.order.len() > self.most
            && let Some(latest) = self.order.pop_last()
        {
            self.at.remove(&latest.conversation);
            self.cut = true;
            self.horizon = self.horizon.take().min(self.order.last().cloned());
        }
    }

    /// Whether memory is full and the store has nothing that comes before what is in it.
    fn is_full(&self) -> bool {
        self.order.len() >= self.most && self.horizon.as_ref() >= self.order.last()
    }

    /// Whether there is room for wake-ups that were left in the store.
    fn wants_more(&self) -> bool {
        self.cut && self.order.len() <= self.most / 2
    }

    fn first(&self) -> Option<Timestamp> {
        self.order.first().map(|due| due.at)
    }

    /// The first, if its time has come.
    fn pop(&mut self, now: Timestamp) -> Option<ConversationId> {
        self.first().filter(|at| *at <= now)?;
        let due = self.order.pop_first()?;
        self.at.remove(&due.conversation);
        Some(due.conversation)
    }

    fn insert(&mut self, due: Due) {
        self.at.insert(due.conversation.clone(), due.at);
        self.order.insert(due);
    }

    fn remove(&mut self, conversation: &ConversationId) {
        if let Some(at) = self.at.remove(conversation) {
            self.order.remove(&Due { at, conversation: conversation.clone() });
        }
    }
}

/// The time from `now` to `at`, plus a moment, because a timer that fires early finds nothing to
/// do.
pub(super) fn until(now: Timestamp, at: Timestamp) -> Duration {
    let ahead = at.duration_since(now);
    Duration::try_from(ahead).map_or(Duration::ZERO, |ahead| ahead + Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(millis: i64, number: usize) -> Due {
        Due {
            at: Timestamp::from_millisecond(millis).expect("in range"),
            conversation: ConversationId::new(format!("c{number:04}")),
        }
    }

    /// The store's answer for these arguments.
    fn page(store: &BTreeSet<Due>, after: Option<&Due>, end: &Due, most: usize) -> Vec<Due> {
        store
            .iter()
            .filter(|due| after.is_none_or(|after| *due > after) && *due <= end)
            .take(most)
            .cloned()
            .collect()
    }

    fn look(near: &mut NearWakeUps, store: &BTreeSet<Due>, most: usize) {
        let end = due(30_000, 9_999);
        loop {
            let page = page(store, near.horizon.as_ref(), &end, most);
            let whole = page.len() < most;
            near.read(page, whole.then(|| end.clone()));
            if whole || near.is_full() {
                return;
            }
        }
    }

    /// Checks that every conversation is woken, in order, and that memory never exceeds its limit.
    fn all_are_woken(near: &mut NearWakeUps, store: &mut BTreeSet<Due>, most: usize) {
        let mut woken = Vec::new();
        look(near, store, 7);
        while let Some(at) = near.first() {
            assert!(near.order.len() <= most && near.order.len() == near.at.len());
            let conversation = near.pop(at).expect("its time has come");
            let due = Due { at, conversation };
            assert_eq!(store.first(), Some(&due), "the earliest comes first");
            store.remove(&due);
            woken.push(due);
            if near.wants_more() {
                look(near, store, 7);
            }
        }
        assert!(store.is_empty(), "{} of {} stay asleep", store.len(), store.len() + woken.len());
    }

    #[test]
    fn many_that_share_a_millisecond_are_all_woken() {
        let mut store: BTreeSet<Due> = (0..1_000).map(|number| due(5, number)).collect();
        all_are_woken(&mut NearWakeUps::new(100), &mut store, 100);
    }

    #[test]
    fn what_comes_later_and_is_due_sooner_displaces_what_is_due_later() {
        let mut near = NearWakeUps::new(10);
        let mut store: BTreeSet<Due> = (0..30).map(|number| due(20_000, number)).collect();
        look(&mut near, &store, 7);
        let sooner = [due(10, 500), due(11, 501)];
        for due in sooner {
            store.insert(due.clone());
            near.set(due);
        }
        assert_eq!((near.first(), near.order.len()), (Some(due(10, 0).at), 10));
        all_are_woken(&mut near, &mut store, 10);
    }

    #[test]
    fn what_was_left_here_by_others_is_found_where_memory_is_full() {
        let mut near = NearWakeUps::new(10);
        let mut store: BTreeSet<Due> =
            (0..10).map(|second| 1_000 * second).zip(0..).map(|(at, c)| due(at, c)).collect();
        look(&mut near, &store, 3);
        store.extend((100..120).map(|number| due(4_500, number)));
        near.start_over();
        all_are_woken(&mut near, &mut store, 10);
    }

    #[test]
    fn whoever_wants_to_be_woken_at_another_time_is_woken_then() {
        let mut near = NearWakeUps::new(10);
        look(&mut near, &BTreeSet::from([due(100, 1), due(200, 2)]), 7);
        near.set(due(300, 1));
        assert_eq!(near.pop(due(100, 0).at), None);
        assert_eq!(near.first(), Some(due(200, 0).at));
        near.set(due(40_000, 2));
        assert_eq!(
            near.first(),
            Some(due(300, 0).at),
            "the other is far away now, and stands in the store"
        );
    }
}
