//! The state of the rate limit, as the headers of Genesys's answers report it.

use std::time::Duration;

use http::HeaderMap;

/// The longest wait that is believed. Genesys's window is a minute; a far longer wait is a mistake.
const LONGEST: Duration = Duration::from_hours(1);

/// The rate limit of a token and its use, from the headers `inin-ratelimit-*` of an answer.
///
/// ```
/// use genesys::RateLimit;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("inin-ratelimit-count", 12.into());
/// headers.insert("inin-ratelimit-allowed", 300.into());
/// assert_eq!(RateLimit::from_headers(&headers), None, "one header is missing");
/// headers.insert("inin-ratelimit-reset", 48.into());
/// let limit = RateLimit::from_headers(&headers).expect("all three headers are there");
/// assert_eq!((limit.count, limit.allowed, limit.reset.as_secs()), (12, 300, 48));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The calls in this window so far, including this one, by all programs with the same client.
    pub count: u32,
    /// The calls that are allowed in a window of one minute.
    pub allowed: u32,
    /// The time until the window ends, in whole seconds, at most an hour.
    pub reset: Duration,
}

impl RateLimit {
    /// Reads the headers `inin-ratelimit-count`, `-allowed` and `-reset`. Returns `None` unless all
    /// three are present and are numbers.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            count: number(headers, "inin-ratelimit-count")?,
            allowed: number(headers, "inin-ratelimit-allowed")?,
            reset: seconds(headers, "inin-ratelimit-reset")?,
        })
    }
}

/// `Retry-After`, at most an hour. Genesys sends seconds. A proxy may send a date, which is read
/// against the `Date` of the same answer, and is useless without one.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    lenient::retry_after(text("retry-after")?, text("date"), None).map(|pause| pause.min(LONGEST))
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    number(headers, name).map(|seconds| Duration::from_secs(seconds.into()).min(LONGEST))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    let number: u64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(count: &str, allowed: &str, reset: &str) -> HeaderMap {
        let named = [
            ("inin-ratelimit-count", count),
            ("inin-ratelimit-allowed", allowed),
            ("inin-ratelimit-reset", reset),
        ];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        named.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn all_three_headers_or_none() {
        let limit = RateLimit { count: 1, allowed: 180, reset: Duration::from_secs(61) };
        assert_eq!(RateLimit::from_headers(&headers("1", "180", "61")), Some(limit));
        for (count, allowed, reset) in
            [("", "180", "61"), ("1", "", "61"), ("1", "180", ""), ("-1", "many", "61")]
        {
            assert_eq!(RateLimit::from_headers(&headers(count, allowed, reset)), None);
        }
    }

    #[test]
    fn absurd_numbers_are_cut() {
        let limit =
            RateLimit::from_headers(&headers("1", "18446744073709551615", "18446744073709551615"))
                .unwrap();
        assert_eq!((limit.allowed, limit.reset), (u32::MAX, LONGEST));
    }
}
