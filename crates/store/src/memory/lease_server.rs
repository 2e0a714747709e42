//! The nodes and leases in the database. Its clock may be stepped, and another server may replace
//! it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conversation::ConversationId;
use tokio::time::Instant;

use super::flaw::Flaw;
use crate::observe::{ClusterView, LeaseRow, NodeRow};
use crate::shard::ShardId;
use crate::share::Member;

/// How long past states of the leases are kept.
const PAST: Duration = Duration::from_secs(30);

/// The lease of a shard.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    node: Arc<str>,
    stamp: Arc<str>,
    /// The server on which it was written.
    server: u64,
    /// By the database's clock, which only [`Flaw::LeaseByClock`] reads.
    until: Duration,
    /// When it was last taken, renewed or released.
    written: Instant,
    ttl: Duration,
}

/// The leases, and the server that keeps them.
#[derive(Debug, Default)]
pub(super) struct LeaseServer {
    /// Shared with the past states.
    leases: Arc<BTreeMap<ShardId, Lease>>,
    /// Each with the stamp of its last round.
    nodes: BTreeMap<String, NodeRow>,
    stamps: u64,
    server: u64,
    /// How far the clock is ahead of the true time, in milliseconds.
    ahead: i64,
    /// Past states, for a server that lacks the newest changes.
    past: Vec<PastState>,
    start: Option<Instant>,
}

/// What the tables held at one time.
#[derive(Clone, Debug)]
struct PastState {
    at: Instant,
    leases: Arc<BTreeMap<ShardId, Lease>>,
    nodes: BTreeMap<String, NodeRow>,
}

impl LeaseServer {
    /// Records that a node lives or leaves, renews its leases, and returns the tables.
    pub(super) fn look(
        &mut self,
        me: &Member<'_>,
        held: &[ShardId],
        confirmed: Option<&str>,
        flaw: Option<Flaw>,
    ) -> ClusterView {
        self.remember();
        if me.stepping_down {
            self.nodes.remove(me.name);
        } else {
            let (name, stamp) = (me.name.to_owned(), self.stamp());
            self.nodes.insert(name.clone(), NodeRow { name, stamp, ttl: me.ttl });
        }
        let renewed = self.renew(me, held, confirmed);
        ClusterView {
            server: self.server.to_string(),
            renewed,
            leases: ShardId::all().map(|shard| self.row(shard, me, flaw)).collect(),
            nodes: self.nodes.values().cloned().collect(),
        }
    }

    /// Takes at most `most` of these leases, if they are unchanged since this server showed them.
    pub(super) fn take(
        &mut self,
        me: &Member<'_>,
        server: &str,
        free: &[LeaseRow],
        most: usize,
        flaw: Option<Flaw>,
    ) -> Vec<ShardId> {
        if self.server.to_string() != server {
            return Vec::new();
        }
        let unchanged = |wanted: &&LeaseRow| self.row(wanted.shard, me, flaw) == **wanted;
        let shards: Vec<ShardId> =
            free.iter().filter(unchanged).take(most).map(|row| row.shard).collect();
        for shard in &shards {
            self.write(*shard, me.name, me.ttl);
        }
        shards
    }

    /// Removes the rows of nodes that have been silent for long.
    pub(super) fn forget(&mut self, nodes: &[String]) {
        self.nodes.retain(|name, _| !nodes.contains(name));
    }

    fn stamp(&mut self) -> Arc<str> {
        self.stamps += 1;
        self.stamps.to_string().into()
    }

