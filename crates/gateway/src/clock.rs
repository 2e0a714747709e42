//! The one place that reads the machine's clock.

use conversation::Clock;
use jiff::Timestamp;

/// The machine's clock, in whole milliseconds: that is what the store keeps, so that a replay sees the same times.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
