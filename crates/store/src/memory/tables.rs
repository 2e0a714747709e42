//! The tables, equivalent to those of the other stores.

use std::collections::{BTreeMap, HashMap, HashSet};

use conversation::{
    Conversation, ConversationId, Input, IntegrationName, MessageId, Owed, Record, Report,
};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::lease_server::LeaseServer;
use crate::lease::SHARDS;
use crate::{Direction, MessageRow};

/// A message of one integration, in one direction.
pub(super) type MessageKey = (IntegrationName, Direction, MessageId);

#[derive(Default)]
pub(super) struct Tables {
    pub(super) conversations: BTreeMap<ConversationId, Row>,
    pub(super) messages: HashMap<MessageKey, MessageEntry>,
    /// The chat service's name for a message.
    pub(super) named: HashMap<(IntegrationName, String), MessageId>,
    pub(super) events: HashMap<(IntegrationName, String), Timestamp>,
    pub(super) early: Vec<EarlyReport>,
    pub(super) inbox: BTreeMap<(ConversationId, u64), (bool, Input)>,
    pub(super) outbox: BTreeMap<u64, Debt>,
    pub(super) owed: HashMap<(ConversationId, String), u64>,
    /// The last place that was assigned in the inbox, the outbox or among the messages.
    pub(super) last: u64,
    pub(super) sharing: LeaseServer,
    pub(super) listeners: BTreeMap<String, mpsc::Sender<ConversationId>>,
    pub(super) clock: Option<ClockPair>,
    /// When the database's clock began.
    pub(super) begun: Option<Instant>,
}

/// What the store's clock said, and what the database's clock said at that moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockPair {
    pub(super) time: Timestamp,
    pub(super) at: Timestamp,
}

pub(super) struct Row {
    pub(super) integration: IntegrationName,
    pub(super) customer: String,
    pub(super) seq: u64,
    pub(super) pruned_seq: u64,
    pub(super) due: Option<Timestamp>,
    pub(super) watched: Option<Box<str>>,
    pub(super) snapshot: Conversation,
    pub(super) snapshot_seq: u64,
    pub(super) journal: Vec<(u64, Timestamp, Record)>,
    /// Its messages, oldest first.
    pub(super) messages: Vec<MessageKey>,
}

pub(super) struct MessageEntry {
    pub(super) row: MessageRow,
    pub(super) settled: Option<Timestamp>,
}

pub(super) struct EarlyReport {
    pub(super) integration: IntegrationName,
    pub(super) service_id: String,
    pub(super) received: Timestamp,
    pub(super) report: Report,
}

pub(super) struct Debt {
    pub(super) integration: IntegrationName,
    pub(super) conversation: ConversationId,
    pub(super) since: Timestamp,
    pub(super) owed: Owed,
}

impl Tables {
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn put_into_inbox(&mut self, conversation: &ConversationId, input: Input) {
        let seq = self.next();
        let customers = matches!(input, Input::CustomerMessage { .. });
        self.inbox.insert((conversation.clone(), seq), (customers, input));
    }

    /// Hints for this node go there from now on.
    pub(super) fn hear(&mut self, node: &str, hints: mpsc::Sender<ConversationId>) {
        self.listeners.insert(node.to_owned(), hints);
    }

    /// A node leaves: it has no leases and hears no hints from now on.
    pub(super) fn leave(&mut self, node: &str, held: &[String], confirmed: Option<&str>) {
        self.sharing.leave(node, held, confirmed);
        self.listeners.remove(node);
    }

    pub(super) fn hint(&self, conversation: &ConversationId) {
        if let Some(hints) =
            self.sharing.holder(conversation).and_then(|node| self.listeners.get(&node))
        {
            // Best effort: what is lost is found by looking.
            let _ = hints.try_send(conversation.clone());
        }
    }

    /// Whether a node that answers for `shards` answers for this conversation.
    pub(super) fn is_of(shards: Option<&HashSet<&str>>, conversation: &ConversationId) -> bool {
        shards.is_none_or(|shards| {
            conversation.as_str().get(1..3).is_some_and(|shard| shards.contains(shard))
        })
    }
}

/// A set of shards for lookups.
pub(super) fn set(shards: Option<&[String]>) -> Option<HashSet<&str>> {
    // A node that has all shards need not look.
    shards
        .filter(|shards| shards.len() < SHARDS)
        .map(|shards| shards.iter().map(String::as_str).collect())
}
