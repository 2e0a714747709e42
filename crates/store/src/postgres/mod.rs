//! The store in a PostgreSQL database: for several nodes, and for operators who already maintain a
//! database.
//!
//! Any node accepts arrivals. Each node drives the conversations of the shards whose leases it
//! holds. The journal's fence does not depend on any clock.

mod accept;
mod alive;
mod append;
mod clock;
mod console_sessions;
mod find;
mod hint;
mod lease;
mod link;
mod list;
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
    Acceptance, Append, AppendError, Arrival, Chain, ConsoleSession, ConversationList,
    ConversationPlace, Direction, Dossier, Due, Found, InboxItem, LeaseGuard, ListedConversation,
    ListedMessage, Loaded, Machine, MessageList, MessageRow, OpenError, OutboxItem, OutboxLane,
    Ownership, OwnershipEvent, Store, StoreClock, StoreError, WatchedConversation, clock_keeper,
};
use alive::TaskHealth;
use append::TokenedAppend;
use clock::PostgresClock;
use link::{PgConnection, PgReaders};
use writer::{Lane, transaction};

/// The store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

/// The tables that [`PostgresStore::compact`] compacts.
const TABLES: [&str; 8] =
    ["message", "journal", "conversation", "outbox", "inbox", "event", "service_name", "early"];

