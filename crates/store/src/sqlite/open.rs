//! Opening the file: settings that make a commit durable, migrations, and the lock against a second process.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::OpenError;

/// How long a statement waits for another program that has the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// In the order in which they are applied; one that was released is never changed. How many a file has had stands in
/// its `user_version`.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// The connection that writes, and the lock that it holds for as long as the process has the store.
pub(super) fn for_writing(path: &Path) -> Result<(Connection, File), OpenError> {
    let lock = lock(path)?;
    let had = if path.exists() { inspect(path)? } else { 0 };
    let mut connection = connect(path)?;
    if had < MIGRATIONS.len() {
        let mut migrate = || {
            let migration = connection.transaction()?;
            for sql in &MIGRATIONS[had..] {
                migration.execute_batch(sql)?;
            }
            migration.pragma_update(None, "user_version", MIGRATIONS.len())?;
            migration.commit()
        };
        migrate()
            .map_err(|error| OpenError::Io { path: path.to_owned(), cause: error.to_string() })?;
    }
    Ok((connection, lock))
}

/// A further connection.
pub(super) fn connect(path: &Path) -> Result<Connection, OpenError> {
    let io =
        |error: rusqlite::Error| OpenError::Io { path: path.to_owned(), cause: error.to_string() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(io)?;
    connection.busy_timeout(BUSY).map_err(io)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(io)?;
    // A commit returns when it is on the disk.
    connection.pragma_update(None, "synchronous", "full").map_err(io)?;
    // Checkpoints have a thread of their own: inside a commit they would be a pause for everyone.
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(io)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(io)?;
    // A statement is planned once; else SQLite may plan it anew for each value that is bound, at many times its price.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(io)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// How many pages (of 4 KiB) the writer keeps in memory: what it changes is spread over the trees, and a page that it must
/// read again costs a call. They take room only once they are in use.
pub(super) const WRITER_CACHE: u32 = 4_096;

/// Says how many pages a connection keeps in memory.
pub(super) fn set_cache(connection: &Connection, pages: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", pages)
}

/// Refuses a file that this version cannot read.
pub(super) fn check_version(path: &Path) -> Result<(), OpenError> {
    match inspect(path)? {
        0 => Err(OpenError::Empty(path.to_owned())),
        _ => Ok(()),
    }
}

/// How many migrations the file has had. A mistyped path may lead to somebody else's database, so this looks without
/// changing a byte of it.
fn inspect(path: &Path) -> Result<usize, OpenError> {
    let io =
        |error: rusqlite::Error| OpenError::Io { path: path.to_owned(), cause: error.to_string() };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(io)?;
    connection.busy_timeout(BUSY).map_err(io)?;
    let found: usize =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(io)?;
    // Builds before the first release had other columns.
    let tables =
        "select count(*), (select count(*) from pragma_table_info('message') where name = 'before')
                  from sqlite_schema where type = 'table'";
    let (tables, ours): (u32, u32) =
        connection.query_row(tables, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(io)?;
    match found {
        0 if tables == 0 => Ok(0),
        0 => Err(OpenError::Empty(path.to_owned())),
        found if found > MIGRATIONS.len() => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: MIGRATIONS.len() })
        }
        _ if ours == 0 => Err(OpenError::Empty(path.to_owned())),
        found => Ok(found),
    }
}

/// Whether another process has the file for writing.
pub(super) fn is_locked(path: &Path) -> bool {
    // Held only for this moment; whoever starts in it tries again.
    matches!(lock(path), Err(OpenError::InUse(_)))
}

/// Two processes that drive the same conversations would fence each other off, so the second one is told at once.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io =
        |error: std::io::Error| OpenError::Io { path: path.to_owned(), cause: error.to_string() };
    let file = File::create(PathBuf::from(name)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}
