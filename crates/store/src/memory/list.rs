//! Lists for operators.

use conversation::IntegrationName;

use super::tables::Tables;
use crate::{
    ConversationList, ConversationPlace, ListedConversation, ListedMessage, MessageList, MessageRow,
};

impl Tables {
    pub(super) fn list_conversations(
        &self,
        integration: &IntegrationName,
        list: ConversationList,
        before: Option<&ConversationPlace>,
        limit: usize,
    ) -> Vec<ListedConversation> {
        let mine = self
            .conversations
            .iter()
            .filter(|(_, row)| row.integration == *integration && list.has(row.standing));
        let mut listed: Vec<_> = mine
            .map(|(id, row)| ListedConversation {
                place: ConversationPlace { created: row.created, conversation: id.clone() },
                standing: row.standing,
                genesys: row.watched.clone(),
            })
            .filter(|listed| before.is_none_or(|before| listed.place < *before))
            .collect();
        listed.sort_by(|one, other| other.place.cmp(&one.place));
        listed.truncate(limit);
        listed
    }

    pub(super) fn list_messages(
        &self,
        integration: &IntegrationName,
        list: MessageList,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<ListedMessage> {
        let (direction, state) = list.of();
        let mut listed: Vec<_> = self
            .messages
            .iter()
            .filter(|((of, _, _), entry)| {
                of == integration && entry.row.direction == direction && entry.row.state == state
            })
            .filter(|(_, entry)| before.is_none_or(|before| entry.place < before))
            .map(|(_, entry)| ListedMessage {
                place: entry.place,
                row: MessageRow { body: Vec::new(), ..entry.row.clone() },
            })
            .collect();
        listed.sort_by_key(|listed| std::cmp::Reverse(listed.place));
        listed.truncate(limit);
        listed
    }
}
