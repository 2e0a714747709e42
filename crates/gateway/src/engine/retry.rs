//! Requests to the store that are repeated until it answers, and what `/readyz` says about them.
//!
//! A damaged row of one conversation ends that conversation's task. A task that reads for all
//! conversations never ends: while it cannot read, the gateway is not ready.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use store::{Chain, StoreError};

use super::{Engine, LAST_PAUSE};

/// Why a repeated request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The gateway is told to stop.
    Stopped,
    /// The store's data are damaged. The same request would fail again.
    Damaged,
}

/// The reads for all conversations that do not work because the store's data are damaged. Each has
/// the name of its integration, which is empty if the read is for all of them.
#[derive(Debug, Default)]
pub(super) struct BrokenReads(Mutex<BTreeSet<(&'static str, String)>>);

impl BrokenReads {
    fn note(&self, what: &'static str, of: &str, is_broken: bool) {
        // Nothing panics while the lock is held, so the data is consistent.
        let mut broken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_broken {
            broken.insert((what, of.to_owned()));
        } else if !broken.is_empty() {
            broken.remove(&(what, of.to_owned()));
        }
    }
}

impl Engine {
    /// Retries a request until the store answers. Returns `None` if the gateway is told to stop
    /// first, or if the store's data is corrupt.
    pub(crate) async fn retry_until_stopped<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &'static str,
        ask: impl FnMut() -> F,
    ) -> Option<T> {
        self.retry(what, "", ask).await.ok()
    }

    /// Retries a read for all conversations, or for all of the integration `of`, until the store
    /// answers. If the data are damaged, `/readyz` says so until the same read works again. The
    /// caller must then go on, and read again after a pause.
    pub(crate) async fn read_for_all<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &'static str,
        of: &str,
        ask: impl FnMut() -> F,
    ) -> Result<T, NoAnswer> {
        let answer = self.retry(what, of, ask).await;
        match &answer {
            Ok(_) => self.broken_reads.note(what, of, false),
            Err(NoAnswer::Damaged) => self.broken_reads.note(what, of, true),
            Err(NoAnswer::Stopped) => {}
        }
        answer
    }

    /// Which read for all conversations does not work because the store's data are damaged.
    pub(crate) fn broken_read(&self) -> Option<&'static str> {
        let broken = self.broken_reads.0.lock().unwrap_or_else(PoisonError::into_inner);
        broken.first().map(|(what, _)| *what)
    }

    async fn retry<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &'static str,
        of: &str,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, NoAnswer> {
        let mut pause = Duration::from_millis(50);
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error @ StoreError::Corrupt(_)) => {
                    let error = Chain(&error).to_string();
                    if let Some(more) = self.failures.admit(of, what, &error) {
                        tracing::error!(%error, more, "cannot {what}");
                    }
                    return Err(NoAnswer::Damaged);
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    let error = Chain(&error).to_string();
                    if let Some(more) = self.failures.admit(of, what, &error) {
                        tracing::warn!(%error, more, "cannot {what}; trying again");
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(NoAnswer::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}
