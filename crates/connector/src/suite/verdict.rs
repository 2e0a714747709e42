//! What the suite says about a connector.

use std::fmt;

use serde_json::{Value, json};

/// The result of one case.
///
/// ```
/// use connector::suite::Verdict;
///
/// let verdict = Verdict::NotClaimed { reason: "`typing` is false".to_owned() };
/// assert_ne!(verdict, Verdict::Passed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The connector does what the protocol asks for.
    Passed,
    /// It does not.
    Failed {
        /// What happened, as a clause.
        what: String,
        /// What the protocol asks for.
        expected: String,
        /// What goes wrong in a real installation because of it.
        why: &'static str,
    },
    /// The connector does not claim what the case tests, or offers no way to see it.
    NotClaimed {
        /// What is missing, as a clause.
        reason: String,
    },
}

/// One case with its result. `Display` writes one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// The name of the case, such as `order-kept`.
    pub name: &'static str,
    /// Its result.
    pub verdict: Verdict,
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.verdict {
            Verdict::Passed => write!(f, "passed {name}"),
            Verdict::Failed { what, expected, why } => {
                write!(f, "failed {name}: {what}; expected {expected}; {why}")
            }
            Verdict::NotClaimed { reason } => write!(f, "not claimed {name}: {reason}"),
        }
    }
}

/// The results of all cases. `Display` writes how many there are of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteReport {
    /// All cases, in the order in which they are listed.
    pub cases: Vec<CaseReport>,
    /// What the connector claims, in the words of the configuration.
    pub claims: Value,
}

impl SuiteReport {
    /// How many cases passed, failed, and were not claimed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is_one: fn(&Verdict) -> bool| {
            self.cases.iter().filter(|case| is_one(&case.verdict)).count()
        };
        (
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Failed { .. })),
            count(|verdict| matches!(verdict, Verdict::NotClaimed { .. })),
        )
    }

    /// The report for programs, as one object.
    pub fn json(&self) -> Value {
        let (passed, failed, not_claimed) = self.counts();
        let cases: Vec<_> = self.cases.iter().map(of_case).collect();
        json!({
            "claims": self.claims,
            "cases": cases,
            "passed": passed,
            "failed": failed,
            "not_claimed": not_claimed,
        })
    }
}

fn of_case(case: &CaseReport) -> Value {
    let name = case.name;
    match &case.verdict {
        Verdict::Passed => json!({ "name": name, "verdict": "passed" }),
        Verdict::Failed { what, expected, why } => json!({
            "name": name, "verdict": "failed", "what": what, "expected": expected, "why": why,
        }),
        Verdict::NotClaimed { reason } => {
            json!({ "name": name, "verdict": "not claimed", "reason": reason })
        }
    }
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed, not_claimed) = self.counts();
        write!(f, "{passed} passed, {failed} failed, {not_claimed} not claimed")
    }
}

/// Why a case ends early.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    Failed { what: String, expected: String },
    NotClaimed(String),
}

pub(super) type Outcome = Result<(), Stop>;

/// Ends a case as failed. `what` happened; `expected` is what the protocol asks for.
pub(super) fn failed<T>(what: impl Into<String>, expected: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed { what: what.into(), expected: expected.into() })
}

/// Ends a case that does not apply to this connector.
pub(super) fn not_claimed<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::NotClaimed(reason.into()))
}
