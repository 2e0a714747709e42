//! A Genesys with a rate limit: it allows a client a fixed number of calls per window, and answers
//! 429 beyond that. A window begins with the first call after the previous one has ended, as in the
//! sandbox.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// The length of a window, as at Genesys.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);
/// The chat service refuses one message in this many, so that its receipt says Failed.
const REFUSED_ONE_IN: usize = 40;

/// How many calls one client may make, how many it made, and how long its urgent receipts took.
pub(crate) struct Limit {
    allowed: u32,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    windows: Vec<Window>,
    /// When the chat service refused a message whose receipt has not come yet.
    refused: HashMap<String, Instant>,
    waits: Vec<Duration>,
}

/// A window of time in which Genesys counts calls.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) begun: Instant,
    /// Calls that were let through.
    pub(crate) taken: u32,
    /// Calls that were answered 429.
    pub(crate) limited: u32,
}

/// The answer to a call, with the seconds until its window ends.
pub(crate) enum Admission {
    /// It is call number `count` of its window.
    Taken { count: u32, reset: u64 },
    /// The window already has as many calls as are allowed.
    Limited { reset: u64 },
}

impl Limit {
    pub(crate) fn new(allowed: u32) -> Self {
        Self { allowed, book: Mutex::default() }
    }

    pub(crate) fn allowed(&self) -> u32 {
        self.allowed
    }

    /// Counts a call.
    pub(crate) fn admit(&self, now: Instant) -> Admission {
        let mut book = self.book.lock().expect("no test panicked");
        if book.windows.last().is_none_or(|window| now >= window.begun + WINDOW) {
            book.windows.push(Window { begun: now, taken: 0, limited: 0 });
        }
        let window = book.windows.last_mut().expect("there is one now");
        let left = (window.begun + WINDOW).duration_since(now);
        let reset = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        if window.taken >= self.allowed {
            window.limited += 1;
            return Admission::Limited { reset };
        }
        window.taken += 1;
        Admission::Taken { count: window.taken, reset }
    }

    /// Whether the chat service refuses this message. If so, its failure is decided now.
    pub(crate) fn refuses(&self, id: &str, now: Instant) -> bool {
        let number = id.rsplit('-').next().and_then(|number| number.parse::<usize>().ok());
        let refused = number.is_some_and(|number| number % REFUSED_ONE_IN == 0);
        if refused {
            self.book.lock().expect("no test panicked").refused.entry(id.to_owned()).or_insert(now);
        }
        refused
    }

    /// A receipt that says Failed has come.
    pub(crate) fn failed(&self, id: &str, now: Instant) {
        let mut book = self.book.lock().expect("no test panicked");
        if let Some(since) = book.refused.remove(id) {
            book.waits.push(now - since);
        }
    }

    /// Every window so far; the last has not ended.
    pub(crate) fn windows(&self) -> Vec<Window> {
        self.book.lock().expect("no test panicked").windows.clone()
    }

    /// How long each failed message waited for its receipt, including those that are still waiting.
    pub(crate) fn waits(&self, now: Instant) -> Vec<Duration> {
        let book = self.book.lock().expect("no test panicked");
        book.waits.iter().copied().chain(book.refused.values().map(|since| now - *since)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_full_until_it_ends_and_the_next_begins_with_its_first_call() {
        let limit = Limit::new(2);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(matches!(limit.admit(at(0)), Admission::Taken { count: 1, reset: 60 }));
        assert!(matches!(limit.admit(at(30_500)), Admission::Taken { count: 2, reset: 30 }));
        assert!(matches!(limit.admit(at(59_999)), Admission::Limited { reset: 1 }));
        assert!(matches!(limit.admit(at(65_000)), Admission::Taken { count: 1, reset: 60 }));
        let all: Vec<_> =
            limit.windows().iter().map(|window| (window.taken, window.limited)).collect();
        assert_eq!(all, [(2, 1), (1, 0)]);
    }

    #[test]
    fn a_receipt_is_waited_for_from_the_refusal_on() {
        let limit = Limit::new(300);
        let start = Instant::now();
        assert!(!limit.refuses("b12-000000001", start));
        assert!(limit.refuses("b12-000000040", start) && limit.refuses("b12-000000080", start));
        limit.failed("b12-000000040", start + Duration::from_secs(1));
        let mut waits = limit.waits(start + Duration::from_secs(3));
        waits.sort_unstable();
        assert_eq!(waits, [1, 3].map(Duration::from_secs));
    }
}