    /// What the database's wall clock shows.
    fn clock(&self) -> Duration {
        let since = self.start.map_or(Duration::ZERO, |start| start.elapsed());
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2);
        // It starts at a large value, so that it can be set back.
        Duration::from_millis((1_000_000_000_000 + millis + self.ahead).unsigned_abs())
    }

    fn write(&mut self, shard: ShardId, node: &str, ttl: Duration) {
        let (stamp, server, until) = (self.stamp(), self.server, self.clock() + ttl);
        let written = Instant::now();
        Arc::make_mut(&mut self.leases)
            .insert(shard, Lease { node: node.into(), stamp, server, until, written, ttl });
    }

    fn renew(
        &mut self,
        me: &Member<'_>,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> Vec<ShardId> {
        let (until, server) = (self.clock() + me.ttl, self.server);
        let same = confirmed.is_some_and(|confirmed| confirmed == server.to_string());
        let mut renewed = Vec::new();
        if !same && me.leases.have_expired() {
            return renewed;
        }
        for (shard, lease) in
            Arc::make_mut(&mut self.leases).iter_mut().filter(|(_, lease)| *lease.node == *me.name)
        {
            if held.binary_search(shard).is_err() {
                continue;
            }
            self.stamps += 1;
            lease.stamp = self.stamps.to_string().into();
            lease.until = until;
            lease.written = Instant::now();
            lease.ttl = me.ttl;
            if same {
                lease.server = server;
            }
            renewed.push(*shard);
        }
        renewed
    }

    fn row(&self, shard: ShardId, me: &Member<'_>, flaw: Option<Flaw>) -> LeaseRow {
        // `None` if, as far as this server knows, no node has ever held the lease.
        let lease = self.leases.get(&shard);
        let (holder, stamp, server): (Arc<str>, Arc<str>, u64) = match lease {
            Some(lease) => (Arc::clone(&lease.node), Arc::clone(&lease.stamp), lease.server),
            None => ("".into(), "0".into(), 0),
        };
        let free = match flaw {
            Some(Flaw::LeaseStolen) => *holder != *me.name,
            Some(Flaw::LeaseByClock) => lease.is_none_or(|lease| lease.until <= self.clock()),
            _ => false,
        };
        LeaseRow {
            shard,
            holder: if free { "".into() } else { holder },
            stamp,
            written_here: free || server == self.server,
            // A row that was never taken does not say how long its lease lasts.
            ttl: lease.map_or(me.ttl, |lease| me.ttl.max(lease.ttl)),
        }
    }

    /// Releases shards that a node holds, if `server` is this server.
    pub(super) fn release(&mut self, node: &str, server: &str, shards: &[ShardId]) {
        if self.server.to_string() != server {
            return;
        }
        for shard in shards {
            if let Some(lease) = self.leases.get(shard).filter(|lease| *lease.node == *node) {
                self.write(*shard, "", lease.ttl);
            }
        }
    }

    /// Releases the leases in a node's name, as [`crate::share::LeaseTable::leave`] says, and
    /// removes its row.
    pub(super) fn leave(&mut self, node: &str, held: &[ShardId], confirmed: Option<&str>) {
        let (here, by_word) = (self.server, confirmed == Some(self.server.to_string().as_str()));
        let given_up = |(shard, lease): (&ShardId, &Lease)| {
            let is_its_own = lease.server == here || (by_word && held.contains(shard));
            (*lease.node == *node && is_its_own).then_some((*shard, lease.ttl))
        };
        let given_up: Vec<_> = self.leases.iter().filter_map(given_up).collect();
        for (shard, ttl) in given_up {
            self.write(shard, "", ttl);
        }
        self.nodes.remove(node);
    }

    fn remember(&mut self) {
        let now = Instant::now();
        self.start.get_or_insert(now);
        self.past.retain(|past| past.at + PAST > now);
        self.past.push(PastState {
            at: now,
            leases: self.leases.clone(),
            nodes: self.nodes.clone(),
        });
    }

    /// Sets the database's wall clock ahead or back.
    pub(super) fn step_clock(&mut self, millis: i64) {
        self.ahead += millis;
    }

    /// Another server replaces the database's server. It lacks the lease changes of the last
    /// `lacks`.
    pub(super) fn promote(&mut self, lacks: Duration) {
        self.server += 1;
        let now = Instant::now();
        if let Some(past) = self.past.iter().rev().find(|past| past.at + lacks <= now).cloned() {
            self.leases = past.leases;
            self.nodes = past.nodes;
        }
        self.past.clear();
    }

    /// Which node has the lease for a conversation, as the table says.
    pub(super) fn holder(&self, conversation: &ConversationId) -> Option<String> {
        let shard = ShardId::of(conversation)?;
        self.leases.get(&shard).map(|lease| lease.node.to_string()).filter(|node| !node.is_empty())
    }

    /// When the lease for a conversation was last taken, renewed or released.
    pub(super) fn written(&self, conversation: &ConversationId) -> Option<Instant> {
        let shard = ShardId::of(conversation)?;
        self.leases.get(&shard).map(|lease| lease.written)
    }

    /// How many shards a node holds, as the table says.
    pub(super) fn shards(&self, node: &str) -> usize {
        self.leases.values().filter(|lease| *lease.node == *node).count()
    }
}
