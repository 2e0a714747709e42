//! The jobs of the writer thread.

use conversation::ConversationId;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::written::TxState;
use crate::{Acceptance, Append, Arrival, AtomicOutcome, NewMessage, StoreError};

/// The channel on which the caller waits for the answer. The caller may have gone.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A job, with the channel for its answer.
pub(super) enum WriterJob {
    Accept(Box<Arrival>, Reply<Acceptance>),
    Append(Box<Append>, Reply<AtomicOutcome>),
    AcceptWithStep(Box<(NewMessage, Append)>, Reply<AtomicOutcome>),
    Prune(Timestamp, Vec<ConversationId>, Reply<u64>),
    ForgetEvents(Timestamp, Reply<u64>),
    Probe(Reply<()>),
    Work(Work, Reply<()>),
    /// Wakes the thread, which then takes the probes that go ahead of the queue.
    Look,
}

/// Work that only the writer thread may run, in its transaction.
pub(super) type Work = Box<dyn FnOnce(&Connection, &mut TxState) -> rusqlite::Result<()> + Send>;
