//! What the writer can be asked for.

use conversation::ConversationId;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::written::TxState;
use crate::{Acceptance, Append, Arrival, AtomicOutcome, NewMessage, StoreError};

/// Where the caller waits; it may have gone.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for, and where the answer goes.
pub(super) enum WriterJob {
    Accept(Box<Arrival>, Reply<Acceptance>),
    Append(Box<Append>, Reply<AtomicOutcome>),
    AcceptWithStep(Box<(NewMessage, Append)>, Reply<AtomicOutcome>),
    Prune(Timestamp, Vec<ConversationId>, Reply<u64>),
    ForgetEvents(Timestamp, Reply<u64>),
    Probe(Reply<()>),
    Work(Work, Reply<()>),
    /// Wakes the thread, which then looks at the probes that go ahead.
    Look,
}

/// A job that only the writer's thread may run.
pub(super) type Work = Box<dyn FnOnce(&Connection, &mut TxState) -> rusqlite::Result<()> + Send>;
