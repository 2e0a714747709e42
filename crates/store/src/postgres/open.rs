//! Opening the database: its schema, and this process's name in it.

use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::Type;

use super::link::{Error, PgConnection};
use crate::OpenError;

/// In the order in which they are applied; a released migration is never changed.
const MIGRATIONS: [&str; 8] = [
    include_str!("schema.sql"),
    include_str!("leases.sql"),
    include_str!("clock.sql"),
    include_str!("renewals.sql"),
    include_str!("dead_letters.sql"),
    include_str!("genesys_conversations.sql"),
    include_str!("lists.sql"),
    include_str!("console_sessions.sql"),
];

pub(super) fn config(url: &str) -> Result<Config, OpenError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(OpenError::Url);
    }
    url.parse().map_err(|error: tokio_postgres::Error| OpenError::Database(error.into()))
}

/// The same for writing: if the URL names several servers, it connects to the one that takes
/// writes. A hot standby is refused, because its data may be out of date.
pub(super) fn config_to_write(url: &str) -> Result<Config, OpenError> {
    let mut config = config(url)?;
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

/// How often to retry if another node creates the schema at the same time.
const TRIES: u32 = 5;

fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Migrates the schema to this version. Nodes that do this at once wait for each other's lock on
/// the table `version`.
pub(super) async fn migrate(link: &PgConnection) -> Result<(), OpenError> {
    let found = version(link).await?;
    if found >= known() {
        return check(found);
    }
    let mut tries = 0;
    loop {
        match apply(link).await {
            Ok(found) => return check(found),
            // Another node created the schema at the same moment. `if not exists` does not see
            // uncommitted tables.
            Err(error) if error.is_of_the_data() && tries < TRIES => tries += 1,
            Err(error) => return Err(OpenError::Database(error.into())),
        }
    }
}

/// Applies the missing migrations, however long they take: one may read the whole journal. Returns
/// how many the database had.
async fn apply(link: &PgConnection) -> Result<i32, Error> {
    link.without_deadline(async |client| {
        client
            .batch_execute(
                "create schema if not exists tidegate;
                 create table if not exists tidegate.version (number integer not null)",
            )
            .await?;
        client.batch_execute("begin; lock table tidegate.version in exclusive mode").await?;
        let rows = client
            .query_typed("select coalesce(max(number), 0) from tidegate.version", &[])
            .await?;
        let found: i32 = rows[0].try_get(0)?;
        for (number, sql) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
            client.batch_execute(sql).await?;
            let sql = "insert into tidegate.version (number) values ($1)";
            client.query_typed(sql, &[(&number, Type::INT4)]).await?;
        }
        client.batch_execute("commit").await?;
        Ok(found)
    })
    .await
}

/// Refuses a database that this version cannot read. It changes nothing.
pub(super) async fn check_version(link: &PgConnection) -> Result<(), OpenError> {
    match version(link).await? {
        0 => Err(OpenError::Database("it holds no tidegate store".into())),
        found => check(found),
    }
}

/// How many migrations the database has had.
async fn version(link: &PgConnection) -> Result<i32, OpenError> {
    link.alone(async |client| {
        let there =
            client.query_typed("select to_regclass('tidegate.version') is not null", &[]).await?;
        if !there[0].try_get::<_, bool>(0)? {
            return Ok(0);
        }
        let rows = client
            .query_typed("select coalesce(max(number), 0) from tidegate.version", &[])
            .await?;
        Ok(rows[0].try_get(0)?)
    })
    .await
    .map_err(|error| OpenError::Database(error.into()))
}

fn check(found: i32) -> Result<(), OpenError> {
    if found > known() { Err(OpenError::NewerDatabase { found, known: known() }) } else { Ok(()) }
}

/// A name for this node that no other process has.
pub(super) fn node_name() -> Arc<str> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    // The random keys of the hasher make the name unique.
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), host);
    format!("{host}/{}/{random:016x}", std::process::id()).into()
}
