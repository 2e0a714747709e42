//! Logs and counts calls to Genesys that failed.

pub(crate) use super::turn::FailedCall;
use crate::engine::Engine;
use crate::settings::Integration;

/// Does the same for all failed calls about one item.
pub(super) fn all_failed(engine: &Engine, of: &Integration, calls: &[FailedCall], follows: &str) {
    for call in calls {
        failed(engine, of, call, follows);
    }
}

/// Counts a failed call to Genesys, and logs it unless a line of this kind was written recently.
/// `follows` says what happens next.
pub(crate) fn failed(engine: &Engine, of: &Integration, failed: &FailedCall, follows: &str) {
    let integration = of.name.as_str();
    let FailedCall { call, name, outcome, kind, error } = failed;
    engine.metrics.genesys_failure(integration, name, outcome);
    if let Some(more) = engine.failures.admit(integration, name, kind) {
        tracing::warn!(integration, call, error, follows, more, "a call to Genesys failed");
    }
}
