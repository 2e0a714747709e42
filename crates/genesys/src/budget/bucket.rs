//! A token bucket: counts the calls that one OAuth client may still make. It does no I/O and reads
//! no clock. Times are durations since a start that the caller chooses.
//!
//! Two rules apply together. One is an even pace a little below the limit. The other is the state
//! of the current window in Genesys's headers, which counts the calls of all programs that use the
//! same OAuth client.

use std::time::Duration;

use crate::rate_limit::RateLimit;

/// Genesys counts calls a minute.
const WINDOW: Duration = Duration::from_mins(1);
/// `inin-ratelimit-reset` is in whole seconds. So a wait for the end of a window lasts this much
/// longer.
const ROUNDING: Duration = Duration::from_secs(1);
/// Two reported ends that are closer than this belong to the same window.
const SAME_WINDOW: Duration = Duration::from_secs(5);
/// The headers may slow the pace down only if they leave clearly less than it. Rounding alone must
/// not do so.
const CLEARLY_LESS: f64 = 1.25;

/// The call allowance of one OAuth client. A [`Budget`](super::Budget) has one for each client.
///
/// ```
/// use std::time::Duration;
///
/// use genesys::budget::Bucket;
///
/// // 300 calls a minute, all of them used, and two at once after a pause.
/// let mut bucket = Bucket::new(300, 1.0, 2, Duration::ZERO);
/// for _ in 0..2 {
///     assert_eq!(bucket.ready_at(Duration::ZERO), Duration::ZERO);
///     bucket.take(Duration::ZERO);
/// }
/// assert_eq!(bucket.ready_at(Duration::ZERO), Duration::from_millis(200));
/// ```
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Calls a minute, as configured or as the headers say.
    allowed: u32,
    /// The part of `allowed` that is used.
    share: f64,
    /// The most calls at once after a pause.
    burst: f64,
    /// Calls that could be made now; a fraction counts towards the next.
    credit: f64,
    /// When `credit` was last brought up to date.
    counted: Duration,
    /// No call before this; set by a 429.
    shut_until: Duration,
    /// Calls that were made and not answered yet.
    in_flight: u32,
    /// The window that the headers reported last.
    window: Option<Window>,
    /// Our part of all calls with this client; below 1 if others use it too.
    ours: f64,
}

#[derive(Clone, Debug)]
struct Window {
    ends: Duration,
    /// Calls by all users of the client in this window, as reported.
    reported: u32,
    /// The first report; the difference is what came since then.
    first_reported: u32,
    /// Our answers since then.
    answered: u32,
}

