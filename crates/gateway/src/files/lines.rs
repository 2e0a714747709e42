//! The lines of text that stand where files should be. Pure.
//!
//! A text has a limit on both sides. No line may be the reason for which a message is refused, so
//! lines are short, and go as far as there is room.

/// The longest name in a line, in characters.
const MAX_NAME: usize = 60;
/// The longest line, in characters.
const MAX_LINE: usize = 300;

/// The line for one file. `pattern` contains `{name}`.
pub(super) fn line(pattern: &str, name: Option<&str>) -> String {
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let name = match name.trim() {
        "" => "?",
        name => name,
    };
    cut(&pattern.replace("{name}", &cut(name, MAX_NAME)), MAX_LINE)
}

/// The same with a reason behind it.
pub(super) fn line_with_reason(line: &str, why: &str) -> String {
    cut(&format!("{line} ({why})"), MAX_LINE)
}

/// A text with further lines below it.
pub(super) fn with_lines(text: Option<&str>, lines: &[String]) -> Option<String> {
    let text = text.filter(|text| !text.is_empty());
    let all: Vec<&str> = text.into_iter().chain(lines.iter().map(String::as_str)).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_short() {
        for (name, expected) in [
            (Some("a.png"), "[File not available: a.png]"),
            (Some(" a\r\nb.png "), "[File not available: ab.png]"),
            (Some("\n"), "[File not available: ?]"),
            (None, "[File not available: ?]"),
        ] {
            assert_eq!(line("[File not available: {name}]", name), expected);
        }
        let long = line("[{name}]", Some(&"ü".repeat(500)));
        assert_eq!(long, format!("[{}…]", "ü".repeat(MAX_NAME - 1)));
        let long = line_with_reason(&line(&"{name}".repeat(9), Some(&"x".repeat(500))), "why");
        assert_eq!(long.chars().count(), MAX_LINE);
    }

    #[test]
    fn lines_stand_below_the_text() {
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(with_lines(Some("words"), &lines).as_deref(), Some("words\none\ntwo"));
        assert_eq!(with_lines(Some(""), &lines).as_deref(), Some("one\ntwo"));
        assert_eq!(with_lines(None, &[]), None);
    }
}
