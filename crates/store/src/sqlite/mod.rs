//! The embedded store: one SQLite file, one thread that writes, a few connections that read.

mod accept;
mod append;
mod open;
mod portable;
mod prune;
mod queue;
mod read;
mod reader;
mod recent;
mod writer;
mod written;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;

use crate::{
    Append, AppendError, Arrival, Body, Direction, Dossier, Due, Handled, InboxItem, Loaded,
    MessageRow, NewMessage, OpenError, OutboxItem, Store, StoreError, Stored, Watched,
};
use reader::Readers;
use recent::{Answer, Recent};
use writer::{Job, Writer};
use written::Written;

/// The embedded store.
#[derive(Clone)]
pub struct SqliteStore {
    readers: Arc<Readers>,
    /// `None` where the file was opened only to be read.
    writer: Option<Arc<Writer>>,
    recent: Arc<Recent>,
    /// What stands in the outbox up to this place was owed by the last process.
    left_behind: u64,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens `url` (`sqlite:PATH`), creating or migrating it as needed. One process at a time may have it.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let path = path_of(url)?;
        let (connection, lock) = open::for_writing(&path)?;
        let io =
            |error: rusqlite::Error| OpenError::Io { path: path.clone(), cause: error.to_string() };
        open::set_cache(&connection, open::WRITER_CACHE).map_err(io)?;
        let written = Written::new(&connection).map_err(io)?;
        let left_behind = written.last_in_outbox();
        let readers = Arc::new(Readers::open(&path)?);
        let checkpoints = open::connect(&path)?;
        let recent = Arc::new(Recent::new());
        let writer = Writer::start(connection, written, checkpoints, lock, Arc::clone(&recent))
            .map_err(|cause| OpenError::Io { path: path.clone(), cause: cause.to_string() })?;
        Ok(Self { readers, writer: Some(Arc::new(writer)), recent, left_behind, path })
    }

    /// Opens `url` only to read it, beside the process that writes it.
    pub fn open_read_only(url: &str) -> Result<Self, OpenError> {
        let path = path_of(url)?;
        if !path.exists() {
            return Err(OpenError::Missing(path));
        }
        open::check_version(&path)?;
        let (readers, recent) = (Arc::new(Readers::open(&path)?), Arc::new(Recent::new()));
        Ok(Self { readers, writer: None, recent, left_behind: 0, path })
    }

    /// Folds the log back into the file, and gives back the room of what was removed. Nobody else may have it meanwhile.
    pub fn compact(url: &str) -> Result<(), OpenError> {
        let path = path_of(url)?;
        if !path.exists() {
            return Err(OpenError::Missing(path));
        }
        let (connection, _lock) = open::for_writing(&path)?;
        let done = connection.execute_batch(
            "pragma wal_checkpoint(truncate); vacuum; pragma wal_checkpoint(truncate)",
        );
        done.map_err(|cause| OpenError::Io { path, cause: cause.to_string() })
    }

    /// Does something that belongs to no conversation's life, in a transaction.
    async fn work(
        &self,
        work: impl FnOnce(&rusqlite::Connection, &mut Written) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.writer()?.run(|answer| Job::Work(Box::new(work), answer)).await
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer
            .as_deref()
            .ok_or_else(|| StoreError::Unavailable("it was opened only to be read".into()))
    }
}

fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        Some(_) | None => Err(OpenError::Url),
    }
}

