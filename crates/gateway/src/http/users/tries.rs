//! Limits how often passwords are tried.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How many tries a name has before each one has to wait.
const FREE: u32 = 5;
/// The longest wait after a try. A wait is also how long an attacker can keep a user out.
const LONGEST: Duration = Duration::from_mins(1);
/// How many names are remembered. More than that are an attack, in which all names wait.
const NAMES: usize = 10_000;
/// How many passwords are checked at once, because a check takes time and memory.
const CHECKS: usize = 2;
/// How long a try waits for others.
const PATIENCE: Duration = Duration::from_secs(5);

/// The failed tries of each name.
pub(super) struct Tries {
    names: Mutex<HashMap<NameHash, Failed>>,
    checks: Arc<Semaphore>,
}

/// Names of any length take the same memory.
type NameHash = [u8; 32];

#[derive(Clone, Copy)]
struct Failed {
    count: u32,
    next: Instant,
}

impl Default for Tries {
    fn default() -> Self {
        Self { names: Mutex::default(), checks: Arc::new(Semaphore::new(CHECKS)) }
    }
}

impl Tries {
    /// Permits one check of a password, and counts it as failed until [`Self::succeeded`]. `None`
    /// if this name, or the gateway, had too many. The check must keep the permit until it ends,
    /// also if its caller has gone.
    pub(super) async fn begin(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.checks).acquire_owned();
        let permit = timeout(PATIENCE, free).await.ok()?.ok()?;
        let name = hash(name);
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES && !names.contains_key(&name) {
            // Those are kept who have not made up for their tries yet.
            names.retain(|_, failed| now < failed.next + LONGEST * failed.count);
            if names.len() >= NAMES {
                return None;
            }
        }
        let failed = names.entry(name).or_insert(Failed { count: 0, next: now });
        // Each minute without a try makes up for one.
        let idle = now.saturating_duration_since(failed.next).as_secs() / LONGEST.as_secs();
        failed.count = failed.count.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX));
        if now < failed.next {
            return None;
        }
        failed.count += 1;
        failed.next = now + pause(failed.count);
        Some(permit)
    }

    /// The password was right.
    pub(super) fn succeeded(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(name));
    }
}

fn hash(name: &str) -> NameHash {
    Sha256::digest(name).into()
}

/// The wait after this many failed tries: none at first, then 2 s, 4 s, and so on.
fn pause(count: u32) -> Duration {
    match (count + 1).checked_sub(FREE) {
        None | Some(0) => Duration::ZERO,
        Some(more) => LONGEST.min(Duration::from_secs(1 << more.min(10))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_five_tries_each_one_has_to_wait_longer() {
        let tries = Tries::default();
        for _ in 0..FREE {
            assert!(tries.begin("ops").await.is_some());
        }
        assert!(tries.begin("ops").await.is_none());
        assert!(tries.begin("another").await.is_some(), "only this name waits");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(tries.begin("ops").await.is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(tries.begin("ops").await.is_none(), "now it is 4 s");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(tries.begin("ops").await.is_some());
        tries.succeeded("ops");
        assert!(tries.begin("ops").await.is_some(), "the right password ends the waits");
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_long_run_there_is_one_try_a_minute() {
        let tries = Tries::default();
        let mut permitted = 0;
        for _ in 0..3_600 {
            permitted += u32::from(tries.begin("ops").await.is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((60..=75).contains(&permitted), "{permitted} tries in an hour");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_few_passwords_are_checked_at_once() {
        let tries = Tries::default();
        let _first = tries.begin("a").await.expect("a place");
        let second = tries.begin("b").await.expect("a place");
        assert!(tries.begin("c").await.is_none(), "after a wait");
        drop(second);
        assert!(tries.begin("c").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_names_of_an_attack_use_bounded_memory() {
        let tries = Tries::default();
        for name in 0..NAMES {
            assert!(tries.begin(&name.to_string()).await.is_some());
        }
        assert!(tries.begin("ops").await.is_none());
        tokio::time::advance(LONGEST).await;
        assert!(tries.begin("ops").await.is_some(), "old names are forgotten");
    }
}
