//! The leases and nodes in the database. `share` describes what a round does; `observe` explains
//! why no clock of the database's machine counts.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::append::unsigned;
use super::link::{Error, PgConnection};
use super::writer::transaction;
use crate::StoreError;
use crate::observe::{ClusterView, LeaseRow, NodeRow};
use crate::shard::ShardId;
use crate::share::{LeaseTable, Member};

/// Identifies the answering server and its current start. The value is compared only for equality.
/// A server that replaces another, or was restarted, may lack the newest changes.
macro_rules! server {
    () => {
        "(select extract(epoch from pg_postmaster_start_time())::text)"
    };
}
pub(super) use server;

/// A value that changes with each renewal, take and release. Nodes of an older version change only
/// the time.
macro_rules! stamp {
    () => {
        "(l.renewal || ' ' || extract(epoch from l.until))"
    };
}

/// One node's access to the lease tables. Each change must be durable before the node relies on it:
/// a lease that the database forgot would be granted to another node too.
pub(super) struct PostgresLeases {
    pub(super) link: Arc<PgConnection>,
}

impl LeaseTable for PostgresLeases {
    type Error = Error;

    async fn look(
        &self,
        me: &Member<'_>,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> Result<ClusterView, Error> {
        transaction(&self.link, async |client| {
            live(client, me).await?;
            let renewed = renew(client, me, held, confirmed).await?;
            read(client, renewed, me.ttl).await
        })
        .await
    }

    async fn take(
        &self,
        me: &Member<'_>,
        server: &str,
        free: &[LeaseRow],
        most: usize,
    ) -> Result<Vec<ShardId>, Error> {
        let shards: Vec<String> = free.iter().map(|row| row.shard.to_string()).collect();
        let holders: Vec<&str> = free.iter().map(|row| &*row.holder).collect();
        let stamps: Vec<&str> = free.iter().map(|row| &*row.stamp).collect();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        transaction(&self.link, async |client| {
            let rows = client
                .query_typed(
                    concat!(
                        "with free as (
                            select l.shard from tidegate.lease as l
                            join unnest($3::text[], $4::text[], $5::text[]) as seen (shard, node, stamp)
                              on l.shard = seen.shard and l.node = seen.node and ",
                        stamp!(),
                        " = seen.stamp
                            where ",
                        server!(),
                        " = $6 order by l.shard limit $7 for update of l skip locked
                         )
                         update tidegate.lease as l
                         set node = $1, renewal = l.renewal + 1, server = $6, lasts = $2,
                             until = clock_timestamp() + $2 * interval '1 millisecond'
                         from free where l.shard = free.shard returning l.shard"
                    ),
                    &[
                        (&me.name, Type::TEXT),
                        (&millis(me.ttl), Type::INT8),
                        (&shards, Type::TEXT_ARRAY),
                        (&holders, Type::TEXT_ARRAY),
                        (&stamps, Type::TEXT_ARRAY),
                        (&server, Type::TEXT),
                        (&most, Type::INT8),
                    ],
                )
                .await?;
            shards_in(&rows)
        })
        .await
    }

    async fn last_owed(&self) -> Result<u64, Error> {
        self.link
            .alone(async |client| {
                let rows =
                    client.query_typed("select last_value from tidegate.outbox_seq", &[]).await?;
                Ok(unsigned(rows[0].try_get(0)?)?)
            })
            .await
    }

    async fn release(&self, node: &str, server: &str, shards: &[ShardId]) -> Result<(), Error> {
        let shards = names(shards);
        transaction(&self.link, async |client| {
            client
                .query_typed(
                    concat!(
                        "update tidegate.lease as l
                         set node = '', renewal = l.renewal + 1, server = $2, until = clock_timestamp()
                         where l.node = $1 and l.shard = any($3) and ",
                        server!(),
                        " = $2"
                    ),
                    &[(&node, Type::TEXT), (&server, Type::TEXT), (&shards, Type::TEXT_ARRAY)],
                )
                .await?;
            Ok(())
        })
        .await
    }

    async fn forget(&self, nodes: &[String]) -> Result<(), Error> {
        transaction(&self.link, async |client| {
            let sql = "delete from tidegate.node where name = any($1)";
            client.query_typed(sql, &[(&nodes, Type::TEXT_ARRAY)]).await?;
            Ok(())
        })
        .await
    }

    async fn leave(
        &self,
        node: &str,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> Result<(), Error> {
        transaction(&self.link, async |client| leave(client, node, held, confirmed).await).await
    }
}

/// Records that this node lives, or removes its row if it is leaving. The times are for people and
/// for nodes of an older version.
async fn live(client: &Client, me: &Member<'_>) -> Result<(), Error> {
    if me.stepping_down {
        client
            .query_typed("delete from tidegate.node where name = $1", &[(&me.name, Type::TEXT)])
            .await?;
        return Ok(());
    }
    client
        .query_typed(
            "insert into tidegate.node (name, until, beat, lasts)
             values ($1, clock_timestamp() + $2 * interval '1 millisecond', 1, $2)
             on conflict (name) do update set until = excluded.until, beat = node.beat + 1, lasts = excluded.lasts",
            &[(&me.name, Type::TEXT), (&millis(me.ttl), Type::INT8)],
        )
        .await?;
    Ok(())
}

