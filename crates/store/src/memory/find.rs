//! Finds what an id names.

use conversation::{ConversationId, MessageId};
use jiff::Timestamp;

use super::tables::Tables;
use crate::portable::{as_key, key};
use crate::{Direction, Found, FoundBy};

impl Tables {
    pub(super) fn find(&self, id: &str, limit: usize) -> Vec<Found> {
        let key = MessageId::new(as_key(id.to_owned()));
        let mut found: Vec<Found> = Vec::new();
        for ((integration, direction, message), entry) in &self.messages {
            let named = |by| Found {
                conversation: entry.row.conversation.clone(),
                integration: integration.clone(),
                message: Some((*direction, message.clone())),
                by,
            };
            found.extend((*message == key).then(|| named(FoundBy::Message)));
            let is_service_id = *direction == Direction::Outbound
                && self.named.get(&(integration.clone(), id.to_owned())) == Some(message);
            found.extend(is_service_id.then(|| named(FoundBy::ServiceMessage)));
        }
        for (conversation, row) in &self.conversations {
            let named = |by| Found {
                conversation: conversation.clone(),
                integration: row.integration.clone(),
                message: None,
                by,
            };
            found.extend((conversation.as_str() == id).then(|| named(FoundBy::Conversation)));
            let has = row.genesys.iter().any(|(genesys, _)| *genesys == key);
            found.extend(has.then(|| named(FoundBy::GenesysConversation)));
        }
        found.truncate(limit);
        found
    }

    pub(super) fn keep_genesys_conversation(
        &mut self,
        conversation: &ConversationId,
        genesys: &str,
        since: Timestamp,
    ) {
        let Some(row) = self.conversations.get_mut(conversation) else { return };
        let genesys = key(genesys);
        if !row.genesys.iter().any(|(known, _)| *known == genesys) {
            row.genesys.push((genesys, since));
        }
    }

    /// Removes the ids from before `before`, except the last one.
    pub(super) fn forget_genesys_conversations(
        &mut self,
        conversation: &ConversationId,
        before: Timestamp,
    ) {
        let Some(row) = self.conversations.get_mut(conversation) else { return };
        let last = row.genesys.iter().map(|(_, since)| *since).max();
        row.genesys.retain(|(_, since)| *since >= before || Some(*since) == last);
    }
}
