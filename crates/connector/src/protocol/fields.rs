//! Reads fields of a JSON object that a chat service wrote, with a sentence for each mistake.
//!
//! It does not use serde's derived implementations. Their errors quote values, and a customer's
//! text must not appear in an error. A field is parsed only when it is requested, so that no other
//! field can make the object unreadable.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::MAX_ID;

/// The longest optional text of a customer that is kept, in bytes.
pub(super) const MAX_ORNAMENT: usize = 2_048;

/// A sentence that says what is wrong with a field.
pub(super) type Why = String;

/// The fields of one JSON object. If a key is repeated, the last one counts.
pub(crate) struct Fields {
    /// The object's own name in sentences, such as `customer.`; empty for the event itself.
    within: &'static str,
    map: BTreeMap<String, Box<RawValue>>,
}

impl Fields {
    /// Reads an object. Returns `None` if `json` is not an object.
    pub(crate) fn read(json: &str) -> Option<Self> {
        Self::within("", json)
    }

    fn within(within: &'static str, json: &str) -> Option<Self> {
        Some(Self { within, map: serde_json::from_str(json).ok()? })
    }

    /// A field's JSON; `null` counts as absent.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.map.get(name).map(|raw| raw.get()).filter(|json| *json != "null")
    }

    /// A field's value. A value that cannot be read, such as a number out of range, counts as
    /// absent.
    pub(crate) fn readable(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// Whether a field is present, even if it is `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The names of all fields that are present.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str).filter(|name| self.raw(name).is_some())
    }

    pub(super) fn value(&self, name: &str) -> Result<Option<Value>, Why> {
        let unreadable = |_| format!("`{}{name}` holds a number that cannot be read", self.within);
        self.raw(name).map(|json| serde_json::from_str(json).map_err(unreadable)).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Why> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{}{name}` is not a string", self.within)),
        }
    }

    /// An optional text, by either of its spellings. A number is read as its text. A value of
    /// another type, or longer than [`MAX_ORNAMENT`], is dropped: the message must not be lost
    /// because of it.
    pub(super) fn ornament(&self, name: &str, camel: &str) -> Option<String> {
        self.filled(name, camel).filter(|text| text.len() <= MAX_ORNAMENT)
    }

    /// A person's name, by either of its spellings. A long one is cut.
    pub(super) fn name(&self, name: &str, camel: &str) -> Option<String> {
        /// In characters.
        const LONGEST: usize = 255;
        Some(self.filled(name, camel)?.chars().take(LONGEST).collect())
    }

    fn filled(&self, name: &str, camel: &str) -> Option<String> {
        self.scalar(name).or_else(|| self.scalar(camel)).filter(|text| !text.trim().is_empty())
    }

    /// A text, or a number as text.
    pub(super) fn scalar(&self, name: &str) -> Option<String> {
        lenient::id::of_json(self.raw(name)?)
    }

    /// An id of 1 to `longest` bytes, if it is present. A number counts as an id.
    pub(super) fn maybe_id(&self, name: &str, longest: usize) -> Result<Option<String>, Why> {
        let Some(json) = self.raw(name) else { return Ok(None) };
        let id = lenient::id::of_json(json)
            .ok_or_else(|| format!("`{}{name}` is neither a string nor a number", self.within))?;
        if id.trim().is_empty() {
            Err(format!("`{}{name}` is empty", self.within))
        } else if id.len() > longest {
            Err(format!(
                "`{}{name}` has {} bytes, and at most {longest} are taken",
                self.within,
                id.len()
            ))
        } else {
            Ok(Some(id))
        }
    }

    /// An id that must be present.
    pub(super) fn id(&self, name: &str, longest: usize) -> Result<String, Why> {
        self.maybe_id(name, longest)?.ok_or_else(|| format!("`{}{name}` is missing", self.within))
    }

    /// An id, if it is present and valid, for callers that cannot report a mistake.
    pub(crate) fn usable_id(&self, name: &str, longest: usize) -> Option<String> {
        self.maybe_id(name, longest).ok().flatten()
    }

    pub(super) fn object(&self, name: &str, within: &'static str) -> Result<Option<Self>, Why> {
        let not_one = || format!("`{}{name}` is not an object", self.within);
        self.raw(name).map(|json| Self::within(within, json).ok_or_else(not_one)).transpose()
    }

    /// The event's id, for the report of a mistake in another field.
    pub(super) fn peek_id(&self) -> Option<String> {
        self.usable_id("id", MAX_ID)
    }
}
