//! Makes durable what a turn has decided.

use std::sync::Arc;

use conversation::Record;
use conversation::mutant::{self, Mutant};
use jiff::Timestamp;
use store::{Append, AppendError, StoreError, WatchedConversation};

use super::driver::Driver;
use super::fast_path::FastPath;
use super::loaded::{LoadedConversation, TurnError};
use super::report::log_and_count;

/// A snapshot after so many records bounds what a load has to replay.
const SNAPSHOT_EVERY: u64 = 64;

/// What a turn wants to make durable.
pub(super) struct Decision {
    pub(super) at: Timestamp,
    pub(super) records: Vec<Record>,
    /// Which rows of the inbox it handles.
    pub(super) taken: Vec<u64>,
    /// A message that it handles, and that is not in the inbox.
    pub(super) fast_path: Option<FastPath>,
}

impl LoadedConversation {
    /// Appends a decision to the journal, under the fence. Nothing of it may be carried out before.
    pub(super) async fn commit(
        &mut self,
        driver: &Driver,
        mut decision: Decision,
    ) -> Result<(), TurnError> {
        let fast_path = decision.fast_path.take();
        let seq = self.seq + decision.records.len() as u64;
        let takes_snapshot = seq >= self.snapshot_seq + SNAPSHOT_EVERY;
        let append = self.append_of(driver, decision, takes_snapshot);
        if mutant::is(Mutant::EffectsBeforeDurable) && fast_path.is_none() {
            let store = Arc::clone(&driver.engine.store);
            driver.engine.tasks.spawn(async move { drop(store.append(append).await) });
            self.seq = seq;
            self.fence_confirmed = true;
            return Ok(());
        }
        let has_new_input = match fast_path {
            None => append_step(driver, &append).await?,
            Some(fast_path) => fast_path.append(&driver.engine, &driver.guard, &append).await?,
        };
        self.seq = seq;
        self.fence_confirmed = true;
        if takes_snapshot {
            self.snapshot_seq = seq;
        }
        let Append { at, records, watched, .. } = append;
        self.watch_end(driver, watched);
        log_and_count(&driver.engine, &self.integration, &driver.id, at, &records);
        if has_new_input {
            driver.mailbox.wake();
        }
        Ok(())
    }

    fn append_of(
        &self,
        driver: &Driver,
        Decision { at, records, taken, .. }: Decision,
        takes_snapshot: bool,
    ) -> Append {
        let wakeup = self.state.next_wakeup(&self.integration.policy);
        // That Genesys has a receipt is the last that happens to a message: nothing follows from
        // it.
        let lazy = taken.is_empty()
            && records
                .iter()
                .all(|record| matches!(record, Record::ReceiptDone { last: true, .. }));
        Append {
            conversation: driver.id.clone(),
            integration: self.integration.name.clone(),
            after: self.seq,
            at,
            records,
            taken,
            // While a call is open, the next process must look at the conversation at once.
            due: if self.state.is_calling() { Some(at) } else { wakeup },
            watched: self.state.watched().map(Into::into),
            snapshot: takes_snapshot.then(|| self.state.clone()),
            lazy,
        }
    }

    /// Has the end of Genesys's conversation detected, once its id is known.
    fn watch_end(&mut self, driver: &Driver, watched: Option<Box<str>>) {
        if watched == self.watched {
            return;
        }
        self.watched.clone_from(&watched);
        if let Some(genesys) = watched {
            let watched = WatchedConversation { conversation: driver.id.clone(), genesys };
            if let Some(signals) = driver.engine.signals(&self.integration.name) {
                signals.session_opened(watched);
            }
        }
    }
}

/// Appends a step to the journal, however long the store is away. Returns whether the inbox got
/// something by it.
async fn append_step(
    Driver { engine, guard, .. }: &Driver,
    append: &Append,
) -> Result<bool, TurnError> {
    let appended = engine.retry_until_stopped("append to the journal", || async {
        // The fence refuses what is based on old news; a node that has read the newest without a
        // right to is refused here.
        if guard.is_revoked() {
            return Ok(None);
        }
        if !guard.is_valid() {
            return Err(StoreError::Unavailable("the lease has run out".to_owned()));
        }
        match engine.store.append(append.clone()).await {
            Ok(early) => Ok(Some(early)),
            Err(AppendError::Fenced) => Ok(None),
            Err(AppendError::Store(error)) => Err::<_, StoreError>(error),
        }
    });
    appended.await.ok_or(TurnError::Store)?.ok_or(TurnError::Fenced)
}
