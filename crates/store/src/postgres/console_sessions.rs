//! Who is signed in to the console.

use jiff::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::link::{Error, PgReaders};
use crate::{ConsoleSession, StoreError};

pub(super) async fn keep(
    client: &Client,
    session: &ConsoleSession,
    now: Timestamp,
) -> Result<(), Error> {
    let ended = "delete from tidegate.console_session where until <= $1";
    client.query_typed(ended, &[(&now.as_millisecond(), Type::INT8)]).await?;
    let sql = "insert into tidegate.console_session (hash, name, password, until)
        values ($1, $2, $3, $4)";
    let until = session.until.as_millisecond();
    let values = [
        (&session.hash as _, Type::TEXT),
        (&session.user as _, Type::TEXT),
        (&session.password as _, Type::TEXT),
        (&until as _, Type::INT8),
    ];
    client.query_typed(sql, &values).await?;
    Ok(())
}

pub(super) async fn read(
    readers: &PgReaders,
    hash: &str,
    now: Timestamp,
) -> Result<Option<ConsoleSession>, StoreError> {
    // A PostgreSQL text cannot hold this character, and so no hash has it.
    if hash.contains('\0') {
        return Ok(None);
    }
    let sql = "select name, password, until from tidegate.console_session
        where hash = $1 and until > $2";
    let now = now.as_millisecond();
    let rows = readers.query(sql, &[(&hash as _, Type::TEXT), (&now as _, Type::INT8)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let until = Timestamp::from_millisecond(row.try_get(2)?).unwrap_or(Timestamp::MIN);
    let (user, password) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(ConsoleSession { hash: hash.to_owned(), user, password, until }))
}

pub(super) async fn end(client: &Client, hash: &str) -> Result<(), Error> {
    let sql = "delete from tidegate.console_session where hash = $1";
    client.query_typed(sql, &[(&hash, Type::TEXT)]).await?;
    Ok(())
}
