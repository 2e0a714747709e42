//! How a command fails: one report that says what failed, why, and what to do.

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
    /// Something did not work.
    pub(crate) fn failed(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: format!("tidegate: {what}: {why}"), code: 1 }
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
