//! Reads fields of a JSON object that authors of connectors spell in several ways.

use serde_json::{Map, Value};

/// The value of the first of these names that is present and not null.
pub(crate) fn first<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().filter_map(|name| fields.get(*name)).find(|value| !value.is_null())
}

/// The value as text (a number is converted), if it is not blank.
pub(crate) fn filled(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    lenient::id::text(first(fields, names)?).filter(|text| !text.trim().is_empty())
}
