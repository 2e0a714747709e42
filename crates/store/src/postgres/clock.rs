//! The store's clock for several nodes that share a database. `store_clock` says what it promises.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use conversation::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_postgres::types::Type;

use super::lease::server;
use super::link::{Error, PgConnection};
use crate::clock_keeper::ClockTable;
use crate::store_clock::{Start, StoreClock};

/// How long a node that starts waits for other nodes at most.
fn patience(takeover: Duration) -> Duration {
    takeover / 2
}

/// How long a node that starts waits without a sign of life from any other node. A living node
/// makes two rounds in a quarter of `takeover`. If the server is new, a living node may still wait
/// for an answer of the old one, for up to half of a lease.
fn without_a_sign(takeover: Duration, new_server: bool) -> Duration {
    if new_server { patience(takeover) } else { takeover / 4 }
}

/// Determines the time for a node that starts.
///
/// Living nodes keep the pair up to date. If the pair looks old although there are other nodes,
/// there are two possible reasons. The other nodes are dead, or the database's clock was set ahead:
/// by a step, or because a standby was promoted. Living nodes would repair the pair within two
/// rounds, so this node waits for them. If it did not, its clock could be an hour ahead, and
/// everything that waits would fail. The rows of dead nodes remain for long, but do not change. So
/// this node waits only while some row changes.
pub(super) async fn start(
    link: &PgConnection,
    node: &str,
    takeover: Duration,
) -> Result<Timestamp, Error> {
    let end = Instant::now() + patience(takeover);
    let (mut others, mut patient) = (OtherNodes::default(), true);
    loop {
        match try_start(link, node, takeover, patient).await? {
            Started::At(now) => return Ok(now),
            Started::Old { stamps, new_server } => {
                let now = Instant::now();
                let seen = others.note(stamps, now);
                patient = now < end && now < seen + without_a_sign(takeover, new_server);
            }
        }
        tokio::time::sleep(takeover / 64).await;
    }
}

/// The other nodes, as observed in their rows.
#[derive(Default)]
struct OtherNodes {
    stamps: BTreeSet<String>,
    /// When the last sign of life was seen, or else when they were first observed.
    seen: Option<Instant>,
}

impl OtherNodes {
    /// Records the current stamps. Returns when the last sign of life was seen. A removed row is
    /// not a sign of life, because its node has left.
    fn note(&mut self, stamps: BTreeSet<String>, at: Instant) -> Instant {
        let seen = self.seen.filter(|_| stamps.is_subset(&self.stamps)).unwrap_or(at);
        self.stamps = stamps;
        self.seen = Some(seen);
        seen
    }
}

/// The result of one try to start.
enum Started {
    At(Timestamp),
    /// The pair looks old, other nodes may repair it, and `patient` was set.
    Old {
        /// One stamp for each other node, which changes with each of its rounds.
        stamps: BTreeSet<String>,
        /// Some lease was last written on another server, or before this one started.
        new_server: bool,
    },
}

async fn try_start(
    link: &PgConnection,
    node: &str,
    takeover: Duration,
    patient: bool,
) -> Result<Started, Error> {
    let fresh = i64::try_from(takeover.as_millis()).unwrap_or(i64::MAX);
    link.alone(async |client| {
        client.batch_execute("begin").await?;
        let first = "insert into tidegate.clock (id, time, at)
                     select 1, (extract(epoch from now) * 1000)::int8, now from clock_timestamp() as now
                     on conflict (id) do nothing";
        client.query_typed(first, &[]).await?;
        // Idle: no node has updated the pair for longer than `takeover`, and nothing waits. So no
        // node and no message depends on it.
        let sql = concat!(
            "select time, (extract(epoch from now - at) * 1000)::int8, (extract(epoch from now) * 1000)::int8,
                          extract(epoch from now - at) * 1000 > $1
                          and not exists (select 1 from tidegate.conversation where due is not null)
                          and not exists (select 1 from tidegate.inbox)
                          and not exists (select 1 from tidegate.outbox),
                          array(select name || ' ' || beat || ' ' || extract(epoch from until)
                                from tidegate.node where name <> $2),
                          exists (select 1 from tidegate.lease where server is distinct from ",
            server!(),
            ")
                   from tidegate.clock, clock_timestamp() as now where id = 1 for update of clock"
        );
        let rows = client.query_typed(sql, &[(&fresh, Type::INT8), (&node, Type::TEXT)]).await?;
        let (time, passed, wall): (i64, i64, i64) = (rows[0].try_get(0)?, rows[0].try_get(1)?, rows[0].try_get(2)?);
        let (idle, stamps): (bool, Vec<String>) = (rows[0].try_get(3)?, rows[0].try_get(4)?);
        if patient && !stamps.is_empty() && passed > fresh / 4 {
            client.batch_execute("commit").await?;
            let (stamps, new_server) = (stamps.into_iter().collect(), rows[0].try_get(5)?);
            return Ok(Started::Old { stamps, new_server });
        }
        let latest = at(time);
        let gone_on = latest.checked_add(SignedDuration::from_millis(passed)).ok();
        let now = Start { gone_on, latest, wall: at(wall), idle }.time();
        let sql = "update tidegate.clock set time = $1, at = clock_timestamp() where id = 1";
        client.query_typed(sql, &[(&now.as_millisecond(), Type::INT8)]).await?;
        client.batch_execute("commit").await?;
        Ok(Started::At(now))
    })
    .await
}

/// One node's access to the pair.
pub(super) struct PostgresClock {
    pub(super) link: Arc<PgConnection>,
}

impl ClockTable for PostgresClock {
    type Error = Error;

    async fn exchange(&self, clock: &StoreClock) -> Result<Option<Timestamp>, Error> {
        self.link
            .alone(async |client| {
                // This commit need not be on disk, nor on a standby: an older pair is as good.
                client.batch_execute("begin; set local synchronous_commit = off").await?;
                let sql = "update tidegate.clock set time = $1, at = clock_timestamp() where id = 1 and \
                    time <= $1";
                let now = clock.now().as_millisecond();
                client.query_typed(sql, &[(&now, Type::INT8)]).await?;
                let sql = "select time from tidegate.clock where id = 1";
                let rows = client.query_typed(sql, &[]).await?;
                client.batch_execute("commit").await?;
                let time = rows.first().map(|row| row.try_get(0)).transpose()?;
                Ok(time.map(at))
            })
            .await
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN)
}
