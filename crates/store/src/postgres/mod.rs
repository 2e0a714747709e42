//! The store in a PostgreSQL database: for those who have one that is looked after already.
//!
//! One process at a time drives it; the next one waits until the first has left, or has not been heard of for some
//! seconds of the database's own clock. The journal's fence holds whatever the clocks say.

mod accept;
mod append;
mod link;
mod open;
mod prune;
mod read;
mod text;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{
    Append, AppendError, Arrival, Direction, Dossier, Due, InboxItem, Loaded, MessageRow, OpenError, OutboxItem, Store,
    StoreError, Stored, Watched,
};
use append::Step;
use link::{Link, Readers};
use writer::{Lane, transaction};

/// The store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    readers: Readers,
    /// For what needs a transaction and nobody waits for.
    aside: Link,
    /// `None` where the database was opened only to be read.
    writer: Option<Writer>,
}

struct Writer {
    process: Arc<str>,
    arrivals: Lane<Arrival>,
    steps: Lane<Step>,
    right: watch::Receiver<Right>,
    renewal: JoinHandle<()>,
}

/// The right to drive, as far as this process knows.
enum Right {
    /// It has it until then, unless it is renewed.
    Until(Instant),
    /// This one has taken over.
    Lost(String),
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl PostgresStore {
    /// Opens `url` (`postgres://USER@HOST/DATABASE`), migrating it as needed, and takes the right to drive it:
    /// [`OpenError::Driven`] says that another process has it now.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let aside = Link::new(&config);
        open::migrate(&aside).await?;
        let process = open::process_name();
        let asked = Instant::now();
        let driver = open::take(&aside, &process).await;
        if let Some(other) = driver.map_err(|error| OpenError::Database(error.to_string()))? {
            return Err(OpenError::Driven(other));
        }
        let (tell, right) = watch::channel(Right::Until(asked + open::RELIED_ON));
        let renewal = tokio::spawn(renew(Link::new(&config), Arc::clone(&process), tell));
        let writer = Writer { process, arrivals: Lane::start(&config), steps: Lane::start(&config), right, renewal };
        Ok(Self(Arc::new(Inner { readers: Readers::new(&config), aside, writer: Some(writer) })))
    }

    /// Opens `url` only to read it, beside the process that drives it.
    pub async fn open_read_only(url: &str) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let aside = Link::new(&config);
        open::check_version(&aside).await?;
        Ok(Self(Arc::new(Inner { readers: Readers::new(&config), aside, writer: None })))
    }

    /// Waits until another process has taken over, as it may when this one was not heard of for long. Whoever drives the
    /// conversations has to end then.
    pub async fn lost(&self) -> String {
        if let Some(writer) = &self.0.writer {
            let mut right = writer.right.clone();
            if let Ok(right) = right.wait_for(|right| matches!(right, Right::Lost(_))).await
                && let Right::Lost(other) = &*right
            {
                return other.clone();
            }
        }
        std::future::pending().await
    }

    /// Whether this process may act. One that was paused finds out here, before it has heard of whoever took over.
    fn may_act(writer: &Writer) -> Result<(), StoreError> {
        let why = match &*writer.right.borrow() {
            Right::Until(until) if Instant::now() < *until => return Ok(()),
            Right::Until(_) => "the right to drive the database was not renewed in time".to_owned(),
            Right::Lost(other) => format!("{other} has taken over"),
        };
        Err(StoreError::Unavailable(why))
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        let none = || StoreError::Unavailable("it was opened only to be read".into());
        let writer = self.0.writer.as_ref().ok_or_else(none)?;
        Self::may_act(writer).map(|()| writer)
    }
}

/// Renews the right to drive until somebody else has it. While the database is away nobody else can take it either.
async fn renew(link: Link, process: Arc<str>, right: watch::Sender<Right>) {
    let mut pause = tokio::time::interval(open::RENEWED);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let asked = Instant::now();
        match tokio::time::timeout(Duration::from_secs(4), open::renew(&link, &process)).await {
            Ok(Ok(None)) => drop(right.send_replace(Right::Until(asked + open::RELIED_ON))),
            Ok(Ok(Some(other))) => {
                right.send_replace(Right::Lost(other));
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot renew the right to drive the database"),
            Err(_) => tracing::warn!("cannot renew the right to drive the database: it does not answer"),
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, arrival: Arrival) -> Result<Stored, StoreError> {
        self.writer()?.arrivals.ask(arrival).await
    }

    async fn append(&self, append: Append) -> Result<bool, AppendError> {
        let writer = self.writer()?;
        let appended = writer.steps.ask(Step::new(append, &writer.process)).await?;
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
        // Whoever drives reads a message in order to send it.
        if let Some(writer) = &self.0.writer {
            Self::may_act(writer)?;
        }
        read::message(&self.0.readers, integration, direction, id).await
    }

    async fn waiting(&self, after: Option<&ConversationId>, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        read::waiting(&self.0.readers, after, limit).await
    }

    async fn due(&self, from: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        read::due(&self.0.readers, from, until, limit).await
    }

    async fn outbox(
        &self,
        integration: &IntegrationName,
        urgent: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        read::outbox(&self.0.readers, integration, urgent, after, limit).await
    }

    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError> {
        read::watched(&self.0.readers, integration, after, limit).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.writer()?;
        let (mut gone, mut after) = (0, Some(String::new()));
        while let Some(from) = after {
            let page = transaction(&self.0.aside, async |client| prune::prune(client, before, &from).await);
            let (messages, next) = page.await?;
            gone += messages;
            after = next;
        }
        while transaction(&self.0.aside, async |client| prune::forget_events(client, before).await).await? > 0 {}
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
            client.batch_execute("begin transaction isolation level repeatable read read only").await?;
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
        writer.renewal.abort();
        if let Err(error) = open::leave(&self.0.aside, &writer.process).await {
            tracing::debug!(%error, "the database was not told that this process leaves");
        }
    }
}
