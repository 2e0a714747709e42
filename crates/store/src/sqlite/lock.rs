//! The lock that lets only one process serve a store's file, whatever name it was opened by.
//!
//! Opening a store takes it; the writer's thread releases it when it ends. It never writes into the
//! database.
//!
//! There are two locks. One is on a file beside the database. Every version takes it, so it also
//! keeps out an older version, and a process that finds another database under the same name. The
//! other is on the database's inode, so that links, mounts and a removed lock file make no
//! difference. Both are `flock` locks, which on Linux are independent of the POSIX locks that
//! SQLite takes.

use std::fs::{File, Metadata, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::cause::Cause;

/// The mode of the store's files: only the owner may read and write.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// Held by the process that serves the file. It must outlive each of SQLite's connections to the
/// file, because closing any descriptor of a file drops all POSIX locks that the process has on it.
pub(super) struct StoreLock {
    beside: File,
    database: File,
}

/// A process that holds a lock, as far as the system shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process id in this process's namespace.
    pub id: u32,
    /// What the system calls it.
    pub name: String,
}

impl StoreLock {
    /// Takes the lock, and creates an empty file if there is none. Returns the file's name with
    /// links resolved, beside which SQLite puts the log.
    pub(super) fn take(path: &Path) -> Result<(Self, PathBuf), OpenError> {
        let io = |error: std::io::Error| OpenError::io(path, error);
        let made = if path.exists() { None } else { Some(open(path).map_err(io)?) };
        let resolved = std::fs::canonicalize(path).map_err(io)?;
        let beside = open(&beside(&resolved)).map_err(io)?;
        lock(&beside, path)?;
        let database = made.map_or_else(|| open(&resolved), Ok).map_err(io)?;
        lock(&database, path)?;
        let (held, named) = (database.metadata().map_err(io)?, resolved.metadata().map_err(io)?);
        check(path, &held)?;
        if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
            return Err(OpenError::io(path, "another file replaced it while it was opened"));
        }
        Ok((Self { beside, database }, resolved))
    }

    /// Releases the locks, so that other processes may take them. The descriptors stay open.
    pub(super) fn release(&self) {
        for file in [&self.database, &self.beside] {
            if let Err(error) = file.unlock() {
                tracing::warn!(%error, "cannot release the store's lock; the end of this process \
                    releases it");
            }
        }
    }
}

/// The file's name with links resolved, for a store that is opened only for reading.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    let io = |error: std::io::Error| OpenError::io(path, error);
    if !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let resolved = std::fs::canonicalize(path).map_err(io)?;
    check(path, &resolved.metadata().map_err(io)?)?;
    Ok(resolved)
}

/// Whether a process serves the file.
pub(super) fn is_held(resolved: &Path) -> bool {
    let names = [beside(resolved), resolved.to_owned()];
    let mut held = false;
    for name in names {
        let Ok(file) = File::open(name) else { continue };
        // The lock is held only for a moment. A process that starts at that moment is refused once.
        match file.try_lock_shared() {
            Ok(()) => drop(file.unlock()),
            Err(TryLockError::WouldBlock) => held = true,
            Err(TryLockError::Error(_)) => {}
        }
        // Closing the file would drop the POSIX locks with which SQLite, in this process, keeps
        // other processes from removing the log during a read. Only commands call this, a few
        // times, and then end.
        std::mem::forget(file);
    }
    held
}

/// The lock file of a database.
pub(super) fn beside(resolved: &Path) -> PathBuf {
    let mut name = resolved.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY).open(path)
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = file.metadata().ok().and_then(|file| holder(&file));
            Err(OpenError::InUse { path: path.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => {
            Err(OpenError::io(path, Cause::of("it cannot be locked", error)))
        }
    }
}

/// Refuses a file with a second name. A log belongs to one name; under another, the last commits
/// would be missing.
fn check(path: &Path, file: &Metadata) -> Result<(), OpenError> {
    if !file.is_file() {
        return Err(OpenError::io(path, "it is not a regular file"));
    }
    if file.nlink() > 1 { Err(OpenError::Linked(path.to_owned())) } else { Ok(()) }
}

/// The process that holds the `flock` lock on a file, according to `/proc/locks`, which does not
/// show processes in other namespaces.
fn holder(file: &Metadata) -> Option<Holder> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let id = holder_in(&locks, file.ino())?;
    let name = std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    Some(Holder { id, name: name.trim_end().to_owned() })
}

/// Finds the holder in the lines of `/proc/locks`, such as `1: FLOCK ADVISORY WRITE 2716 fe:00:1234
/// 0 EOF`. The device is not compared, because some file systems show another one there than for
/// the file.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", id, file, ..] = fields[..] else { return None };
        let of_file = file.rsplit(':').next()? == inode.to_string();
        // A process outside of this namespace has an id of 0 or below.
        if of_file { id.parse().ok().filter(|id| *id > 0) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_among_other_locks() {
        let locks = "1: POSIX  ADVISORY  READ 100 fe:00:1234 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 200 fe:00:12345 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 300 fe:00:1234 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 400 fe:00:1234 0 EOF\n";
        assert_eq!(holder_in(locks, 1234), Some(400));
        assert_eq!(holder_in(locks, 12345), Some(200));
        assert_eq!(holder_in(locks, 5), None);
        assert_eq!(holder_in("3: FLOCK  ADVISORY  WRITE 0 fe:00:1234 0 EOF", 1234), None);
    }
}
