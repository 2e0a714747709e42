//! The database. It outlives its nodes, and tells a simulation about them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use conversation::{ConversationId, Record};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::flaw::Flaw;
use super::tables::Tables;
use crate::Append;
use crate::lease::HeldLeases;
use crate::shard::SHARDS;

/// A function that is called with each step that became durable: conversation, sequence number
/// before it, time, and records.
pub type Journaled = dyn Fn(&ConversationId, u64, Timestamp, &[Record]) + Send + Sync;

/// Everything that is durable.
pub struct Database {
    tables: Mutex<Tables>,
    watcher: Mutex<Option<Arc<Journaled>>>,
    /// What each node knows about its leases, by the node's name.
    nodes: Mutex<BTreeMap<String, Weak<HeldLeases>>>,
    pub(super) flaw: Option<Flaw>,
}

impl Database {
    /// An empty one.
    pub fn new(flaw: Option<Flaw>) -> Arc<Self> {
        Arc::new(Self {
            tables: Mutex::default(),
            watcher: Mutex::default(),
            nodes: Mutex::default(),
            flaw,
        })
    }

    /// Registers a node: its channel for hints, and what it knows about its leases.
    pub(super) fn join(
        &self,
        node: &str,
        leases: &Arc<HeldLeases>,
        hints: mpsc::Sender<ConversationId>,
    ) {
        self.tables().hear(node, hints);
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert(node.to_owned(), Arc::downgrade(leases));
    }

    /// From now on, calls `watcher` with each step that becomes durable, in order.
    pub fn watch(&self, watcher: Arc<Journaled>) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
    }

    /// Which node has the lease for a conversation, as the table says.
    pub fn holder(&self, conversation: &ConversationId) -> Option<String> {
        self.tables().sharing.holder(conversation)
    }

    /// When the lease for a conversation was last taken, renewed or released, as the table says.
    pub fn lease_written(&self, conversation: &ConversationId) -> Option<Instant> {
        self.tables().sharing.written(conversation)
    }

    /// The names of the nodes whose lease for a conversation is valid at this moment, each by its
    /// own clock, whatever the table says.
    pub fn valid_holders(&self, conversation: &ConversationId) -> Vec<String> {
        self.held_leases()
            .into_iter()
            .filter(|(_, leases)| leases.has_valid_lease(conversation))
            .map(|(name, _)| name)
            .collect()
    }

    /// Whether this node's lease for a conversation is valid at this moment, by its own clock.
    pub fn has_valid_lease(&self, node: &str, conversation: &ConversationId) -> bool {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes
            .get(node)
            .and_then(Weak::upgrade)
            .is_some_and(|leases| leases.has_valid_lease(conversation))
    }

    /// The shards for which two nodes have a valid lease at this moment, each by its own clock, as
    /// lines for people. `runs` says which nodes count.
    pub fn shards_held_twice(&self, runs: impl Fn(&str) -> bool) -> Vec<String> {
        let mut owners = [None; SHARDS];
        let mut twice = Vec::new();
        let nodes = self.held_leases();
        for (name, leases) in nodes.iter().filter(|(name, _)| runs(name)) {
            for shard in leases.valid_shards() {
                if let Some(other) = owners[shard.index()].replace(name) {
                    twice.push(format!("{other} and {name} rely on shard {shard}"));
                }
            }
        }
        twice
    }

    fn held_leases(&self) -> Vec<(String, Arc<HeldLeases>)> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, leases| leases.strong_count() > 0);
        nodes.iter().filter_map(|(name, leases)| Some((name.clone(), leases.upgrade()?))).collect()
    }

    /// Steps the database's wall clock by this many milliseconds, which may be negative.
    pub fn step_clock(&self, millis: i64) {
        self.tables().sharing.step_clock(millis);
    }

    /// Another server replaces the database's server. It lacks the lease changes of the last
    /// `lacks`, at most 30 s.
    pub fn promote(&self, lacks: Duration) {
        self.tables().sharing.promote(lacks);
    }

    /// How many shards a node holds, as the table says.
    pub fn shards(&self, node: &str) -> usize {
        self.tables().sharing.shards(node)
    }

    /// Whether the inbox and the outbox are empty.
    pub fn is_done(&self) -> bool {
        let tables = self.tables();
        tables.inbox.is_empty() && tables.outbox.is_empty()
    }

    /// What is in the inbox and the outbox, for people.
    pub fn what_is_open(&self) -> String {
        let tables = self.tables();
        let inbox: Vec<_> = tables.inbox.iter().take(3).collect();
        let outbox: Vec<_> = tables.outbox.values().take(3).map(|debt| &debt.owed).collect();
        format!(
            "{} inputs {inbox:?} and {} debts {outbox:?}",
            tables.inbox.len(),
            tables.outbox.len()
        )
    }

    /// Reports a step that has become durable to the watcher.
    pub(super) fn tell(&self, append: &Append) {
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(watcher) = watcher {
            watcher(&append.conversation, append.after, append.at, &append.records);
        }
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic with the lock held ends the simulation anyway.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
