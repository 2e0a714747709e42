//! Nodes and leases, by the database's own clock.

use std::sync::Arc;
use std::time::Duration;

use conversation::ConversationId;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::tables::Tables;
use super::{Database, Flaw, Line};
use crate::StoreError;
use crate::drive::{Leases, News, SHARDS};
use crate::share::{self, Round, Table};

/// One node's part in the sharing.
pub(super) struct Share {
    pub(super) database: Arc<Database>,
    pub(super) line: Arc<dyn Line>,
    pub(super) node: String,
    pub(super) leases: Arc<Leases>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) takeover: Duration,
    pub(super) bell: Arc<Notify>,
}

impl Share {
    /// Renews, takes and hands over until it is dropped.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(self.takeover / 8);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.bell.notified() => {}
                _ = ticks.tick() => {}
            }
            let round = Round { node: &self.node, leases: &self.leases, takeover: self.takeover };
            if let Ok(Ok(true)) =
                tokio::time::timeout(share::lasts(self.takeover) / 2, round.run(&self)).await
            {
                let _ = self.news.try_send(News::Gained);
            }
        }
    }

    async fn call<T>(&self, work: impl FnOnce(&mut Tables) -> T) -> Result<T, StoreError> {
        self.line.ask("lease").await?;
        let done = work(&mut self.database.tables());
        self.line.answer("lease").await?;
        Ok(done)
    }
}

impl Table for Share {
    type Error = StoreError;

    async fn live(&self, node: &str, millis: u64) -> Result<(usize, usize), StoreError> {
        self.call(|tables| {
            let now = Instant::now();
            tables.nodes.insert(node.to_owned(), now + Duration::from_millis(millis));
            tables.nodes.retain(|_, until| *until + Duration::from_mins(1) > now);
            let living = tables.nodes.iter().filter(|(_, until)| **until > now);
            living.fold((0, 0), |(nodes, before), (name, _)| {
                (nodes + 1, before + usize::from(name.as_str() < node))
            })
        })
        .await
    }

    async fn renew(&self, node: &str, millis: u64) -> Result<Vec<String>, StoreError> {
        self.call(|tables| {
            let end = Instant::now() + Duration::from_millis(millis);
            let mine = tables.leases.iter_mut().filter(|(_, (of, _))| of == node);
            mine.map(|(shard, (_, until))| {
                *until = end;
                name(*shard)
            })
            .collect()
        })
        .await
    }

    async fn take(&self, node: &str, millis: u64, most: usize) -> Result<Vec<String>, StoreError> {
        let stolen = self.database.flaw == Some(Flaw::LeaseStolen);
        self.call(|tables| {
            let now = Instant::now();
            let end = now + Duration::from_millis(millis);
            let is_free = |(of, until): &(String, Instant)| of != node && (*until <= now || stolen);
            let free: Vec<usize> = (0..SHARDS)
                .filter(|shard| tables.leases.get(shard).is_none_or(is_free))
                .take(most)
                .collect();
            for shard in &free {
                tables.leases.insert(*shard, (node.to_owned(), end));
            }
            free.into_iter().map(name).collect()
        })
        .await
    }

    async fn last_owed(&self) -> Result<u64, StoreError> {
        self.call(|tables| tables.last).await
    }

    async fn release(&self, node: &str, shards: &[String]) -> Result<(), StoreError> {
        self.call(|tables| {
            tables.leases.retain(|shard, (of, _)| of != node || !shards.contains(&name(*shard)));
        })
        .await
    }
}

impl Tables {
    pub(super) fn leave(&mut self, node: &str) {
        self.leases.retain(|_, (of, _)| of != node);
        self.nodes.remove(node);
        self.listeners.remove(node);
    }

    /// Hints for this node go there from now on.
    pub(super) fn hear(&mut self, node: &str, news: mpsc::Sender<News>) {
        self.listeners.insert(node.to_owned(), news);
    }

    pub(super) fn hint(&self, conversation: &ConversationId) {
        if let Some(news) = self.driver(conversation).and_then(|node| self.listeners.get(&node)) {
            // Best effort: what is lost is found by looking.
            let _ = news.try_send(News::Inbox(conversation.clone()));
        }
    }

    /// Which node has the lease for a conversation now.
    pub(super) fn driver(&self, conversation: &ConversationId) -> Option<String> {
        let shard = usize::from_str_radix(conversation.as_str().get(1..3)?, 16).ok()?;
        let (node, until) = self.leases.get(&shard)?;
        (*until > Instant::now()).then(|| node.clone())
    }

    /// How many shards a node has the lease for now.
    pub(super) fn shards(&self, node: &str) -> usize {
        let now = Instant::now();
        self.leases.values().filter(|(of, until)| of == node && *until > now).count()
    }
}

fn name(shard: usize) -> String {
    format!("{shard:02x}")
}
