//! Copies a store's contents into another store, a few conversations at a time: `tidegate store
//! copy`.
//!
//! Everything is copied unchanged, and JSON as text, so that not even unreadable content is lost.

use async_trait::async_trait;
use conversation::{ConversationId, MessageId};

use crate::{Store, StoreError};

/// How many conversations one transaction copies, and how many events.
const CONVERSATIONS: usize = 100;
const EVENTS: usize = 5_000;

/// A store that can be copied from and to.
#[async_trait]
pub trait Portable: Store {
    /// Whether another process may be writing to it now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if a database does not answer. Assume then that it is in use.
    async fn is_in_use(&self) -> Result<bool, StoreError>;

    /// A fingerprint that changes when the conversation changes.
    ///
    /// # Errors
    /// As for [every call](Store#errors). A conversation that does not exist is no error.
    async fn mark(&self, conversation: &ConversationId) -> Result<Option<Fingerprint>, StoreError>;

    /// All that belongs to a conversation, as of one commit.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a message is missing, or a column does not have the type that the
    /// schema says. JSON that cannot be read is no error, because it is copied as text. Otherwise
    /// as for [every call](Store#errors).
    async fn export(
        &self,
        conversation: &ConversationId,
    ) -> Result<Option<ConversationExport>, StoreError>;

    /// Replaces what is stored under each id, all or nothing. An id without an export is removed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store did not confirm the import, or refuses the data.
    /// Either all of it was imported or nothing. It may be repeated, because it replaces what is
    /// there.
    async fn import(
        &self,
        bundles: Vec<(ConversationId, Option<ConversationExport>)>,
    ) -> Result<(), StoreError>;

    /// The ids of accepted events after `after`, and the cursor to continue from; `None` if these
    /// are the last.
    ///
    /// # Errors
    /// As for [every call](Store#errors). The same page may be asked for again.
    async fn events(
        &self,
        after: &EventCursor,
        limit: usize,
    ) -> Result<(Vec<SeenEvent>, Option<EventCursor>), StoreError>;

    /// Adds ids of events that were seen.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store did not confirm the import, or refuses the data. It
    /// may be repeated: an id that is there already stays as it is.
    async fn import_events(&self, events: Vec<SeenEvent>) -> Result<(), StoreError>;

    /// Reports that came before the message they name.
    ///
    /// # Errors
    /// As for [every call](Store#errors). A report that cannot be read is no error, because it is
    /// copied as text.
    async fn early(&self) -> Result<Vec<Early>, StoreError>;

    /// Replaces the stored reports with these.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store did not confirm the import, or refuses the data.
    /// Either the stored reports are replaced or nothing changed. It may be repeated.
    async fn import_early(&self, early: Vec<Early>) -> Result<(), StoreError>;
}

/// An event's id and integration, as stored.
pub type EventCursor = (String, String);

/// A fingerprint of a conversation. If one input of the inbox replaces another, it stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub(crate) seq: u64,
    pub(crate) pruned_seq: u64,
    pub(crate) messages: u64,
    pub(crate) waiting: u64,
}

/// All that belongs to a conversation. Times are milliseconds since 1970, as both stores keep them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationExport {
    pub(crate) id: String,
    pub(crate) integration: String,
    pub(crate) customer: String,
    pub(crate) seq: u64,
    pub(crate) due: Option<i64>,
    pub(crate) watched: Option<String>,
    pub(crate) snapshot: Option<String>,
    pub(crate) snapshot_seq: u64,
    pub(crate) pruned_seq: u64,
    pub(crate) created: i64,
    pub(crate) standing: i16,
    pub(crate) messages: Vec<ExportedMessage>,
    pub(crate) inbox: Vec<(bool, String)>,
    pub(crate) journal: Vec<(u64, i64, String)>,
    pub(crate) outbox: Vec<OutboxRow>,
    /// The ids of Genesys's conversations, as keys, with the time since when each is known.
    pub(crate) genesys: Vec<(String, i64)>,
}

/// A row of `message` with its body, as the columns hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportedMessage {
    pub(crate) integration: String,
    pub(crate) direction: String,
    pub(crate) id: String,
    pub(crate) foreign_id: String,
    pub(crate) received: i64,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) receipt: Option<String>,
    pub(crate) settled: Option<i64>,
    pub(crate) body: Vec<u8>,
    /// The chat service's name for it, as a key.
    pub(crate) service_id: Option<String>,
}

