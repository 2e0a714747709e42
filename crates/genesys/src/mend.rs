//! Repairs a body whose characters are broken, so that the rest of it can be read.
//!
//! A text that was cut between two halves of an emoji is written by JavaScript as a lone surrogate, which no strict
//! reader takes.

/// A copy of `body` with U+FFFD for every byte that is no UTF-8 and every surrogate escape without its other half,
/// and without a byte order mark. `None` when there was nothing to mend.
pub(crate) fn mended(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut out = String::with_capacity(bare.len());
    let mut rest = bare;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match surrogate(rest) {
            Some(Half::High) if surrogate(&rest[6..]) == Some(Half::Low) => 12,
            Some(_) => {
                out.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
            // A backslash and what it escapes, so that `\\ud800` is not taken for a surrogate.
            None => rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    (out.as_bytes() != body).then_some(out)
}

#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// Which half of a surrogate pair the escape at the start of `text` stands for.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_halves_go_and_pairs_stay() {
        for (body, expected) in [
            (r"a\ud83d", Some("a\u{fffd}")),
            (r"\ude9a\ud83d\ude9a", Some("\u{fffd}\\ud83d\\ude9a")),
            (r"\ud83d\ud83d\ude9a", Some("\u{fffd}\\ud83d\\ude9a")),
            (r"\uD83D\n", Some("\u{fffd}\\n")),
            (r"\ud83d\ude9a \\ud83d \u00e0 \", None),
            (r"\ud8", None),
            (r"\uü\", None),
            ("", None),
        ] {
            assert_eq!(mended(body.as_bytes()).as_deref(), expected, "{body}");
        }
        assert_eq!(mended(b"\xef\xbb\xbf{}").as_deref(), Some("{}"));
        assert_eq!(mended(b"\xff{}").as_deref(), Some("\u{fffd}{}"));
    }
}
