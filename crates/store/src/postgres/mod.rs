//! The store in a PostgreSQL database: for several nodes, and for those who have a database that is looked after already.
//!
//! Any node takes what comes in; each drives the conversations of the shards that it has leases for. The journal's fence
//! holds whatever the clocks say.

mod accept;
mod append;
mod hint;
mod lease;
mod link;
mod open;
mod portable;
mod prune;
mod read;
mod text;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;

use crate::drive::Leases;
use crate::{
    Append, AppendError, Arrival, Direction, Dossier, Drive, Due, InboxItem, Loaded, MessageRow,
    News, OpenError, OutboxItem, Store, StoreError, Stored, Watched,
};
use append::Step;
use lease::Share;
use link::{Link, Readers};
use writer::{Lane, transaction};

/// The store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

/// What grows and shrinks.
const TABLES: [&str; 8] =
    ["message", "journal", "conversation", "outbox", "inbox", "event", "service_name", "early"];

struct Inner {
    readers: Readers,
    /// For what needs a transaction and nobody waits for.
    aside: Link,
    /// `None` where the database was opened only to be read.
    writer: Option<Writer>,
}

struct Writer {
    node: Arc<str>,
    arrivals: Lane<Arrival>,
    steps: Lane<Step>,
    leases: Arc<Leases>,
    news: Mutex<mpsc::Receiver<News>>,
    hints: mpsc::Sender<ConversationId>,
    bell: Arc<Notify>,
    /// Renewing the leases, sending hints and hearing them.
    tasks: [JoinHandle<()>; 3],
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl PostgresStore {
    /// Opens `url` to be filled from another store, migrating it as needed; no node of a gateway.
    pub async fn open_to_fill(url: &str) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let aside = Link::new(&config);
        open::migrate(&aside).await?;
        Ok(Self(Arc::new(Inner { readers: Readers::new(&config), aside, writer: None })))
    }

    /// Gives back the room of what was removed, and brings the planner's figures up to date.
    pub async fn compact(&self) -> Result<(), StoreError> {
        for table in TABLES {
            // The statement is alone: the database does not take it within a transaction.
            let sql = format!("vacuum (full, analyze) tidegate.{table}");
            self.0.aside.patiently(async |client| Ok(client.batch_execute(&sql).await?)).await?;
        }
        Ok(())
    }

    /// Whether `url` says where a database is. It may name several hosts, each with a port of its own.
    pub fn is_url(url: &str) -> bool {
        open::config(url).is_ok_and(|config| !config.get_hosts().is_empty())
    }

    /// Opens `url` (`postgres://USER@HOST/DATABASE`), migrating it as needed, as one node of any number. `takeover` is how
    /// soon another node drives the conversations of one that died.
    pub async fn open(url: &str, takeover: Duration) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let aside = Link::new(&config);
        open::migrate(&aside).await?;
        let (node, leases) = (open::node_name(), Leases::none());
        let (news, heard) = mpsc::channel(hint::WAITING);
        let (hints, named) = mpsc::channel(hint::WAITING);
        let (link, of, tell) = (Link::new(&config), Arc::clone(&node), news.clone());
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let share =
            Share { link, node: of, leases: Arc::clone(&leases), news: tell, takeover, bell: ring };
        share.turn().await.map_err(|error| OpenError::Database(error.to_string()))?;
        let tasks = [
            tokio::spawn(share.run()),
            tokio::spawn(hint::send(Link::new(&config), named)),
            tokio::spawn(hint::listen(config.clone(), Arc::clone(&leases), news)),
        ];
        let (arrivals, steps) = (Lane::start(&config), Lane::start(&config));
        let news = Mutex::new(heard);
        let writer = Writer { node, arrivals, steps, leases, news, hints, bell, tasks };
        Ok(Self(Arc::new(Inner { readers: Readers::new(&config), aside, writer: Some(writer) })))
    }

    /// Opens `url` only to read it, beside the nodes that work on it.
    pub async fn open_read_only(url: &str) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let aside = Link::new(&config);
        open::check_version(&aside).await?;
        Ok(Self(Arc::new(Inner { readers: Readers::new(&config), aside, writer: None })))
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        let none = || StoreError::Unavailable("it was opened only to be read".into());
        self.0.writer.as_ref().ok_or_else(none)
    }

    /// The shards that this node drives.
    fn shards(&self) -> Vec<String> {
        self.0.writer.as_ref().map(|writer| writer.leases.names()).unwrap_or_default()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, arrival: Arrival) -> Result<Stored, StoreError> {
        self.writer()?.arrivals.ask(arrival).await
    }

    async fn append(&self, append: Append) -> Result<bool, AppendError> {
        let writer = self.writer()?;
        let appended = writer.steps.ask(Step::new(append, &writer.node)).await?;
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

    async fn waiting(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        read::waiting(&self.0.readers, &self.shards(), after, limit).await
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
        let terms = self.0.writer.as_ref().map(|writer| writer.leases.terms()).unwrap_or_default();
        let mut items =
            read::outbox(&self.0.readers, &self.shards(), integration, urgent, after, limit)
                .await?;
        if let Some(writer) = &self.0.writer {
            writer.leases.mark(&mut items, &terms);
        }
        Ok(items)
    }

    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError> {
        read::watched(&self.0.readers, &self.shards(), integration, after, limit).await
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
        let sql = "insert into tidegate.probe (id, at) values (1, now()) on conflict (id) do update set at = now()";
        Ok(transaction(&self.0.aside, async |client| Ok(client.batch_execute(sql).await?)).await?)
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

    async fn close(&self) {
        let Some(writer) = &self.0.writer else { return };
        writer.arrivals.stop().await;
        writer.steps.stop().await;
        writer.tasks.iter().for_each(JoinHandle::abort);
        writer.leases.clear();
        if let Err(error) = lease::leave(&self.0.aside, &writer.node).await {
            tracing::debug!(%error, "the database was not told that this node leaves");
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn drive(&self, conversation: &ConversationId) -> Option<Drive> {
        self.0.writer.as_ref()?.leases.drive(conversation)
    }

    fn retire(&self) {
        if let Some(writer) = &self.0.writer {
            writer.leases.retire();
            writer.bell.notify_one();
        }
    }

    fn hint(&self, conversation: &ConversationId) {
        if let Some(writer) = &self.0.writer {
            // Where there is no room, it is found by looking.
            let _ = writer.hints.try_send(conversation.clone());
        }
    }

    async fn news(&self) -> News {
        if let Some(writer) = &self.0.writer
            && let Some(news) = writer.news.lock().await.recv().await
        {
            return news;
        }
        std::future::pending().await
    }
}
