//! How much is being decided, so that what can wait lets it go first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More turns at once than a gateway has that keeps up: past this, whoever is decided next is decided late.
const MANY: usize = 256;

/// The turns of conversations: those that wait for a processor, and those that are read, decided or written down.
#[derive(Default)]
pub(crate) struct Turns(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(super) struct Turn(Arc<AtomicUsize>);

impl Turns {
    pub(super) fn begin(&self) -> Turn {
        self.0.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(&self.0))
    }

    /// Whether there are so many that each waits for the others.
    pub(crate) fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MANY
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_more_than_a_gateway_has_that_keeps_up() {
        let turns = Turns::default();
        let mut under_way: Vec<_> = (0..MANY).map(|_| turns.begin()).collect();
        assert!(!turns.are_many());
        under_way.push(turns.begin());
        assert!(turns.are_many());
        under_way.pop();
        assert!(!turns.are_many());
    }
}
