//! The store's clock for a file that one process owns. It continues across processes within one
//! boot of the machine.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::store_clock::{Machine, Start, millis};

/// Determines the time, and stores it for the next process.
pub(super) fn start(connection: &Connection, machine: &dyn Machine) -> rusqlite::Result<Timestamp> {
    let (boot, uptime) = (machine.boot(), millis(machine.uptime()));
    let kept = connection
        .query_row("select boot, uptime, time from clock", [], |row| {
            Ok((row.get(0)?, row.get(1)?, time(row.get(2)?)))
        })
        .optional()?;
    let gone_on =
        kept.as_ref().and_then(|(before, then, time): &(Option<String>, i64, Timestamp)| {
            // A machine that was restored to an earlier moment of the same boot has a smaller
            // uptime than the pair. Then the difference means nothing.
            let passed = uptime.checked_sub(*then).filter(|passed| *passed >= 0)?;
            let same = before.is_some() && *before == boot;
            same.then(|| time.checked_add(SignedDuration::from_millis(passed)).ok()).flatten()
        });
    // Steps and messages are numbered in order of arrival, so the last has the latest time.
    let sql = "select max(coalesce((select at from journal order by step desc limit 1), 0),
                          coalesce((select received from message order by seq desc limit 1), 0)),
                      not exists (select 1 from conversation where due is not null)
                          and not exists (select 1 from inbox)
                          and not exists (select 1 from outbox)";
    let (written, idle): (i64, bool) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let latest = time(written).max(kept.map_or(Timestamp::MIN, |(_, _, time)| time));
    let now = Start { gone_on, latest, wall: machine.wall(), idle }.time();
    connection.execute(
        "insert into clock (id, boot, uptime, time) values (1, ?1, ?2, ?3)
         on conflict (id) do update set boot = excluded.boot, uptime = excluded.uptime, time = excluded.time",
        params![boot, uptime, now.as_millisecond()],
    )?;
    Ok(now)
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN)
}
