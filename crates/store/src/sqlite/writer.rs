//! The only thread that writes. It commits all jobs that arrived during the last commit (group
//! commit without a timer). It answers no job before the commit has returned.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::{self, Log};
use super::job::{Reply, WriterJob};
use super::lock::StoreLock;
use super::queue::{BATCH, QUEUE, Waiting};
use super::recent::{HotCache, InboxChange};
use super::written::TxState;
use super::{accept, append, prune};
use crate::{Acceptance, AtomicOutcome, StoreError, failpoint};

/// After this many changed rows a checkpoint is worthwhile. A larger one would delay commits
/// longer.
const WORTH: u64 = 600;

/// Probes that go ahead of the queue.
#[derive(Default)]
struct ProbeQueue(Mutex<Vec<Reply<()>>>);

impl ProbeQueue {
    fn push(&self, answer: Reply<()>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // While a disk hangs, probes whose callers have gone must not accumulate here.
        waiting.retain(|answer| !answer.is_closed());
        waiting.push(answer);
    }

    fn take(&self) -> Vec<Reply<()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a job will answer once its commit has returned.
enum Outcome {
    Accept(Acceptance, Reply<Acceptance>),
    Append(AtomicOutcome, Reply<AtomicOutcome>),
    Prune(u64, Reply<u64>),
    Probe(Reply<()>),
    Nothing,
}

pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<WriterJob>>>,
    ahead: Arc<ProbeQueue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Becomes true when a thread panics.
    broken: watch::Receiver<bool>,
}

/// What the writer's threads share with the rest of the store.
pub(super) struct Shared {
    pub(super) lock: Arc<StoreLock>,
    pub(super) log: Arc<Log>,
    pub(super) recent: Arc<HotCache>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        written: TxState,
        checkpoints: Connection,
        shared: Shared,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (worth_it, much) = std_mpsc::sync_channel(1);
        let (breaks, broken) = watch::channel(false);
        let Shared { lock, log, recent } = shared;
        let (of_writer, breaks_too) = (Arc::clone(&log), breaks.clone());
        let ahead = Arc::<ProbeQueue>::default();
        let probes = Arc::clone(&ahead);
        let writes = std::thread::Builder::new().name("store-write".into()).spawn(move || {
            let done = or_say(&breaks, || {
                write(&connection, written, queue, &probes, &worth_it, &of_writer, &recent);
            });
            drop(connection);
            // After a panic the process must end. Until it has ended, no other process may have the
            // file.
            if done.is_some() {
                lock.release();
            }
        })?;
        let checkpoints =
            std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
                or_say(&breaks_too, || checkpoint::run(&checkpoints, &much, &log));
            })?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            ahead,
            threads: Mutex::new(vec![writes, checkpoints]),
            broken,
        })
    }

    /// Waits until a thread has panicked; forever if none does.
    pub(super) async fn broken(&self) {
        let mut broken = self.broken.clone();
        if broken.wait_for(|broken| *broken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn run<T>(
        &self,
        job: impl FnOnce(Reply<T>) -> WriterJob,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("it is closed".into());
        let jobs = self.jobs.lock().map_err(|_| closed())?.clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered
            .await
            .map_err(|_| StoreError::Unavailable("it could not write; the log says why".into()))?
    }

    /// Makes a write durable with the next commit, ahead of the queue.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable("it is closed".into());
        let jobs = self.jobs.lock().map_err(|_| closed())?.clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        self.ahead.push(answer);
        match jobs.try_send(WriterJob::Look) {
            // If the queue is full, the thread has work. It takes the probes before each commit.
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(closed()),
        }
        // While this clone of the sender exists, the thread cannot end.
        drop(jobs);
        answered
            .await
            .map_err(|_| StoreError::Unavailable("it could not write; the log says why".into()))?
    }

    /// Commits what is queued, then ends the threads.
    pub(super) async fn stop(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.take();
        }
        let threads = self
            .threads
            .lock()
            .map(|mut threads| std::mem::take(&mut *threads))
            .unwrap_or_default();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the store panicked");
                }
            }
        });
        let _ = joined.await;
    }
}

