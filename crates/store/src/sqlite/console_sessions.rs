//! Who is signed in to the console.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::ConsoleSession;

pub(super) fn keep(
    connection: &Connection,
    session: &ConsoleSession,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute("delete from console_session where until <= ?1", [now.as_millisecond()])?;
    let sql = "insert into console_session (hash, name, password, until) \
               values (?1, ?2, ?3, ?4)";
    let ConsoleSession { hash, user, password, until } = session;
    connection.execute(sql, params![hash, user, password, until.as_millisecond()])?;
    Ok(())
}

pub(super) fn read(
    connection: &Connection,
    hash: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<ConsoleSession>> {
    let sql = "select name, password, until from console_session where hash = ?1 and until > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let session = |row: &rusqlite::Row<'_>| {
        let until = Timestamp::from_millisecond(row.get(2)?).unwrap_or(Timestamp::MIN);
        Ok(ConsoleSession {
            hash: hash.to_owned(),
            user: row.get(0)?,
            password: row.get(1)?,
            until,
        })
    };
    statement.query_row(params![hash, now.as_millisecond()], session).optional()
}

pub(super) fn end(connection: &Connection, hash: &str) -> rusqlite::Result<()> {
    connection.execute("delete from console_session where hash = ?1", [hash])?;
    Ok(())
}
