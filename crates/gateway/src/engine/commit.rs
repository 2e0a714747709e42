//! Makes the decision of a turn durable.

use std::sync::Arc;

use conversation::Record;
use conversation::mutant::{self, Mutant};
use jiff::Timestamp;
use store::{Append, AppendError, AppendPriority, StoreError, WatchedConversation};

use super::driver::Driver;
use super::fast_path::FastPath;
use super::loaded::{LoadedConversation, TurnError};
use super::report::log_and_count;

/// The number of records after which a snapshot is taken. It limits how many records a load
/// replays.
const SNAPSHOT_EVERY: u64 = 64;

/// What a turn wants to make durable.
pub(super) struct Decision {
    pub(super) at: Timestamp,
    pub(super) records: Vec<Record>,
    /// The rows of the inbox that it handles.
    pub(super) taken: Vec<u64>,
    /// The message on the fast path that it handles. It is not in the inbox.
    pub(super) fast_path: Option<FastPath>,
}

impl LoadedConversation {
    /// Appends a decision to the journal, under the fence. No effect of it may start before this
    /// returns `Ok`.
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
        let Append { at, records, watched, standing, .. } = append;
        self.standing = standing.or(self.standing);
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
        // A final receipt is the last event of a message. Nothing follows from it, so its commit
        // can wait.
        let nothing_follows = taken.is_empty()
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
            // While a call is open, the next process must load the conversation at once: the call
            // was interrupted.
            due: if self.state.is_calling() { Some(at) } else { wakeup },
            watched: self.state.watched().map(Into::into),
            standing: Some(self.state.standing()).filter(|now| Some(*now) != self.standing),
            snapshot: takes_snapshot.then(|| self.state.clone()),
            priority: if nothing_follows { AppendPriority::Low } else { AppendPriority::Normal },
        }
    }

    /// Starts the detection of the end of Genesys's conversation, once its id is known.
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

/// Appends a step to the journal, and retries for as long as the store is unavailable. Returns
/// whether the append put something into the conversation's inbox.
async fn append_step(
    Driver { engine, guard, .. }: &Driver,
    append: &Append,
) -> Result<bool, TurnError> {
    let appended = engine.retry_until_stopped("append to the journal", || async {
        // The fence rejects an append that is based on an old record. It does not stop a node that
        // has lost its lease and then loaded the newest record. These checks do.
        if guard.is_revoked() {
            return Ok(None);
        }
        if !guard.is_valid() {
            return Err(StoreError::Unavailable("the lease has run out".into()));
        }
        match engine.store.append(append.clone()).await {
            Ok(early) => Ok(Some(early)),
            Err(AppendError::Fenced) => Ok(None),
            Err(AppendError::Store(error)) => Err::<_, StoreError>(error),
        }
    });
    appended.await.ok_or(TurnError::Store)?.ok_or(TurnError::Fenced)
}
