//! Durable storage: the inbox (accepted, not yet handled), the journal (what each conversation
//! decided), and the projections. People, dedupe and Genesys's outbox read the projections.
//!
//! [`Store`] is persistence, in the verbs of the domain. [`Ownership`] says which node drives which
//! conversation. [`AtomicAccept`] saves a commit if a store can. `sqlite` is the implementation
//! that needs nothing else; `postgres` is for an existing database. The gateway calls the store;
//! the store calls no other part, decides nothing about a message, and knows no wire format.

mod audit;
mod clock_keeper;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod failpoint;
mod json;
mod lease;
mod lease_clock;
#[cfg(feature = "memory")]
pub mod memory;
pub mod mistake;
mod observe;
mod ownership;
mod portable;
mod postgres;
mod projection;
mod share;
mod sqlite;
mod store_clock;
mod types;

use std::collections::BTreeMap;

pub use audit::{Audit, audit};
pub use error::{AppendError, OpenError, StoreError};
pub use lease::LeaseGuard;
pub use ownership::{Ownership, OwnershipEvent};
pub use portable::{
    ConversationExport, Copied, Early, EventCursor, Fingerprint, Portable, SeenEvent, copy,
};
pub use postgres::PostgresStore;
pub use sqlite::{Holder, SqliteStore};
pub use store_clock::{Machine, StoreClock};
pub use types::{
    Acceptance, Append, Arrival, AtomicOutcome, Body, Direction, Dossier, Due, Health, InboxItem,
    JournalRow, Loaded, MessageRow, NewMessage, OutboxItem, WatchedConversation,
};

use std::sync::Arc;

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;

/// Persistence. On every implementation, whatever a writing method returns `Ok` for is durable
/// (fsync'd).
#[async_trait]
pub trait Store: Ownership + Send + Sync + 'static {
    /// Accepts an arrival and returns its verdict. An arrival that it returns `Ok` for survives
    /// anything.
    async fn accept(&self, arrival: Arrival) -> Result<Acceptance, StoreError>;

    /// Appends what one step decided, takes the handled inputs out of the inbox, and updates the
    /// projections: all or nothing. [`AppendError::Fenced`] means that another writer appended
    /// since the state was loaded. Returns whether the append put something into the conversation's
    /// inbox: a report that had come before the message had that name.
    async fn append(&self, append: Append) -> Result<bool, AppendError>;

    /// How it takes a message and the step that handles it in one commit, if it can.
    fn atomic(&self) -> Option<&dyn AtomicAccept> {
        None
    }

    /// Everything needed to continue a conversation; `None` if there is no such conversation.
    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError>;

    /// What waits in a conversation's inbox, oldest first, at most `limit`; customers' messages
    /// only on request.
    async fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Result<Vec<InboxItem>, StoreError>;

    /// One message with its body, exactly as it was accepted.
    async fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<MessageRow>, StoreError>;

    /// A message as it was accepted: what [`Store::message`] returns, without the parts that
    /// change. It comes from memory if it is recent.
    async fn body(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<Body>, StoreError> {
        Ok(self.message(integration, direction, id).await?.map(Body::from))
    }

    /// Conversations that have something in the inbox, ordered by id, after `after`.
    async fn with_pending_input(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// Conversations that want to be woken by `until`, after `after`, at most `limit`. The earliest
    /// comes first; within a millisecond they are ordered by id.
    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError>;

    /// What Genesys is owed for an integration, after `after`, oldest first, at most `limit`. It
    /// returns either what people wait for ([`conversation::Owed::is_urgent`]) or the rest. Items
    /// that become owed later come after everything that was read.
    async fn outbox(
        &self,
        integration: &IntegrationName,
        urgent: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError>;

    /// Conversations of an integration whose end at Genesys must be learnt, ordered by id, after
    /// `after`.
    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<WatchedConversation>, StoreError>;

    /// Conversations of an integration that may have a session or ask for one, ordered by id, after
    /// `after`, whichever node drives them.
    async fn in_touch(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// How many other conversations of an integration have a customer's message that Genesys does
    /// not have yet, whichever node drives them. It stops counting at `enough`.
    async fn undelivered_besides(
        &self,
        integration: &IntegrationName,
        besides: &ConversationId,
        enough: usize,
    ) -> Result<usize, StoreError>;

    /// The number of dead letters by integration: customers' messages that Genesys will never have.
    /// Integrations without dead letters may be left out.
    async fn dead_letters(&self) -> Result<BTreeMap<IntegrationName, u64>, StoreError>;

    /// Whether an event of this id was accepted before.
    async fn has_event(&self, integration: &IntegrationName, id: &str) -> Result<bool, StoreError>;

    /// Removes what was finished before `before`. Returns how many messages went.
    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Whether the store takes writes now: makes one write durable. Everything asked of this store
    /// before, even if not awaited, is durable or refused once this answers.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Whether the store takes writes now: makes one write durable ahead of the queue, so that a
    /// busy store does not look unavailable. It says nothing about earlier requests.
    async fn probe(&self) -> Result<(), StoreError> {
        self.ready().await
    }

    /// Conversations by id, behind `after`: for audits and listings.
    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// All that there is about a conversation, as of one commit.
    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError>;

    /// The store's clock. Times written to the store and read from it by this clock mean the same
    /// to every process and node. Callers ask for it once, before anything else.
    async fn clock(&self, machine: Arc<dyn Machine>) -> Result<Arc<StoreClock>, StoreError>;

    /// Finishes what is under way and releases the files.
    async fn close(&self);

    /// Waits until this process can no longer use the store, because a part of it has panicked.
    /// Another process can: the caller says so and ends.
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
    /// Takes an agent's message and the step that handles it, and possibly inbox inputs before it.
    /// It combines [`Store::accept`] and [`Store::append`], all or nothing; the message itself is
    /// never in the inbox.
    async fn accept_with_step(
        &self,
        message: NewMessage,
        append: Append,
    ) -> Result<AtomicOutcome, StoreError>;
}
