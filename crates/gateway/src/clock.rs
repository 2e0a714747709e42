//! The one place that reads the machine's clocks.
//!
//! The wall clock can be set, by people and by programs that know better. Signatures need it as it is; deadlines need one that
//! only goes on.

use conversation::Clock;
use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The machine's clock, in whole milliseconds: that is what the store keeps, so that a replay sees the same times.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is handed"
    )]
    fn now(&self) -> Timestamp {
        in_millis(Timestamp::now())
    }
}

/// The wall clock as it was when this was made, and the time that has passed since: whoever sets the wall clock meanwhile
/// moves no deadline. Time in which the machine sleeps passes too, where the system can tell (Linux).
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    /// The wall clock's time when [`passed`] was nothing.
    origin: Timestamp,
}

impl SteadyClock {
    /// Begins at the wall clock's time.
    pub fn start() -> Self {
        let now = SystemClock.now();
        Self { origin: now.checked_sub(passed()).unwrap_or(now) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        in_millis(self.origin.checked_add(passed()).unwrap_or(Timestamp::MAX))
    }
}

/// How long the machine has been running.
fn passed() -> SignedDuration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let now = clock_gettime(clock);
    // The nanoseconds are less than a second.
    SignedDuration::new(now.tv_sec, i32::try_from(now.tv_nsec).unwrap_or_default())
}

fn in_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tell_the_same_time_while_nobody_sets_the_wall_clock() {
        let steady = SteadyClock::start();
        let before = steady.now();
        let off = SystemClock.now().duration_since(steady.now()).abs();
        assert!(off < SignedDuration::from_secs(1), "{off}");
        assert!(steady.now() >= before);
    }
}
