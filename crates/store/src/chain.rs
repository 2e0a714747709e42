//! How errors are shown to people, in logs and on a terminal.

use std::error::Error;
use std::fmt::{self, Write};

/// Shows an error and its causes on one line: `what: cause: cause`. Use it wherever an error with a
/// source is logged or printed: `Display` of the error alone leaves the causes out.
///
/// A cause that an earlier text contains is not repeated: some crates name their source in both.
///
/// ```
/// use store::{Chain, StoreError};
///
/// let error = StoreError::Unavailable("every reader is busy".into());
/// assert_eq!(error.to_string(), "the store is not available");
/// assert_eq!(Chain(&error).to_string(), "the store is not available: every reader is busy");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let more = cause.to_string();
            if !text.contains(&more) {
                write!(text, ": {more}")?;
            }
            source = cause.source();
        }
        f.write_str(&text)
    }
}
