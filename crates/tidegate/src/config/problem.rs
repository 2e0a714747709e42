//! A problem of a configuration, and where it is.

/// Where a value was written. The report is in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The file as a whole.
    File,
    /// This line of the file, counted from 1.
    Line(usize),
    /// This environment variable.
    Variable(String),
}

/// A problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) origin: Origin,
    /// The key with its path, such as `integration[0].hold.for`; empty if there is none.
    pub(super) key: String,
    /// What is wrong, and the remedy.
    pub(super) text: String,
}
