//! Reads JSON whose characters are damaged.
//!
//! JavaScript writes a lone surrogate if a text was cut between the two halves of an emoji. Some
//! programs on Windows write a byte order mark first, and old programs write Latin-1. A strict
//! reader refuses all of them.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Repairs the bytes' characters for a strict reader. U+FFFD replaces each byte that is not UTF-8,
/// and each surrogate escape without its other half. Byte order marks before the first value are
/// removed. Valid JSON is returned unchanged. Other damage remains.
pub fn mend(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = without_mark(bytes);
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => pair_surrogates(text).map_or(Cow::Borrowed(text), Cow::Owned),
        Cow::Owned(text) => Cow::Owned(pair_surrogates(&text).unwrap_or(text)),
    }
}

/// Reads a value, after repairing its characters if necessary.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(&mend(bytes))
}

/// The bytes after a byte order mark. Programs that write into one another's output may leave
/// several, and blank lines between them.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut rest = bytes;
    while let Some(behind) = rest.trim_ascii_start().strip_prefix(MARK) {
        rest = behind;
    }
    rest
}

/// Replaces lone surrogate escapes. Returns `None` if every one has its other half.
fn pair_surrogates(text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut rest, mut mended) = (text, false);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match surrogate(rest) {
            Some(Half::High) if surrogate(&rest[6..]) == Some(Half::Low) => 12,
            Some(_) => {
                out.push(char::REPLACEMENT_CHARACTER);
                mended = true;
                rest = &rest[6..];
                continue;
            }
            // Takes a backslash together with the character that it escapes, so that `\\ud800` is
            // not taken for a surrogate.
            None => rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    mended.then_some(out)
}

#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// Which half of a surrogate pair the escape at the start of `text` is.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn lone_halves_go_and_pairs_stay() {
        for (text, expected) in [
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ude9a\ud83d\ude9a", "\u{fffd}\\ud83d\\ude9a"),
            (r"\ud83d\ud83d\ude9a", "\u{fffd}\\ud83d\\ude9a"),
            (r"\uD83D\n", "\u{fffd}\\n"),
            (r"\ud83d \ude9a", "\u{fffd} \u{fffd}"),
            (r"\ud83d\\ude9a", "\u{fffd}\\\\ude9a"),
            (r"\ud83d\ude9a \\ud83d \u00e0 \", r"\ud83d\ude9a \\ud83d \u00e0 \"),
            (r"\ud8", r"\ud8"),
            (r"\u+d83", r"\u+d83"),
            (r"\uü\", r"\uü\"),
            ("", ""),
        ] {
            assert_eq!(mend(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn marks_and_odd_bytes_are_mended() {
        for (bytes, expected) in [
            (&b"\xef\xbb\xbf{}"[..], "{}"),
            (b"\xef\xbb\xbf\r\n\xef\xbb\xbf {}", " {}"),
            (b" \n\xef\xbb\xbf{}", "{}"),
            (b"{\"a\":\"\xef\xbb\xbf\"}", "{\"a\":\"\u{feff}\"}"),
            (b"\"caf\xe9\"", "\"caf\u{fffd}\""),
            (b"\"\xed\xa0\xbd\"", "\"\u{fffd}\u{fffd}\u{fffd}\""),
            (b"\"\xf0\x9f\x98\"", "\"\u{fffd}\""),
            (b"\"\xff\\ud83d\"", "\"\u{fffd}\u{fffd}\""),
        ] {
            assert_eq!(mend(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn damage_in_keys_and_values_costs_nothing_else() {
        let bytes = b"\xef\xbb\xbf{\"k\\ud83d\":[\"\xe9\",{\"\xff\":\"\\udc00x\"}],\"n\":1}";
        let expected = json!({"k\u{fffd}": ["\u{fffd}", {"\u{fffd}": "\u{fffd}x"}], "n": 1});
        assert_eq!(from_slice::<Value>(bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for bytes in [
            &b""[..],
            b"{",
            b"\xef\xbb\xbf",
            b"<html>",
            b"{\"a\":\xff}",
            b"{\"a\":1}\xff",
            b"\\ud83d",
        ] {
            assert!(from_slice::<Value>(bytes).is_err(), "{bytes:?}");
        }
    }

    /// Any JSON value, with any strings.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_mended_once_and_for_all(bytes: Vec<u8>) {
            let mended = mend(&bytes).into_owned();
            prop_assert_eq!(mend(mended.as_bytes()), mended.as_str());
        }

        #[test]
        fn escapes_of_any_kind_never_break_it(text in r#"(\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\|\\|u|x|"){0,12}"#) {
            let mended = mend(text.as_bytes()).into_owned();
            prop_assert_eq!(mend(mended.as_bytes()), mended.as_str());
        }

        #[test]
        fn valid_json_is_not_touched(value in json()) {
            let text = value.to_string();
            prop_assert!(matches!(mend(text.as_bytes()), Cow::Borrowed(mended) if mended == text));
            prop_assert_eq!(from_slice::<Value>(text.as_bytes()).unwrap(), value);
        }

        #[test]
        fn a_string_with_damage_anywhere_is_read(before: String, bytes: Vec<u8>, half in 0xd800_u16..0xe000) {
            let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte >= 0x80).collect();
            let quoted = serde_json::to_string(&before).unwrap();
            let open = &quoted.as_bytes()[..quoted.len() - 1];
            let body = [b"{\"a\":", open, &bytes, format!("\\u{half:04x}").as_bytes(), b"\",\"b\":1}"].concat();
            let value: Value = from_slice(&body).unwrap();
            prop_assert_eq!(&value["b"], &json!(1));
            prop_assert!(value["a"].as_str().unwrap().starts_with(&before));
        }
    }
}
