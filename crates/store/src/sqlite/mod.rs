//! The embedded store: one SQLite file, one thread that writes, a few connections that read.

mod accept;
mod append;
mod checkpoint;
mod clock;
mod console_sessions;
mod find;
mod job;
mod list;
mod lock;
mod open;
mod portable;
mod prune;
mod queue;
mod read;
mod reader;
mod recent;
mod rights;
mod writer;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;

use crate::{
    Acceptance, Append, AppendError, Arrival, AtomicAccept, AtomicOutcome, Body, ConsoleSession,
    ConversationList, ConversationPlace, Direction, Dossier, Due, Found, Health, InboxItem,
    ListedConversation, ListedMessage, Loaded, Machine, MessageList, MessageRow, NewMessage,
    OpenError, OutboxItem, OutboxLane, Ownership, Store, StoreClock, StoreError,
    WatchedConversation, failpoint,
};
use checkpoint::Log;
use job::WriterJob;
pub use lock::Holder;
use open::Opened;
use reader::ReaderPool;
use recent::{CachedInbox, HotCache};
use writer::{Shared, Writer};
use written::TxState;

/// The embedded store.
#[derive(Clone)]
pub struct SqliteStore {
    readers: Arc<ReaderPool>,
    /// `None` if the file was opened only for reading.
    writer: Option<Arc<Writer>>,
    log: Arc<Log>,
    recent: Arc<HotCache>,
    /// Outbox items up to this place were owed by the last process.
    left_behind: u64,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens `url` (`sqlite:PATH`), and creates or migrates the file as needed. Only one process at
    /// a time may hold it.
    ///
    /// # Errors
    /// * [`OpenError::Url`] if `url` does not begin with `sqlite:` or names no path.
    /// * [`OpenError::InUse`] if another process serves the file.
    /// * [`OpenError::Linked`] if the file has a second name.
    /// * [`OpenError::Empty`] if the file is a database of something else. It stays unchanged.
    /// * [`OpenError::Newer`] if a newer version of the program wrote the file. It stays unchanged.
    /// * [`OpenError::NotDurable`] if a commit would not survive a loss of power.
    /// * [`OpenError::Io`] if the file cannot be created, read or written, or is no SQLite
    ///   database.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let Opened { connection, path, lock } = open::for_writing(&path_of(url)?)?;
        let lock = Arc::new(lock);
        let io = |error: rusqlite::Error| OpenError::io(&path, error);
        open::set_cache(&connection, open::WRITER_CACHE).map_err(io)?;
        let written = TxState::new(&connection).map_err(io)?;
        let left_behind = written.last_in_outbox();
        let readers = Arc::new(ReaderPool::open(&path, Some(Arc::clone(&lock)))?);
        let checkpoints = open::connect(&path)?;
        let recent = Arc::new(HotCache::new());
        let log = Arc::new(Log::of(&path));
        let shared = Shared { lock, log: Arc::clone(&log), recent: Arc::clone(&recent) };
        let writer = Writer::start(connection, written, checkpoints, shared)
            .map_err(|error| OpenError::io(&path, error))?;
        Ok(Self { readers, writer: Some(Arc::new(writer)), log, recent, left_behind, path })
    }

    /// Opens `url` only for reading. Another process may write it at the same time.
    ///
    /// # Errors
    /// [`OpenError::Missing`] if there is no file, and [`OpenError::Empty`] also if it holds
    /// nothing. Otherwise as for [`Self::open`], without [`OpenError::InUse`].
    pub fn open_read_only(url: &str) -> Result<Self, OpenError> {
        let path = lock::resolve(&path_of(url)?)?;
        open::check_version(&path)?;
        let (readers, recent) =
            (Arc::new(ReaderPool::open(&path, None)?), Arc::new(HotCache::new()));
        let log = Arc::new(Log::of(&path));
        Ok(Self { readers, writer: None, log, recent, left_behind: 0, path })
    }

    /// Checkpoints the log into the file, and frees the space of removed rows. No other process may
    /// hold the file.
    ///
    /// # Errors
    /// [`OpenError::Missing`] if there is no file. [`OpenError::Io`] also if the disk has no room
    /// for the second copy that SQLite makes: the contents are unchanged then. Otherwise as for
    /// [`Self::open`].
    pub fn compact(url: &str) -> Result<(), OpenError> {
        let path = path_of(url)?;
        if !path.exists() {
            return Err(OpenError::Missing(path));
        }
        let opened = open::for_writing(&path)?;
        let sql = "pragma wal_checkpoint(truncate); vacuum; pragma wal_checkpoint(truncate)";
        let done = opened.connection.execute_batch(sql);
        done.map_err(|error| OpenError::io(path, error))
    }

    /// Runs work that does not belong to a single conversation, in the writer's next transaction.
    async fn work(
        &self,
        work: impl FnOnce(&rusqlite::Connection, &mut TxState) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.writer()?.run(|answer| WriterJob::Work(Box::new(work), answer)).await
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer
            .as_deref()
            .ok_or_else(|| StoreError::Unavailable("it is open only for reading".into()))
    }
}

fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        Some(_) | None => Err(OpenError::Url),
    }
}

/// A message's body for the cache, and its key there.
fn body_of(message: &NewMessage) -> (recent::Key, Body) {
    let bytes = message.body.clone();
    let body = Body { foreign_id: message.foreign_id.clone(), received: message.received, bytes };
    ((message.integration.clone(), message.direction, message.id.clone()), body)
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, arrival: Arrival) -> Result<Acceptance, StoreError> {
        let Arrival::Message(message) = &arrival else {
            return self.writer()?.run(|answer| WriterJob::Accept(Box::new(arrival), answer)).await;
        };
        let (key, body) = body_of(message);
        let stored =
            self.writer()?.run(|answer| WriterJob::Accept(Box::new(arrival), answer)).await?;
        if matches!(stored, Acceptance::New(_)) {
            self.recent.keep(key, body);
        }
        Ok(stored)
    }

    async fn append(&self, append: Append) -> Result<bool, AppendError> {
        match self.writer()?.run(|answer| WriterJob::Append(Box::new(append), answer)).await? {
            AtomicOutcome::Whole { early } => Ok(early),
            AtomicOutcome::Fenced | AtomicOutcome::Repeated => Err(AppendError::Fenced),
        }
    }

    fn atomic(&self) -> Option<&dyn AtomicAccept> {
        Some(self)
    }

    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError> {
        let conversation = conversation.clone();
        self.readers.query_on_pool(move |connection| read::load(connection, &conversation)).await
    }

    async fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Result<Vec<InboxItem>, StoreError> {
        let last = match self.recent.inbox(conversation, customers, limit) {
            CachedInbox::Whole(items) => return Ok(items),
            CachedInbox::Ask(last) => last,
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
        self.readers.query_inline(ask).await
    }

    async fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<MessageRow>, StoreError> {
        let (integration, id) = (integration.clone(), id.clone());
        self.readers
            .query_inline(move |connection| read::message(connection, &integration, direction, &id))
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

    async fn with_pending_input(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let after = after.cloned();
        self.readers
            .query_on_pool(move |connection| {
                read::with_pending_input(connection, after.as_ref(), limit)
            })
            .await
    }

    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let after = after.cloned();
        self.readers
            .query_on_pool(move |connection| read::due(connection, after.as_ref(), until, limit))
            .await
    }

    async fn outbox(
        &self,
        integration: &IntegrationName,
        lane: OutboxLane,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        failpoint::reached("outbox");
        let integration = integration.clone();
        let read = move |connection: &_| read::outbox(connection, &integration, lane, after, limit);
        let mut items = self.readers.query_inline(read).await?;
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
    ) -> Result<Vec<WatchedConversation>, StoreError> {
        let (integration, after) = (integration.clone(), after.cloned());
        self.readers
            .query_on_pool(move |connection| {
                read::watched(connection, &integration, after.as_ref(), limit)
            })
            .await
    }

    async fn in_touch(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let (integration, after) = (integration.clone(), after.cloned());
        self.readers
            .query_on_pool(move |connection| {
                read::in_touch(connection, &integration, after.as_ref(), limit)
            })
            .await
    }

    async fn undelivered_besides(
        &self,
        integration: &IntegrationName,
        besides: &ConversationId,
        enough: usize,
    ) -> Result<usize, StoreError> {
        let (integration, besides) = (integration.clone(), besides.clone());
        let ask = move |connection: &_| {
            read::undelivered_besides(connection, &integration, &besides, enough)
        };
        self.readers.query_on_pool(ask).await
    }

    async fn dead_letters(&self) -> Result<BTreeMap<IntegrationName, u64>, StoreError> {
        self.readers.query_on_pool(read::dead_letters).await
    }

    async fn has_event(&self, integration: &IntegrationName, id: &str) -> Result<bool, StoreError> {
        let (integration, id) = (integration.clone(), id.to_owned());
        self.readers
            .query_on_pool(move |connection| Ok(read::has_event(connection, &integration, &id)?))
            .await
    }

    async fn has_conversation(
        &self,
        integration: &IntegrationName,
        id: &ConversationId,
    ) -> Result<bool, StoreError> {
        let (integration, id) = (integration.clone(), id.clone());
        self.readers
            .query_on_pool(move |connection| read::has_conversation(connection, &integration, &id))
            .await
    }

    async fn find(&self, id: &str, limit: usize) -> Result<Vec<Found>, StoreError> {
        let id = id.to_owned();
        self.readers.query_on_pool(move |connection| find::find(connection, &id, limit)).await
    }

    async fn list_conversations(
        &self,
        integration: &IntegrationName,
        list: ConversationList,
        before: Option<&ConversationPlace>,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError> {
        let (integration, before) = (integration.clone(), before.cloned());
        self.readers
            .query_on_pool(move |connection| {
                list::conversations(connection, &integration, list, before.as_ref(), limit)
            })
            .await
    }

    async fn list_messages(
        &self,
        integration: &IntegrationName,
        list: MessageList,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ListedMessage>, StoreError> {
        let integration = integration.clone();
        self.readers
            .query_on_pool(move |connection| {
                list::messages(connection, &integration, list, before, limit)
            })
            .await
    }

    async fn keep_console_session(
        &self,
        session: &ConsoleSession,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let session = session.clone();
        self.work(move |connection, _| console_sessions::keep(connection, &session, now)).await
    }

    async fn console_session(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<ConsoleSession>, StoreError> {
        let hash = hash.to_owned();
        self.readers
            .query_on_pool(move |connection| Ok(console_sessions::read(connection, &hash, now)?))
            .await
    }

    async fn end_console_session(&self, hash: &str) -> Result<(), StoreError> {
        let hash = hash.to_owned();
        self.work(move |connection, _| console_sessions::end(connection, &hash)).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let writer = self.writer()?;
        let (mut gone, mut after) = (0, prune::PruneCursor::default());
        while let Some((old, last)) = self
            .readers
            .query_on_pool(move |connection| prune::candidates(connection, before, after))
            .await?
        {
            self.recent.drop_bodies();
            for page in old.chunks(prune::PAGE) {
                gone +=
                    writer.run(|answer| WriterJob::Prune(before, page.to_vec(), answer)).await?;
            }
            after = last;
        }
        while writer.run(|answer| WriterJob::ForgetEvents(before, answer)).await? > 0 {}
        Ok(gone)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.writer()?.run(WriterJob::Probe).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer()?.probe().await
    }

    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let after = after.cloned();
        self.readers
            .query_on_pool(move |connection| read::conversations(connection, after.as_ref(), limit))
            .await
    }

    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError> {
        let conversation = conversation.clone();
        self.readers.query_on_pool(move |connection| read::dossier(connection, &conversation)).await
    }

    fn health(&self) -> Option<Health> {
        self.writer.is_some().then(|| self.log.health())
    }

    async fn broken(&self) {
        match &self.writer {
            Some(writer) => writer.broken().await,
            None => std::future::pending().await,
        }
    }

    async fn clock(&self, machine: Arc<dyn Machine>) -> Result<Arc<StoreClock>, StoreError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let of = Arc::clone(&machine);
        let start = move |connection: &rusqlite::Connection, _: &mut TxState| {
            let _ = tell.send(StoreClock::starting_at(
                Arc::clone(&of),
                clock::start(connection, of.as_ref())?,
            ));
            Ok(())
        };
        self.work(start).await?;
        told.await.map_err(|_| StoreError::Unavailable("cannot read its clock".into()))
    }

    async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.stop().await;
        }
    }
}

