//! Times and durations as the pages show them: UTC, with the date once.

use jiff::Timestamp;
use maud::{Markup, html};

/// A time of day with milliseconds. A pointer shows the whole time.
pub(crate) fn time(at: Timestamp) -> Markup {
    html! {
        time datetime=(at) title=(at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC")) {
            (at.strftime("%H:%M:%S%.3f"))
        }
    }
}

/// The date in UTC, such as `2026-11-30`.
pub(crate) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// A date and a time.
pub(crate) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// How long something took: `12 ms`, `1.5 s`, `2 min 5 s`, `3 h 5 min`, `2 d 3 h`.
pub(crate) fn length(from: Timestamp, to: Timestamp) -> String {
    let millis = to.duration_since(from).as_millis().max(0);
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        let from = Timestamp::UNIX_EPOCH;
        let of = |millis: i64| length(from, from + millis.milliseconds());
        assert_eq!(of(12), "12 ms");
        assert_eq!(of(1_549), "1.5 s");
        assert_eq!(of(125_000), "2 min 5 s");
        assert_eq!(of(11_100_000), "3 h 5 min");
        assert_eq!(of(183_600_000), "2 d 3 h");
        assert_eq!(length(from + 1.second(), from), "0 ms", "a clock that was behind");
    }
}