/// One row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    pub(crate) integration: String,
    pub(crate) key: String,
    pub(crate) lazy: bool,
    pub(crate) since: i64,
    pub(crate) owed: String,
}

/// An accepted event, whose id is kept for deduplication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEvent {
    pub(crate) id: String,
    pub(crate) integration: String,
    pub(crate) received: i64,
}

/// A report that names its message by an id of the chat service which the store does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    pub(crate) service_id: String,
    pub(crate) integration: String,
    pub(crate) event_id: String,
    pub(crate) received: i64,
    pub(crate) report: String,
}

/// What a copy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Conversations that were copied.
    pub conversations: u64,
    /// The messages in them.
    pub messages: u64,
    /// Conversations that were already there and had not changed.
    pub unchanged: u64,
    /// Conversations that the source no longer has.
    pub removed: u64,
}

/// Makes `to` hold what `from` holds. A repeated call copies only what has changed meanwhile, so it
/// takes much less time.
///
/// # Errors
/// The first [`StoreError`] of either store; its text does not say of which. What was copied until
/// then stays in `to`. Repeat the call to copy the rest: `to` is not a copy before a call returns
/// `Ok`.
pub async fn copy(from: &dyn Portable, to: &dyn Portable) -> Result<Copied, StoreError> {
    let mut copied = Copied::default();
    // Events come first, so that `to` never takes an event a second time that a copied conversation
    // has already handled.
    let mut after = Some(EventCursor::default());
    while let Some(place) = after {
        let (page, next) = from.events(&place, EVENTS).await?;
        to.import_events(page).await?;
        after = next;
    }
    let mut after = None;
    loop {
        let page = from.conversations(after.as_ref(), CONVERSATIONS).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        let mut bundles = Vec::new();
        for id in page {
            if is_unchanged(&id, from, to).await? {
                copied.unchanged += 1;
            } else if let Some(bundle) = from.export(&id).await? {
                copied.conversations += 1;
                copied.messages += bundle.messages.len() as u64;
                bundles.push((id, Some(bundle)));
            }
        }
        to.import(bundles).await?;
    }
    to.import_early(from.early().await?).await?;
    copied.removed = forget(from, to).await?;
    Ok(copied)
}

/// Whether both stores hold the same data about a conversation.
async fn is_unchanged(
    id: &ConversationId,
    from: &dyn Portable,
    to: &dyn Portable,
) -> Result<bool, StoreError> {
    let mark = from.mark(id).await?;
    let Some(Fingerprint { waiting, .. }) = mark else { return Ok(false) };
    if mark != to.mark(id).await? {
        return Ok(false);
    }
    // One input may have replaced another, which the fingerprint does not show.
    Ok(waiting == 0 || from.export(id).await? == to.export(id).await?)
}

/// Removes what the source no longer has.
async fn forget(from: &dyn Portable, to: &dyn Portable) -> Result<u64, StoreError> {
    let (mut removed, mut after) = (0, None);
    loop {
        let page = to.conversations(after.as_ref(), CONVERSATIONS).await?;
        let Some(last) = page.last() else { return Ok(removed) };
        after = Some(last.clone());
        let mut gone = Vec::new();
        for id in page {
            if from.mark(&id).await?.is_none() {
                gone.push((id, None));
            }
        }
        removed += gone.len() as u64;
        to.import(gone).await?;
    }
}

/// A foreign id as a key that every store takes: short ids stay readable, others are hashed.
pub(crate) fn key(foreign: &str) -> MessageId {
    MessageId::from_foreign(foreign)
}

/// A value from a key column of a file, as a key. Older files hold unchanged foreign ids there.
pub(crate) fn as_key(kept: String) -> String {
    let hash = kept
        .strip_prefix("sha256-")
        .is_some_and(|hash| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()));
    if hash { kept } else { key(&kept).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_what_it_is_and_a_foreign_id_becomes_one() {
        for foreign in ["plain", "a b", &"x".repeat(10_000), "\0", "sha256-cafe"] {
            let key = key(foreign).to_string();
            assert_eq!(as_key(foreign.to_owned()), key, "{foreign:.20}");
            assert_eq!(as_key(key.clone()), key, "{foreign:.20}");
        }
    }
}
