//! Dates of a date picker as text. They are written in digits, with the offset that Genesys wrote:
//! the customer's time zone is not known.

use jiff::civil::Date;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

/// A day, such as `2026-12-01`, or in the order that `format` names.
pub(super) fn day(time: &str, format: Option<&str>) -> Option<String> {
    Some(written(Pieces::parse(time).ok()?.date(), format))
}

/// A time that can be chosen, such as `2026-12-01 10:00 +01:00 (30 min)`. What cannot be read is
/// shown as it is.
pub(super) fn slot(time: &str, seconds: Option<u64>, format: Option<&str>) -> String {
    let Ok(pieces) = Pieces::parse(time) else { return time.to_owned() };
    let at = pieces.time().map(|at| format!("{:02}:{:02}", at.hour(), at.minute()));
    let offset = pieces.to_numeric_offset().map(|offset| match offset {
        Offset::UTC => "UTC".to_owned(),
        offset => signed(offset),
    });
    let minutes = seconds.map(|seconds| seconds / 60).filter(|minutes| *minutes > 0);
    let lasts = minutes.map(|minutes| format!("({minutes} min)"));
    let parts = [Some(written(pieces.date(), format)), at, offset, lasts];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The order of Genesys's `dateDisplayFormat`.
fn written(date: Date, format: Option<&str>) -> String {
    let (year, month, day) = (date.year(), date.month(), date.day());
    match format {
        Some("dayMonthYear") => format!("{day:02}/{month:02}/{year:04}"),
        Some("monthDayYear") => format!("{month:02}/{day:02}/{year:04}"),
        _ => format!("{year:04}-{month:02}-{day:02}"),
    }
}

fn signed(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_its_own_offset() {
        for (time, seconds, format, shown) in [
            ("2026-12-01T10:00:00.000Z", Some(1_800), None, "2026-12-01 10:00 UTC (30 min)"),
            ("2026-12-01T10:00:00+01:00", None, Some("dayMonthYear"), "01/12/2026 10:00 +01:00"),
            ("2026-12-01T10:00-0530", Some(59), Some("monthDayYear"), "12/01/2026 10:00 -05:30"),
            ("2026-12-01T10:00", Some(3_600), Some("yearMonthDay"), "2026-12-01 10:00 (60 min)"),
            ("2026-12-01", None, None, "2026-12-01"),
            ("next week", Some(1_800), None, "next week"),
        ] {
            assert_eq!(slot(time, seconds, format), shown, "{time}");
        }
    }
}