/// Renews the leases that this node holds, except those that another node has taken meanwhile, and
/// those that have expired and that another server confirmed. Returns their shards. A row is marked
/// as written on this server only if this server confirmed the lease to this node; `observe`
/// explains why.
async fn renew(
    client: &Client,
    me: &Member<'_>,
    held: &[ShardId],
    confirmed: Option<&str>,
) -> Result<Vec<ShardId>, Error> {
    let held = names(held);
    let rows = client
        .query_typed(
            concat!(
                // All nodes lock the rows in the same order, so that they cannot deadlock.
                "with here as (select ",
                server!(),
                " as server),
                 mine as (
                    select shard from tidegate.lease
                    where node = $1 and shard = any($3)
                      and (not $5 or (select server from here) = $4) order by shard for update
                 )
                 update tidegate.lease as l
                 set renewal = l.renewal + 1, lasts = $2, until = clock_timestamp() + $2 * interval '1 millisecond',
                     server = case when here.server = $4 then here.server else l.server end
                 from mine, here where l.shard = mine.shard returning l.shard"
            ),
            &[
                (&me.name, Type::TEXT),
                (&millis(me.ttl), Type::INT8),
                (&held, Type::TEXT_ARRAY),
                (&confirmed, Type::TEXT),
                (&me.leases.have_expired(), Type::BOOL),
            ],
        )
        .await?;
    shards_in(&rows)
}

/// Reads the leases and the nodes. A node of an older version does not say how long its leases
/// last, so it is assumed to be configured like this one.
async fn read(client: &Client, renewed: Vec<ShardId>, ttl: Duration) -> Result<ClusterView, Error> {
    let sql = concat!("select ", server!(), ", pg_is_in_recovery()");
    let of = client.query_typed(sql, &[]).await?;
    if of[0].try_get(1)? {
        return Err(StoreError::Unavailable(
            "this server is a standby, which takes no writes".into(),
        )
        .into());
    }
    let server: String = of[0].try_get(0)?;
    let sql = concat!(
        "select l.shard, l.node, ",
        stamp!(),
        ", l.server, l.lasts from tidegate.lease as l order by l.shard"
    );
    let rows = client.query_typed(sql, &[]).await?;
    let lease = |row: &Row| {
        let written_here = row.try_get::<_, Option<&str>>(3)? == Some(server.as_str());
        let Some(shard) = ShardId::named(row.try_get(0)?) else { return Ok(None) };
        let (holder, stamp) = (text(row, 1)?, text(row, 2)?);
        let ttl = ttl.max(time(row.try_get(4)?));
        Ok(Some(LeaseRow { shard, holder, stamp, written_here, ttl }))
    };
    let leases = rows.iter().filter_map(|row| lease(row).transpose());
    let leases = leases.collect::<Result<_, Error>>()?;
    let sql = "select name, beat || ' ' || extract(epoch from until), lasts from tidegate.node";
    let rows = client.query_typed(sql, &[]).await?;
    let node = |row: &Row| {
        let (name, stamp) = (row.try_get(0)?, text(row, 1)?);
        Ok(NodeRow { name, stamp, ttl: ttl.max(time(row.try_get(2)?)) })
    };
    let nodes = rows.iter().map(node).collect::<Result<_, Error>>()?;
    Ok(ClusterView { server, renewed, leases, nodes })
}

/// Releases the leases in this node's name, as [`LeaseTable::leave`] says.
async fn leave(
    client: &Client,
    node: &str,
    held: &[ShardId],
    confirmed: Option<&str>,
) -> Result<(), Error> {
    let held = names(held);
    client
        .query_typed(
            concat!(
                "update tidegate.lease as l
                     set node = '', renewal = l.renewal + 1, server = here.server, until = clock_timestamp()
                     from (select ",
                server!(),
                " as server) as here
                     where l.node = $1
                       and (l.server = here.server or (here.server = $2 and l.shard = any($3)))"
            ),
            &[(&node, Type::TEXT), (&confirmed, Type::TEXT), (&held, Type::TEXT_ARRAY)],
        )
        .await?;
    client.query_typed("delete from tidegate.node where name = $1", &[(&node, Type::TEXT)]).await?;
    Ok(())
}

fn names(shards: &[ShardId]) -> Vec<String> {
    shards.iter().map(ShardId::to_string).collect()
}

/// The shards that the rows name in their first column. A name that is none of ours is left out.
fn shards_in(rows: &[Row]) -> Result<Vec<ShardId>, Error> {
    let shard = |row: &Row| Ok(ShardId::named(row.try_get(0)?));
    rows.iter().filter_map(|row| shard(row).transpose()).collect()
}

fn text(row: &Row, column: usize) -> Result<Arc<str>, Error> {
    Ok(row.try_get::<_, &str>(column)?.into())
}

fn time(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
