//! Splits a body into the bytes of each event. They stay unchanged, because the gateway stores an
//! event as it was sent.

use serde::de::IgnoredAny;

use super::NotEvents;

/// The bytes of each event in a body that holds one event or an array.
pub(super) fn events(body: &[u8]) -> Result<Vec<&[u8]>, NotEvents> {
    let bare = lenient::json::without_mark(body).trim_ascii();
    let mended = lenient::json::mend(bare);
    serde_json::from_str::<IgnoredAny>(&mended)
        .map_err(|error| NotEvents::NotJson { line: error.line(), column: error.column() })?;
    match bare.first() {
        Some(b'{') => Ok(vec![bare]),
        Some(b'[') => Ok(elements(bare)),
        _ => Err(NotEvents::NeitherOneNorMany),
    }
}

/// Splits an array that is valid JSON after its characters are repaired. The repair does not change
/// characters that separate values, so the elements have the same boundaries in the original.
fn elements(array: &[u8]) -> Vec<&[u8]> {
    let inner = &array[1..array.len() - 1];
    let (mut elements, mut start) = (Vec::new(), 0);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in inner.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                elements.push(inner[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = inner[start..].trim_ascii();
    if !last.is_empty() {
        elements.push(last);
    }
    elements
}
