//! Queries.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use conversation::{Conversation, ConversationId, IntegrationName, MessageId, Owed};
use jiff::Timestamp;

use super::tables::{Tables, set};
use crate::{
    Direction, Dossier, Due, InboxItem, JournalRow, Loaded, MessageRow, OutboxItem, OutboxLane,
    WatchedConversation,
};

impl Tables {
    pub(super) fn load(&self, id: &ConversationId) -> Option<Loaded> {
        let row = self.conversations.get(id)?;
        let records = row.journal.iter().filter(|(seq, _, _)| *seq > row.snapshot_seq);
        let records = records.map(|(_, at, record)| (*at, record.clone()));
        Some(Loaded {
            integration: row.integration.clone(),
            customer: row.customer.clone(),
            state: Conversation::replay(row.snapshot.clone(), records),
            seq: row.seq,
            snapshot_seq: row.snapshot_seq,
        })
    }

    pub(super) fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Vec<InboxItem> {
        self.inbox
            .range((conversation.clone(), 0)..=(conversation.clone(), u64::MAX))
            .filter(|(_, (customer, _))| customers || !customer)
            .take(limit)
            .map(|((_, seq), (_, input))| InboxItem { seq: *seq, input: input.clone() })
            .collect()
    }

    pub(super) fn dead_letters(&self) -> BTreeMap<IntegrationName, u64> {
        let mut counts = BTreeMap::new();
        for ((integration, direction, _), message) in &self.messages {
            if *direction == Direction::Inbound && message.row.state == "refused" {
                *counts.entry(integration.clone()).or_default() += 1;
            }
        }
        counts
    }

    pub(super) fn message(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Option<MessageRow> {
        self.messages
            .get(&(integration.clone(), direction, id.clone()))
            .map(|message| message.row.clone())
    }

    pub(super) fn with_pending_input(
        &self,
        shards: Option<&[String]>,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Vec<ConversationId> {
        let shards = set(shards);
        let mut found: Vec<ConversationId> = Vec::new();
        let from =
            after.map_or(Bound::Unbounded, |after| Bound::Excluded((after.clone(), u64::MAX)));
        for (conversation, _) in self.inbox.range((from, Bound::Unbounded)).map(|(key, _)| key) {
            if found.last() != Some(conversation) && Self::is_of(shards.as_ref(), conversation) {
                if found.len() == limit {
                    break;
                }
                found.push(conversation.clone());
            }
        }
        found
    }

    pub(super) fn due(
        &self,
        shards: Option<&[String]>,
        after: Option<&Due>,
        until: Timestamp,
        limit: usize,
    ) -> Vec<Due> {
        let shards = set(shards);
        let due = |(id, row): (&ConversationId, &super::tables::Row)| {
            let due = Due { conversation: id.clone(), at: row.due.filter(|at| *at <= until)? };
            let behind = after.is_none_or(|after| due > *after);
            (behind && Self::is_of(shards.as_ref(), id)).then_some(due)
        };
        let mut found: Vec<Due> = self.conversations.iter().filter_map(due).collect();
        found.sort();
        found.truncate(limit);
        found
    }

    pub(super) fn outbox(
        &self,
        shards: Option<&[String]>,
        integration: &IntegrationName,
        lane: OutboxLane,
        after: u64,
        limit: usize,
    ) -> Vec<OutboxItem> {
        let shards = set(shards);
        let mine =
            self.outbox.range((Bound::Excluded(after), Bound::Unbounded)).filter(|(_, debt)| {
                debt.integration == *integration
                    && OutboxLane::of(&debt.owed) == lane
                    && Self::is_of(shards.as_ref(), &debt.conversation)
            });
        mine.take(limit).map(|each| self.item(each)).collect()
    }

    pub(super) fn undelivered_besides(
        &self,
        shards: Option<&[String]>,
        integration: &IntegrationName,
        besides: &ConversationId,
    ) -> usize {
        let shards = set(shards);
        let undelivered = self.outbox.values().filter(|debt| {
            debt.integration == *integration
                && matches!(debt.owed, Owed::Inbound { .. })
                && debt.conversation != *besides
                && Self::is_of(shards.as_ref(), &debt.conversation)
        });
        undelivered.map(|debt| &debt.conversation).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn in_touch(
        &self,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Vec<ConversationId> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        self.conversations
            .range((from, Bound::Unbounded))
            .filter(|(_, row)| {
                row.integration == *integration && (row.watched.is_some() || row.due.is_some())
            })
            .map(|(id, _)| id.clone())
            .take(limit)
            .collect()
    }

    pub(super) fn watched(
        &self,
        shards: Option<&[String]>,
        integration: &IntegrationName,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Vec<WatchedConversation> {
        let shards = set(shards);
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        self.conversations
            .range((from, Bound::Unbounded))
            .filter(|(id, row)| row.integration == *integration && Self::is_of(shards.as_ref(), id))
            .filter_map(|(id, row)| {
                Some(WatchedConversation {
                    conversation: id.clone(),
                    genesys: row.watched.clone()?,
                })
            })
            .take(limit)
            .collect()
    }

    pub(super) fn conversations(
        &self,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Vec<ConversationId> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        self.conversations
            .range((from, Bound::Unbounded))
            .take(limit)
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(super) fn dossier(&self, id: &ConversationId) -> Option<Dossier> {
        let row = self.conversations.get(id)?;
        let journal = row.journal.iter().map(|(seq, at, record)| JournalRow {
            seq: *seq,
            at: *at,
            record: Ok(record.clone()),
        });
        let messages = row.messages.iter().filter_map(|key| self.messages.get(key));
        Some(Dossier {
            id: id.clone(),
            integration: row.integration.clone(),
            customer: row.customer.clone(),
            seq: row.seq,
            pruned_seq: row.pruned_seq,
            inbox: self.inbox(id, true, usize::MAX),
            journal: journal.collect(),
            messages: messages
                .map(|message| MessageRow { body: Vec::new(), ..message.row.clone() })
                .collect(),
            owed: self
                .outbox
                .iter()
                .filter(|(_, debt)| debt.conversation == *id)
                .map(|each| self.item(each))
                .collect(),
        })
    }

    fn item(&self, (seq, debt): (&u64, &super::tables::Debt)) -> OutboxItem {
        let (conversation, owed) = (debt.conversation.clone(), debt.owed.clone());
        let of = self.conversations.get(&conversation);
        let customer = of.map(|of| of.customer.as_str()).unwrap_or_default().into();
        let since = debt.since;
        OutboxItem { seq: *seq, conversation, customer, since, owed, doubt: false, epoch: 0 }
    }
}
