//! A store in memory, for the simulation: a [`Database`] that outlives its nodes, and a [`MemoryStore`] for each of them.
//!
//! It passes the suite that every store must pass, shares out conversations like the one on PostgreSQL, and loses nothing
//! that it answered for. Everything between a node and the database goes over a [`Line`], where the simulation delays,
//! refuses, cuts and kills.

mod accept;
mod append;
mod lease;
mod prune;
mod read;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId, Record};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::drive::Leases;
use crate::{
    Append, AppendError, Arrival, Direction, Dossier, Drive, Due, Handled, InboxItem, Loaded,
    MessageRow, NewMessage, News, OutboxItem, Store, StoreError, Stored, Watched,
};
use tables::Tables;

/// How many hints of other nodes may wait; what is lost is found by looking.
const WAITING: usize = 100;

/// The way between a node and the database.
#[async_trait]
pub trait Line: Send + Sync + 'static {
    /// A request is on its way. An error: it never comes there.
    async fn ask(&self, what: &'static str) -> Result<(), StoreError>;

    /// It was done, and the answer is on its way. An error: the node does not hear it.
    async fn answer(&self, what: &'static str) -> Result<(), StoreError>;
}

/// A way without faults or time.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

#[async_trait]
impl Line for Direct {
    async fn ask(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn answer(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A deliberate mistake of the database, to see whether a simulation finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Whoever appends is let in, whatever the conversation's sequence number is by now.
    NoFence,
    /// What came in is remembered by the node that took it, for as long as it runs.
    DedupeInMemory,
    /// A step's records are kept, and what Genesys is owed by it is not.
    OutboxForgotten,
    /// A step takes its inputs out of the inbox although it is refused.
    InboxTakenBeforeFence,
    /// The time at which a conversation wants to be woken is not kept.
    DueForgotten,
    /// A snapshot says that it stands for one record more than it does.
    SnapshotOffByOne,
    /// The inbox is read newest first.
    InboxBackwards,
    /// The outbox forgets who was told before this node had the right to.
    NoDoubt,
    /// A lease that has not run out yet is given to whoever asks.
    LeaseStolen,
    /// A webhook is answered before it is durable; the database forgets it with the node that took it.
    AnsweredBeforeDurable,
    /// A message that comes with its step is taken although it was here before.
    RepeatedWithStep,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoFence,
        Self::DedupeInMemory,
        Self::OutboxForgotten,
        Self::InboxTakenBeforeFence,
        Self::DueForgotten,
        Self::SnapshotOffByOne,
        Self::InboxBackwards,
        Self::NoDoubt,
        Self::LeaseStolen,
        Self::AnsweredBeforeDurable,
        Self::RepeatedWithStep,
    ];
}

/// What is told of each step that became durable.
pub type Journaled = dyn Fn(&ConversationId, u64, Timestamp, &[Record]) + Send + Sync;

/// The database: what is durable.
pub struct Database {
    tables: Mutex<Tables>,
    watcher: Mutex<Option<Arc<Journaled>>>,
    flaw: Option<Flaw>,
}

impl Database {
    /// An empty one.
    pub fn new(flaw: Option<Flaw>) -> Arc<Self> {
        Arc::new(Self { tables: Mutex::default(), watcher: Mutex::default(), flaw })
    }

    /// Tells of each step that becomes durable, in order.
    pub fn watch(&self, watcher: Arc<Journaled>) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
    }

    /// Which node has the lease for a conversation now.
    pub fn driver(&self, conversation: &ConversationId) -> Option<String> {
        self.tables().driver(conversation)
    }

    /// How many of the shards a node has the lease for now.
    pub fn shards(&self, node: &str) -> usize {
        self.tables().shards(node)
    }

    /// Whether nothing waits in it: no input, nothing that Genesys is owed.
    pub fn is_done(&self) -> bool {
        let tables = self.tables();
        tables.inbox.is_empty() && tables.outbox.is_empty()
    }

    /// What waits in it, for people.
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

    /// Tells of a step that has become durable.
    fn tell(&self, append: &Append) {
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(watcher) = watcher {
            watcher(&append.conversation, append.after, append.at, &append.records);
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic within would end the simulation anyway.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One node's connection to the database.
pub struct MemoryStore {
    database: Arc<Database>,
    line: Arc<dyn Line>,
    node: String,
    sharing: Option<Sharing>,
    /// What this node has taken in; of use only to [`Flaw::DedupeInMemory`].
    seen: Mutex<std::collections::HashSet<String>>,
}

/// A node's part among several.
struct Sharing {
    leases: Arc<Leases>,
    news: tokio::sync::Mutex<mpsc::Receiver<News>>,
    bell: Arc<Notify>,
    renewing: AbortHandle,
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl MemoryStore {
    /// A node that has the database for itself.
    pub fn alone(database: &Arc<Database>, line: Arc<dyn Line>) -> Self {
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
        line: Arc<dyn Line>,
        node: &str,
        takeover: Duration,
    ) -> Self {
        let (tell, news) = mpsc::channel(WAITING);
        let (leases, bell) = (Leases::none(), Arc::new(Notify::new()));
        database.tables().hear(node, tell.clone());
        let share = lease::Share {
            database: Arc::clone(database),
            line: Arc::clone(&line),
            node: node.to_owned(),
            leases: Arc::clone(&leases),
            news: tell,
            takeover,
            bell: Arc::clone(&bell),
        };
        let renewing = tokio::spawn(share.run()).abort_handle();
        let sharing = Some(Sharing { leases, news: tokio::sync::Mutex::new(news), bell, renewing });
        Self {
            database: Arc::clone(database),
            line,
            node: node.to_owned(),
            sharing,
            seen: Mutex::default(),
        }
    }

    /// One request and its answer.
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

    /// The shards to answer for; all, where nobody shares.
    fn shards(&self) -> Option<Vec<String>> {
        self.sharing.as_ref().map(|sharing| sharing.leases.names())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, arrival: Arrival) -> Result<Stored, StoreError> {
        if self.has(Flaw::DedupeInMemory) {
            let new = self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(accept::key_of(&arrival));
            return self
                .call(
                    "accept",
                    |tables| if new { tables.accept_anew(arrival) } else { Stored::Repeated },
                )
                .await;
        }
        if self.has(Flaw::AnsweredBeforeDurable) {
            let conversation = accept::conversation_of(&arrival);
            if let Some(conversation) = conversation {
                let (database, line) = (Arc::clone(&self.database), Arc::clone(&self.line));
                tokio::spawn(async move {
                    // As long as a commit takes; who is killed meanwhile has answered all the same.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if line.ask("accept").await.is_ok() {
                        database.tables().accept(arrival);
                    }
                });
                return Ok(Stored::New(conversation));
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

    async fn accept_with_step(
        &self,
        message: NewMessage,
        append: Append,
    ) -> Result<Handled, StoreError> {
        self.line.ask("accept with step").await?;
        let handled = {
            let mut tables = self.database.tables();
            let handled = tables.accept_with_step(message, &append, self.database.flaw);
            if matches!(handled, Handled::Whole { .. }) {
                self.database.tell(&append);
            }
            handled
        };
        self.line.answer("accept with step").await?;
        Ok(handled)
    }

    fn accepts_with_step(&self) -> bool {
        // Those flaws are about what waits in the inbox.
        !self.has(Flaw::DedupeInMemory) && !self.has(Flaw::AnsweredBeforeDurable)
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

    async fn waiting(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let shards = self.shards();
        self.call("waiting", |tables| tables.waiting(shards.as_deref(), after, limit)).await
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
        urgent: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        let shards = self.shards();
        let terms = self.sharing.as_ref().map(|sharing| sharing.leases.terms()).unwrap_or_default();
        let mut items = self
            .call("outbox", |tables| {
                tables.outbox(shards.as_deref(), integration, urgent, after, limit)
            })
            .await?;
        if let Some(sharing) = &self.sharing {
            sharing.leases.mark(&mut items, &terms);
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
    ) -> Result<Vec<Watched>, StoreError> {
        let shards = self.shards();
        self.call("watched", |tables| tables.watched(shards.as_deref(), integration, after, limit))
            .await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.call("prune", |tables| tables.prune(before)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.call("ready", |_| ()).await
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

    async fn close(&self) {
        let Some(sharing) = &self.sharing else { return };
        sharing.renewing.abort();
        sharing.leases.clear();
        // Where it does not come through, the others wait for the leases to run out.
        let _ = self.call("leave", |tables| tables.leave(&self.node)).await;
    }

    fn is_shared(&self) -> bool {
        self.sharing.is_some()
    }

    fn drive(&self, conversation: &ConversationId) -> Option<Drive> {
        match &self.sharing {
            Some(sharing) => sharing.leases.drive(conversation),
            None => Some(Drive::always()),
        }
    }

    fn retire(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.leases.retire();
            sharing.bell.notify_one();
        }
    }

    fn hint(&self, conversation: &ConversationId) {
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

    async fn news(&self) -> News {
        if let Some(sharing) = &self.sharing
            && let Some(news) = sharing.news.lock().await.recv().await
        {
            return news;
        }
        std::future::pending().await
    }
}
