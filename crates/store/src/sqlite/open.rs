//! Opening the file: settings that make a commit durable, and migrations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::StoreLock;
use super::rights;
use crate::OpenError;
use crate::cause::Cause;
use crate::mistake::{self, Mistake};

/// How long a statement waits for another connection that holds a lock on the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// The value of `synchronous = FULL` when read back: a commit returns once it is on disk.
const FULL: u8 = 2;

/// In the order in which they are applied; a released migration is never changed. The file's
/// `user_version` says how many have been applied.
pub(super) const MIGRATIONS: [&str; 6] = [
    include_str!("schema.sql"),
    include_str!("clock.sql"),
    include_str!("dead_letters.sql"),
    include_str!("genesys_conversations.sql"),
    include_str!("lists.sql"),
    include_str!("console_sessions.sql"),
];

/// What a process holds that serves a file.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// The file's name with links resolved.
    pub(super) path: PathBuf,
    /// The last field, so that it outlives the connection.
    pub(super) lock: StoreLock,
}

/// Opens the file for the only process that writes it, and creates or migrates it as needed.
pub(super) fn for_writing(path: &Path) -> Result<Opened, OpenError> {
    let (lock, path) = StoreLock::take(path)?;
    let had = inspect(&path)?;
    let mut connection = connect(&path)?;
    is_durable(&connection, &path)?;
    if had < MIGRATIONS.len() {
        let mut migrate = || {
            let migration = connection.transaction()?;
            for sql in &MIGRATIONS[had..] {
                migration.execute_batch(sql)?;
            }
            migration.pragma_update(None, "user_version", MIGRATIONS.len())?;
            migration.commit()
        };
        migrate().map_err(|error| OpenError::io(&path, error))?;
    }
    rights::restrict(&path);
    Ok(Opened { connection, path, lock })
}

/// Refuses a file on which commits would not be as durable as promised. If SQLite cannot change the
/// journal mode, it keeps the old one and reports no error.
fn is_durable(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let unsafe_because = |cause: Cause| OpenError::NotDurable { path: path.to_owned(), cause };
    let read = |error: rusqlite::Error| unsafe_because(error.into());
    let journal: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(read)?;
    if !journal.eq_ignore_ascii_case("wal") {
        let why = format!("its journal mode stays `{journal}` and cannot become `wal`");
        return Err(unsafe_because(why.into()));
    }
    let synchronous: u8 =
        connection.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(read)?;
    if synchronous < FULL {
        let why = format!("`synchronous` stays {synchronous} and cannot become {FULL}");
        return Err(unsafe_because(why.into()));
    }
    Ok(())
}

/// Opens one more connection.
pub(super) fn connect(path: &Path) -> Result<Connection, OpenError> {
    let io = |error: rusqlite::Error| OpenError::io(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(io)?;
    connection.busy_timeout(BUSY).map_err(io)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(|error| {
        let cause = Cause::of("its journal mode cannot become `wal`", error);
        OpenError::NotDurable { path: path.to_owned(), cause }
    })?;
    // A commit returns when it is on disk.
    connection
        .pragma_update(
            None,
            "synchronous",
            &*mistake::sql(Mistake::NotSynced, "full", "full", "off"),
        )
        .map_err(io)?;
    // Checkpoints have their own thread, because inside a commit they would delay every caller.
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(io)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(io)?;
    // Plans each statement once. Otherwise SQLite may plan it again for each bound value, at many
    // times the cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(io)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// How many pages (of 4 KiB) the writer caches. Its changes are spread over the trees, and reading
/// a page again costs a call. The pages take memory only once they are in use.
pub(super) const WRITER_CACHE: u32 = 4_096;

/// Sets how many pages a connection caches.
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

/// How many migrations the file has had. A mistyped path may name an unrelated database, so this
/// does not change a byte of it.
fn inspect(path: &Path) -> Result<usize, OpenError> {
    let io = |error: rusqlite::Error| OpenError::io(path, error);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chain;

    #[test]
    fn a_file_that_does_not_take_the_log_is_refused() {
        let path = Path::new("tidegate.db");
        // A database in memory keeps its own journal mode, and reports it without an error.
        let memory = Connection::open_in_memory().expect("it opens");
        memory.pragma_update(None, "journal_mode", "wal").expect("SQLite sees no error in it");
        let refused = is_durable(&memory, path).expect_err("acknowledged writes would be lost");
        let refused = Chain(&refused).to_string();
        assert!(refused.contains("its journal mode stays `memory`"), "{refused}");
        let dir = tempfile::tempdir().expect("a folder");
        let file = connect(&dir.path().join("tidegate.db")).expect("it opens");
        is_durable(&file, path).expect("a file of ours");
        file.pragma_update(None, "synchronous", "normal").expect("set");
        let refused = is_durable(&file, path).expect_err("a commit is not synced");
        let refused = Chain(&refused).to_string();
        assert!(refused.contains("`synchronous` stays 1"), "{refused}");
    }

    #[test]
    fn a_file_that_another_program_reads_in_its_old_mode_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tidegate.db");
        let other = Connection::open(&path).expect("it opens");
        other
            .execute_batch("create table other (x); begin; select * from other;")
            .expect("it reads");
        let refused = connect(&path).expect_err("it stays as it is");
        let refused = Chain(&refused).to_string();
        assert!(
            refused.ends_with(": its journal mode cannot become `wal`: database is locked"),
            "{refused}"
        );
    }
}