/// Runs the work of a thread that the store needs. A panic is logged and reported through `breaks`,
/// so that the process can end. Returns `None` after a panic.
fn or_say<T>(breaks: &watch::Sender<bool>, work: impl FnOnce() -> T) -> Option<T> {
    // Unwind safety: nothing uses the half-done work again, and its transaction is not committed.
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    if done.is_none() {
        let thread = std::thread::current();
        tracing::error!(thread = thread.name(), "a thread of the store panicked");
        breaks.send_replace(true);
    }
    done
}

fn write(
    connection: &Connection,
    mut written: TxState,
    mut queue: mpsc::Receiver<WriterJob>,
    ahead: &ProbeQueue,
    worth_it: &std_mpsc::SyncSender<()>,
    log: &Log,
    recent: &HotCache,
) {
    let (mut batch, mut waiting) = (Vec::with_capacity(BATCH), Waiting::default());
    let mut told = 0;
    while waiting.fill(&mut queue, &mut batch) {
        batch.extend(ahead.take().into_iter().map(WriterJob::Probe));
        if batch.is_empty() {
            continue;
        }
        failpoint::reached("sqlite-commit");
        let mut outcomes = Vec::with_capacity(batch.len());
        match commit(connection, &mut batch, &mut outcomes, &mut written) {
            Ok(()) => {
                // The cache is updated before any caller can learn of the commit and read.
                recent.committed(written.changes.drain(..));
                outcomes.into_iter().for_each(Outcome::tell);
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot write");
                if !connection.is_autocommit()
                    && let Err(error) = connection.execute_batch("rollback")
                {
                    tracing::error!(%error, "the store cannot roll back");
                }
                // The commit may have taken effect although it returned an error.
                recent.forget();
                written.changes.clear();
                // No job of the batch is acknowledged. Dropping the answers reports the failure to
                // the callers.
                batch.clear();
            }
        }
        if connection.total_changes() - told >= WORTH {
            told = connection.total_changes();
            // If the channel is full, an earlier signal is still unread, and that checkpoint will
            // include these changes.
            let _ = worth_it.try_send(());
        }
        log.end_if_full(connection);
    }
}

/// One transaction for the whole batch. A refused job (a repeat, a failed fence) changes nothing.
/// Only an error of the database or the disk makes the batch fail.
fn commit(
    connection: &Connection,
    batch: &mut Vec<WriterJob>,
    outcomes: &mut Vec<Outcome>,
    written: &mut TxState,
) -> rusqlite::Result<()> {
    connection.prepare_cached("begin immediate")?.execute([])?;
    for job in batch.drain(..) {
        outcomes.push(job.run(connection, written)?);
    }
    connection.prepare_cached("commit")?.execute([])?;
    Ok(())
}

impl WriterJob {
    fn run(self, connection: &Connection, written: &mut TxState) -> rusqlite::Result<Outcome> {
        Ok(match self {
            Self::Accept(arrival, answer) => {
                Outcome::Accept(accept::accept(connection, *arrival, written)?, answer)
            }
            Self::Append(step, answer) => {
                Outcome::Append(append::append(connection, None, &step, written)?, answer)
            }
            Self::AcceptWithStep(both, answer) => Outcome::Append(
                append::append(connection, Some(&both.0), &both.1, written)?,
                answer,
            ),
            Self::Prune(before, conversations, answer) => {
                Outcome::Prune(prune::prune(connection, before, &conversations)?, answer)
            }
            Self::ForgetEvents(before, answer) => {
                Outcome::Prune(prune::forget_events(connection, before)?, answer)
            }
            Self::Probe(answer) => {
                connection.execute(
                    "insert or replace into probe (id, at) values (1, unixepoch() * 1000)",
                    [],
                )?;
                Outcome::Probe(answer)
            }
            // `Waiting` never passes it on.
            Self::Look => Outcome::Nothing,
            Self::Work(work, answer) => {
                work(connection, written)?;
                written.changes.push(InboxChange::Anything);
                Outcome::Probe(answer)
            }
        })
    }
}

impl Outcome {
    /// Answers the caller. If the caller has gone, the commit is still valid.
    fn tell(self) {
        match self {
            Self::Accept(stored, answer) => drop(answer.send(Ok(stored))),
            Self::Append(appended, answer) => drop(answer.send(Ok(appended))),
            Self::Prune(gone, answer) => drop(answer.send(Ok(gone))),
            Self::Probe(answer) => drop(answer.send(Ok(()))),
            Self::Nothing => {}
        }
    }
}
