//! Logs and counts calls to Genesys that failed.

use genesys::{CallError, LastCall};
use store::Chain;

use crate::engine::Engine;
use crate::settings::Integration;

/// A call that failed, for a log line.
pub(crate) struct FailedCall {
    /// `POST https://…`; empty if no request was made.
    pub(crate) call: String,
    /// The name of the call, without ids: `message`, `receipt`, `details`, ...
    pub(crate) name: &'static str,
    /// One word of a closed list.
    pub(crate) outcome: &'static str,
    /// A text that is the same for every call that fails in this way.
    pub(crate) kind: String,
    pub(crate) error: String,
}

impl FailedCall {
    pub(crate) fn new(call: &LastCall, error: &CallError) -> Self {
        let kind = match error {
            CallError::NotSent { cause } | CallError::Unknown { cause } => {
                Chain(&**cause).to_string()
            }
            _ => error.status().map(|status| status.as_u16().to_string()).unwrap_or_default(),
        };
        let call = call.text();
        let (name, outcome) = (name_of(&call), error.kind());
        let (kind, error) = (format!("{outcome} {kind}"), Chain(error).to_string());
        Self { call, name, outcome, kind, error }
    }

    /// A failure without a call.
    pub(crate) fn without_call(why: &str) -> Self {
        Self {
            call: String::new(),
            name: "none",
            outcome: "unread",
            kind: why.to_owned(),
            error: why.to_owned(),
        }
    }
}

/// The name of a request's call: the last word of its path that is not an id.
fn name_of(call: &str) -> &'static str {
    const NAMES: [&str; 8] = [
        "token",
        "message",
        "receipt",
        "event",
        "response",
        "details",
        "subscriptions",
        "channels",
    ];
    let last = call.rsplit('/').next().unwrap_or_default();
    let named = NAMES.into_iter().find(|name| *name == last);
    named.unwrap_or(match call {
        "" => "none",
        _ if call.contains("/participants/") => "participant",
        _ if call.contains("/integrations/open/") => "integration",
        _ => "conversation",
    })
}

/// Counts a failed call to Genesys, and logs it unless a line of this kind was written recently.
/// `follows` says what happens next.
pub(crate) fn report(engine: &Engine, of: &Integration, failed: &FailedCall, follows: &str) {
    let integration = of.name.as_str();
    let FailedCall { call, name, outcome, kind, error } = failed;
    engine.metrics.genesys_failure(integration, name, outcome);
    if let Some(more) = engine.failures.admit(integration, name, kind) {
        tracing::warn!(integration, call, error, follows, more, "a call to Genesys failed");
    }
}

/// Reports all failed calls about one item, as [`report`] does.
pub(crate) fn report_all(engine: &Engine, of: &Integration, calls: &[FailedCall], follows: &str) {
    for call in calls {
        report(engine, of, call, follows);
    }
}
