//! HTTP's `Retry-After` (RFC 9110, section 10.2.3).

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How long to wait: a number of seconds, or the time from `now` until a date. A date in the past
/// means no wait. `None` if it is neither.
///
/// A date is compared with the sender's own `Date`, so that clock differences do not matter.
/// Without one it is compared with `now`, if the caller has a clock.
pub fn retry_after(value: &str, date: Option<&str>, now: Option<Timestamp>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number too large for 64 bits fails here.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let sent = date.and_then(|date| http_date(date.trim(), now.unwrap_or(Timestamp::UNIX_EPOCH)));
    let now = sent.or(now)?;
    let until = http_date(value, now)?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// A date in any of the three forms of RFC 9110 (section 5.6.7). A year of two digits is read as
/// one near `now`.
pub fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    imf_fixdate(text).or_else(|| rfc_850(text, now)).or_else(|| asctime(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. The year is the one that is no more than 50 years ahead.
fn rfc_850(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (_, rest) = text.split_once(',')?;
    let [date, time, "GMT" | "UTC"] = words(rest)? else { return None };
    let mut date = date.split('-');
    let (day, month, year) = (date.next()?, date.next()?, date.next()?);
    if date.next().is_some() || year.len() != 2 {
        return None;
    }
    let this_year = TimeZone::UTC.to_datetime(now).year();
    let year = this_year - this_year.rem_euclid(100) + year.parse::<i16>().ok()?;
    let at = utc(year, month, day, time)?;
    let half_a_century = SignedDuration::from_hours(50 * 8_766);
    if at.duration_since(now) > half_a_century {
        utc(year - 100, month, day, time)
    } else {
        Some(at)
    }
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<Timestamp> {
    let [_, month, day, time, year] = words(text)?;
    utc(year.parse().ok()?, month, day, time)
}

fn words<const N: usize>(text: &str) -> Option<[&str; N]> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    words.try_into().ok()
}

fn utc(year: i16, month: &str, day: &str, time: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))? + 1;
    let mut time = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if time.next().is_some() {
        return None;
    }
    // A leap second counts as the second before it.
    let at = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        day.parse().ok()?,
        hour,
        minute,
        second.min(59),
        0,
    )
    .ok()?;
    TimeZone::UTC.to_timestamp(at).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-28T19:33:04Z".parse().unwrap()
    }

    fn wait(value: &str) -> Option<u64> {
        retry_after(value, None, Some(now())).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_each_form_of_a_date_are_read() {
        for thirty in [
            "30",
            " 30 ",
            "Sat, 28 Nov 2026 19:33:34 GMT",
            "Saturday, 28-Nov-26 19:33:34 GMT",
            "Sat Nov 28 19:33:34 2026",
            // A weekday that does not fit must not shorten the wait.
            "Monday, 28-Nov-26 19:33:34 GMT",
            "sat nov 28 19:33:34 2026",
        ] {
            assert_eq!(wait(thirty), Some(30), "{thirty}");
        }
        assert_eq!(wait("Tue Dec  1 19:33:04 2026"), Some(3 * 86_400), "a day of one digit");
        assert_eq!(wait("99999999999999999999999999"), Some(u64::MAX));
    }

    #[test]
    fn a_date_that_is_past_is_no_wait() {
        for past in [
            "0",
            "Sat, 28 Nov 2026 19:33:03 GMT",
            "Saturday, 28-Nov-26 19:33:03 GMT",
            "Sat Nov 28 19:33:03 2026",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait(past), Some(0), "{past}");
        }
    }

    #[test]
    fn two_digits_of_a_year_are_at_most_fifty_years_ahead() {
        let years = |value| wait(value).unwrap() / 31_557_600;
        assert_eq!(years("Friday, 28-Nov-75 19:33:04 GMT"), 48);
        assert_eq!(years("Friday, 28-Nov-77 19:33:04 GMT"), 0, "that was 1977");
    }

    #[test]
    fn nonsense_is_none() {
        for nonsense in [
            "",
            "soon",
            "-5",
            "1.5",
            "2026-11-20",
            "Saturday, 28-Nov-26",
            "Saturday, 28-Nov-2026 19:33:34 GMT",
            "Saturday, 31-Feb-26 19:33:34 GMT",
            "Saturday, 28-Nov-26 19:33:34 EST",
            "Sat Nov 28 25:33:34 2026",
            "Sat Foo 28 19:33:34 2026",
            "Sat Nov 28 19:33 2026",
            "Sat Nov 28 19:33:34 99999",
            "+7",
        ] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_senders_own_clock_counts() {
        let date = Some("Sat, 28 Nov 2026 21:33:04 GMT");
        let wait = retry_after("Saturday, 28-Nov-26 21:33:34 GMT", date, Some(now()));
        assert_eq!(wait, Some(Duration::from_secs(30)));
        let wait = retry_after("Sat Nov 28 19:33:34 2026", Some("today"), Some(now()));
        assert_eq!(wait, Some(Duration::from_secs(30)), "a date that cannot be read is none");
        assert_eq!(
            retry_after("Sat Nov 28 21:33:34 2026", date, None),
            Some(Duration::from_secs(30))
        );
        assert_eq!(retry_after("Sat Nov 28 21:33:34 2026", None, None), None, "no clock");
        assert_eq!(retry_after("3", None, None), Some(Duration::from_secs(3)));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(value: String, date: String) {
            let _ = retry_after(&value, Some(&date), Some(now()));
        }

        #[test]
        fn no_odd_date_breaks_it(value in "[A-Z][a-z]{2,8},? ?[0-9A-Za-z]{1,3}[ -][A-Za-z0-9]{1,3}[ -][0-9]{1,5} [0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3}( GMT)?") {
            let _ = retry_after(&value, None, Some(now()));
        }
    }
}
