//! Checkpoints the log into the file on its own thread, because inside a commit this would delay
//! every caller.
//!
//! The writer signals when a checkpoint is worthwhile. A failed checkpoint loses nothing, but the
//! log grows until one succeeds. So each failure is counted, and the log reports it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::open;
use crate::Health;

/// If the log has more pages than this, the writer pauses for a checkpoint that restarts it.
/// Otherwise, under a continuous load, the log would grow forever.
const LOG_MOST: i64 = 65_536;
/// The same limit in bytes of the log, if the pages cannot be counted.
const LOG_MOST_BYTES: u64 = 256 << 20;
/// The longest time between two checkpoints, however few changes there are.
const AT_LEAST: Duration = Duration::from_secs(5);
/// The time until the next checkpoint after a signalled one, if no other signal comes. It doubles
/// each time that not all pages could be checkpointed. Once all pages are in the file, the next
/// checkpoint comes after `AT_LEAST`, and SQLite restarts the log at its beginning. Overwriting it
/// costs the disk a third less than growing a file.
const REST: Duration = Duration::from_millis(20);
/// After each checkpoint the thread pauses twice as long as that took, but no longer than this. So
/// commits get most of the time of a slow disk.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the writer waits for readers when it restarts the log. If they take longer, the log
/// grows until the next try.
const READERS: Duration = Duration::from_millis(100);
/// The shortest time between two log entries about failing checkpoints.
const TOLD: Duration = Duration::from_mins(1);

/// The state of the log, shared by the writer, the checkpoints and `/metrics`.
pub(super) struct Log {
    file: PathBuf,
    /// The log has become so long that the writer must restart it.
    full: AtomicBool,
    bytes: AtomicU64,
    failures: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Log {
    /// The log of a database.
    pub(super) fn of(database: &Path) -> Self {
        let mut file = database.as_os_str().to_owned();
        file.push("-wal");
        Self {
            file: file.into(),
            full: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            told: Mutex::new(None),
        }
    }

    pub(super) fn health(&self) -> Health {
        Health {
            log_bytes: self.bytes.load(Ordering::Relaxed),
            checkpoint_failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// If the log is too long, checkpoints the rest of it and restarts it. Most of it has been
    /// checkpointed already. The file keeps its length, because overwriting costs the disk less
    /// than growing a file.
    pub(super) fn end_if_full(&self, writer: &Connection) {
        if !self.full.swap(false, Ordering::Relaxed) {
            return;
        }
        // A long read must not stop the writers.
        let _ = writer.busy_timeout(READERS);
        self.pages(writer, "pragma wal_checkpoint(restart)");
        let _ = writer.busy_timeout(open::BUSY);
    }

    /// The pages in the log, and how many of them are in the file too; `None` if the pragma failed.
    fn pages(&self, connection: &Connection, how: &str) -> Option<(i64, i64)> {
        let pages = connection.query_row(how, [], |row| Ok((row.get(1)?, row.get(2)?)));
        pages.map_err(|error| self.failed(&error)).ok()
    }

    fn failed(&self, error: &rusqlite::Error) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now.duration_since(told) >= TOLD) {
            *told = Some(now);
            tracing::error!(
                %error,
                failures,
                log_bytes = self.bytes.load(Ordering::Relaxed),
                log = %self.file.display(),
                "cannot checkpoint the store's log into its file: nothing is lost, but the log \
                 grows until a checkpoint succeeds; check the disk"
            );
        }
    }

    /// Measures the length of the log file.
    fn measure(&self) -> u64 {
        let bytes = self.file.metadata().map_or(0, |file| file.len());
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }
}

/// Runs until the writer ends. It makes the first checkpoint at once: otherwise a process that is
/// killed repeatedly would read a longer log at each start.
pub(super) fn run(connection: &Connection, much: &mpsc::Receiver<()>, log: &Log) {
    let mut rest = REST;
    loop {
        let begun = Instant::now();
        let pages = log.pages(connection, "pragma wal_checkpoint(passive)");
        let bytes = log.measure();
        if pages.map_or(bytes > LOG_MOST_BYTES, |(pages, _)| pages > LOG_MOST) {
            log.full.store(true, Ordering::Relaxed);
        }
        #[expect(clippy::disallowed_methods, reason = "the pause only leaves the disk to others")]
        std::thread::sleep((begun.elapsed() * 2).min(PAUSE));
        match much.recv_timeout(rest) {
            Ok(()) => rest = REST,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Not all pages may be in the file: more may have come meanwhile, or a long read
                // prevents a full checkpoint.
                let folded = pages.is_some()
                    && log
                        .pages(connection, "pragma wal_checkpoint(noop)")
                        .is_some_and(|(all, folded)| all == folded);
                rest = if folded { AT_LEAST } else { (rest * 2).min(AT_LEAST) };
            }
        }
    }
}
