//! Lists of conversations and messages for operators, the newest first, a page at a time.
//!
//! An entry keeps its place for as long as it exists, so a later page repeats nothing, whatever
//! arrives meanwhile.

use conversation::{ConversationId, Standing};
use jiff::Timestamp;

use crate::{Direction, MessageRow};

/// Which conversations a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationList {
    /// All of them.
    All,
    /// Those with a session.
    Open,
    /// Those in which an agent's message waits for a session, or for the end of a pause.
    Held,
    /// Those in which Genesys does not take something.
    Failing,
}

impl ConversationList {
    /// Whether a conversation that stands so is in the list.
    #[cfg_attr(not(feature = "memory"), expect(dead_code, reason = "databases have an index"))]
    pub(crate) fn has(self, standing: Standing) -> bool {
        self == Self::All || bits(standing) & self.bit() != 0
    }

    /// The bit of the column `standing` that puts a conversation into the list.
    pub(crate) fn bit(self) -> i16 {
        match self {
            Self::All => 0,
            Self::Open => 1,
            Self::Held => 2,
            Self::Failing => 4,
        }
    }
}

/// The column `standing`.
pub(crate) fn bits(standing: Standing) -> i16 {
    let bit = |is: bool, list: ConversationList| if is { list.bit() } else { 0 };
    bit(standing.open, ConversationList::Open)
        | bit(standing.held, ConversationList::Held)
        | bit(standing.failing, ConversationList::Failing)
}

/// What the column `standing` says.
pub(crate) fn standing(bits: i16) -> Standing {
    let is = |list: ConversationList| bits & list.bit() != 0;
    Standing {
        open: is(ConversationList::Open),
        held: is(ConversationList::Held),
        failing: is(ConversationList::Failing),
    }
}

/// The place of a conversation in a list. A greater place is a newer one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationPlace {
    /// When its first message came, in whole milliseconds.
    pub created: Timestamp,
    /// Its id.
    pub conversation: ConversationId,
}

impl ConversationPlace {
    /// The place as databases know it; for `None`, the one after all others.
    pub(crate) fn before(place: Option<&Self>) -> (i64, &str) {
        place.map_or((i64::MAX, ""), |place| {
            (place.created.as_millisecond(), place.conversation.as_str())
        })
    }
}

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedConversation {
    /// Which, and where in the list.
    pub place: ConversationPlace,
    /// How it stands, as of its last step.
    pub standing: Standing,
    /// Genesys's conversation, while its end is watched for.
    pub genesys: Option<Box<str>>,
}

/// Which messages a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageList {
    /// Agents' messages that failed.
    Failed,
    /// Dead letters: customers' messages that Genesys refused, or that were given up.
    DeadLetters,
}

impl MessageList {
    /// The messages' direction and state.
    pub(crate) fn of(self) -> (Direction, &'static str) {
        match self {
            Self::Failed => (Direction::Outbound, "failed"),
            Self::DeadLetters => (Direction::Inbound, "refused"),
        }
    }
}

/// A message in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// Its place in the list. A greater place is a newer one.
    pub place: u64,
    /// The message, without its body.
    pub row: MessageRow,
}
