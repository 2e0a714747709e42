//! Durable storage: the inbox (accepted, not yet handled), the journal (what each conversation
//! decided), and the projections, for queries, for deduplication, and for the outbox to Genesys.
//!
//! [`Store`] is persistence. [`Ownership`] says which node drives which conversation.
//! [`AtomicAccept`] accepts a message and appends its first decision in one commit; a store may
//! implement it. `sqlite` is the implementation that needs nothing else; `postgres` is for an
//! existing database. The gateway calls the store; the store calls no other part, decides nothing
//! about a message, and knows no wire format.

#![warn(clippy::missing_errors_doc)]

mod audit;
mod cause;
mod chain;
mod clock_keeper;
#[cfg(feature = "conformance")]
pub mod conformance;
mod damage;
mod error;
mod failpoint;
mod found;
mod json;
mod lease;
mod lease_clock;
mod listing;
#[cfg(feature = "memory")]
pub mod memory;
pub mod mistake;
mod observe;
mod ownership;
mod portable;
mod postgres;
mod projection;
mod shard;
mod share;
mod sqlite;
mod store_clock;
mod types;

use std::collections::BTreeMap;

pub use audit::{Audit, audit};
pub use cause::Cause;
pub use chain::Chain;
pub use error::{AppendError, OpenError, StoreError};
pub use found::{Found, FoundBy};
pub use lease::LeaseGuard;
pub use listing::{
    ConversationList, ConversationPlace, ListedConversation, ListedMessage, MessageList,
};
pub use ownership::{Ownership, OwnershipEvent};
pub use portable::{
    ConversationExport, Copied, Early, EventCursor, Fingerprint, Portable, SeenEvent, copy,
};
pub use postgres::PostgresStore;
pub use sqlite::{Holder, SqliteStore};
pub use store_clock::{Machine, StoreClock};
pub use types::{
    Acceptance, Append, AppendPriority, Arrival, AtomicOutcome, Body, ConsoleSession, Direction,
    Dossier, Due, Health, InboxItem, JournalRow, Loaded, MessageRow, NewMessage, OutboxItem,
    OutboxLane, WatchedConversation,
};

use std::sync::Arc;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;

