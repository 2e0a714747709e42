//! How a command fails: one report that says what failed, why, and what to do.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Why the program ends with an exit code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    /// 1: it failed. 2: wrong usage or configuration.
    code: u8,
}

impl Failure {
    /// Something did not work. The report names `why` and all of its causes.
    pub(crate) fn failed(what: impl fmt::Display, why: impl Into<Box<dyn Error>>) -> Self {
        Self { what: format!("tidegate: {what}: {}", with_causes(why.into().as_ref())), code: 1 }
    }

    /// Something was found that is not as it should be; the report is already on stdout.
    pub(crate) fn found(what: impl fmt::Display) -> Self {
        Self { what: format!("tidegate: {what}"), code: 1 }
    }

    /// The configuration, or what it names, is not as it must be.
    pub(crate) fn configuration(report: impl fmt::Display) -> Self {
        Self { what: report.to_string(), code: 2 }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.trim_end())
    }
}

/// An error and its causes in one line. A cause that the text names already is not repeated.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the store is away")]
    struct Away(#[source] std::io::Error);

    #[test]
    fn a_report_names_every_cause_once() {
        let cause = || std::io::Error::other("connection refused");
        let report = |why: Box<dyn Error>| Failure::failed("cannot start", why).to_string();
        assert_eq!(
            report(Box::new(Away(cause()))),
            "tidegate: cannot start: the store is away: connection refused"
        );
        assert_eq!(report(Box::new(cause())), "tidegate: cannot start: connection refused");
        assert_eq!(report("no address".into()), "tidegate: cannot start: no address");
    }
}
