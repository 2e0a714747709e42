//! Taking an event's fields out of its JSON, with a sentence for each thing that can be wrong.
//!
//! By hand rather than by serde, whose errors quote the values: a customer's words must not end up in an error.

use conversation::{Reason, ReasonCode};
use serde_json::{Map, Value};

use super::MAX_ID;

/// What is wrong with a field.
pub(super) type Why = String;

/// The fields of one JSON object; each is taken out, not copied.
pub(super) struct Fields {
    /// The object's own name in sentences, such as `customer.`; empty for the event itself.
    within: &'static str,
    map: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self { within: "", map }
    }

    /// The value; `null` is as good as none.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Why> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{}{name}` is not a string", self.within)),
        }
    }

    /// A text that nothing depends on: too long a one is left out rather than losing the message over it.
    pub(super) fn ornament(&mut self, name: &str, camel: &str) -> Result<Option<String>, Why> {
        const LONGEST: usize = 4_096;
        let text = match self.text(name)? {
            Some(text) => Some(text),
            None if camel != name => self.text(camel)?,
            None => None,
        };
        Ok(text.filter(|text| text.len() <= LONGEST))
    }

    /// An id of 1 to `longest` bytes, if it is there.
    pub(super) fn maybe_id(&mut self, name: &str, longest: usize) -> Result<Option<String>, Why> {
        let id = self.text(name)?;
        match &id {
            Some(id) if id.is_empty() => Err(format!("`{}{name}` is empty", self.within)),
            Some(id) if id.len() > longest => Err(format!(
                "`{}{name}` has {} bytes, and at most {longest} are taken",
                self.within,
                id.len()
            )),
            _ => Ok(id),
        }
    }

    /// An id that must be there.
    pub(super) fn id(&mut self, name: &str, longest: usize) -> Result<String, Why> {
        self.maybe_id(name, longest)?.ok_or_else(|| format!("`{}{name}` is missing", self.within))
    }

    pub(super) fn object(&mut self, name: &str, within: &'static str) -> Result<Option<Self>, Why> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { within, map })),
            Some(_) => Err(format!("`{}{name}` is not an object", self.within)),
        }
    }

    /// The `type` or an id that another fault will be reported with, left where it is.
    pub(super) fn peek_id(&self) -> Option<String> {
        self.map
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| id.len() <= MAX_ID)
            .map(str::to_owned)
    }
}

/// A reason as chat services give it: `{"code", "message"}`, or only a sentence. `None` if there is none.
pub(crate) fn reason(given: Option<&Value>, fallback: ReasonCode) -> Option<Reason> {
    let (code, message) = match given? {
        Value::String(message) => (None, Some(message.as_str())),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            (text("code"), text("message"))
        }
        _ => return None,
    };
    (code.is_some() || message.is_some()).then(|| Reason::from_service(code, message, fallback))
}
