//! Removes what is older than the retention time.

use std::collections::HashSet;

use conversation::{ConversationId, MessageId};
use jiff::Timestamp;

use super::tables::Tables;

impl Tables {
    /// Removes what was finished before `before`. Returns how many messages it removed.
    pub(super) fn prune(&mut self, before: Timestamp) -> u64 {
        let ids: Vec<ConversationId> = self.conversations.keys().cloned().collect();
        let mut gone = 0;
        for id in ids {
            self.forget_genesys_conversations(&id, before);
            gone += if self.is_over(&id, before) {
                self.remove(&id)
            } else {
                self.cut_journal(&id, before);
                self.remove_old_messages(&id, before)
            };
        }
        self.events.retain(|_, received| *received >= before);
        self.early.retain(|early| early.received >= before);
        gone
    }

    fn owes(&self, id: &ConversationId) -> bool {
        self.outbox.values().any(|debt| debt.conversation == *id)
    }

    fn has_input(&self, id: &ConversationId) -> bool {
        self.inbox.range((id.clone(), 0)..=(id.clone(), u64::MAX)).next().is_some()
    }

    fn is_over(&self, id: &ConversationId, before: Timestamp) -> bool {
        let row = &self.conversations[id];
        let open = |key| {
            let message = &self.messages[key];
            message.row.state == "accepted"
                || message.row.received >= before
                || message.row.settled.is_some_and(|at| at >= before)
        };
        row.due.is_none()
            && !self.has_input(id)
            && !self.owes(id)
            && !row.messages.iter().any(open)
            && row.journal.last().is_none_or(|(_, at, _)| *at < before)
    }

    fn remove(&mut self, id: &ConversationId) -> u64 {
        let Some(row) = self.conversations.remove(id) else { return 0 };
        for key in &row.messages {
            self.messages.remove(key);
        }
        row.messages.len() as u64
    }

    /// Cuts the journal, but only as far as a snapshot replaces it, and never past the first record
    /// of a message that is still open.
    fn cut_journal(&mut self, id: &ConversationId, before: Timestamp) {
        let Some(row) = self.conversations.get_mut(id) else { return };
        let open: HashSet<&MessageId> = row
            .messages
            .iter()
            .filter(|key| self.messages[*key].row.state == "accepted")
            .map(|(_, _, message)| message)
            .collect();
        let old =
            row.journal.iter().rev().find(|(seq, at, _)| *seq <= row.snapshot_seq && *at < before);
        let Some(old) = old.map(|(seq, _, _)| *seq) else { return };
        let first_open = row
            .journal
            .iter()
            .find(|(_, _, record)| record.message().is_some_and(|of| open.contains(of)));
        let cut = first_open.map_or(old, |(seq, _, _)| old.min(seq - 1));
        if row.journal.first().is_some_and(|(seq, _, _)| *seq <= cut) {
            row.journal.retain(|(seq, _, _)| *seq > cut);
            row.pruned_seq = cut;
        }
    }

    /// Removes messages that ended long ago and that the rest of the journal no longer mentions. It
    /// removes none while an input waits, because that may be an operator's action on one of them.
    fn remove_old_messages(&mut self, id: &ConversationId, before: Timestamp) -> u64 {
        if self.owes(id) || self.has_input(id) {
            return 0;
        }
        let Some(row) = self.conversations.get_mut(id) else { return 0 };
        let spoken_of: HashSet<&MessageId> =
            row.journal.iter().filter_map(|(_, _, record)| record.message()).collect();
        let (old, rest) =
            std::mem::take(&mut row.messages).into_iter().partition::<Vec<_>, _>(|key| {
                let found = &self.messages[key];
                found.row.state != "accepted"
                    && found.row.received < before
                    && found.row.settled.is_none_or(|at| at < before)
                    && !spoken_of.contains(&key.2)
            });
        row.messages = rest;
        for key in &old {
            self.messages.remove(key);
        }
        old.len() as u64
    }
}
