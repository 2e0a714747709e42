//! Appending a step: fence, journal, inbox, projections and outbox, all or nothing.

use conversation::{ConversationId, Input, IntegrationName, MessageId, Owed, Record};
use jiff::Timestamp;

use super::flaw::Flaw;
use super::tables::{Debt, Tables};
use crate::projection::{Change, changes};
use crate::types::ceil_to_millis;
use crate::{Append, AtomicOutcome, Direction, NewMessage};

impl Tables {
    /// Stores a message, and appends the step that handles it.
    pub(super) fn accept_with_step(
        &mut self,
        message: NewMessage,
        append: &Append,
        flaw: Option<Flaw>,
    ) -> AtomicOutcome {
        if self.conversations.get(&append.conversation).is_none_or(|row| row.seq != append.after) {
            return AtomicOutcome::Fenced;
        }
        if self.has_message(&message) && flaw != Some(Flaw::RepeatedWithStep) {
            return AtomicOutcome::Repeated;
        }
        self.keep_message(message);
        self.append(append, flaw)
            .map_or(AtomicOutcome::Fenced, |early| AtomicOutcome::Whole { early })
    }

    /// Appends a step. Returns whether that put something into the inbox; `None` if the fence did
    /// not hold and nothing changed.
    pub(super) fn append(&mut self, append: &Append, flaw: Option<Flaw>) -> Option<bool> {
        let id = &append.conversation;
        if flaw == Some(Flaw::InboxTakenBeforeFence) {
            self.take_out(id, &append.taken);
        }
        let row = self.conversations.get_mut(id)?;
        if row.seq != append.after && flaw != Some(Flaw::NoFence) {
            return None;
        }
        let first = row.seq + 1;
        row.seq += append.records.len() as u64;
        let due = append.due.and_then(|due| Timestamp::from_millisecond(ceil_to_millis(due)).ok());
        row.due = due.filter(|_| flaw != Some(Flaw::DueForgotten));
        row.watched.clone_from(&append.watched);
        row.standing = append.standing.unwrap_or(row.standing);
        row.journal.extend(
            (first..).zip(&append.records).map(|(seq, record)| (seq, append.at, record.clone())),
        );
        if let Some(state) = &append.snapshot {
            row.snapshot = state.clone();
            row.snapshot_seq = row.seq + u64::from(flaw == Some(Flaw::SnapshotOffByOne));
        }
        self.take_out(id, &append.taken);
        let mut early = false;
        for record in &append.records {
            early |= self.project(&append.integration, id, append.at, record, flaw);
        }
        Some(early)
    }

    fn take_out(&mut self, conversation: &ConversationId, taken: &[u64]) {
        for seq in taken {
            self.inbox.remove(&(conversation.clone(), *seq));
        }
    }

    /// Returns whether the change put something into the inbox.
    fn project(
        &mut self,
        integration: &IntegrationName,
        conversation: &ConversationId,
        at: Timestamp,
        record: &Record,
        flaw: Option<Flaw>,
    ) -> bool {
        let mut early = false;
        for change in changes(record) {
            match change {
                Change::Ended { direction, message, state, reason } => {
                    if let Some(found) =
                        self.messages.get_mut(&(integration.clone(), direction, message.clone()))
                    {
                        state.clone_into(&mut found.row.state);
                        found.row.reason = reason;
                        found.row.settled = Some(at);
                    }
                }
                Change::Reopened { message } | Change::Discarded { message } => {
                    let reopened = matches!(change, Change::Reopened { .. });
                    let key = (integration.clone(), Direction::Inbound, message.clone());
                    if let Some(found) = self.messages.get_mut(&key) {
                        found.row.settled = (!reopened).then_some(at);
                        found.row.reason = found.row.reason.take().filter(|_| !reopened);
                        let state = if reopened { "accepted" } else { "discarded" };
                        state.clone_into(&mut found.row.state);
                    }
                }
                Change::Receipted { message, word } => {
                    let key = (integration.clone(), Direction::Outbound, message.clone());
                    if let Some(found) = self.messages.get_mut(&key) {
                        found.row.receipt = Some(word.to_owned());
                    }
                }
                Change::Named { message, service_id } => {
                    early |= self.name(integration, conversation, message, service_id);
                }
                Change::Genesys { id } => self.keep_genesys_conversation(conversation, id, at),
                Change::Owe(_)
                    if flaw == Some(Flaw::OutboxForgotten) && self.last.is_multiple_of(7) => {}
                Change::Owe(owed) => self.owe(integration, conversation, at, owed),
                Change::Paid(owed) => self.paid(conversation, &owed, false),
                Change::PaidExactly(owed) => self.paid(conversation, &owed, true),
            }
        }
        early
    }

    fn owe(
        &mut self,
        integration: &IntegrationName,
        conversation: &ConversationId,
        since: Timestamp,
        owed: Owed,
    ) {
        let seq = self.next();
        if let Some(old) = self.owed.insert((conversation.clone(), owed.key()), seq) {
            self.outbox.remove(&old);
        }
        let (integration, conversation) = (integration.clone(), conversation.clone());
        self.outbox.insert(seq, Debt { integration, conversation, since, owed });
    }

    fn paid(&mut self, conversation: &ConversationId, owed: &Owed, exactly: bool) {
        let key = (conversation.clone(), owed.key());
        let Some(seq) = self.owed.get(&key) else { return };
        if !exactly || self.outbox.get(seq).is_some_and(|debt| debt.owed == *owed) {
            self.outbox.remove(seq);
            self.owed.remove(&key);
        }
    }

    /// Stores the chat service's id for a message, and puts reports that came before it into the
    /// inbox. Returns whether there were any.
    fn name(
        &mut self,
        integration: &IntegrationName,
        conversation: &ConversationId,
        message: &MessageId,
        service_id: &str,
    ) -> bool {
        self.named.insert((integration.clone(), service_id.to_owned()), message.clone());
        let is_its = |early: &super::tables::EarlyReport| {
            early.integration == *integration && early.service_id == service_id
        };
        let (its, others) =
            std::mem::take(&mut self.early).into_iter().partition::<Vec<_>, _>(is_its);
        self.early = others;
        let some = !its.is_empty();
        for early in its {
            self.put_into_inbox(
                conversation,
                Input::Reported { message: message.clone(), report: early.report },
            );
        }
        some
    }
}