#[async_trait]
impl AtomicAccept for SqliteStore {
    async fn accept_with_step(
        &self,
        message: NewMessage,
        append: Append,
    ) -> Result<AtomicOutcome, StoreError> {
        let (key, body) = body_of(&message);
        let handled = self
            .writer()?
            .run(|answer| WriterJob::AcceptWithStep(Box::new((message, append)), answer))
            .await?;
        if matches!(handled, AtomicOutcome::Whole { .. }) {
            self.recent.keep(key, body);
        }
        Ok(handled)
    }
}

impl Ownership for SqliteStore {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_probe_goes_ahead_of_what_waits() {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", dir.path().join("tidegate.db").display());
        let store = SqliteStore::open(&url).expect("it opens");
        // The first of three thousand blocks the writer until all have been queued, the last until
        // the probe is answered.
        let (start, begun) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (mut first, mut last) = (Some(begun), Some(ended));
        let mut waiting = Vec::new();
        for number in 1..=3_000 {
            let gate = match number {
                1 => first.take(),
                3_000 => last.take(),
                _ => None,
            };
            waiting.push(Box::pin(store.work(move |_, _| {
                // An error means that the test has already failed.
                let _ = gate.map(|gate| gate.recv());
                Ok(())
            })));
        }
        for asked in &mut waiting {
            assert!(tokio::task::unconstrained(asked.as_mut()).now_or_never().is_none());
        }
        let mut probe = Box::pin(store.probe());
        assert!(probe.as_mut().now_or_never().is_none());
        start.send(()).expect("the first waits for it");
        let answered = tokio::time::timeout(Duration::from_secs(30), probe).await;
        assert!(matches!(answered, Ok(Ok(()))), "the probe is not ahead of them: {answered:?}");
        end.send(()).expect("the last waits for it");
        assert!(futures_util::future::join_all(waiting).await.iter().all(Result::is_ok));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_of_the_writer_is_told_and_nobody_else_gets_the_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", dir.path().join("tidegate.db").display());
        let store = SqliteStore::open(&url).expect("it opens");
        store.ready().await.expect("it works");
        let quiet = tokio::time::timeout(Duration::from_millis(50), store.broken()).await;
        assert!(quiet.is_err(), "nothing is broken");
        let asked = store.work(|_, _| panic!("a mistake in the writer")).await;
        assert!(matches!(asked, Err(StoreError::Unavailable(_))), "{asked:?}");
        let told = tokio::time::timeout(Duration::from_secs(10), store.broken()).await;
        assert!(told.is_ok(), "otherwise the process would answer 503 forever");
        assert!(store.ready().await.is_err());
        let second = SqliteStore::open(&url);
        assert!(matches!(second, Err(OpenError::InUse { .. })), "the process has not ended yet");
    }
}
