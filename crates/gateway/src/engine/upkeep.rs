//! Tasks that run as long as the gateway does, and the pruning of the store.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use jiff::Timestamp;
use store::Chain;

use super::Engine;
use crate::replay;

/// How often the store is pruned.
const PRUNE: Duration = Duration::from_hours(1);

impl Engine {
    /// Runs a task as long as the gateway does. If it panics, the process must end: nothing else in
    /// this process does the task's work, but the next process does.
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

    /// Removes the files of messages that were accepted before this time.
    async fn sweep_files(&self, before: Timestamp) {
        let mut integrations = self.runtimes.values().map(|runtime| &runtime.integration);
        // All integrations share one.
        let Some(media) = integrations.find_map(|integration| integration.media.as_ref()) else {
            return;
        };
        match media.sweep(before).await {
            Ok(0) => {}
            Ok(days) => tracing::info!(days, %before, "files removed"),
            Err(error) => {
                let error = Chain(&error);
                tracing::warn!(%error, "cannot remove files; trying again in an hour");
            }
        }
    }

    /// Removes from the store, every hour, what finished longer ago than the retention time.
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
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "cannot prune; trying again in an hour");
                    // A message that is still there may need its files.
                    continue;
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.sweep_files(before) => {}
            }
        }
    }
}
