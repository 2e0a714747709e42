//! The store in a PostgreSQL database: for several nodes, and for operators who already maintain a
//! database.
//!
//! Any node accepts arrivals; each node drives the conversations of the shards that it holds leases
//! for. The journal's fence holds whatever the clocks say.

mod accept;
mod alive;
mod append;
mod clock;
mod hint;
mod lease;
mod link;
mod open;
mod portable;
mod prune;
mod read;
mod text;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinHandle};

use crate::lease::HeldLeases;
use crate::share::{self, LeaseKeeper};
use crate::{
    Acceptance, Append, AppendError, Arrival, Direction, Dossier, Due, InboxItem, LeaseGuard,
    Loaded, Machine, MessageRow, OpenError, OutboxItem, Ownership, OwnershipEvent, Store,
    StoreClock, StoreError, WatchedConversation, clock_keeper,
};
use alive::TaskHealth;
use append::TokenedAppend;
use clock::PostgresClock;
use link::{PgConnection, PgReaders};
use writer::{Lane, transaction};

/// The store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

/// The tables that grow and shrink.
const TABLES: [&str; 8] =
    ["message", "journal", "conversation", "outbox", "inbox", "event", "service_name", "early"];

struct Inner {
    readers: PgReaders,
    /// The connection for transactions that no caller waits for.
    aside: Arc<PgConnection>,
    /// The connection that checks whether the database takes writes; nothing else uses it.
    probe: PgConnection,
    /// `None` if the database was opened only for reading.
    writer: Option<WritingNode>,
}

struct WritingNode {
    alive: TaskHealth,
    node: Arc<str>,
    arrivals: Lane<Arrival>,
    steps: Lane<TokenedAppend>,
    leases: Arc<HeldLeases>,
    /// The hints of other nodes.
    heard: Mutex<mpsc::Receiver<ConversationId>>,
    hints: mpsc::Sender<ConversationId>,
    takeover: Duration,
    /// The task that keeps the store's clock, once the clock is in use.
    keeping: OnceLock<AbortHandle>,
    /// The tasks that renew the leases, send hints and receive them.
    tasks: [JoinHandle<()>; 3],
}

impl Drop for WritingNode {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.keeping.get().into_iter().for_each(AbortHandle::abort);
    }
}

impl PostgresStore {
    /// Opens `url` to be filled from another store, migrating it as needed. It does not act as a
    /// node of a gateway.
    pub async fn open_to_fill(url: &str) -> Result<Self, OpenError> {
        let config = open::config_to_write(url)?;
        let (aside, probe) = (Arc::new(PgConnection::new(&config)), PgConnection::new(&config));
        open::migrate(&aside).await?;
        Ok(Self(Arc::new(Inner { readers: PgReaders::new(&config), aside, probe, writer: None })))
    }

    async fn write_probe(&self, link: &PgConnection) -> Result<(), StoreError> {
        let sql = "insert into tidegate.probe (id, at) values (1, now()) on conflict (id) do \
            update set at = now()";
        Ok(transaction(link, async |client| Ok(client.batch_execute(sql).await?)).await?)
    }

    /// Returns the space of removed rows to the system, and updates the planner's statistics.
    pub async fn compact(&self) -> Result<(), StoreError> {
        for table in TABLES {
            // Each statement runs alone: the database does not allow it within a transaction.
            let sql = format!("vacuum (full, analyze) tidegate.{table}");
            self.0
                .aside
                .without_deadline(async |client| Ok(client.batch_execute(&sql).await?))
                .await?;
        }
        Ok(())
    }

    /// Whether `url` says where a database is. It may name several hosts, each with its own port.
    pub fn is_url(url: &str) -> bool {
        open::config(url).is_ok_and(|config| !config.get_hosts().is_empty())
    }

