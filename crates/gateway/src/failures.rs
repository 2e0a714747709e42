//! Decides which failures are logged. A service that is down fails thousands of calls a minute. A
//! metric counts each of them. One log line in ten seconds says what happens, and how many lines it
//! represents.
//!
//! Called by the code that logs a failed call. This module itself logs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures of one kind are logged at most once in this time.
const EVERY: Duration = Duration::from_secs(10);
/// How many kinds are remembered. Beyond this limit the oldest is forgotten, and may be logged
/// again too soon.
const MAX_KINDS: usize = 1_024;

/// The kinds that were logged recently.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    kinds: Mutex<HashMap<Kind, Seen>>,
}

/// A class of failures that look alike to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    integration: String,
    call: String,
    cause: String,
}

#[derive(Debug)]
struct Seen {
    /// When the last line was logged.
    logged: Instant,
    /// How many failures came since then.
    more: u64,
}

impl Failures {
    /// Whether to log a failure now: `Some` holds how many of the same kind were not logged since
    /// the last line. `call` names the call (`open`, `POST …/receipt`) and `cause` what went wrong,
    /// without anything that differs each time, such as an id.
    pub(crate) fn admit(&self, integration: &str, call: &str, cause: &str) -> Option<u64> {
        let kind = Kind {
            integration: integration.to_owned(),
            call: call.to_owned(),
            cause: cause.to_owned(),
        };
        let now = Instant::now();
        // Nothing panics while the lock is held, so the data is consistent.
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = kinds.get_mut(&kind) {
            if now < seen.logged + EVERY {
                seen.more += 1;
                return None;
            }
            seen.logged = now;
            return Some(std::mem::take(&mut seen.more));
        }
        if kinds.len() >= MAX_KINDS {
            make_room(&mut kinds);
        }
        kinds.insert(kind, Seen { logged: now, more: 0 });
        Some(0)
    }
}

/// Forgets the kind that was logged longest ago.
fn make_room(kinds: &mut HashMap<Kind, Seen>) {
    let oldest = kinds.iter().min_by_key(|(_, seen)| seen.logged).map(|(kind, _)| kind.clone());
    if let Some(oldest) = oldest {
        kinds.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_ten_seconds_says_how_many_it_stands_for() {
        let failures = Failures::default();
        let admit = || failures.admit("acme", "open", "connection refused");
        assert_eq!(admit(), Some(0), "the first is logged at once");
        for _ in 0..3 {
            assert_eq!(admit(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(admit(), Some(3));
        assert_eq!(admit(), None);
        tokio::time::advance(EVERY).await;
        assert_eq!(admit(), Some(1), "the count begins again with each line");
    }

    #[tokio::test(start_paused = true)]
    async fn each_integration_call_and_cause_has_a_line_of_its_own() {
        let failures = Failures::default();
        for (integration, call, cause) in [
            ("acme", "open", "401"),
            ("other", "open", "401"),
            ("acme", "close", "401"),
            ("acme", "open", "404"),
        ] {
            assert_eq!(
                failures.admit(integration, call, cause),
                Some(0),
                "{integration} {call} {cause}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let failures = Failures::default();
        for number in 0..2 * MAX_KINDS {
            assert_eq!(failures.admit("acme", "open", &number.to_string()), Some(0));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(failures.kinds.lock().unwrap().len(), MAX_KINDS);
        assert_eq!(
            failures.admit("acme", "open", &(2 * MAX_KINDS - 1).to_string()),
            None,
            "the newest are kept"
        );
    }
}
