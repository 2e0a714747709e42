//! What goes into the store and comes out of it.

use std::sync::Arc;

use bytes::Bytes;
use conversation::{
    Conversation, ConversationId, Input, IntegrationName, MessageId, MessageRef, Owed, Record,
    Report, Standing,
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
    /// The direction as the store writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }

    /// The direction that the store wrote as `name`.
    pub(crate) fn named(name: &str) -> Self {
        if name == Self::Inbound.as_str() { Self::Inbound } else { Self::Outbound }
    }
}

/// An arrival. It is deduplicated by its id, for as long as the store keeps that.
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
    /// The chat service reported on a message, possibly before it has told us its name for that
    /// message.
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
    /// An event about many conversations, each of which has already got its part: only the event's
    /// id is kept.
    Noted {
        /// Whose chat service.
        integration: IntegrationName,
        /// The event's own id.
        id: String,
        /// When it came.
        received: Timestamp,
    },
}

/// A message that arrives.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The message's integration.
    pub integration: IntegrationName,
    /// Which way it goes.
    pub direction: Direction,
    /// Its id in the store.
    pub id: MessageId,
    /// The sender's id for it, of any length.
    pub foreign_id: String,
    /// The customer's conversation.
    pub conversation: ConversationId,
    /// The customer, as JSON. An inbound message's value replaces an older one: customers know
    /// better.
    pub customer: String,
    /// When it came.
    pub received: Timestamp,
    /// Its bytes.
    pub body: Bytes,
    /// What it means to the conversation; `None` if the message is only kept.
    pub input: Option<Input>,
}

/// The outcome of an arrival; in each case it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
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
    /// The conversation's integration.
    pub integration: IntegrationName,
    /// The sequence number of the last record that the decision is based on: the fence.
    pub after: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What was decided.
    pub records: Vec<Record>,
    /// Which inputs it handled.
    pub taken: Vec<u64>,
    /// When the conversation wants to be woken, whichever node drives it then.
    pub due: Option<Timestamp>,
    /// Genesys's conversation, while its end must be watched for.
    pub watched: Option<Box<str>>,
    /// How the conversation stands after this step; `None` if that is what the store has. A store
    /// that writes it unchanged at each step would write its indexes too.
    pub standing: Option<Standing>,
    /// The state after this step, if it is time for a snapshot.
    pub snapshot: Option<Conversation>,
    /// Whether a busy store may let others go first.
    pub priority: AppendPriority,
}

/// How soon a busy store commits an append. An append that returned `Ok` is durable either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendPriority {
    /// In order of arrival.
    Normal,
    /// No caller waits for it: others may go first.
    Low,
}

/// The outcome of a message that came with the step that handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicOutcome {
    /// Both are durable.
    Whole {
        /// Whether the append put something into the conversation's inbox, as
        /// [`crate::Store::append`] says.
        early: bool,
    },
    /// The message was here before; nothing happened.
    Repeated,
    /// Another writer appended since the state was loaded; nothing happened.
    Fenced,
}

/// A conversation as stored.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The conversation's integration.
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

/// A conversation that wants to be woken. The order is the order of waking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When, in whole milliseconds, never before it is due.
    pub at: Timestamp,
    /// Which.
    pub conversation: ConversationId,
}

impl Due {
    /// The cursor before all conversations that are due at `at`.
    pub fn before(at: Timestamp) -> Self {
        Self { conversation: ConversationId::new(""), at }
    }

    /// The cursor as databases know it; for `None`, the one before all others.
    pub(crate) fn place(due: Option<&Self>) -> (i64, &str) {
        due.map_or((i64::MIN, ""), |due| (due.at.as_millisecond(), due.conversation.as_str()))
    }
}

/// Something that Genesys is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// Its place in the outbox.
    pub seq: u64,
    /// The conversation that owes it.
    pub conversation: ConversationId,
    /// The conversation's customer, as JSON. Empty if a damaged store has no such conversation.
    pub customer: Arc<str>,
    /// Since when it is owed.
    pub since: Timestamp,
    /// What is owed.
    pub owed: Owed,
    /// It was there before this process had the right to drive the conversation: another process
    /// may have told Genesys already.
    pub doubt: bool,
    /// The epoch of this process's right to drive the conversation in which it was read
    /// ([`crate::LeaseGuard::epoch`]). In a later one another process may have sent it to Genesys,
    /// and more after it.
    pub epoch: u64,
}

/// The two lanes of the outbox. Each is read by itself, so a long one does not hold up the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxLane {
    /// Items that people wait for ([`Owed::is_urgent`]).
    Urgent,
    /// The rest: receipts that report no failure.
    Deferred,
}

impl OutboxLane {
    /// Every lane, the most urgent one first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Deferred];

    /// The lane of an item.
    pub fn of(owed: &Owed) -> Self {
        if owed.is_urgent() { Self::Urgent } else { Self::Deferred }
    }

    /// The lane as the databases write it, in the column `lazy`.
    pub(crate) fn is_lazy(self) -> bool {
        self == Self::Deferred
    }
}

/// What was accepted as a message, and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The sender's id for it.
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
    /// The sender's id for it.
    pub foreign_id: String,
    /// When it came.
    pub received: Timestamp,
    /// `accepted`, then `delivered`, `sent` or `failed` (outbound), `posted`, `refused` or
    /// `discarded` (inbound); `kept` if there was nothing to do.
    pub state: String,
    /// Why it failed or was refused.
    pub reason: Option<String>,
    /// `posted` or `refused`, once the final receipt is done.
    pub receipt: Option<String>,
    /// When its state became final.
    pub settled: Option<Timestamp>,
    /// Its bytes; empty in listings.
    pub body: Vec<u8>,
}

/// All that the store has about one conversation, at one moment: for audits and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    /// Its id.
    pub id: ConversationId,
    /// The conversation's integration.
    pub integration: IntegrationName,
    /// The customer, as JSON.
    pub customer: String,
    /// The sequence number of its last record.
    pub seq: u64,
    /// Records up to this one were pruned.
    pub pruned_seq: u64,
    /// What waits in its inbox, oldest first.
    pub inbox: Vec<InboxItem>,
    /// What it decided, except what was pruned.
    pub journal: Vec<JournalRow>,
    /// Its messages without their bodies, oldest first.
    pub messages: Vec<MessageRow>,
    /// What Genesys is owed.
    pub owed: Vec<OutboxItem>,
}

/// A conversation whose end at Genesys must be watched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedConversation {
    /// Our id.
    pub conversation: ConversationId,
    /// Genesys's own id.
    pub genesys: Box<str>,
}

/// One record as the journal stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its sequence number.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The record, or why it cannot be read.
    pub record: Result<Record, String>,
}

/// A wake-up may come a little late but never early: an early one would find nothing to do.
pub(crate) fn ceil_to_millis(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    if at.as_nanosecond() > i128::from(millis) * 1_000_000 { millis + 1 } else { millis }
}

/// The health of the embedded store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How long the log is, in bytes. It keeps its length when it restarts.
    pub log_bytes: u64,
    /// How many checkpoints have failed since the start.
    pub checkpoint_failures: u64,
}

/// A session of the operators' console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSession {
    /// The hash of the token in the browser's cookie, in hex. The store never has the token.
    pub hash: String,
    /// The user's name.
    pub user: String,
    /// Which password the user gave: a hash of its hash.
    pub password: String,
    /// When it ends.
    pub until: Timestamp,
}
