//! How much is under way to Genesys at once, by what it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many posts of a lane may wait for the budget: they keep their conversations from being handed to another node.
const WAITING: usize = 32;
/// How many calls of a lane are under way.
const CALLING: usize = 256;

/// How many there are of each kind.
#[derive(Default)]
pub(super) struct Places {
    urgent: Lane,
    lazy: Lane,
    /// Rung when a post of a lane has moved on.
    pub(super) moved: Notify,
}

#[derive(Default)]
struct Lane {
    waiting: AtomicUsize,
    calling: AtomicUsize,
}

impl Places {
    fn lane(&self, urgent: bool) -> &Lane {
        if urgent { &self.urgent } else { &self.lazy }
    }

    /// Whether another post of a lane may begin.
    pub(super) fn has_room(&self, urgent: bool) -> bool {
        let lane = self.lane(urgent);
        lane.waiting.load(Ordering::Relaxed) < WAITING && lane.calling.load(Ordering::Relaxed) < CALLING
    }

    /// One begins: it waits for the budget.
    pub(super) fn take(self: &Arc<Self>, urgent: bool) -> Place {
        self.lane(urgent).waiting.fetch_add(1, Ordering::Relaxed);
        self.lane(urgent).calling.fetch_add(1, Ordering::Relaxed);
        Place { places: Arc::clone(self), urgent, waiting: true }
    }
}

/// A post that is under way, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    urgent: bool,
    waiting: bool,
}

impl Place {
    /// The budget has let it go, or never will.
    pub(super) fn goes(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.places.lane(self.urgent).waiting.fetch_sub(1, Ordering::Relaxed);
            self.places.moved.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.goes();
        self.places.lane(self.urgent).calling.fetch_sub(1, Ordering::Relaxed);
        self.places.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_and_many_are_under_way() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for _ in 0..WAITING {
            taken.push(places.take(true));
        }
        assert_eq!((places.has_room(true), places.has_room(false)), (false, true));
        taken[0].goes();
        assert!(places.has_room(true), "one does not wait any more");
        taken.iter_mut().for_each(Place::goes);
        while places.has_room(true) {
            let mut place = places.take(true);
            place.goes();
            taken.push(place);
        }
        assert_eq!(taken.len(), CALLING);
        taken.pop();
        assert!(places.has_room(true), "one has ended");
    }
}
