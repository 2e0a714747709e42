//! Access tokens: their lifetime, and how many requests each may still make in this minute.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;

/// The window of the rate limit.
const WINDOW: Duration = Duration::from_mins(1);
/// Dead tokens are swept when there are more tokens than this.
const SWEEP_AT: usize = 10_000;

#[derive(Debug)]
struct Token {
    client: String,
    dies: Timestamp,
    window_ends: Timestamp,
    count: u32,
}

/// What a token may do now. Spans are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The token has expired, was revoked, or was never issued.
    Refused,
    /// The request is the `count`th of `allowed` in this window, which ends in `reset` seconds.
    Admitted { count: u32, allowed: u32, reset: u64 },
    /// The window already has `allowed` requests.
    Limited { allowed: u32, reset: u64 },
}

/// Every token that lives.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    live: HashMap<String, Token>,
}

impl Tokens {
    /// Issues `token` to `client`.
    pub(crate) fn give(&mut self, token: String, client: &str, now: Timestamp, life: Duration) {
        if self.live.len() >= SWEEP_AT {
            self.live.retain(|_, token| token.dies > now);
        }
        let dies = later(now, life);
        self.live
            .insert(token, Token { client: client.to_owned(), dies, window_ends: now, count: 0 });
    }

    /// Counts a request with `token`; `allowed` requests a minute, 0 for no limit.
    pub(crate) fn admit(&mut self, token: &str, now: Timestamp, allowed: u32) -> Admission {
        let Some(found) = self.live.get_mut(token) else { return Admission::Refused };
        if found.dies <= now {
            self.live.remove(token);
            return Admission::Refused;
        }
        if found.window_ends <= now {
            found.window_ends = later(now, WINDOW);
            found.count = 0;
        }
        let left = Duration::try_from(found.window_ends.duration_since(now)).unwrap_or_default();
        let reset = left.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX);
        if allowed > 0 && found.count >= allowed {
            return Admission::Limited { allowed, reset };
        }
        found.count = found.count.saturating_add(1);
        Admission::Admitted { count: found.count, allowed, reset }
    }

    /// Whether the token is alive; no request is counted.
    pub(crate) fn lives(&self, token: &str, now: Timestamp) -> bool {
        self.live.get(token).is_some_and(|found| now < found.dies)
    }

    /// The client of the token, if it is one.
    pub(crate) fn client_of(&self, token: &str) -> Option<String> {
        self.live.get(token).map(|found| found.client.clone())
    }

    /// Revokes this token.
    pub(crate) fn kill(&mut self, token: &str) {
        self.live.remove(token);
    }

    /// Revokes the tokens of `client`, or all; returns how many.
    pub(crate) fn revoke(&mut self, client: Option<&str>) -> usize {
        let before = self.live.len();
        self.live.retain(|_, token| client.is_some_and(|client| client != token.client));
        before - self.live.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_fixed_and_starts_with_its_first_request() {
        let mut tokens = Tokens::default();
        let start = Timestamp::UNIX_EPOCH;
        let at = |ms| later(start, Duration::from_millis(ms));
        tokens.give("t".to_owned(), "c", start, Duration::from_hours(1));
        assert_eq!(
            tokens.admit("t", at(5_000), 2),
            Admission::Admitted { count: 1, allowed: 2, reset: 60 }
        );
        assert_eq!(
            tokens.admit("t", at(34_500), 2),
            Admission::Admitted { count: 2, allowed: 2, reset: 31 }
        );
        assert_eq!(tokens.admit("t", at(64_999), 2), Admission::Limited { allowed: 2, reset: 1 });
        assert_eq!(
            tokens.admit("t", at(65_000), 2),
            Admission::Admitted { count: 1, allowed: 2, reset: 60 }
        );
        assert_eq!(tokens.admit("t", at(3_600_000), 2), Admission::Refused);
        assert_eq!(tokens.admit("other", at(0), 2), Admission::Refused);
    }

    #[test]
    fn tokens_are_revoked_by_client() {
        let mut tokens = Tokens::default();
        let start = Timestamp::UNIX_EPOCH;
        for (token, client) in [("a", "one"), ("b", "one"), ("c", "two")] {
            tokens.give(token.to_owned(), client, start, Duration::from_mins(1));
        }
        assert_eq!(tokens.revoke(Some("one")), 2);
        assert_ne!(tokens.admit("c", start, 0), Admission::Refused);
        assert_eq!(tokens.revoke(None), 1);
    }
}
