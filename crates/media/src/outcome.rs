//! What became of a file.

use serde::{Deserialize, Serialize};

/// What became of a file that a message names, for good. Beside the file lies a note that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is kept.
    Kept(Kept),
    /// It cannot be had, and is not fetched again.
    Lost(Loss),
}

/// What a call for a file returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obtained {
    /// It is kept.
    Kept(Kept),
    /// It cannot be had, and is not fetched again.
    Lost(Loss),
    /// It cannot be had now. A later call may return it.
    NotYet(Loss),
}

impl From<Outcome> for Obtained {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Kept(kept) => Self::Kept(kept),
            Outcome::Lost(loss) => Self::Lost(loss),
        }
    }
}

/// A file that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its type, by its bytes.
    pub mime: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its name, without a path.
    pub name: String,
}

/// Why a file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The kind of reason.
    pub code: LossCode,
    /// A clause for people, such as "the link answered 404". It never contains the link.
    pub why: String,
}

/// The kinds of reasons for which a file cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossCode {
    /// The link is not a URL, or leads to an address that may not be dialled.
    Address,
    /// The message names more files than are fetched for one message.
    Count,
    /// The file is larger than is allowed.
    Size,
    /// The file is not what its sender says, or of a type that is never passed on.
    Type,
    /// The link asks for a login that the gateway does not have (401 or 403). A person may have it.
    Denied,
    /// The link answers that there is no file, or no longer.
    Gone,
    /// The file's server does not answer, or fails.
    Unreachable,
    /// The gateway cannot keep the file.
    Storage,
}

impl LossCode {
    /// The code as programs see it: a word in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Count => "count",
            Self::Size => "size",
            Self::Type => "type",
            Self::Denied => "denied",
            Self::Gone => "gone",
            Self::Unreachable => "unreachable",
            Self::Storage => "storage",
        }
    }
}

impl Loss {
    /// A reason, with a clause for people.
    pub fn new(code: LossCode, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}