    /// Opens `url` (`postgres://USER@HOST/DATABASE`), migrating it as needed, as one of any number
    /// of nodes. `takeover` is how soon another node drives the conversations of a node that died.
    pub async fn open(url: &str, takeover: Duration) -> Result<Self, OpenError> {
        let config = open::config_to_write(url)?;
        let (aside, probe) = (Arc::new(PgConnection::new(&config)), PgConnection::new(&config));
        open::migrate(&aside).await?;
        let (node, leases) = (open::node_name(), HeldLeases::none());
        let (tell, heard) = mpsc::channel(hint::WAITING);
        let (hints, named) = mpsc::channel(hint::WAITING);
        let table = lease::PostgresLeases { link: Arc::new(PgConnection::new(&config)) };
        let mut share = LeaseKeeper::new(table, Arc::clone(&node), Arc::clone(&leases), takeover);
        let next = share.round().await.map_err(|error| OpenError::Database(error.to_string()))?;
        let alive = TaskHealth::new();
        let tasks = [
            alive.spawn("leases", share.run(next)),
            alive.spawn("hints", hint::send(PgConnection::new(&config), named)),
            alive.spawn("news", hint::listen(config.clone(), Arc::clone(&leases), tell)),
        ];
        let (arrivals, steps) = (Lane::start(&config, &alive), Lane::start(&config, &alive));
        let heard = Mutex::new(heard);
        let keeping = OnceLock::new();
        let writer = WritingNode {
            alive,
            node,
            arrivals,
            steps,
            leases,
            heard,
            hints,
            takeover,
            keeping,
            tasks,
        };
        Ok(Self(Arc::new(Inner {
            readers: PgReaders::new(&config),
            aside,
            probe,
            writer: Some(writer),
        })))
    }

