//! The sandbox's clock: real time, which can be sped up, slowed down, and moved forward.
//!
//! Every timer and every timestamp of the sandbox comes from here; it is the one place that reads
//! the machine's clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// The fastest that the clock may run.
const MAX_SCALE: f64 = 1_000_000.0;
/// The furthest that one call may move the clock: ten years.
const MAX_ADVANCE: Duration = Duration::from_hours(10 * 366 * 24);
/// The longest single wait on the machine's timer; after it the clock is read again.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// A request that the clock cannot fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// Not a number from 0 to 1,000,000.
    #[error("the scale must be a number from 0 (the clock stands still) to 1000000")]
    Scale,
    /// Further than ten years.
    #[error("the clock can be moved forward by at most ten years at a time")]
    Advance,
}

/// Real time, scaled. At scale 1 it shows the machine's time; at 60 a minute lasts a second.
#[derive(Debug)]
pub struct SandboxClock {
    reading: Mutex<Reading>,
    changed: watch::Sender<()>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Time since 1970 at `since`.
    shown: Duration,
    since: Instant,
    scale: f64,
}

impl Reading {
    fn at(&self, instant: Instant) -> Duration {
        let real = instant.saturating_duration_since(self.since);
        let scaled =
            Duration::try_from_secs_f64(real.as_secs_f64() * self.scale).unwrap_or(Duration::MAX);
        self.shown.saturating_add(scaled)
    }
}

impl SandboxClock {
    /// Starts at the machine's time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the sandbox reads the machine's clock"
    )]
    pub(crate) fn start(scale: f64) -> Result<Self, ClockError> {
        let shown = Duration::try_from(Timestamp::now().as_duration()).unwrap_or_default();
        let reading = Reading { shown, since: Instant::now(), scale: checked(scale)? };
        Ok(Self { reading: Mutex::new(reading), changed: watch::Sender::new(()) })
    }

    /// The time now, to the millisecond as on the wire.
    pub fn now(&self) -> Timestamp {
        timestamp(self.elapsed())
    }

    /// How many seconds of sandbox time pass in a real second.
    pub fn scale(&self) -> f64 {
        self.reading().scale
    }

    /// Changes the speed from now on; timers that run follow it.
    pub fn set_scale(&self, scale: f64) -> Result<(), ClockError> {
        let scale = checked(scale)?;
        self.change(|now| Reading { scale, ..now });
        Ok(())
    }

    /// Moves the clock forward; timers that fall due go off at once.
    pub fn advance(&self, by: Duration) -> Result<(), ClockError> {
        if by > MAX_ADVANCE {
            return Err(ClockError::Advance);
        }
        self.change(|now| Reading { shown: now.shown.saturating_add(by), ..now });
        Ok(())
    }

    /// Waits for `span` of sandbox time.
    pub async fn sleep(&self, span: Duration) {
        let due = self.elapsed().saturating_add(span);
        let mut changed = self.changed.subscribe();
        loop {
            let (now, scale) = {
                let reading = self.reading();
                (reading.at(now_instant()), reading.scale)
            };
            let left = due.saturating_sub(now);
            if left.is_zero() {
                return;
            }
            let real = Duration::try_from_secs_f64(left.as_secs_f64() / scale)
                .unwrap_or(MAX_WAIT)
                .min(MAX_WAIT);
            tokio::select! {
                () = tokio::time::sleep(real) => {}
                _ = changed.changed() => {}
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.reading().at(now_instant())
    }

    fn change(&self, to: impl FnOnce(Reading) -> Reading) {
        {
            let mut reading = self.reading();
            let since = now_instant();
            *reading = to(Reading { shown: reading.at(since), since, scale: reading.scale });
        }
        self.changed.send_replace(());
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `tokio`'s instant, which tests can pause.
fn now_instant() -> Instant {
    Instant::now()
}

fn checked(scale: f64) -> Result<f64, ClockError> {
    if (0.0..=MAX_SCALE).contains(&scale) { Ok(scale) } else { Err(ClockError::Scale) }
}

fn timestamp(since_1970: Duration) -> Timestamp {
    i64::try_from(since_1970.as_millis())
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `at` as Genesys writes times: UTC with milliseconds.
pub(crate) fn wire_time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// `at` plus `span`, at most the end of time.
pub(crate) fn later(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| at.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_faster_clock_shortens_what_is_being_waited_for() {
        let clock = std::sync::Arc::new(SandboxClock::start(1.0).unwrap());
        let before = now_instant();
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(100)).await }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        clock.set_scale(90.0).unwrap();
        waiting.await.unwrap();
        let real = now_instant() - before;
        assert!(
            (Duration::from_secs(11)..Duration::from_millis(11_100)).contains(&real),
            "{real:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stands_still_can_be_moved_by_hand() {
        let clock = std::sync::Arc::new(SandboxClock::start(0.0).unwrap());
        let start = clock.now();
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_hours(1)).await }
        });
        tokio::time::sleep(Duration::from_hours(24)).await;
        assert_eq!(clock.now(), start);
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_hours(1)).unwrap();
        waiting.await.unwrap();
        assert_eq!(clock.now(), later(start, Duration::from_hours(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_refused() {
        let clock = SandboxClock::start(1.0).unwrap();
        for scale in [-1.0, f64::NAN, f64::INFINITY, 2e6] {
            assert_eq!(clock.set_scale(scale), Err(ClockError::Scale));
        }
        assert_eq!(clock.advance(Duration::MAX), Err(ClockError::Advance));
        assert_eq!(
            wire_time(Timestamp::from_millisecond(1_795_164_843_482).unwrap()),
            "2026-11-20T08:54:03.482Z"
        );
    }
}
