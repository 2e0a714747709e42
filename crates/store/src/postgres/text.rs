//! Foreign text for a database that allows no NUL in a text, and no long text in an index: escaped,
//! or hashed into a key.

use std::borrow::Cow;

/// The prefix of escaped text.
const ESCAPED: char = '\u{1}';

/// The text in a form that the database accepts.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains('\0') || text.starts_with(ESCAPED) {
        Cow::Owned(format!("{ESCAPED}{}", text.replace('%', "%25").replace('\0', "%00")))
    } else {
        Cow::Borrowed(text)
    }
}

/// The original text.
pub(super) fn unescape(text: String) -> String {
    match text.strip_prefix(ESCAPED) {
        Some(escaped) => escaped.replace("%00", "\0").replace("%25", "%"),
        None => text,
    }
}

pub(super) use crate::portable::key;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_comes_back() {
        for text in ["", "plain", "100%", "a\0b%00", "\u{1}x", "\u{1}%25\0", "%2500"] {
            assert!(!escape(text).contains('\0'));
            assert_eq!(unescape(escape(text).into_owned()), text);
        }
    }
}