struct Inner {
    readers: PgReaders,
    /// The connection for everything that is not an arrival, a step or a query of the gateway.
    aside: Arc<PgConnection>,
    /// The connection for people: it reads whole conversations, and keeps the console's sessions.
    /// They must not delay the leases and the clock, which use `aside`.
    dossiers: PgConnection,
    /// The connection on which [`Store::probe`] checks whether the database takes writes. Nothing
    /// else uses it.
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
    /// Hints from other nodes.
    heard: Mutex<mpsc::Receiver<ConversationId>>,
    hints: mpsc::Sender<ConversationId>,
    takeover: Duration,
    /// The task that keeps the store's clock, once [`Store::clock`] was called.
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
    /// Opens `url` in order to copy another store into it, and migrates it as needed. This process
    /// then is not a node of a gateway.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn open_to_fill(url: &str) -> Result<Self, OpenError> {
        let config = open::config_to_write(url)?;
        let (aside, probe) = (Arc::new(PgConnection::new(&config)), PgConnection::new(&config));
        let dossiers = PgConnection::new(&config);
        open::migrate(&aside).await?;
        Ok(Self(Arc::new(Inner {
            readers: PgReaders::new(&config),
            aside,
            dossiers,
            probe,
            writer: None,
        })))
    }

    async fn write_probe(&self, link: &PgConnection) -> Result<(), StoreError> {
        let sql = "insert into tidegate.probe (id, at) values (1, now()) on conflict (id) do \
            update set at = now()";
        Ok(transaction(link, async |client| Ok(client.batch_execute(sql).await?)).await?)
    }

    /// Returns the space of removed rows to the system, and updates the planner's statistics.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be reached, or refuses to compact a
    /// table. The tables before it are compacted, and the contents of all are unchanged.
    pub async fn compact(&self) -> Result<(), StoreError> {
        for table in TABLES {
            // The database does not allow this statement within a transaction.
            let sql = format!("vacuum (full, analyze) tidegate.{table}");
            self.0
                .aside
                .without_deadline(async |client| Ok(client.batch_execute(&sql).await?))
                .await?;
        }
        Ok(())
    }

    /// Whether `url` is a valid PostgreSQL URL that names a host. It may name several, each with
    /// its own port.
    pub fn is_url(url: &str) -> bool {
        open::config(url).is_ok_and(|config| !config.get_hosts().is_empty())
    }

    /// Opens `url` (`postgres://USER@HOST/DATABASE`) as one of any number of nodes, and migrates it
    /// as needed. If a node dies, other nodes drive its conversations within `takeover`.
    ///
    /// # Errors
    /// * [`OpenError::Url`] if `url` begins with neither `postgres://` nor `postgresql://`.
    /// * [`OpenError::Database`] if the rest of it cannot be parsed, no server that takes writes
    ///   answers, or the user may not create or change the schema. It may work later.
    /// * [`OpenError::NewerDatabase`] if a newer version of the program wrote the database. It
    ///   stays unchanged.
    pub async fn open(url: &str, takeover: Duration) -> Result<Self, OpenError> {
        let config = open::config_to_write(url)?;
        let (aside, probe) = (Arc::new(PgConnection::new(&config)), PgConnection::new(&config));
        let dossiers = PgConnection::new(&config);
        open::migrate(&aside).await?;
        let (node, leases) = (open::node_name(), HeldLeases::none());
        let (tell, heard) = mpsc::channel(hint::WAITING);
        let (hints, named) = mpsc::channel(hint::WAITING);
        let table = lease::PostgresLeases { link: Arc::new(PgConnection::new(&config)) };
        let mut share = LeaseKeeper::new(table, Arc::clone(&node), Arc::clone(&leases), takeover);
        let next = share.round().await.map_err(|error| OpenError::Database(error.into()))?;
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
            dossiers,
            probe,
            writer: Some(writer),
        })))
    }

    /// Opens `url` only for reading. Nodes may use it at the same time.
    ///
    /// # Errors
    /// [`OpenError::Database`] also if the database holds no tidegate store. Otherwise as for
    /// [`Self::open`], but a server that takes no writes is no error.
    pub async fn open_read_only(url: &str) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let (aside, probe) = (Arc::new(PgConnection::new(&config)), PgConnection::new(&config));
        let dossiers = PgConnection::new(&config);
        open::check_version(&aside).await?;
        Ok(Self(Arc::new(Inner {
            readers: PgReaders::new(&config),
            aside,
            dossiers,
            probe,
            writer: None,
        })))
    }

    fn writer(&self) -> Result<&WritingNode, StoreError> {
        let none = || StoreError::Unavailable("it is open only for reading".into());
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
        lane: OutboxLane,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        let epochs =
            self.0.writer.as_ref().map(|writer| writer.leases.epochs()).unwrap_or_default();
        let mut items =
            read::outbox(&self.0.readers, &self.shards(), integration, lane, after, limit).await?;
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

    async fn has_conversation(
        &self,
        integration: &IntegrationName,
        id: &ConversationId,
    ) -> Result<bool, StoreError> {
        read::has_conversation(&self.0.readers, integration, id).await
    }

    async fn find(&self, id: &str, limit: usize) -> Result<Vec<Found>, StoreError> {
        find::find(&self.0.readers, id, limit).await
    }

    async fn list_conversations(
        &self,
        integration: &IntegrationName,
        list: ConversationList,
        before: Option<&ConversationPlace>,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError> {
        list::conversations(&self.0.readers, integration, list, before, limit).await
    }

    async fn list_messages(
        &self,
        integration: &IntegrationName,
        list: MessageList,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ListedMessage>, StoreError> {
        list::messages(&self.0.readers, integration, list, before, limit).await
    }

    async fn keep_console_session(
        &self,
        session: &ConsoleSession,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer()?;
        // Not on the connection that renews the leases.
        let keep = transaction(&self.0.dossiers, async |client| {
            console_sessions::keep(client, session, now).await
        });
        Ok(keep.await?)
    }

    async fn console_session(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<ConsoleSession>, StoreError> {
        console_sessions::read(&self.0.readers, hash, now).await
    }

    async fn end_console_session(&self, hash: &str) -> Result<(), StoreError> {
        self.writer()?;
        let end =
            transaction(&self.0.dossiers, async |client| console_sessions::end(client, hash).await);
        Ok(end.await?)
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
        let read = self.0.dossiers.alone(async |client| {
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
        // How often a node updates the pair. A node that misses several updates counts as gone.
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
        // The keeper may have been aborted during a request, so its connection is not used again.
        let table = lease::PostgresLeases { link: Arc::clone(&self.0.aside) };
        if let Err(error) = share::leave(&table, &writer.node, &writer.leases).await {
            let error = Chain(&error);
            tracing::debug!(%error, "cannot release this node's leases");
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
            // If the channel is full, the owner's polling finds the input.
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