/// What is kept of a message in memory, and under what.
fn body_of(message: &NewMessage) -> (recent::Key, Body) {
    let bytes = message.body.clone();
    let body = Body { foreign_id: message.foreign_id.clone(), received: message.received, bytes };
    ((message.integration.clone(), message.direction, message.id.clone()), body)
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, arrival: Arrival) -> Result<Stored, StoreError> {
        let Arrival::Message(message) = &arrival else {
            return self.writer()?.run(|answer| Job::Accept(Box::new(arrival), answer)).await;
        };
        let (key, body) = body_of(message);
        let stored = self.writer()?.run(|answer| Job::Accept(Box::new(arrival), answer)).await?;
        if matches!(stored, Stored::New(_)) {
            self.recent.keep(key, body);
        }
        Ok(stored)
    }

    async fn append(&self, append: Append) -> Result<bool, AppendError> {
        match self.writer()?.run(|answer| Job::Append(Box::new(append), answer)).await? {
            Handled::Whole { early } => Ok(early),
            Handled::Fenced | Handled::Repeated => Err(AppendError::Fenced),
        }
    }

    async fn accept_with_step(
        &self,
        message: NewMessage,
        append: Append,
    ) -> Result<Handled, StoreError> {
        let (key, body) = body_of(&message);
        let handled = self
            .writer()?
            .run(|answer| Job::AcceptWithStep(Box::new((message, append)), answer))
            .await?;
        if matches!(handled, Handled::Whole { .. }) {
            self.recent.keep(key, body);
        }
        Ok(handled)
    }

    fn accepts_with_step(&self) -> bool {
        true
    }

    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError> {
        let conversation = conversation.clone();
        self.readers.run(move |connection| read::load(connection, &conversation)).await
    }

    async fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Result<Vec<InboxItem>, StoreError> {
        let last = match self.recent.inbox(conversation, customers, limit) {
            Answer::Whole(items) => return Ok(items),
            Answer::Ask(last) => last,
        };
        let (conversation, recent) = (conversation.clone(), Arc::clone(&self.recent));
        let ask = move |connection: &rusqlite::Connection| {
            if let Some(last) = last
                && !read::has_inbox_up_to(connection, last)?
            {
                recent.has_none_up_to(last);
            }
            read::inbox(connection, &conversation, customers, limit)
        };
        self.readers.glance(ask).await
    }

    async fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<MessageRow>, StoreError> {
        let (integration, id) = (integration.clone(), id.clone());
        self.readers
            .glance(move |connection| read::message(connection, &integration, direction, &id))
            .await
    }

    async fn body(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<Body>, StoreError> {
        if let Some(body) = self.recent.body(integration, direction, id) {
            return Ok(Some(body));
        }
        Ok(self.message(integration, direction, id).await?.map(Body::from))
    }

    async fn waiting(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let after = after.cloned();
        self.readers.run(move |connection| read::waiting(connection, after.as_ref(), limit)).await
    }

    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let after = after.cloned();
        self.readers
            .run(move |connection| read::due(connection, after.as_ref(), until, limit))
            .await
    }

    async fn outbox(
        &self,
        integration: &IntegrationName,
        urgent: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        let integration = integration.clone();
        let read =
            move |connection: &_| read::outbox(connection, &integration, urgent, after, limit);
        let mut items = self.readers.glance(read).await?;
        for item in &mut items {
            item.doubt = item.seq <= self.left_behind;
        }
        Ok(items)
    }

    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError> {
        let (integration, after) = (integration.clone(), after.cloned());
        self.readers
            .run(move |connection| read::watched(connection, &integration, after.as_ref(), limit))
            .await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let writer = self.writer()?;
        let (mut gone, mut after) = (0, prune::Place::default());
        while let Some((old, last)) =
            self.readers.run(move |connection| prune::candidates(connection, before, after)).await?
        {
            self.recent.drop_bodies();
            for page in old.chunks(prune::PAGE) {
                gone += writer.run(|answer| Job::Prune(before, page.to_vec(), answer)).await?;
            }
            after = last;
        }
        while writer.run(|answer| Job::ForgetEvents(before, answer)).await? > 0 {}
        Ok(gone)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.writer()?.run(Job::Probe).await
    }

    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let after = after.cloned();
        self.readers
            .run(move |connection| read::conversations(connection, after.as_ref(), limit))
            .await
    }

    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError> {
        let conversation = conversation.clone();
        self.readers.run(move |connection| read::dossier(connection, &conversation)).await
    }

    async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.stop().await;
        }
    }
}
