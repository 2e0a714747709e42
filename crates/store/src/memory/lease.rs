//! One node's access to the leases in the database.

use std::sync::Arc;

use super::SimulatedLink;
use super::database::Database;
use super::lease_server::LeaseServer;
use crate::StoreError;
use crate::observe::{ClusterView, LeaseRow};
use crate::shard::ShardId;
use crate::share::{LeaseTable, Member};

/// One node's access to the leases. Each call crosses the link in both directions.
pub(super) struct MemoryLeases {
    pub(super) database: Arc<Database>,
    pub(super) line: Arc<dyn SimulatedLink>,
}

impl MemoryLeases {
    async fn call<T>(
        &self,
        work: impl FnOnce(&mut LeaseServer) -> T + Send,
    ) -> Result<T, StoreError> {
        self.line.ask("lease").await?;
        let done = work(&mut self.database.tables().sharing);
        self.line.answer("lease").await?;
        Ok(done)
    }
}

impl LeaseTable for MemoryLeases {
    type Error = StoreError;

    async fn look(
        &self,
        me: &Member<'_>,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> Result<ClusterView, StoreError> {
        let flaw = self.database.flaw;
        self.call(|sharing| sharing.look(me, held, confirmed, flaw)).await
    }

    async fn take(
        &self,
        me: &Member<'_>,
        server: &str,
        free: &[LeaseRow],
        most: usize,
    ) -> Result<Vec<ShardId>, StoreError> {
        let flaw = self.database.flaw;
        self.call(|sharing| sharing.take(me, server, free, most, flaw)).await
    }

    async fn last_owed(&self) -> Result<u64, StoreError> {
        self.line.ask("lease").await?;
        let last = self.database.tables().last;
        self.line.answer("lease").await?;
        Ok(last)
    }

    async fn release(
        &self,
        node: &str,
        server: &str,
        shards: &[ShardId],
    ) -> Result<(), StoreError> {
        self.call(|sharing| sharing.release(node, server, shards)).await
    }

    async fn forget(&self, nodes: &[String]) -> Result<(), StoreError> {
        self.call(|sharing| sharing.forget(nodes)).await
    }

    async fn leave(
        &self,
        node: &str,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> Result<(), StoreError> {
        self.line.ask("leave").await?;
        self.database.tables().leave(node, held, confirmed);
        self.line.answer("leave").await
    }
}
