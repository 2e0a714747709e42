//! The report on a wrong configuration.
//!
//! The other files of this module collect problems; [`ConfigErrors`] shows them. No text here ever
//! contains the value of a secret.

use std::fmt;

use super::env;
use super::problem::{Origin, Problem};

/// All problems of a configuration, in the order of the file. Its `Display` has a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigErrors {
    file: String,
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// A report on `file` of these problems; `None` if there are none.
    pub(super) fn of(file: &str, mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by(|one, other| one.origin.cmp(&other.origin));
        (!problems.is_empty()).then(|| Self { file: file.to_owned(), problems })
    }

    /// A report of one problem with the file as a whole.
    pub(super) fn of_file(file: &str, text: String) -> Self {
        Self {
            file: file.to_owned(),
            problems: vec![Problem { origin: Origin::File, key: String::new(), text }],
        }
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.len() > 1 {
            writeln!(f, "{} things are wrong with the configuration:", self.problems.len())?;
        }
        for (index, Problem { origin, key, text }) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match origin {
                Origin::File => write!(f, "{}: ", self.file)?,
                Origin::Line(line) => write!(f, "{}:{line}: ", self.file)?,
                // A variable's name may contain anything except an equals sign, also a line break,
                // but a problem must stay on one line.
                Origin::Variable(name) => write!(f, "{}: ", name.escape_debug())?,
            }
            // A variable's name already says which key it overrides.
            let named = matches!(origin, Origin::Variable(name) if *name == env::variable(key));
            if !key.is_empty() && !named {
                write!(f, "{key}: ")?;
            }
            write!(f, "{text}")?;
        }
        Ok(())
    }
}

/// A value from the configuration as a problem quotes it: in quotes, escaped, and shortened if too
/// long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The element of `known` that was probably meant by `unknown`.
pub(super) fn nearest<'k>(
    unknown: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let limit = 1 + unknown.chars().count() / 4;
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(unknown, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
