//! Counts the posts that wait for the budget. Only a few may wait, because items read from the
//! outbox later may be more urgent. Also, another node may have the lease by the time a waiting
//! post's turn comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many posts of a lane may wait for the budget.
const MOST: usize = 32;

/// How many posts of each lane wait.
#[derive(Default)]
pub(super) struct BudgetQueue {
    urgent: AtomicUsize,
    lazy: AtomicUsize,
    /// Notified when a post stops waiting.
    pub(super) left: Notify,
}

impl BudgetQueue {
    fn of(&self, urgent: bool) -> &AtomicUsize {
        if urgent { &self.urgent } else { &self.lazy }
    }

    /// Whether another post of a lane may start to wait.
    pub(super) fn has_room(&self, urgent: bool) -> bool {
        self.of(urgent).load(Ordering::Relaxed) < MOST
    }

    /// Registers a post that starts to wait.
    pub(super) fn take(self: &Arc<Self>, urgent: bool) -> BudgetWaiter {
        self.of(urgent).fetch_add(1, Ordering::Relaxed);
        BudgetWaiter { places: Arc::clone(self), urgent }
    }
}

/// Counts as one waiting post until it is dropped.
pub(super) struct BudgetWaiter {
    places: Arc<BudgetQueue>,
    urgent: bool,
}

impl Drop for BudgetWaiter {
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
        let places = Arc::new(BudgetQueue::default());
        let mut waiting = Vec::new();
        while places.has_room(true) {
            waiting.push(places.take(true));
        }
        assert_eq!((waiting.len(), places.has_room(false)), (MOST, true));
        waiting.pop();
        assert!(places.has_room(true));
    }
}
