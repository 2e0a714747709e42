//! A store in memory, for the simulation: a [`Database`] that outlives its nodes, and a
//! [`MemoryStore`] for each node.
//!
//! It passes the suite that every store must pass, shares conversations as the PostgreSQL store
//! does, and keeps everything that it acknowledged. Requests and answers between a node and the
//! database cross a [`SimulatedLink`], on which the simulation delays or loses them, cuts the
//! connection, or kills the node.

mod accept;
mod append;
mod clock;
mod database;
mod find;
mod flaw;
mod lease;
mod lease_server;
mod list;
mod prune;
mod read;
mod tables;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::lease::HeldLeases;
use crate::share::{self, LeaseKeeper};
use crate::{
    Acceptance, Append, AppendError, Arrival, AtomicAccept, AtomicOutcome, ConsoleSession,
    ConversationList, ConversationPlace, Direction, Dossier, Due, Found, InboxItem, LeaseGuard,
    ListedConversation, ListedMessage, Loaded, Machine, MessageList, MessageRow, NewMessage,
    OutboxItem, OutboxLane, Ownership, OwnershipEvent, Store, StoreClock, StoreError,
    WatchedConversation, clock_keeper,
};
use clock::MemoryClock;
pub use database::{Database, Journaled};
pub use flaw::Flaw;
use lease::MemoryLeases;
use tables::Tables;

/// How many hints from other nodes may wait. Polling finds the input of lost hints.
const WAITING: usize = 100;

