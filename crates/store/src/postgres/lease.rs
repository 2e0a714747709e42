//! Which shards of the conversations this node drives: leases on the database's own clock, renewed by one statement,
//! shared out evenly among the nodes that live.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::append::unsigned;
use super::link::{Error, Link};
use crate::drive::{Leases, News, SHARDS};

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
            match tokio::time::timeout(self.lasts() / 2, self.turn()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the leases"),
                Err(_) => tracing::warn!("cannot renew the leases: the database does not answer"),
            }
        }
    }

    /// How long a lease lasts when it is not renewed, by the database's clock.
    fn lasts(&self) -> Duration {
        self.takeover * 3 / 4
    }

    /// How long this node relies on it after it asked: less, since clocks do not run alike.
    fn relied_on(&self) -> Duration {
        self.lasts() * 19 / 20
    }

    /// One round: say that this node lives, renew what it has, hand over what is too much, take what is free.
    pub(super) async fn turn(&self) -> Result<(), Error> {
        let asked = Instant::now();
        self.link
            .alone(async |client| {
                let millis = i64::try_from(self.lasts().as_millis()).unwrap_or(i64::MAX);
                let retiring = self.leases.is_retiring();
                let nodes = live(&client, &self.node, if retiring { 0 } else { millis }).await?;
                let mine = renew(&client, &self.node, millis).await?;
                let fair = if retiring { 0 } else { SHARDS.div_ceil(nodes.max(1)) };
                // What is not among it is lost from here on, and new where it is taken again.
                let mut new = self.leases.renewed(&mine, asked + self.relied_on());
                if mine.len() < fair {
                    new.extend(Leases::taken(&take(&client, &self.node, millis, fair - mine.len()).await?));
                }
                if !new.is_empty() {
                    // After the leases were taken: whatever the last one owed stands at or before this place.
                    let sql = "select last_value from tidegate.outbox_seq";
                    let before = unsigned(client.query_typed(sql, &[]).await?[0].try_get(0)?)?;
                    self.leases.gain(&new, before);
                    tracing::info!(shards = self.leases.count(), of = SHARDS, nodes, "conversations taken over");
                    // Whoever reads them looks at everything anyway; where too many wait, one of them says so.
                    let _ = self.news.try_send(News::Gained);
                }
                let free = self.leases.spare(fair);
                if !free.is_empty() {
                    release(&client, &self.node, &free).await?;
                    tracing::info!(shards = free.len(), of = SHARDS, nodes, "conversations handed over");
                }
                Ok(())
            })
            .await
    }
}

/// Says that this node lives. Returns how many do.
async fn live(client: &Client, node: &str, millis: i64) -> Result<usize, Error> {
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
    let rows = client.query_typed("select count(*) from tidegate.node where until > now()", &[]).await?;
    let nodes = unsigned(rows[0].try_get(0)?)?;
    Ok(usize::try_from(nodes).unwrap_or(usize::MAX))
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
        client.query_typed("update tidegate.lease set node = '', until = now() where node = $1", &of).await?;
        client.query_typed("delete from tidegate.node where name = $1", &of).await?;
        Ok(())
    })
    .await
}
