//! The tables, equivalent to those of the other stores.

use std::collections::{BTreeMap, HashMap, HashSet};

use conversation::{
    Conversation, ConversationId, Input, IntegrationName, MessageId, Owed, Record, Report, Standing,
};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::lease_server::LeaseServer;
use crate::shard::{SHARDS, ShardId};
use crate::{ConsoleSession, Direction, MessageRow};

/// A message of one integration, in one direction.
pub(super) type MessageKey = (IntegrationName, Direction, MessageId);

#[derive(Default)]
pub(super) struct Tables {
    pub(super) conversations: BTreeMap<ConversationId, Row>,
    pub(super) messages: HashMap<MessageKey, MessageEntry>,
    /// The chat service's name for a message.
    pub(super) named: HashMap<(IntegrationName, String), MessageId>,
    pub(super) events: HashMap<(IntegrationName, String), Timestamp>,
    /// By the hash of their token.
    pub(super) console_sessions: HashMap<String, ConsoleSession>,
    pub(super) early: Vec<EarlyReport>,
    pub(super) inbox: BTreeMap<(ConversationId, u64), (bool, Input)>,
    pub(super) outbox: BTreeMap<u64, Debt>,
    pub(super) owed: HashMap<(ConversationId, String), u64>,
    /// The last sequence number that was assigned in the inbox or the outbox.
    pub(super) last: u64,
    /// How many messages were ever stored.
    pub(super) stored: u64,
    pub(super) sharing: LeaseServer,
    pub(super) listeners: BTreeMap<String, mpsc::Sender<ConversationId>>,
    pub(super) clock: Option<ClockPair>,
    /// When the database's clock was first read.
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
    /// When its first message came.
    pub(super) created: Timestamp,
    pub(super) standing: Standing,
    pub(super) snapshot: Conversation,
    pub(super) snapshot_seq: u64,
    pub(super) journal: Vec<(u64, Timestamp, Record)>,
    /// Its messages, oldest first.
    pub(super) messages: Vec<MessageKey>,
    /// Genesys's conversations, with the time since when each is known.
    pub(super) genesys: Vec<(MessageId, Timestamp)>,
}

pub(super) struct MessageEntry {
    pub(super) row: MessageRow,
    /// How many messages came before it.
    pub(super) place: u64,
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
        let customers = input.is_customers();
        self.inbox.insert((conversation.clone(), seq), (customers, input));
    }

    /// From now on, sends hints for this node to `hints`.
    pub(super) fn hear(&mut self, node: &str, hints: mpsc::Sender<ConversationId>) {
        self.listeners.insert(node.to_owned(), hints);
    }

    /// Removes a node that leaves: its leases and its channel for hints.
    pub(super) fn leave(&mut self, node: &str, held: &[ShardId], confirmed: Option<&str>) {
        self.sharing.leave(node, held, confirmed);
        self.listeners.remove(node);
    }

    pub(super) fn hint(&self, conversation: &ConversationId) {
        if let Some(hints) =
            self.sharing.holder(conversation).and_then(|node| self.listeners.get(&node))
        {
            // Best effort: polling finds the input of a lost hint.
            let _ = hints.try_send(conversation.clone());
        }
    }

    /// Whether a conversation is in one of `shards`; `None` means all.
    pub(super) fn is_of(shards: Option<&HashSet<&str>>, conversation: &ConversationId) -> bool {
        shards.is_none_or(|shards| {
            conversation.as_str().get(1..3).is_some_and(|shard| shards.contains(shard))
        })
    }
}

/// The shards as a set; `None` means all.
pub(super) fn set(shards: Option<&[String]>) -> Option<HashSet<&str>> {
    // A node that holds all shards needs no lookups.
    shards
        .filter(|shards| shards.len() < SHARDS)
        .map(|shards| shards.iter().map(String::as_str).collect())
}