    /// Opens `url` only for reading, beside the nodes that use it.
    pub async fn open_read_only(url: &str) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let (aside, probe) = (Arc::new(PgConnection::new(&config)), PgConnection::new(&config));
        open::check_version(&aside).await?;
        Ok(Self(Arc::new(Inner { readers: PgReaders::new(&config), aside, probe, writer: None })))
    }

    fn writer(&self) -> Result<&WritingNode, StoreError> {
        let none = || StoreError::Unavailable("it was opened only to be read".into());
        self.0.writer.as_ref().ok_or_else(none)
    }

    /// The shards that this node drives.
    fn shards(&self) -> Vec<String> {
        self.0.writer.as_ref().map(|writer| writer.leases.shard_names()).unwrap_or_default()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, arrival: Arrival) -> Result<Acceptance, StoreError> {
        self.writer()?.arrivals.ask(arrival).await
    }

    async fn append(&self, append: Append) -> Result<bool, AppendError> {
        let writer = self.writer()?;
        let appended = writer.steps.ask(TokenedAppend::new(append, &writer.node)).await?;
        appended.ok_or(AppendError::Fenced)
    }

    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError> {
        read::load(&self.0.readers, conversation).await
    }

    async fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Result<Vec<InboxItem>, StoreError> {
        read::inbox(&self.0.readers, conversation, customers, limit).await
    }

    async fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<MessageRow>, StoreError> {
        read::message(&self.0.readers, integration, direction, id).await
    }

    async fn with_pending_input(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        read::with_pending_input(&self.0.readers, &self.shards(), after, limit).await
    }

    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        read::due(&self.0.readers, &self.shards(), after, until, limit).await
    }

    async fn outbox(
        &self,
        integration: &IntegrationName,
        urgent: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        let epochs =
            self.0.writer.as_ref().map(|writer| writer.leases.epochs()).unwrap_or_default();
        let mut items =
            read::outbox(&self.0.readers, &self.shards(), integration, urgent, after, limit)
                .await?;
        if let Some(writer) = &self.0.writer {
            writer.leases.flag_in_doubt(&mut items, &epochs);
        }
        Ok(items)
    }

    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<WatchedConversation>, StoreError> {
        read::watched(&self.0.readers, &self.shards(), integration, after, limit).await
    }

    async fn in_touch(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        read::in_touch(&self.0.readers, integration, after, limit).await
    }

    async fn undelivered_besides(
        &self,
        integration: &IntegrationName,
        besides: &ConversationId,
        enough: usize,
    ) -> Result<usize, StoreError> {
        read::undelivered_besides(&self.0.readers, integration, besides, enough).await
    }

    async fn dead_letters(&self) -> Result<BTreeMap<IntegrationName, u64>, StoreError> {
        read::dead_letters(&self.0.readers).await
    }

    async fn has_event(&self, integration: &IntegrationName, id: &str) -> Result<bool, StoreError> {
        read::has_event(&self.0.readers, integration, id).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.writer()?;
        let (mut gone, mut after) = (0, Some(String::new()));
        while let Some(from) = after {
            let page = transaction(&self.0.aside, async |client| {
                prune::prune(client, before, &from).await
            });
            let (messages, next) = page.await?;
            gone += messages;
            after = next;
        }
        while transaction(&self.0.aside, async |client| prune::forget_events(client, before).await)
            .await?
            > 0
        {}
        Ok(gone)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let writer = self.writer()?;
        writer.arrivals.settled().await?;
        writer.steps.settled().await?;
        self.write_probe(&self.0.aside).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer()?;
        self.write_probe(&self.0.probe).await
    }

    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        read::conversations(&self.0.readers, after, limit).await
    }

    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError> {
        let read = self.0.aside.alone(async |client| {
            client
                .batch_execute("begin transaction isolation level repeatable read read only")
                .await?;
            let found = read::dossier(&client, conversation).await?;
            client.batch_execute("commit").await?;
            Ok(found)
        });
        Ok(read.await?)
    }

    async fn clock(&self, machine: Arc<dyn Machine>) -> Result<Arc<StoreClock>, StoreError> {
        let writer = self.writer()?;
        // A node updates the pair once in each such interval. A node that missed several is gone.
        let every = writer.takeover / 8;
        writer.leases.go_by(Arc::clone(&machine));
        let clock = StoreClock::starting_at(
            machine,
            clock::start(&self.0.aside, &writer.node, writer.takeover).await?,
        );
        let table = PostgresClock { link: Arc::clone(&self.0.aside) };
        let keep = clock_keeper::keep(table, Arc::clone(&clock), Arc::clone(&writer.leases), every);
        if let Err(second) = writer.keeping.set(writer.alive.spawn("clock", keep).abort_handle()) {
            second.abort();
        }
        Ok(clock)
    }

    async fn close(&self) {
        let Some(writer) = &self.0.writer else { return };
        writer.keeping.get().into_iter().for_each(AbortHandle::abort);
        writer.arrivals.stop().await;
        writer.steps.stop().await;
        writer.tasks.iter().for_each(JoinHandle::abort);
        // The keeper may have ended amid a request, so its connection is not used again.
        let table = lease::PostgresLeases { link: Arc::clone(&self.0.aside) };
        if let Err(error) = share::leave(&table, &writer.node, &writer.leases).await {
            tracing::debug!(%error, "the database was not told that this node leaves");
        }
    }

    async fn broken(&self) {
        match &self.0.writer {
            Some(writer) => writer.alive.broken().await,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Ownership for PostgresStore {
    fn is_clustered(&self) -> bool {
        true
    }

    fn acquire(&self, conversation: &ConversationId) -> Option<LeaseGuard> {
        self.0.writer.as_ref()?.leases.acquire(conversation)
    }

    fn acquire_to_finish(&self, conversation: &ConversationId) -> Option<LeaseGuard> {
        self.0.writer.as_ref()?.leases.acquire_to_finish(conversation)
    }

    fn step_down(&self) {
        if let Some(writer) = &self.0.writer {
            writer.leases.step_down();
        }
    }

    fn notify_owner(&self, conversation: &ConversationId) {
        if let Some(writer) = &self.0.writer {
            // If the channel is full, polling finds it.
            let _ = writer.hints.try_send(conversation.clone());
        }
    }

    async fn next_event(&self) -> OwnershipEvent {
        match &self.0.writer {
            Some(writer) => writer.leases.next_event(&writer.heard).await,
            None => std::future::pending().await,
        }
    }
}