/// Persistence. On every implementation, whatever a writing method returns `Ok` for is durable
/// (fsync'd).
///
/// # Errors
/// Every method that returns a `Result` can fail in these ways:
///
/// * [`StoreError::Unavailable`] if the store does not answer, cannot write, or is closed, or if
///   the method writes and the store was opened only for reading. A read may be repeated. A write
///   may have taken effect although it returned this error; its method says what a repeat does.
/// * [`StoreError::Corrupt`] if a row that the method reads does not have the form that the schema
///   says. The same call will fail again.
///
/// # Damage
/// The lists from which a task works for all conversations, and those for operators, leave out up
/// to 64 damaged rows of a page, so that a damaged row costs only its own conversation. The page
/// then has the rows after them, and the log names the damaged ones. These lists are
/// [`Store::with_pending_input`], [`Store::due`], [`Store::outbox`], [`Store::watched`],
/// [`Store::list_conversations`] and [`Store::list_messages`].
#[async_trait]
pub trait Store: Ownership + Send + Sync + 'static {
    /// Accepts an arrival. Returns what became of it, once that is durable.
    ///
    /// # Errors
    /// * [`StoreError::Unavailable`] if the store did not confirm the arrival. Do not acknowledge
    ///   it, and call again or let the sender send it again: [`Acceptance::Repeated`] then says
    ///   that it had been stored after all.
    /// * [`StoreError::Corrupt`] if a database refuses the data. It would refuse them again.
    async fn accept(&self, arrival: Arrival) -> Result<Acceptance, StoreError>;

    /// Appends what one step decided, takes the handled inputs out of the inbox, and updates the
    /// projections: all or nothing. Returns whether the append put something into the
    /// conversation's inbox. That is a report which named its message by the chat service's id
    /// before the store knew that id.
    ///
    /// # Errors
    /// * [`AppendError::Fenced`] if another writer appended since the state was loaded. Nothing was
    ///   appended. Discard the state, and load the conversation again.
    /// * [`AppendError::Store`] with [`StoreError::Unavailable`] if the store did not confirm the
    ///   append. Carry out nothing that was decided, and repeat the same append. It is written only
    ///   once. If the first try took effect, the repeat returns `Ok` or [`AppendError::Fenced`].
    /// * [`AppendError::Store`] with [`StoreError::Corrupt`] if a database refuses the data. It
    ///   would refuse them again.
    async fn append(&self, append: Append) -> Result<bool, AppendError>;

    /// The store's [`AtomicAccept`], if it has one.
    fn atomic(&self) -> Option<&dyn AtomicAccept> {
        None
    }

    /// Everything needed to continue a conversation; `None` if there is no such conversation.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the last snapshot or a record after it cannot be read, or, on
    /// SQLite, is missing. No process can then drive the conversation.
    /// Otherwise as for [every call](Self#errors).
    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError>;

    /// What waits in a conversation's inbox, oldest first, at most `limit`; customers' messages
    /// only on request.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if one of these inputs cannot be read; then it returns none of them.
    /// Otherwise as for [every call](Self#errors).
    async fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Result<Vec<InboxItem>, StoreError>;

    /// One message with its body, exactly as it was accepted.
    ///
    /// # Errors
    /// As for [every call](Self#errors). A message that does not exist is no error.
    async fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<MessageRow>, StoreError>;

    /// A message as it was accepted: what [`Store::message`] returns, without the parts that
    /// change. A store may answer from memory if the message is recent.
    ///
    /// # Errors
    /// As for [`Self::message`].
    async fn body(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<Body>, StoreError> {
        Ok(self.message(integration, direction, id).await?.map(Body::from))
    }

    /// Conversations that have something in the inbox, ordered by id, after `after`.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The same page may be asked for again. A few damaged rows
    /// are [left out](Self#damage).
    async fn with_pending_input(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// Conversations that are to be woken by `until`, after `after`, at most `limit`. The earliest
    /// comes first; within a millisecond they are ordered by id.
    ///
    /// # Errors
    /// As for [every call](Self#errors). A few damaged rows are [left out](Self#damage).
    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError>;

    /// What Genesys is owed for an integration in one lane of the outbox, after `after`, oldest
    /// first, at most `limit`. Items that become owed later come after everything that was read.
    ///
    /// # Errors
    /// As for [every call](Self#errors). A few damaged rows are [left out](Self#damage).
    async fn outbox(
        &self,
        integration: &IntegrationName,
        lane: OutboxLane,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError>;

    /// Conversations of an integration whose end at Genesys must be detected, ordered by id, after
    /// `after`.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The same page may be asked for again. A few damaged rows
    /// are [left out](Self#damage).
    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<WatchedConversation>, StoreError>;

    /// Conversations of an integration that may have a session or ask for one, ordered by id, after
    /// `after`, whichever node drives them.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The same page may be asked for again.
    async fn in_touch(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// How many conversations of an integration, other than `besides`, have a customer's message
    /// that Genesys does not have yet. It counts those of all nodes, and stops at `enough`.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The number is then unknown, and must not be taken for
    /// zero.
    async fn undelivered_besides(
        &self,
        integration: &IntegrationName,
        besides: &ConversationId,
        enough: usize,
    ) -> Result<usize, StoreError>;

    /// The number of dead letters by integration: customers' messages that Genesys will never have.
    /// Integrations without dead letters may be left out.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The numbers are then unknown, and must not be taken for
    /// zero.
    async fn dead_letters(&self) -> Result<BTreeMap<IntegrationName, u64>, StoreError>;

    /// Whether an event of this id was accepted before.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The event must then not be taken for a new one.
    async fn has_event(&self, integration: &IntegrationName, id: &str) -> Result<bool, StoreError>;

    /// Whether a conversation exists and is one of this integration. Any text may be given for an
    /// id.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The conversation must then not be taken for the
    /// integration's.
    async fn has_conversation(
        &self,
        integration: &IntegrationName,
        id: &ConversationId,
    ) -> Result<bool, StoreError>;

    /// What an id names: a message by its sender's id or by the chat service's, a conversation by
    /// the gateway's id or by Genesys's. At most `limit` are returned. Any text may be given for an
    /// id.
    ///
    /// # Errors
    /// As for [every call](Self#errors). An id that names nothing is no error.
    async fn find(&self, id: &str, limit: usize) -> Result<Vec<Found>, StoreError>;

    /// The conversations of an integration that are in `list`, the newest first, after those at
    /// `before`, at most `limit`. It reads no other conversation.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The same page may be asked for again.
    async fn list_conversations(
        &self,
        integration: &IntegrationName,
        list: ConversationList,
        before: Option<&ConversationPlace>,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError>;

    /// The messages of an integration that are in `list`, the newest first, after the one at
    /// `before`, at most `limit`. It reads no other message.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The same page may be asked for again.
    async fn list_messages(
        &self,
        integration: &IntegrationName,
        list: MessageList,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ListedMessage>, StoreError>;

    /// Keeps a session of the console, and removes those that ended before `now`.
    ///
    /// # Errors
    /// As for [every call](Self#errors).
    async fn keep_console_session(
        &self,
        session: &ConsoleSession,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The console session with this hash, if it has not ended before `now`.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The caller must then not be taken for signed in.
    async fn console_session(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<ConsoleSession>, StoreError>;

    /// Ends a session of the console. One that does not exist is no error.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The session may then still be valid.
    async fn end_console_session(&self, hash: &str) -> Result<(), StoreError>;

    /// Removes what was finished before `before`. Returns how many messages it removed.
    ///
    /// # Errors
    /// As for [every call](Self#errors). What went before the error stays removed; a later call
    /// removes the rest.
    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Checks that the store takes writes now, by making one write durable. When it returns `Ok`,
    /// each earlier request to this store is durable or refused, even if its caller no longer
    /// waits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the write did not become durable. This says nothing about the
    /// earlier requests: each has its own answer.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Checks the same with a write that goes ahead of the queue, so that a busy store does not
    /// look unavailable. It says nothing about earlier requests.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the write did not become durable. A later call may succeed.
    async fn probe(&self) -> Result<(), StoreError> {
        self.ready().await
    }

    /// Conversations ordered by id, after `after`, at most `limit`: for audits and listings.
    ///
    /// # Errors
    /// As for [every call](Self#errors). The same page may be asked for again.
    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// Everything that the store has about a conversation, as of one commit.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a message is missing, or an input, message or outbox item cannot
    /// be read. A record that cannot be read is no error: its [`JournalRow::record`] says why.
    /// Otherwise as for [every call](Self#errors).
    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError>;

    /// The store's clock. Times that are written and compared by this clock mean the same to every
    /// process and node. A process must call this once, before it uses the store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store's time cannot be read, or this process's part of it
    /// cannot be written. Do not go by another clock: ask again.
    async fn clock(&self, machine: Arc<dyn Machine>) -> Result<Arc<StoreClock>, StoreError>;

    /// Finishes the work in progress, and releases the files and the leases.
    async fn close(&self);

    /// Waits until this process can no longer use the store, because a part of it has panicked.
    /// Another process can use it, so the caller must report this and end the process.
    async fn broken(&self) {
        std::future::pending::<()>().await;
    }

    /// The store's health when it last checked. Cheap.
    fn health(&self) -> Option<Health> {
        None
    }
}

/// Accepts a message together with the decision about it.
#[async_trait]
pub trait AtomicAccept: Send + Sync {
    /// Accepts an agent's message and appends the step that handles it; the step may also handle
    /// inputs of the inbox. It combines [`Store::accept`] and [`Store::append`], all or nothing.
    /// The message itself is never in the inbox.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store did not confirm the commit. Do not acknowledge the
    /// message, and discard the state, because the step may have been written. If the sender sends
    /// the message again, [`Store::accept`] says whether it had been stored.
    async fn accept_with_step(
        &self,
        message: NewMessage,
        append: Append,
    ) -> Result<AtomicOutcome, StoreError>;
}
