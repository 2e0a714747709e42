//! The one thread that writes. It commits whatever has gathered while the last commit was on its way to the disk (group
//! commit without a timer), and answers nobody before the commit has returned.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use conversation::ConversationId;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::queue::{BATCH, QUEUE, Waiting};
use super::recent::{Change, Recent};
use super::written::Written;
use super::{accept, append, open, prune};
use crate::{Append, Arrival, Handled, NewMessage, StoreError, Stored};

/// With so many pages (of 4 KiB) in the log that are not in the file yet, the writer pauses for the checkpoint to end it;
/// under a load that never pauses it would grow for ever.
const LOG_MOST: i64 = 65_536;
/// Once so many rows have changed the log is worth to be folded back: the more at once, the longer commits wait behind it.
const WORTH: u64 = 600;
/// How long less may wait: what came behind a pause longer than `REST`, and is not worth it.
const AT_LEAST: Duration = Duration::from_secs(5);
/// How long what came meanwhile may wait where no more comes; twice as long each time that not all could be folded back. Once
/// all is, the log begins anew, and to write over what is there takes the disk a third less than to make a file longer.
const REST: Duration = Duration::from_millis(20);
/// After each time it pauses for twice as long as that took, but no longer than this: commits have most of a slow disk.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the writer waits for readers when it ends the log. Past that the log grows until the next time.
const READERS: Duration = Duration::from_millis(100);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Job {
    Accept(Box<Arrival>, Answer<Stored>),
    Append(Box<Append>, Answer<Handled>),
    AcceptWithStep(Box<(NewMessage, Append)>, Answer<Handled>),
    Prune(Timestamp, Vec<ConversationId>, Answer<u64>),
    ForgetEvents(Timestamp, Answer<u64>),
    Probe(Answer<()>),
    Work(Work, Answer<()>),
}

/// Something that only this thread may do.
pub(super) type Work = Box<dyn FnOnce(&Connection, &mut Written) -> rusqlite::Result<()> + Send>;

/// What a job will answer once its commit has returned.
enum Outcome {
    Accept(Stored, Answer<Stored>),
    Append(Handled, Answer<Handled>),
    Prune(u64, Answer<u64>),
    Probe(Answer<()>),
}

pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        written: Written,
        checkpoints: Connection,
        lock: File,
        recent: Arc<Recent>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (worth_it, much) = std_mpsc::sync_channel(1);
        let log = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&log);
        let writes = std::thread::Builder::new().name("store-write".into()).spawn(move || {
            // Held as long as the thread lives.
            let _lock = lock;
            write(&connection, written, queue, &worth_it, &full, &recent);
        })?;
        let checkpoints = std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || checkpoint(&checkpoints, &much, &log))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), threads: Mutex::new(vec![writes, checkpoints]) })
    }

    pub(super) async fn run<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("it is closed".into());
        let jobs = self.jobs.lock().map_err(|_| closed())?.clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered
            .await
            .map_err(|_| StoreError::Unavailable("it could not write; the log says why".into()))?
    }

    /// Lets what is queued be committed, then ends the threads.
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

fn write(
    connection: &Connection,
    mut written: Written,
    mut queue: mpsc::Receiver<Job>,
    worth_it: &std_mpsc::SyncSender<()>,
    full: &AtomicBool,
    recent: &Recent,
) {
    let (mut batch, mut waiting) = (Vec::with_capacity(BATCH), Waiting::default());
    let mut told = 0;
    while waiting.fill(&mut queue, &mut batch) {
        let mut outcomes = Vec::with_capacity(batch.len());
        match commit(connection, &mut batch, &mut outcomes, &mut written) {
            Ok(()) => {
                // Before anybody can ask for it.
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
                // It may have come true all the same, as far as anybody knows.
                recent.forget();
                written.changes.clear();
                // Nothing of the batch is durable: those who asked hear it by their dropped answers.
                batch.clear();
            }
        }
        if connection.total_changes() - told >= WORTH {
            told = connection.total_changes();
            // Where that was said before and the checkpoint has not begun, it will find this too.
            let _ = worth_it.try_send(());
        }
        if full.swap(false, Ordering::Relaxed) {
            end_log(connection);
        }
    }
}

/// One transaction for the whole batch. A job that is refused (a repeat, a lost fence) changes nothing; only the disk
/// can make a batch fail.
fn commit(
    connection: &Connection,
    batch: &mut Vec<Job>,
    outcomes: &mut Vec<Outcome>,
    written: &mut Written,
) -> rusqlite::Result<()> {
    connection.prepare_cached("begin immediate")?.execute([])?;
    for job in batch.drain(..) {
        outcomes.push(job.run(connection, written)?);
    }
    connection.prepare_cached("commit")?.execute([])?;
    Ok(())
}

/// Folds the rest of the log back into the file, and starts it anew. Most of it has been folded back already. The log keeps
/// its length: to write over what is there takes the disk less than to make a file longer.
fn end_log(connection: &Connection) {
    // Whoever reads for long must not stop those who write.
    let _ = connection.busy_timeout(READERS);
    let _ = connection.query_row("pragma wal_checkpoint(restart)", [], |_| Ok(()));
    let _ = connection.busy_timeout(open::BUSY);
}

/// Folds the log back into the file, beside the writer, whenever it is worth it; at once first, because a process that is
/// killed again and again would otherwise find an ever longer log to read when it starts. Ends with the writer.
fn checkpoint(connection: &Connection, much: &std_mpsc::Receiver<()>, full: &AtomicBool) {
    // Pages in the log, and those of them that are in the file too; nothing where it cannot be done now.
    let pages = |how: &str| {
        connection
            .query_row(how, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
            .unwrap_or_default()
    };
    let mut rest = REST;
    loop {
        let begun = Instant::now();
        let (log, _) = pages("pragma wal_checkpoint(passive)");
        if log > LOG_MOST {
            full.store(true, Ordering::Relaxed);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "only that others have had the disk is waited for"
        )]
        std::thread::sleep((begun.elapsed() * 2).min(PAUSE));
        match much.recv_timeout(rest) {
            Ok(()) => rest = REST,
            Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            Err(std_mpsc::RecvTimeoutError::Timeout) => {
                // Something may have come meanwhile; and whoever reads for hours keeps the log from being folded back.
                let (log, folded) = pages("pragma wal_checkpoint(noop)");
                rest = if folded == log { AT_LEAST } else { (rest * 2).min(AT_LEAST) };
            }
        }
    }
}

impl Job {
    fn run(self, connection: &Connection, written: &mut Written) -> rusqlite::Result<Outcome> {
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
            Self::Work(work, answer) => {
                work(connection, written)?;
                written.changes.push(Change::Anything);
                Outcome::Probe(answer)
            }
        })
    }
}

impl Outcome {
    /// Whoever asked may have gone; the commit stands all the same.
    fn tell(self) {
        match self {
            Self::Accept(stored, answer) => drop(answer.send(Ok(stored))),
            Self::Append(appended, answer) => drop(answer.send(Ok(appended))),
            Self::Prune(gone, answer) => drop(answer.send(Ok(gone))),
            Self::Probe(answer) => drop(answer.send(Ok(()))),
        }
    }
}
