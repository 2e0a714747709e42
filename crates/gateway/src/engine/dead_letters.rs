//! Counts the dead letters in the store, for `/metrics`. The store counts them, so that the figure
//! stays right after a restart, a prune, or a change by another node.

use std::sync::Arc;
use std::time::Duration;

use store::Chain;
use tokio::time::MissedTickBehavior;

use super::Engine;

/// How often they are counted without a known change. Another node may have made one.
const EVERY: Duration = Duration::from_mins(1);

/// Keeps the gauge up to date until the gateway stops.
pub(super) async fn count(engine: Arc<Engine>) {
    let mut look = tokio::time::interval(EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            () = engine.dead_letters.notified() => {}
            _ = look.tick() => {}
        }
        match engine.store.dead_letters().await {
            Ok(counts) => {
                for integration in engine.integrations() {
                    let kept = counts.get(integration).copied().unwrap_or_default();
                    engine.metrics.dead_letters_kept(integration.as_str(), kept);
                }
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                if let Some(more) = engine.failures.admit("", "count the dead letters", &error) {
                    tracing::warn!(%error, more, "cannot count the dead letters; trying again in \
                        a minute");
                }
            }
        }
    }
}
