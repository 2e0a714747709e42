//! The clock of a store. Every process and node writes and compares deadlines by it, so that no
//! change of a wall clock shifts them.
//!
//! While a process lives, the clock follows the machine's monotonic clock. For the time between
//! processes, the store keeps a pair: its clock's time, and the value of a counter at that moment.
//! The counter continues without the process. On SQLite it is the machine's clock since boot, on
//! PostgreSQL the database's clock. Only a starting process uses how far the counter has advanced.
//! A running node's clock never goes back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use conversation::Clock;
use jiff::{SignedDuration, Timestamp};

/// The clocks of the machine on which a process runs.
pub trait Machine: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, which people and programs set.
    fn wall(&self) -> Timestamp;

    /// How long the machine has been running, including sleep if the machine can tell. It never
    /// goes back.
    fn uptime(&self) -> SignedDuration;

    /// Identifies the machine's current boot; `None` if unknown.
    fn boot(&self) -> Option<String>;
}

/// The time of a store, in whole milliseconds.
#[derive(Debug)]
pub struct StoreClock {
    machine: Arc<dyn Machine>,
    /// What is added to the machine's uptime, in milliseconds.
    ahead: AtomicI64,
}

impl StoreClock {
    /// A clock that starts at `now`.
    pub(crate) fn starting_at(machine: Arc<dyn Machine>, now: Timestamp) -> Arc<Self> {
        let ahead = now.as_millisecond().saturating_sub(millis(machine.uptime()));
        Arc::new(Self { machine, ahead: AtomicI64::new(ahead) })
    }

    /// Advances to another node's clock; never goes back. Returns how far it advanced.
    pub(crate) fn catch_up(&self, other: Timestamp) -> Duration {
        let ahead = other.as_millisecond().saturating_sub(millis(self.machine.uptime()));
        let before = self.ahead.fetch_max(ahead, Ordering::Relaxed);
        Duration::from_millis(u64::try_from(ahead.saturating_sub(before)).unwrap_or_default())
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let now = millis(self.machine.uptime()).saturating_add(self.ahead.load(Ordering::Relaxed));
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    fn wall(&self) -> Timestamp {
        self.machine.wall()
    }
}

/// What is known about the time when a process starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// The pair's time, advanced by what the counter has counted since; `None` if the counter has
    /// restarted.
    pub(crate) gone_on: Option<Timestamp>,
    /// The latest time that the store holds.
    pub(crate) latest: Timestamp,
    /// The wall clock.
    pub(crate) wall: Timestamp,
    /// Nothing waits for a deadline, and Genesys is owed nothing.
    pub(crate) idle: bool,
}

impl Start {
    /// The store's time. The wall clock may be wrong, so it is used only if nothing depends on the
    /// time, or if nothing else is known.
    pub(crate) fn time(self) -> Timestamp {
        self.gone_on.filter(|_| !self.idle).unwrap_or(self.wall).max(self.latest)
    }
}

pub(crate) fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).expect("in range")
    }

    #[derive(Debug)]
    struct Stopped;

    impl Machine for Stopped {
        fn wall(&self) -> Timestamp {
            at(600)
        }

        fn uptime(&self) -> SignedDuration {
            SignedDuration::from_mins(7)
        }

        fn boot(&self) -> Option<String> {
            None
        }
    }

    #[test]
    fn a_start_goes_on_from_the_pair_whatever_the_wall_clock_says() {
        let start = |gone_on, wall, idle| Start { gone_on, latest: at(100), wall, idle }.time();
        let cases = [
            (Some(at(105)), at(165), false, at(105), "an hour ahead"),
            (Some(at(105)), at(45), false, at(105), "an hour back"),
            (Some(at(90)), at(45), false, at(100), "never before what the store holds"),
            (None, at(165), false, at(165), "after a boot, only the wall clock is known"),
            (None, at(45), false, at(100), "but not if it went back"),
            (
                Some(at(105)),
                at(165),
                true,
                at(165),
                "nothing waits: the wall clock may be right again",
            ),
            (Some(at(105)), at(45), true, at(100), "unless it went back"),
        ];
        for (gone_on, wall, idle, expected, what) in cases {
            assert_eq!(start(gone_on, wall, idle), expected, "{what}");
        }
    }

    #[test]
    fn a_clock_catches_up_and_never_goes_back() {
        let clock = StoreClock::starting_at(Arc::new(Stopped), at(100));
        assert_eq!(clock.now(), at(100));
        assert_eq!((clock.catch_up(at(103)), clock.now()), (Duration::from_mins(3), at(103)));
        assert_eq!((clock.catch_up(at(101)), clock.now()), (Duration::ZERO, at(103)));
    }
}
