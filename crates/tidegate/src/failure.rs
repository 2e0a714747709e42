//! How a command fails: with one report that says what failed, why, and what to do.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use store::Chain;

/// Why the program ends with an exit code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    /// 1 if it failed, 2 if the usage or the configuration is wrong.
    code: u8,
}

impl Failure {
    /// Something failed. The report names `why` and all of its causes.
    pub(crate) fn failed(what: impl fmt::Display, why: impl Into<Box<dyn Error>>) -> Self {
        Self { what: format!("tidegate: {what}: {}", Chain(why.into().as_ref())), code: 1 }
    }

    /// A check found something wrong. The details are already on stdout.
    pub(crate) fn found(what: impl fmt::Display) -> Self {
        Self { what: format!("tidegate: {what}"), code: 1 }
    }

    /// The configuration is wrong, or something that it names.
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
