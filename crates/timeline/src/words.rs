//! How times, durations, counts and foreign sentences look in a text.

use conversation::Reason;
use jiff::Timestamp;

/// The most characters of an id in a text. Ids from outside may be of any length.
const MAX_ID: usize = 80;
/// The most characters of a cause that is not the main one.
const MAX_SHORT: usize = 100;

/// A time in UTC, with its date if that is not the date of `now`.
pub(crate) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (day, today) = (at.strftime("%Y-%m-%d").to_string(), now.strftime("%Y-%m-%d").to_string());
    let time = at.strftime("%H:%M:%S");
    if day == today { time.to_string() } else { format!("{day} {time}") }
}

/// The time between two moments: `0.4 s`, `30 s`, `2 min 5 s`, `3 h 5 min`, `2 d 3 h`. Zero if the
/// second is the earlier one.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    let millis = to.duration_since(from).as_millis().max(0);
    let seconds = millis / 1_000;
    let two = |large: i128, unit: &str, small: i128, sub: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {sub}") }
    };
    match seconds {
        0 if millis < 100 => "less than 0.1 s".to_owned(),
        0 => format!("0.{} s", millis / 100),
        1..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// When something is due: `is due at 09:00:31`, `was due at 09:00:29`.
pub(crate) fn due(at: Timestamp, now: Timestamp) -> String {
    format!("{} due at {}", if at < now { "was" } else { "is" }, clock(at, now))
}

/// Whether the time between two moments is worth a word.
pub(crate) fn is_long(from: Timestamp, to: Timestamp) -> bool {
    to.duration_since(from).as_millis() >= 1_000
}

/// `1 message`, `3 messages`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A cause as a part of a sentence: without the full stop that the service may have written.
pub(crate) fn part(cause: &impl ToString) -> String {
    let text = cause.to_string();
    text.trim_end_matches(|c: char| c.is_whitespace() || c == '.').to_owned()
}

/// The same, cut where it is not the main cause. The steps have it whole.
pub(crate) fn short(cause: &impl ToString) -> String {
    let text = part(cause);
    match text.char_indices().nth(MAX_SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A sentence from outside, cut as receipts have it. A sentence that was read from a store was not
/// cut when it was read. Characters that could hide or turn the words around it become spaces.
pub fn plain(text: &str) -> String {
    text.chars().take(Reason::MAX_CHARS).map(visible).collect()
}

/// The character, or a space if it is a control character or one that turns the direction of text.
fn visible(c: char) -> char {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { ' ' } else { c }
}

/// An id from outside, as a text may have it.
pub(crate) fn id(id: &str) -> String {
    let mut chars = id.chars();
    let mut text: String = chars.by_ref().take(MAX_ID).map(visible).collect();
    if chars.next().is_some() {
        text.push('…');
    }
    text
}

/// An id from outside, as a field has it: whole, unless it is longer than any real one. Characters
/// that could hide or turn the words around it become spaces.
pub(crate) fn field(id: &str) -> String {
    plain(id)
}

/// A sentence with a capital letter at its beginning and one full stop at its end.
pub fn sentence(text: &str) -> String {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || c == '.');
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars).chain(Some('.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let from = at("2026-11-20T09:00:00Z");
        for (to, text) in [
            ("2026-11-20T08:00:00Z", "less than 0.1 s"),
            ("2026-11-20T09:00:00.099Z", "less than 0.1 s"),
            ("2026-11-20T09:00:00.45Z", "0.4 s"),
            ("2026-11-20T09:00:30.9Z", "30 s"),
            ("2026-11-20T09:02:05Z", "2 min 5 s"),
            ("2026-11-20T09:02:00Z", "2 min"),
            ("2026-11-20T12:05:59Z", "3 h 5 min"),
            ("2026-11-22T12:05:59Z", "2 d 3 h"),
        ] {
            assert_eq!(span(from, at(to)), text);
        }
        assert_eq!(span(Timestamp::MAX, Timestamp::MIN), "less than 0.1 s");
        assert!(span(Timestamp::MIN, Timestamp::MAX).ends_with(" h"));
    }

    #[test]
    fn a_time_has_its_date_if_it_is_another_day() {
        let now = at("2026-11-21T00:00:10Z");
        assert_eq!(clock(at("2026-11-21T00:00:09.9Z"), now), "00:00:09");
        assert_eq!(clock(at("2026-11-20T23:59:59Z"), now), "2026-11-20 23:59:59");
        assert!(clock(Timestamp::MIN, now).starts_with("-9999-"));
    }

    #[test]
    fn a_foreign_id_is_cut_and_has_no_control_characters() {
        assert_eq!(id("a\nb\u{202e}c"), "a b c");
        assert_eq!(id(&"x".repeat(10_000)).chars().count(), MAX_ID + 1);
        assert_eq!(field("a\nb\u{202e}c\u{2067}d"), "a b c d");
        assert_eq!(field(&"x".repeat(10_000)).chars().count(), Reason::MAX_CHARS);
    }

    #[test]
    fn a_lesser_cause_is_cut_between_characters() {
        assert_eq!(short(&"it is over."), "it is over");
        assert_eq!(short(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
        assert_eq!(short(&"é".repeat(100)), "é".repeat(100));
    }

    #[test]
    fn a_sentence_ends_once() {
        assert_eq!(sentence("it is over. "), "It is over.");
        assert_eq!(sentence(""), ".");
    }
}
