//! Our own types as JSON, which is how every store keeps them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cause::JsonError;

/// The JSON of one of our own types.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Our types are enums, structs and strings, all of which serde_json can serialize.
    serde_json::to_string(value).expect("our own types are JSON")
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    Ok(serde_json::from_str(text)?)
}
