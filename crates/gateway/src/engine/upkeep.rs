//! Tasks that run as long as the gateway does, and what follows if one of them panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::Engine;
use crate::replay;

/// How often the store is pruned.
const PRUNE: Duration = Duration::from_hours(1);

impl Engine {
    /// Runs a task as long as the gateway does. If it panics, the process must end: the next
    /// process does the task's work, and this one never would.
    pub(crate) fn keep_up(
        &self,
        what: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let broken = self.broken.clone();
        self.tasks.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!("{what} panicked");
                broken.cancel();
            }
        });
    }

    /// Removes what is older than the retention time.
    pub(super) async fn prune(self: Arc<Self>) {
        let mut hours = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = hours.tick() => {}
            }
            let Ok(before) = self.clock.now().checked_sub(self.limits.retention + replay::MARGIN)
            else {
                continue;
            };
            match self.store.prune(before).await {
                Ok(0) => {}
                Ok(messages) => {
                    self.dead_letters.notify_one();
                    tracing::info!(messages, %before, "pruned");
                }
                Err(error) => tracing::warn!(%error, "cannot prune; trying again in an hour"),
            }
        }
    }
}