impl Bucket {
    /// Creates a full bucket. `share` is the part of `allowed_per_minute` to use: it is limited to
    /// 0.1 to 1. `allowed_per_minute` and `burst` count as 1 if they are 0.
    pub fn new(allowed_per_minute: u32, share: f64, burst: u32, now: Duration) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            allowed: allowed_per_minute.max(1),
            share: if share.is_finite() { share.clamp(0.1, 1.0) } else { 1.0 },
            burst,
            credit: burst,
            counted: now,
            shut_until: Duration::ZERO,
            in_flight: 0,
            window: None,
            ours: 1.0,
        }
    }

    /// When the next call may be made: `now` or later.
    pub fn ready_at(&self, now: Duration) -> Duration {
        let open = now.max(self.shut_until);
        let missing = (1.0 - self.credit_at(now)).max(0.0);
        // The rate is never zero: `allowed` is at least 1, and the remaining calls are spread over
        // a finite time.
        let paced = open + Duration::from_secs_f64(missing / self.rate(now));
        let Some(window) = self.running(now) else { return paced };
        let fresh = open.max(window.ends + ROUNDING);
        if self.left(window) == 0 {
            fresh
        } else {
            paced.min(fresh + Duration::from_secs_f64(missing / self.even_rate()))
        }
    }

    /// Takes one call out of the bucket. If `now` is before [`Self::ready_at`], the bucket is
    /// overdrawn, and the next call waits longer.
    pub fn take(&mut self, now: Duration) {
        self.credit = self.credit_at(now) - 1.0;
        self.counted = now;
        self.in_flight += 1;
    }

    /// Puts a call back that was taken and not made.
    pub fn untake(&mut self) {
        self.credit = (self.credit + 1.0).min(self.burst);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Records that a call ended: it was answered or given up. `limit` is what the answer's headers
    /// say, if there are any.
    pub fn answered(&mut self, now: Duration, limit: Option<RateLimit>) {
        self.settle(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(window) = &mut self.window {
            window.answered += 1;
        }
        match limit {
            Some(limit) => self.learn(now, limit),
            // Genesys may have counted it.
            None => {
                if let Some(window) = &mut self.window {
                    window.reported = window.reported.saturating_add(1);
                }
            }
        }
    }

    /// Allows no call before `until`, because Genesys answered 429. No calls accumulate meanwhile.
    pub fn shut(&mut self, now: Duration, until: Duration) {
        self.settle(now);
        self.shut_until = self.shut_until.max(until);
        self.credit = self.credit.min(0.0);
    }

    /// Sets how many calls a minute Genesys allows; 0 counts as 1.
    pub fn allow(&mut self, per_minute: u32) {
        self.allowed = per_minute.max(1);
    }

    /// The part of the burst that is available, at most 1, and negative if the bucket is overdrawn.
    /// Of two buckets, the fuller one was used less.
    pub fn fullness(&self, now: Duration) -> f64 {
        self.credit_at(now) / self.burst
    }

    fn learn(&mut self, now: Duration, limit: RateLimit) {
        let ends = now + limit.reset.min(WINDOW * 2);
        let allowed = limit.allowed.max(1);
        match &mut self.window {
            // A delayed answer may describe a window that is over.
            Some(window) if ends + SAME_WINDOW < window.ends => return,
            Some(window) if ends < window.ends + SAME_WINDOW && allowed == self.allowed => {
                window.ends = window.ends.min(ends);
                window.reported = window.reported.max(limit.count);
                let all = f64::from(window.reported - window.first_reported);
                if all >= 10.0 {
                    // Genesys may count our own answers a little earlier or later than it reports
                    // them.
                    let seen = f64::from(window.answered) / all;
                    self.ours = if seen > 0.8 { 1.0 } else { seen.max(0.1) };
                }
            }
            _ => {
                self.window = Some(Window {
                    ends,
                    reported: limit.count,
                    first_reported: limit.count,
                    answered: 0,
                });
            }
        }
        self.allowed = allowed;
    }

    fn running(&self, now: Duration) -> Option<&Window> {
        self.window.as_ref().filter(|window| now < window.ends + ROUNDING)
    }

    /// Calls that the current window still allows.
    fn left(&self, window: &Window) -> u32 {
        self.allowed.saturating_sub(window.reported).saturating_sub(self.in_flight)
    }

    /// Calls a second, by the limit alone.
    fn even_rate(&self) -> f64 {
        f64::from(self.allowed) * self.share / WINDOW.as_secs_f64()
    }

    /// Calls a second.
    fn rate(&self, now: Duration) -> f64 {
        let even = self.even_rate();
        let Some(window) = self.running(now) else { return even };
        let time = window.ends.saturating_sub(now) + ROUNDING;
        let possible = f64::from(self.left(window).max(1)) * self.ours / time.as_secs_f64();
        if possible * CLEARLY_LESS < even { possible } else { even }
    }

    fn credit_at(&self, now: Duration) -> f64 {
        let since = now.saturating_sub(self.counted.max(self.shut_until));
        (self.credit + since.as_secs_f64() * self.rate(now)).min(self.burst)
    }

    fn settle(&mut self, now: Duration) {
        self.credit = self.credit_at(now);
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn limit(count: u32, allowed: u32, reset: u64) -> RateLimit {
        RateLimit { count, allowed, reset: Duration::from_secs(reset) }
    }

    /// Takes as many calls as possible until `end`; `answer` answers each at once.
    fn drain(
        bucket: &mut Bucket,
        from: f64,
        end: f64,
        mut answer: impl FnMut(u32, Duration) -> Option<RateLimit>,
    ) -> u32 {
        let (mut now, mut taken) = (secs(from), 0);
        loop {
            now = bucket.ready_at(now).max(now);
            if now >= secs(end) {
                return taken;
            }
            bucket.take(now);
            taken += 1;
            let answer = answer(taken, now);
            bucket.answered(now, answer);
        }
    }

    #[test]
    fn a_burst_and_then_an_even_pace() {
        let mut bucket = Bucket::new(300, 1.0, 10, secs(0.0));
        assert_eq!(drain(&mut bucket, 0.0, 0.001, |_, _| None), 10);
        let paced = drain(&mut bucket, 0.001, 60.0, |_, _| None);
        assert!((298..=300).contains(&paced), "{paced}");
    }

    #[test]
    fn the_headers_pace_wins_over_the_configured_one() {
        let mut bucket = Bucket::new(300, 1.0, 1, secs(0.0));
        let taken =
            drain(&mut bucket, 0.0, 58.0, |taken, now| Some(limit(taken, 60, 60 - now.as_secs())));
        assert!((55..=60).contains(&taken), "{taken}");
    }

    #[test]
    fn nothing_is_left_when_the_window_is_full_and_it_goes_on_afterwards() {
        let mut bucket = Bucket::new(300, 1.0, 10, secs(0.0));
        bucket.take(secs(0.0));
        bucket.answered(secs(0.0), Some(limit(300, 300, 20)));
        assert_eq!(bucket.ready_at(secs(5.0)), secs(21.0));
        assert_eq!(bucket.ready_at(secs(21.0)), secs(21.0));
    }

    #[test]
    fn calls_under_way_count_as_made() {
        let mut bucket = Bucket::new(300, 1.0, 10, secs(0.0));
        for _ in 0..3 {
            bucket.take(secs(0.0));
        }
        bucket.answered(secs(0.0), Some(limit(298, 300, 20)));
        assert_eq!(bucket.ready_at(secs(1.0)), secs(21.0));
        bucket.untake();
        assert!(bucket.ready_at(secs(1.0)) < secs(21.0));
    }

    #[test]
    fn a_shut_bucket_opens_without_a_burst() {
        let mut bucket = Bucket::new(300, 1.0, 10, secs(0.0));
        bucket.take(secs(0.0));
        bucket.answered(secs(0.0), None);
        bucket.shut(secs(0.0), secs(12.0));
        assert!(bucket.ready_at(secs(0.0)) >= secs(12.0));
        let after = drain(&mut bucket, 0.0, 13.0, |_, _| None);
        assert!((4..=6).contains(&after), "{after}");
    }

    #[test]
    fn an_answer_of_the_last_window_changes_nothing() {
        let mut bucket = Bucket::new(300, 1.0, 10, secs(0.0));
        for count in [1, 299] {
            bucket.take(secs(61.0));
            bucket.answered(secs(61.0), Some(limit(count, 300, if count == 1 { 59 } else { 1 })));
        }
        assert_eq!(bucket.ready_at(secs(61.0)), secs(61.0));
    }

    #[test]
    fn what_others_use_is_left_to_them() {
        // Another user makes a call for each of ours. The window lasts for both, and is not empty
        // half way.
        let mut bucket = Bucket::new(300, 0.98, 10, secs(0.0));
        let mut taken_by_half = 0;
        let mut now = secs(0.0);
        let mut taken = 0;
        loop {
            now = bucket.ready_at(now);
            if now >= secs(59.0) {
                break;
            }
            bucket.take(now);
            taken += 1;
            taken_by_half += u32::from(now < secs(30.0));
            let reset = 60 - now.as_secs();
            bucket.answered(now, Some(limit(taken * 2, 300, reset)));
        }
        assert!((130..=150).contains(&taken), "{taken}");
        assert!(taken_by_half < 100, "{taken_by_half}");
    }

    #[test]
    fn absurd_headers_neither_stop_it_for_ever_nor_break_it() {
        let mut bucket = Bucket::new(0, f64::NAN, 0, secs(0.0));
        let mut now = secs(0.0);
        for (count, allowed, reset) in
            [(0, 0, 0), (u32::MAX, 0, 3600), (5, u32::MAX, 0), (0, 1, 3600)]
        {
            now = bucket.ready_at(now);
            bucket.take(now);
            bucket.answered(now, Some(limit(count, allowed, reset)));
            assert!(
                bucket.ready_at(now) < now + Duration::from_mins(5),
                "{count} {allowed} {reset}"
            );
        }
    }
}