/// The connection between a node and the database.
#[async_trait]
pub trait SimulatedLink: Send + Sync + 'static {
    /// Carries a request (`what`) to the database. If it fails, the request never arrives.
    ///
    /// # Errors
    /// The fault that the node sees. The request then has no effect.
    async fn ask(&self, _what: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    /// Carries the answer to a request that was done. If it fails, the node does not get the
    /// answer.
    ///
    /// # Errors
    /// The fault that the node sees. The request has taken effect nevertheless.
    async fn answer(&self, _what: &'static str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A link without faults or delays.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

impl SimulatedLink for Direct {}

/// One node's connection to the database.
pub struct MemoryStore {
    database: Arc<Database>,
    line: Arc<dyn SimulatedLink>,
    node: String,
    sharing: Option<ClusterNode>,
    /// What this node has accepted. Only [`Flaw::DedupeInMemory`] uses it.
    seen: Mutex<std::collections::HashSet<String>>,
}

/// What a node has if it shares the database.
struct ClusterNode {
    leases: Arc<HeldLeases>,
    /// Hints from other nodes.
    hints: tokio::sync::Mutex<mpsc::Receiver<ConversationId>>,
    renewing: AbortHandle,
    takeover: Duration,
    /// The task that keeps the store's clock, once the clock is in use.
    keeping: OnceLock<AbortHandle>,
}

impl Drop for ClusterNode {
    fn drop(&mut self) {
        self.renewing.abort();
        self.keeping.get().into_iter().for_each(AbortHandle::abort);
    }
}

impl MemoryStore {
    /// The only node of the database.
    pub fn alone(database: &Arc<Database>, line: Arc<dyn SimulatedLink>) -> Self {
        Self {
            database: Arc::clone(database),
            line,
            node: String::new(),
            sharing: None,
            seen: Mutex::default(),
        }
    }

    /// One of several nodes. It needs a tokio runtime.
    pub fn shared(
        database: &Arc<Database>,
        line: Arc<dyn SimulatedLink>,
        node: &str,
        takeover: Duration,
    ) -> Self {
        let (tell, hints) = mpsc::channel(WAITING);
        let leases = HeldLeases::none();
        database.join(node, &leases, tell);
        let table = MemoryLeases { database: Arc::clone(database), line: Arc::clone(&line) };
        let share = LeaseKeeper::new(table, node.into(), Arc::clone(&leases), takeover);
        let renewing = tokio::spawn(share.run(Duration::ZERO)).abort_handle();
        let (hints, keeping) = (tokio::sync::Mutex::new(hints), OnceLock::new());
        let sharing = Some(ClusterNode { leases, hints, renewing, takeover, keeping });
        Self {
            database: Arc::clone(database),
            line,
            node: node.to_owned(),
            sharing,
            seen: Mutex::default(),
        }
    }

    /// The same as [`Store::clock`], but not async. A shared store needs a tokio runtime for it.
    pub fn go_by(&self, machine: Arc<dyn Machine>) -> Arc<StoreClock> {
        let clock = self.database.clock(Arc::clone(&machine));
        if let Some(sharing) = &self.sharing {
            sharing.leases.go_by(machine);
            let (database, line) = (Arc::clone(&self.database), Arc::clone(&self.line));
            let (table, every) = (MemoryClock { database, line }, sharing.takeover / 8);
            let keep =
                clock_keeper::keep(table, Arc::clone(&clock), Arc::clone(&sharing.leases), every);
            if let Err(second) = sharing.keeping.set(tokio::spawn(keep).abort_handle()) {
                second.abort();
            }
        }
        clock
    }

    /// Makes one request and returns its answer.
    async fn call<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Tables) -> T,
    ) -> Result<T, StoreError> {
        self.line.ask(what).await?;
        let done = work(&mut self.database.tables());
        self.line.answer(what).await?;
        Ok(done)
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.database.flaw == Some(flaw)
    }

    /// The shards of this node; `None`, for all, if it does not share the store.
    fn shards(&self) -> Option<Vec<String>> {
        self.sharing.as_ref().map(|sharing| sharing.leases.shard_names())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, arrival: Arrival) -> Result<Acceptance, StoreError> {
        if self.has(Flaw::DedupeInMemory) {
            let new = self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(accept::key_of(&arrival));
            return self
                .call("accept", |tables| {
                    if new { tables.accept_anew(arrival) } else { Acceptance::Repeated }
                })
                .await;
        }
        if self.has(Flaw::AnsweredBeforeDurable) {
            let conversation = accept::conversation_of(&arrival);
            if let Some(conversation) = conversation {
                let (database, line) = (Arc::clone(&self.database), Arc::clone(&self.line));
                tokio::spawn(async move {
                    // About as long as a commit takes. A node that is killed meanwhile has already
                    // answered.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if line.ask("accept").await.is_ok() {
                        database.tables().accept(arrival);
                    }
                });
                return Ok(Acceptance::New(conversation));
            }
        }
        self.call("accept", |tables| tables.accept(arrival)).await
    }

    async fn append(&self, append: Append) -> Result<bool, AppendError> {
        self.line.ask("append").await?;
        let appended = {
            let mut tables = self.database.tables();
            let appended = tables.append(&append, self.database.flaw);
            if appended.is_some() {
                self.database.tell(&append);
            }
            appended
        };
        self.line.answer("append").await?;
        appended.ok_or(AppendError::Fenced)
    }

    fn atomic(&self) -> Option<&dyn AtomicAccept> {
        // These flaws need every message to go through `accept`.
        let can = !self.has(Flaw::DedupeInMemory) && !self.has(Flaw::AnsweredBeforeDurable);
        can.then_some(self)
    }

    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError> {
        self.call("load", |tables| tables.load(conversation)).await
    }

    async fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Result<Vec<InboxItem>, StoreError> {
        let mut items =
            self.call("inbox", |tables| tables.inbox(conversation, customers, limit)).await?;
        if self.has(Flaw::InboxBackwards) {
            items.reverse();
        }
        Ok(items)
    }

    async fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<MessageRow>, StoreError> {
        self.call("message", |tables| tables.message(integration, direction, id)).await
    }

    async fn with_pending_input(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let shards = self.shards();
        self.call("waiting", |tables| tables.with_pending_input(shards.as_deref(), after, limit))
            .await
    }

    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let shards = self.shards();
        self.call("due", |tables| tables.due(shards.as_deref(), after, until, limit)).await
    }

    async fn outbox(
        &self,
        integration: &IntegrationName,
        lane: OutboxLane,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        let shards = self.shards();
        let epochs =
            self.sharing.as_ref().map(|sharing| sharing.leases.epochs()).unwrap_or_default();
        let mut items = self
            .call("outbox", |tables| {
                tables.outbox(shards.as_deref(), integration, lane, after, limit)
            })
            .await?;
        if let Some(sharing) = &self.sharing {
            sharing.leases.flag_in_doubt(&mut items, &epochs);
        }
        if self.has(Flaw::NoDoubt) {
            for item in &mut items {
                item.doubt = false;
            }
        }
        Ok(items)
    }

    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<WatchedConversation>, StoreError> {
        let shards = self.shards();
        self.call("watched", |tables| tables.watched(shards.as_deref(), integration, after, limit))
            .await
    }

    async fn in_touch(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        self.call("in touch", |tables| tables.in_touch(integration, after, limit)).await
    }

    async fn undelivered_besides(
        &self,
        integration: &IntegrationName,
        besides: &ConversationId,
        enough: usize,
    ) -> Result<usize, StoreError> {
        let shards = if self.has(Flaw::CountsOwnShards) { self.shards() } else { None };
        self.call("undelivered", |tables| {
            tables.undelivered_besides(shards.as_deref(), integration, besides).min(enough)
        })
        .await
    }

    /// Only people need the result, so it does not cross the simulated link.
    async fn dead_letters(&self) -> Result<BTreeMap<IntegrationName, u64>, StoreError> {
        Ok(self.database.tables().dead_letters())
    }

    /// Only people need the result, so it does not cross the simulated link.
    async fn find(&self, id: &str, limit: usize) -> Result<Vec<Found>, StoreError> {
        Ok(self.database.tables().find(id, limit))
    }

    async fn list_conversations(
        &self,
        integration: &IntegrationName,
        list: ConversationList,
        before: Option<&ConversationPlace>,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError> {
        Ok(self.database.tables().list_conversations(integration, list, before, limit))
    }

    async fn list_messages(
        &self,
        integration: &IntegrationName,
        list: MessageList,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ListedMessage>, StoreError> {
        Ok(self.database.tables().list_messages(integration, list, before, limit))
    }

    async fn has_event(&self, integration: &IntegrationName, id: &str) -> Result<bool, StoreError> {
        let key = (integration.clone(), id.to_owned());
        self.call("has event", |tables| tables.events.contains_key(&key)).await
    }

    async fn has_conversation(
        &self,
        integration: &IntegrationName,
        id: &ConversationId,
    ) -> Result<bool, StoreError> {
        self.call("has conversation", |tables| {
            tables.conversations.get(id).is_some_and(|row| row.integration == *integration)
        })
        .await
    }

    async fn keep_console_session(
        &self,
        session: &ConsoleSession,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tables = self.database.tables();
        tables.console_sessions.retain(|_, kept| kept.until > now);
        tables.console_sessions.insert(session.hash.clone(), session.clone());
        Ok(())
    }

    async fn console_session(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<ConsoleSession>, StoreError> {
        let tables = self.database.tables();
        let session = tables.console_sessions.get(hash);
        Ok(session.filter(|session| session.until > now).cloned())
    }

    async fn end_console_session(&self, hash: &str) -> Result<(), StoreError> {
        self.database.tables().console_sessions.remove(hash);
        Ok(())
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.call("prune", |tables| tables.prune(before)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.call("ready", |_| ()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.call("probe", |_| ()).await
    }

    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        self.call("conversations", |tables| tables.conversations(after, limit)).await
    }

    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError> {
        self.call("dossier", |tables| tables.dossier(conversation)).await
    }

    async fn clock(&self, machine: Arc<dyn Machine>) -> Result<Arc<StoreClock>, StoreError> {
        Ok(self.go_by(machine))
    }

    async fn close(&self) {
        let Some(sharing) = &self.sharing else { return };
        sharing.renewing.abort();
        sharing.keeping.get().into_iter().for_each(AbortHandle::abort);
        let table =
            MemoryLeases { database: Arc::clone(&self.database), line: Arc::clone(&self.line) };
        // If this request gets lost, the other nodes wait until the leases expire.
        let _ = share::leave(&table, &self.node, &sharing.leases).await;
    }
}

#[async_trait]
impl AtomicAccept for MemoryStore {
    async fn accept_with_step(
        &self,
        message: NewMessage,
        append: Append,
    ) -> Result<AtomicOutcome, StoreError> {
        self.line.ask("accept with step").await?;
        let handled = {
            let mut tables = self.database.tables();
            let handled = tables.accept_with_step(message, &append, self.database.flaw);
            if matches!(handled, AtomicOutcome::Whole { .. }) {
                self.database.tell(&append);
            }
            handled
        };
        self.line.answer("accept with step").await?;
        Ok(handled)
    }
}

#[async_trait]
impl Ownership for MemoryStore {
    fn is_clustered(&self) -> bool {
        self.sharing.is_some()
    }

    fn acquire(&self, conversation: &ConversationId) -> Option<LeaseGuard> {
        match &self.sharing {
            Some(sharing) => sharing.leases.acquire(conversation),
            None => Some(LeaseGuard::exclusive()),
        }
    }

    fn acquire_to_finish(&self, conversation: &ConversationId) -> Option<LeaseGuard> {
        match &self.sharing {
            Some(sharing) => sharing.leases.acquire_to_finish(conversation),
            None => Some(LeaseGuard::exclusive()),
        }
    }

    fn step_down(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.leases.step_down();
        }
    }

    fn notify_owner(&self, conversation: &ConversationId) {
        if self.sharing.is_some() {
            let (database, line, conversation) =
                (Arc::clone(&self.database), Arc::clone(&self.line), conversation.clone());
            tokio::spawn(async move {
                if line.ask("hint").await.is_ok() {
                    database.tables().hint(&conversation);
                }
            });
        }
    }

    async fn next_event(&self) -> OwnershipEvent {
        match &self.sharing {
            Some(sharing) => sharing.leases.next_event(&sharing.hints).await,
            None => std::future::pending().await,
        }
    }
}
