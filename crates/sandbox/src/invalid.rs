//! What is wrong with one field of a request: the field, a Genesys-like code, and a reason in
//! words.

/// A field that cannot be accepted as it is. It never holds the field's value, which may be a
/// customer's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct Invalid {
    /// The path to the field, such as `content[0].attachment.mime`.
    pub(crate) field: String,
    /// The rule that it breaks, such as `required`, `type` or `enum`.
    pub(crate) code: &'static str,
    /// What is wrong with it; field and reason together form a sentence.
    pub(crate) reason: String,
}

impl Invalid {
    pub(crate) fn new(
        field: impl Into<String>,
        code: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), code, reason: reason.into() }
    }

    pub(crate) fn missing(field: impl Into<String>) -> Self {
        Self::new(field, "required", "is missing")
    }

    pub(crate) fn empty(field: impl Into<String>) -> Self {
        Self::new(field, "minLength", "is empty")
    }
}
