//! What survives: the inbox (accepted, not yet handled), the journal (what each conversation decided), and the
//! projections that people, dedupe and Genesys's outbox ask.
//!
//! [`Store`] speaks in the verbs of the domain; `sqlite` is the implementation that needs nothing beside it,
//! `postgres` the one for a database that is there already. The gateway
//! calls it; it calls nobody, decides nothing about a message, and knows no wire.

mod audit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod drive;
mod error;
mod json;
#[cfg(feature = "memory")]
pub mod memory;
mod portable;
mod postgres;
mod projection;
mod share;
mod sqlite;
mod types;

pub use audit::{Audit, audit};
pub use drive::{Drive, News};
pub use error::{AppendError, OpenError, StoreError};
pub use portable::{Bundle, Copied, Early, Mark, Place, Portable, Seen, copy};
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;
pub use types::{
    Append, Arrival, Body, Direction, Dossier, Due, Handled, InboxItem, JournalRow, Loaded,
    MessageRow, NewMessage, OutboxItem, Stored, Watched,
};

use async_trait::async_trait;
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;

/// The store. Whatever a writing method returns `Ok` for is durable (fsync'd), on every implementation.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes what came in, each with a verdict of its own. What it returns `Ok` for survives anything.
    async fn accept(&self, arrival: Arrival) -> Result<Stored, StoreError>;

    /// Appends what one step decided, takes the handled inputs out of the inbox, and updates the projections: all or
    /// nothing. [`AppendError::Fenced`] says that somebody else appended since the state was loaded. Returns whether the
    /// conversation's inbox got something by it: a report that had come before the message was known by that name.
    async fn append(&self, append: Append) -> Result<bool, AppendError>;

    /// Takes an agent's message and the step that handles it, and maybe something of the inbox before it: [`Store::accept`] and
    /// [`Store::append`] in one, all or nothing; the message itself is never in the inbox. Only where
    /// [`Store::accepts_with_step`].
    async fn accept_with_step(&self, _: NewMessage, _: Append) -> Result<Handled, StoreError> {
        Err(StoreError::Unavailable("it takes a message and its step one after the other".into()))
    }

    /// Whether a message and the step that handles it can be taken in one commit.
    fn accepts_with_step(&self) -> bool {
        false
    }

    /// Everything needed to go on with a conversation; `None` if there is no such conversation.
    async fn load(&self, conversation: &ConversationId) -> Result<Option<Loaded>, StoreError>;

    /// What waits in a conversation's inbox, oldest first, at most `limit`; customers' messages only where they are asked
    /// for.
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

    /// What was accepted as a message: what [`Store::message`] tells, less what changes, from memory where it came a moment ago.
    async fn body(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<Body>, StoreError> {
        Ok(self.message(integration, direction, id).await?.map(Body::from))
    }

    /// Conversations that have something in the inbox, by id, behind `after`.
    async fn waiting(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// Conversations that want to be woken by `until`, earliest first and by id within a millisecond, behind `after`, at most
    /// `limit`.
    async fn due(
        &self,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError>;

    /// What Genesys is owed for an integration behind `after`, oldest first, at most `limit`: what somebody waits for
    /// ([`conversation::Owed::is_urgent`]), or the rest. What becomes owed later comes behind everything that was read.
    async fn outbox(
        &self,
        integration: &IntegrationName,
        urgent: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxItem>, StoreError>;

    /// Conversations of an integration whose end at Genesys has to be learnt, by id, behind `after`.
    async fn watched(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError>;

    /// Removes what was finished before `before`. Returns how many messages went.
    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Whether the store takes writes now: makes one durable. Whatever was asked of this store before, and was not waited
    /// for, is durable or refused once this answers.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Conversations by id, behind `after`: for audits and listings.
    async fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// All that there is about a conversation, as of one commit.
    async fn dossier(&self, conversation: &ConversationId) -> Result<Option<Dossier>, StoreError>;

    /// Finishes what is under way and lets go of the files.
    async fn close(&self);

    /// Whether other nodes may work on it too. Then `waiting`, `due`, `outbox` and `watched` answer for the conversations
    /// that this node drives, and have to be asked again and again: another may have left something there unseen.
    fn is_shared(&self) -> bool {
        false
    }

    /// The right to begin something in a conversation, where this node has it now.
    fn drive(&self, _: &ConversationId) -> Option<Drive> {
        Some(Drive::always())
    }

    /// Gives up the right to drive conversations, each as soon as nothing is under way in it: this process will end.
    fn retire(&self) {}

    /// Tells whoever drives a conversation that its inbox has something new. Best effort.
    fn hint(&self, _: &ConversationId) {}

    /// Waits for what other nodes do, or time; one caller at a time.
    async fn news(&self) -> News {
        std::future::pending().await
    }
}
