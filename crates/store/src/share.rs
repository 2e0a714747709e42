//! How nodes share out the conversations: one round says that this node lives, renews what it has, hands over what is too
//! much, takes what is free. Every shared store runs it on tables of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::drive::{Leases, SHARDS};

/// What a shared store keeps of nodes and leases, by its own clock. Times in milliseconds.
pub(crate) trait Table {
    /// Why it could not be asked.
    type Error: std::fmt::Display;

    /// Says that this node lives for so long. Returns how many do, and how many of them come before it by name.
    async fn live(&self, node: &str, millis: u64) -> Result<(usize, usize), Self::Error>;

    /// Renews what this node has. What another has taken meanwhile is not among it.
    async fn renew(&self, node: &str, millis: u64) -> Result<Vec<String>, Self::Error>;

    /// Takes up to so many that nobody has.
    async fn take(&self, node: &str, millis: u64, most: usize) -> Result<Vec<String>, Self::Error>;

    /// The last place in the outbox that was given out.
    async fn last_owed(&self) -> Result<u64, Self::Error>;

    /// Gives shards back.
    async fn release(&self, node: &str, shards: &[String]) -> Result<(), Self::Error>;
}

/// How long a lease lasts when it is not renewed, by the store's clock.
pub(crate) fn lasts(takeover: Duration) -> Duration {
    takeover * 3 / 4
}

/// How long a node relies on a lease after it asked: less, since clocks do not run alike.
fn relied_on(takeover: Duration) -> Duration {
    lasts(takeover) * 19 / 20
}

/// How many shards a node should have, of so many nodes of which so many come before it: all of them together have all.
fn fair(nodes: usize, before: usize) -> usize {
    let nodes = nodes.max(1);
    SHARDS / nodes + usize::from(before < SHARDS % nodes)
}

/// One round of one node.
pub(crate) struct Round<'a> {
    pub(crate) node: &'a str,
    pub(crate) leases: &'a Leases,
    /// How soon another node has a dead node's conversations.
    pub(crate) takeover: Duration,
}

impl Round<'_> {
    /// Returns whether this node may drive conversations that it could not drive before.
    pub(crate) async fn run<T: Table>(&self, table: &T) -> Result<bool, T::Error> {
        let asked = Instant::now();
        let millis = u64::try_from(lasts(self.takeover).as_millis()).unwrap_or(u64::MAX);
        let retiring = self.leases.is_retiring();
        let (nodes, before) = table.live(self.node, if retiring { 0 } else { millis }).await?;
        let mine = table.renew(self.node, millis).await?;
        let fair = if retiring { 0 } else { fair(nodes, before) };
        // What is not among it is lost from here on, and new where it is taken again.
        let mut new = self.leases.renewed(&mine, asked + relied_on(self.takeover));
        if mine.len() < fair {
            new.extend(Leases::taken(&table.take(self.node, millis, fair - mine.len()).await?));
        }
        if !new.is_empty() {
            // After the leases were taken: whatever the last one owed stands at or before this place.
            let before = table.last_owed().await?;
            self.leases.gain(&new, before);
            tracing::info!(
                shards = self.leases.count(),
                of = SHARDS,
                nodes,
                "conversations taken over"
            );
        }
        let free = self.leases.spare(fair);
        if !free.is_empty() {
            match table.release(self.node, &free).await {
                Ok(()) => tracing::info!(
                    shards = free.len(),
                    of = SHARDS,
                    nodes,
                    "conversations handed over"
                ),
                // They run out by themselves; what was gained must be told all the same.
                Err(error) => {
                    tracing::warn!(%error, "conversations could not be handed over at once")
                }
            }
        }
        Ok(!new.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_without_a_share_and_no_shard_without_a_node() {
        for nodes in [1, 2, 3, 100, SHARDS] {
            let shares: Vec<usize> = (0..nodes).map(|before| fair(nodes, before)).collect();
            assert_eq!(shares.iter().sum::<usize>(), SHARDS, "{nodes} nodes");
            let (least, most) = (shares.iter().min(), shares.iter().max());
            assert!(
                most <= least.map(|least| least + 1).as_ref() && least >= Some(&1),
                "{shares:?}"
            );
        }
        assert_eq!(fair(0, 0), SHARDS, "whoever asks lives");
    }
}
