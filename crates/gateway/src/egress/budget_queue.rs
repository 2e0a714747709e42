//! Counts the posts that wait for the budget. Only a few may wait, because items that are read from
//! the outbox later may be more urgent. Also, another node may have the lease when the turn of a
//! waiting post comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use store::OutboxLane;
use tokio::sync::Notify;

/// How many posts of a lane may wait for the budget.
const MOST: usize = 32;

/// How many posts of each lane wait.
#[derive(Default)]
pub(super) struct BudgetQueue {
    urgent: AtomicUsize,
    deferred: AtomicUsize,
    /// Notified when a post stops waiting.
    pub(super) left: Notify,
}

impl BudgetQueue {
    fn of(&self, lane: OutboxLane) -> &AtomicUsize {
        match lane {
            OutboxLane::Urgent => &self.urgent,
            OutboxLane::Deferred => &self.deferred,
        }
    }

    /// Whether another post of a lane may start to wait.
    pub(super) fn has_room(&self, lane: OutboxLane) -> bool {
        self.of(lane).load(Ordering::Relaxed) < MOST
    }

    /// Registers a post that starts to wait.
    pub(super) fn take(self: &Arc<Self>, lane: OutboxLane) -> BudgetWaiter {
        self.of(lane).fetch_add(1, Ordering::Relaxed);
        BudgetWaiter { places: Arc::clone(self), lane }
    }
}

/// Counts as one waiting post until it is dropped.
pub(super) struct BudgetWaiter {
    places: Arc<BudgetQueue>,
    lane: OutboxLane,
}

impl Drop for BudgetWaiter {
    fn drop(&mut self) {
        self.places.of(self.lane).fetch_sub(1, Ordering::Relaxed);
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
        while places.has_room(OutboxLane::Urgent) {
            waiting.push(places.take(OutboxLane::Urgent));
        }
        assert_eq!((waiting.len(), places.has_room(OutboxLane::Deferred)), (MOST, true));
        waiting.pop();
        assert!(places.has_room(OutboxLane::Urgent));
    }
}
