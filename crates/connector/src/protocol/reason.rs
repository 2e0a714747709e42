//! Reads why a chat service refused something, in any of the usual formats.

use conversation::{Reason, ReasonCode};
use serde_json::{Map, Value};

use super::fields::Fields;

/// The fields that may hold a reason: that of the protocol first, then those that web frameworks
/// use.
const PLACES: [&str; 3] = ["reason", "error", "errors"];
/// The names of the field with a reason's sentence.
const SENTENCES: [&str; 6] =
    ["message", "detail", "description", "error_description", "title", "text"];

/// The reason in an answer: under `reason`, `error` or `errors`, or at the top level.
pub(crate) fn in_answer(fields: &Fields, fallback: ReasonCode) -> Option<Reason> {
    let (code, sentence) = in_places(fields);
    // A reason with only a code takes its sentence from the top level, and the other way round.
    let own = SENTENCES.into_iter().chain(["code"]);
    let own =
        object(&own.filter_map(|name| Some((name.to_owned(), fields.readable(name)?))).collect());
    made_of((code.or(own.0), sentence.or(own.1)), fallback)
}

/// The reason in an event: under `reason`, `error` or `errors`. An event's own `message` is a
/// message's id.
pub(super) fn in_event(fields: &Fields, fallback: ReasonCode) -> Option<Reason> {
    made_of(in_places(fields), fallback)
}

fn in_places(fields: &Fields) -> Parts {
    PLACES.iter().find_map(|place| parts(&fields.readable(place)?)).unwrap_or_default()
}

fn made_of((code, sentence): Parts, fallback: ReasonCode) -> Option<Reason> {
    let says_something = code.is_some() || sentence.is_some();
    says_something.then(|| Reason::from_service(code.as_deref(), sentence.as_deref(), fallback))
}

/// The code and the sentence of a reason.
type Parts = (Option<String>, Option<String>);

fn parts(value: &Value) -> Option<Parts> {
    let parts = match value {
        Value::String(text) => match ReasonCode::from_name(text) {
            Some(code) => (Some(code.as_str().to_owned()), None),
            None => (None, filled(value)),
        },
        Value::Object(fields) => object(fields),
        Value::Array(list) => return list.iter().find_map(parts),
        Value::Null | Value::Bool(_) | Value::Number(_) => (None, None),
    };
    (parts.0.is_some() || parts.1.is_some()).then_some(parts)
}

fn object(fields: &Map<String, Value>) -> Parts {
    let code = fields.get("code").and_then(filled);
    (code, SENTENCES.iter().find_map(|name| fields.get(*name).and_then(filled)))
}

/// The value as text (a number is converted), if it is not empty.
fn filled(value: &Value) -> Option<String> {
    lenient::id::text(value).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
