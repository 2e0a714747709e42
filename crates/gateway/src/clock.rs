//! The one place that reads the machine's clocks.
//!
//! The wall clock can be set, by people or by programs that correct it. Signatures need the wall
//! clock as it is. Deadlines use the store's clock, which needs a clock that never goes back
//! ([`ThisMachine`]).

use conversation::Clock;
use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use store::Machine;

/// The machine's clock, in whole milliseconds: the store keeps milliseconds, so that a replay sees
/// the same times.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "all other code gets this clock as a parameter")]
    fn now(&self) -> Timestamp {
        in_millis(Timestamp::now())
    }
}

/// The clocks of the machine that this process runs on. Time in which the machine sleeps counts
/// too, if the system can report it (Linux).
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn wall(&self) -> Timestamp {
        SystemClock.now()
    }

    fn uptime(&self) -> SignedDuration {
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let now = clock_gettime(clock);
        // The nanoseconds are less than a second.
        SignedDuration::new(now.tv_sec, i32::try_from(now.tv_nsec).unwrap_or_default())
    }

    /// The system's id of this boot and of the namespace in which its clocks are shown. A container
    /// may have a namespace of its own.
    fn boot(&self) -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let clocks = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
        Some(format!("{} {}", boot.trim(), clocks.display()))
    }
}

fn in_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_only_goes_on_and_knows_its_boot() {
        let (before, boot) = (ThisMachine.uptime(), ThisMachine.boot());
        assert!(before > SignedDuration::ZERO && ThisMachine.uptime() >= before);
        assert_eq!(ThisMachine.boot(), boot);
        #[cfg(target_os = "linux")]
        assert!(
            boot.is_some_and(|boot| boot.len() > 36),
            "36 characters of the boot, and the namespace"
        );
    }
}
