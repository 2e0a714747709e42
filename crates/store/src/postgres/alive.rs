//! Tasks that a node needs. If one panics, this is reported, so that the process can end.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether all tasks are alive.
#[derive(Clone)]
pub(super) struct TaskHealth(watch::Sender<bool>);

impl TaskHealth {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(true))
    }

    /// Starts a task. If it panics, [`Self::broken`] returns and the log names it.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let Self(alive) = self.clone();
        tokio::spawn(async move {
            // Unwind safety: nothing uses the half-done work again.
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task of the store panicked");
                alive.send_replace(false);
            }
        })
    }

    /// Waits until a task has panicked.
    pub(super) async fn broken(&self) {
        // `self` holds the sender, so this waits forever if no task panics.
        let _ = self.0.subscribe().wait_for(|alive| !*alive).await;
    }
}
