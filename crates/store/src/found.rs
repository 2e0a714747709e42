//! What an id leads to.

use conversation::{ConversationId, IntegrationName, MessageId};

use crate::Direction;

/// A conversation, or one message of it, that an id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The conversation.
    pub conversation: ConversationId,
    /// The conversation's integration.
    pub integration: IntegrationName,
    /// The message, if the id names one.
    pub message: Option<(Direction, MessageId)>,
    /// Whose id it is.
    pub by: FoundBy,
}

/// Whose id led to a [`Found`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundBy {
    /// The sender's id of a message: Genesys's for an agent's message, and the chat service's for a
    /// customer's.
    Message,
    /// The id that the chat service gave an agent's message.
    ServiceMessage,
    /// The gateway's id of a conversation.
    Conversation,
    /// Genesys's id of a conversation. A customer has a new one for each chat.
    GenesysConversation,
}

impl FoundBy {
    /// The name, for programs. It does not change.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::ServiceMessage => "service_message",
            Self::Conversation => "conversation",
            Self::GenesysConversation => "genesys_conversation",
        }
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Message, Self::ServiceMessage, Self::Conversation, Self::GenesysConversation]
            .into_iter()
            .find(|by| by.as_str() == name)
    }
}
