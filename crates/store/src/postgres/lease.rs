//! Which shards of the conversations this node drives: leases on the database's own clock, renewed by one statement,
//! shared out evenly among the nodes that live. What a round does is in `share`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::append::unsigned;
use super::link::{Error, Link};
use crate::drive::{Leases, News};
use crate::share::{self, Round, Table};

/// One node's part in the sharing.
pub(super) struct Share {
    pub(super) link: Link,
    pub(super) node: Arc<str>,
    pub(super) leases: Arc<Leases>,
    pub(super) news: mpsc::Sender<News>,
    /// How soon another node has a dead node's conversations.
    pub(super) takeover: Duration,
    /// Rung when this node retires, so that the others need not wait for the next round.
    pub(super) bell: Arc<Notify>,
}

impl Share {
    /// Renews, takes and hands over until it is dropped.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(self.takeover / 8);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.bell.notified() => {}
            }
            match tokio::time::timeout(share::lasts(self.takeover) / 2, self.turn()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the leases"),
                Err(_) => tracing::warn!("cannot renew the leases: the database does not answer"),
            }
        }
    }

    /// One round of the sharing, on one connection.
    pub(super) async fn turn(&self) -> Result<(), Error> {
        self.link
            .alone(async |client| {
                let round =
                    Round { node: &self.node, leases: &self.leases, takeover: self.takeover };
                if round.run(&Database(&client)).await? {
                    // Whoever reads them looks at everything anyway; where too many wait, one of them says so.
                    let _ = self.news.try_send(News::Gained);
                }
                Ok(())
            })
            .await
    }
}

/// The tables of the leases.
struct Database<'a>(&'a Client);

impl Table for Database<'_> {
    type Error = Error;

    async fn live(&self, node: &str, millis: u64) -> Result<(usize, usize), Error> {
        live(self.0, node, i64::try_from(millis).unwrap_or(i64::MAX)).await
    }

    async fn renew(&self, node: &str, millis: u64) -> Result<Vec<String>, Error> {
        renew(self.0, node, i64::try_from(millis).unwrap_or(i64::MAX)).await
    }

    async fn take(&self, node: &str, millis: u64, most: usize) -> Result<Vec<String>, Error> {
        take(self.0, node, i64::try_from(millis).unwrap_or(i64::MAX), most).await
    }

    async fn last_owed(&self) -> Result<u64, Error> {
        let sql = "select last_value from tidegate.outbox_seq";
        Ok(unsigned(self.0.query_typed(sql, &[]).await?[0].try_get(0)?)?)
    }

    async fn release(&self, node: &str, shards: &[String]) -> Result<(), Error> {
        release(self.0, node, shards).await
    }
}

/// Says that this node lives. Returns how many do, and how many of them come before it by name.
async fn live(client: &Client, node: &str, millis: i64) -> Result<(usize, usize), Error> {
    client
        .query_typed(
            "insert into tidegate.node (name, until) values ($1, now() + $2 * interval '1 millisecond')
             on conflict (name) do update set until = excluded.until",
            &[(&node, Type::TEXT), (&millis, Type::INT8)],
        )
        .await?;
    let sql = "delete from tidegate.node where name in
                  (select name from tidegate.node where until < now() - interval '1 minute' for update skip locked)";
    client.query_typed(sql, &[]).await?;
    let sql =
        "select count(*), count(*) filter (where name < $1) from tidegate.node where until > now()";
    let rows = client.query_typed(sql, &[(&node, Type::TEXT)]).await?;
    let (nodes, before) = (unsigned(rows[0].try_get(0)?)?, unsigned(rows[0].try_get(1)?)?);
    Ok((
        usize::try_from(nodes).unwrap_or(usize::MAX),
        usize::try_from(before).unwrap_or(usize::MAX),
    ))
}

/// Renews what this node has. What another has taken meanwhile is not among it.
async fn renew(client: &Client, node: &str, millis: i64) -> Result<Vec<String>, Error> {
    let rows = client
        .query_typed(
            // In one order for all nodes, so that none waits for another that waits for it.
            "with mine as (select shard from tidegate.lease where node = $1 order by shard for update)
             update tidegate.lease as l set until = now() + $2 * interval '1 millisecond'
             from mine where l.shard = mine.shard returning l.shard",
            &[(&node, Type::TEXT), (&millis, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Takes up to so many that nobody has.
async fn take(client: &Client, node: &str, millis: i64, most: usize) -> Result<Vec<String>, Error> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = client
        .query_typed(
            "with free as (
                select shard from tidegate.lease where until <= now() and node <> $1
                order by shard limit $3 for update skip locked
             )
             update tidegate.lease as l set node = $1, until = now() + $2 * interval '1 millisecond'
             from free where l.shard = free.shard returning l.shard",
            &[(&node, Type::TEXT), (&millis, Type::INT8), (&most, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn release(client: &Client, node: &str, shards: &[String]) -> Result<(), Error> {
    client
        .query_typed(
            "update tidegate.lease set node = '', until = now() where node = $1 and shard = any($2)",
            &[(&node, Type::TEXT), (&shards, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(())
}

/// Gives everything back, so that the other nodes need not wait.
pub(super) async fn leave(link: &Link, node: &str) -> Result<(), Error> {
    link.alone(async |client| {
        let of = [(&node as _, Type::TEXT)];
        client
            .query_typed("update tidegate.lease set node = '', until = now() where node = $1", &of)
            .await?;
        client.query_typed("delete from tidegate.node where name = $1", &of).await?;
        Ok(())
    })
    .await
}
