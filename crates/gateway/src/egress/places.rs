//! How many posts wait for the budget. Each keeps its conversation from being handed to another node, so few may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many posts of a lane may wait for the budget.
const MOST: usize = 32;

/// How many wait, of each lane.
#[derive(Default)]
pub(super) struct Places {
    urgent: AtomicUsize,
    lazy: AtomicUsize,
    /// Rung when one has waited long enough.
    pub(super) left: Notify,
}

impl Places {
    fn of(&self, urgent: bool) -> &AtomicUsize {
        if urgent { &self.urgent } else { &self.lazy }
    }

    /// Whether another post of a lane may begin to wait.
    pub(super) fn has_room(&self, urgent: bool) -> bool {
        self.of(urgent).load(Ordering::Relaxed) < MOST
    }

    /// One begins to wait.
    pub(super) fn take(self: &Arc<Self>, urgent: bool) -> Place {
        self.of(urgent).fetch_add(1, Ordering::Relaxed);
        Place { places: Arc::clone(self), urgent }
    }
}

/// A post that waits for the budget, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    urgent: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.of(self.urgent).fetch_sub(1, Ordering::Relaxed);
        self.places.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_and_whoever_goes_makes_room() {
        let places = Arc::new(Places::default());
        let mut waiting = Vec::new();
        while places.has_room(true) {
            waiting.push(places.take(true));
        }
        assert_eq!((waiting.len(), places.has_room(false)), (MOST, true));
        waiting.pop();
        assert!(places.has_room(true));
    }
}
