//! What goes into the store and comes out of it.

use bytes::Bytes;
use conversation::{
    Conversation, ConversationId, Input, IntegrationName, MessageId, MessageRef, Owed, Record,
    Report,
};
use jiff::Timestamp;

/// Which way a message goes, in Genesys's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the agent to the customer.
    Outbound,
    /// From the customer to the agent.
    Inbound,
}

impl Direction {
    /// As it stands in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// Something at the door. Each is deduplicated by its id, for as long as the store keeps it.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A message, in either direction; the body is kept whole.
    Message(NewMessage),
    /// The chat service said something about a conversation.
    Event {
        /// Whose chat service.
        integration: IntegrationName,
        /// The event's own id.
        id: String,
        /// When it came.
        received: Timestamp,
        /// Which conversation it names.
        conversation: ConversationId,
        /// What it means to the conversation.
        input: Input,
    },
    /// The chat service reported on a message, which may be one that it has not yet told us its name for.
    Report {
        /// Whose chat service.
        integration: IntegrationName,
        /// The event's own id.
        id: String,
        /// When it came.
        received: Timestamp,
        /// Which message.
        of: MessageRef,
        /// What became of it.
        report: Report,
    },
}

/// A message at the door.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Whose.
    pub integration: IntegrationName,
    /// Which way it goes.
    pub direction: Direction,
    /// Its id in the store.
    pub id: MessageId,
    /// What its sender calls it, however long.
    pub foreign_id: String,
    /// The customer's conversation.
    pub conversation: ConversationId,
    /// The customer, as JSON. An inbound message's replaces an older one: the customer knows better.
    pub customer: String,
    /// When it came.
    pub received: Timestamp,
    /// Its bytes.
    pub body: Bytes,
    /// What it means to the conversation; nothing, where it is only kept.
    pub input: Option<Input>,
}

/// What became of an arrival; in each case it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It waits in the inbox of this conversation, or was handled at once.
    New(ConversationId),
    /// It is kept, and there is nothing to do.
    Kept,
    /// It was here before; nothing happened.
    Repeated,
    /// It waits until the message that it names is known.
    Early,
    /// It names a conversation or message of ours that does not exist; nothing happened.
    Unknown,
}

/// What one step of a conversation adds to the store.
#[derive(Clone, Debug)]
pub struct Append {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Whose.
    pub integration: IntegrationName,
    /// The sequence number of the last record that the decision is based on: the fence.
    pub after: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What was decided.
    pub records: Vec<Record>,
    /// Which inputs it handled.
    pub taken: Vec<u64>,
    /// When the conversation wants to be woken, whoever drives it then.
    pub due: Option<Timestamp>,
    /// Genesys's conversation, while its end has to be learnt.
    pub watched: Option<Box<str>>,
    /// The state after this step, where it is time for a snapshot.
    pub snapshot: Option<Conversation>,
    /// Nobody waits for it: a store that has much to do may let others go first.
    pub lazy: bool,
}

/// What became of a message that came with the step that handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Both are durable.
    Whole {
        /// The conversation's inbox got something by it, as [`crate::Store::append`] says.
        early: bool,
    },
    /// The message was here before; nothing happened.
    Repeated,
    /// Somebody else appended since the state was loaded; nothing happened.
    Fenced,
}

/// A conversation as it was left.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Whose.
    pub integration: IntegrationName,
    /// The customer, as JSON.
    pub customer: String,
    /// The state.
    pub state: Conversation,
    /// The sequence number of the last record in it.
    pub seq: u64,
    /// The sequence number of its last snapshot.
    pub snapshot_seq: u64,
}

/// An input that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxItem {
    /// Its place in the inbox.
    pub seq: u64,
    /// What it means.
    pub input: Input,
}

/// A conversation that wants to be woken. They are in the order in which they are woken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When, in whole milliseconds, not before it is due.
    pub at: Timestamp,
    /// Which.
    pub conversation: ConversationId,
}

impl Due {
    /// Before all that are due at `at`.
    pub fn before(at: Timestamp) -> Self {
        Self { conversation: ConversationId::new(""), at }
    }

    /// Its place among others as databases know it, and that of one that all others come behind.
    pub(crate) fn place(due: Option<&Self>) -> (i64, &str) {
        due.map_or((i64::MIN, ""), |due| (due.at.as_millisecond(), due.conversation.as_str()))
    }
}

/// Something that Genesys is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// Its place in the outbox.
    pub seq: u64,
    /// By which conversation.
    pub conversation: ConversationId,
    /// Since when.
    pub since: Timestamp,
    /// What.
    pub owed: Owed,
    /// It was there before this process had the right to drive the conversation: another may have told Genesys already.
    pub doubt: bool,
    /// In which term of this process's right to drive the conversation it was read ([`crate::Drive::term`]). In a later one
    /// another may have brought it to Genesys, and more after it.
    pub term: u64,
}

/// What was accepted as a message, and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// What its sender calls it.
    pub foreign_id: String,
    /// When it came.
    pub received: Timestamp,
    /// Its bytes, exactly as they came.
    pub bytes: Bytes,
}

impl From<MessageRow> for Body {
    fn from(row: MessageRow) -> Self {
        Self { foreign_id: row.foreign_id, received: row.received, bytes: row.body.into() }
    }
}

/// One message as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its id in the store.
    pub id: MessageId,
    /// Which way it goes.
    pub direction: Direction,
    /// The customer's conversation.
    pub conversation: ConversationId,
    /// What its sender calls it.
    pub foreign_id: String,
    /// When it came.
    pub received: Timestamp,
    /// `accepted`, then `delivered`, `sent` or `failed` (outbound), `posted` or `refused` (inbound); `kept` where there
    /// was nothing to do.
    pub state: String,
    /// Why it failed or was refused.
    pub reason: Option<String>,
    /// `posted` or `refused`, once the final receipt is done.
    pub receipt: Option<String>,
    /// Its bytes; empty in listings.
    pub body: Vec<u8>,
}

/// All that the store has about one conversation, at one moment: for audits and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    /// Its id.
    pub id: ConversationId,
    /// Whose.
    pub integration: IntegrationName,
    /// The customer, as JSON.
    pub customer: String,
    /// The sequence number of its last record.
    pub seq: u64,
    /// Records up to this one were pruned.
    pub pruned_seq: u64,
    /// What waits in its inbox, oldest first.
    pub inbox: Vec<InboxItem>,
    /// What it decided, as far as it was not pruned.
    pub journal: Vec<JournalRow>,
    /// Its messages without their bodies, oldest first.
    pub messages: Vec<MessageRow>,
    /// What Genesys is owed.
    pub owed: Vec<OutboxItem>,
}

/// A conversation whose end at Genesys has to be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Ours.
    pub conversation: ConversationId,
    /// Genesys's id of its own.
    pub genesys: Box<str>,
}

/// One record as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its sequence number.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The record, or why it cannot be read.
    pub record: Result<Record, String>,
}

/// A wake-up may come a little late, never early: it would find nothing to do.
pub(crate) fn ceil_to_millis(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    if at.as_nanosecond() > i128::from(millis) * 1_000_000 { millis + 1 } else { millis }
}
