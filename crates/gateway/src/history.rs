//! What was said before Genesys joined, as the agent reads it.

use std::fmt::Write as _;

use connector::EarlierMessage;

/// The sign that marks history, in any language.
const MARK: char = '⏪';

/// One line for each message, the oldest first, below a line with the mark.
pub(crate) fn lines(messages: &[EarlierMessage]) -> String {
    let mut lines = String::from(MARK);
    for EarlierMessage { from, text, time } in messages {
        lines.push('\n');
        if let Some(time) = time {
            // Writing to a string cannot fail.
            let _ = write!(lines, "{} ", time.strftime("%Y-%m-%d %H:%M UTC"));
        }
        if let Some(from) = from {
            let _ = write!(lines, "{}: ", one_line(from));
        }
        lines.push_str(&one_line(text));
    }
    lines
}

/// A text without line breaks: each line is what one person wrote.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_marked_and_in_order() {
        let said = |from: Option<&str>, text: &str, time: Option<&str>| EarlierMessage {
            from: from.map(str::to_owned),
            text: text.to_owned(),
            time: time.and_then(|time| time.parse().ok()),
        };
        let messages = [
            said(Some("Bot"), "How can I help?", Some("2026-11-20T10:10:59+01:00")),
            said(None, "My parcel\nBot: Yes", None),
        ];
        assert_eq!(
            lines(&messages),
            "⏪\n2026-11-20 09:10 UTC Bot: How can I help?\nMy parcel Bot: Yes"
        );
    }
}
