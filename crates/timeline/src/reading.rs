//! Sorts the records of a conversation: which concern one message, and which concern all.

use std::collections::HashMap;

use conversation::{DeadLetterAction, Fate, Input, MessageId, Owed, Record};
use jiff::Timestamp;
use store::{Direction, Dossier, JournalRow, MessageRow};

use crate::gaps::{self, Gap};
use crate::model::SessionState;
use crate::talk::Talk;

/// A message's key. Both directions may use the same id.
pub(crate) type Key<'a> = (Direction, &'a MessageId);

/// Everything that the dossier has about one message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life<'a> {
    pub(crate) row: Option<&'a MessageRow>,
    /// It is in the inbox: the conversation has not handled it.
    pub(crate) is_in_inbox: bool,
    /// What an operator wants to do about it, as long as that is in the inbox, and who it is.
    pub(crate) waiting_action: Option<(DeadLetterAction, &'a str)>,
    /// The records about it, in the order of the journal.
    pub(crate) records: Vec<(Timestamp, &'a Record)>,
}

/// What lists show about a message, as far as they know it, and whether it waits in the inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    /// When it came.
    pub(crate) received: Timestamp,
    pub(crate) state: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) foreign_id: Option<&'a str>,
    pub(crate) is_in_inbox: bool,
}

impl<'a> Life<'a> {
    pub(crate) fn listed(&self, now: Timestamp) -> Listed<'a> {
        let first = self.records.first().map(|(at, record)| match record {
            Record::Accepted { received, .. } => *received,
            _ => *at,
        });
        Listed {
            received: self.row.map(|row| row.received).or(first).unwrap_or(now),
            state: self.row.map_or("", |row| &row.state),
            reason: self.row.and_then(|row| row.reason.as_deref()),
            foreign_id: self.row.map(|row| &*row.foreign_id),
            is_in_inbox: self.is_in_inbox,
        }
    }
}

/// A dossier, sorted.
pub(crate) struct Reading<'a> {
    pub(crate) dossier: &'a Dossier,
    pub(crate) now: Timestamp,
    pub(crate) lives: HashMap<Key<'a>, Life<'a>>,
    /// The keys of `lives`, in the order in which the messages came.
    pub(crate) order: Vec<Key<'a>>,
    pub(crate) talk: Talk<'a>,
    pub(crate) gaps: Vec<Gap>,
    /// Since when Genesys is owed each customer's message and each final receipt.
    owed: HashMap<Key<'a>, Timestamp>,
    /// The records that cannot be read.
    pub(crate) damaged: Vec<&'a JournalRow>,
    /// Agents' messages that wait, each with its place in the order of forwarding.
    pub(crate) queue: Vec<(Timestamp, usize, &'a MessageId)>,
    /// The place of the message whose failure paused the conversation, if it is paused and that is
    /// known. Only messages behind it are held back.
    paused_at: Option<(Timestamp, usize)>,
    /// Customers' messages that Genesys has not confirmed, in the order of posting.
    pub(crate) inbound: Vec<&'a MessageId>,
}

impl<'a> Reading<'a> {
    pub(crate) fn of(dossier: &'a Dossier, now: Timestamp) -> Self {
        // A store returns them in order. A damaged one may not.
        let mut rows: Vec<&JournalRow> = dossier.journal.iter().collect();
        rows.sort_by_key(|row| row.seq);
        let mut reading = Self {
            dossier,
            now,
            lives: HashMap::new(),
            order: Vec::new(),
            talk: Talk::default(),
            gaps: gaps::gaps(&rows, now, dossier.pruned_seq > 0),
            owed: owed(dossier),
            damaged: rows.iter().copied().filter(|row| row.record.is_err()).collect(),
            queue: Vec::new(),
            paused_at: None,
            inbound: Vec::new(),
        };
        for row in &dossier.messages {
            reading.life((row.direction, &row.id)).row = Some(row);
        }
        for item in &dossier.inbox {
            if let Input::DeadLetter { action, message, by, .. } = &item.input
                && let Some(life) = reading.lives.get_mut(&(Direction::Inbound, message))
            {
                life.waiting_action.get_or_insert((*action, by));
            }
            if let Some(key) = key_of_input(&item.input) {
                reading.life(key).is_in_inbox = true;
            }
        }
        for row in rows {
            if let Ok(record) = &row.record {
                if let Record::AttemptStarted { session, .. } = record {
                    reading.talk.attempted(row.at, session);
                }
                match key_of(record) {
                    Some(key) => reading.life(key).records.push((row.at, record)),
                    None => reading.talk.read(row.at, record),
                }
            }
        }
        reading.queue_up();
        reading
    }

    /// The records about a message, which may be none.
    fn life(&mut self, key: Key<'a>) -> &mut Life<'a> {
        let order = &mut self.order;
        self.lives.entry(key).or_insert_with(|| {
            order.push(key);
            Life::default()
        })
    }

    fn queue_up(&mut self) {
        let paused = self.talk.pauses.last().filter(|pause| pause.until.is_none());
        let paused = paused.map(|pause| pause.at);
        let mut inbound = Vec::new();
        for (arrival, key @ (direction, id)) in self.order.iter().enumerate() {
            let records = &self.lives[key].records;
            match direction {
                Direction::Outbound => {
                    let Some((time, stand)) = stand(records) else { continue };
                    if stand == Stand::Waits {
                        self.queue.push((time, arrival, *id));
                    } else if paused.is_some_and(|at| stand == Stand::FailedAt(at)) {
                        let place = (time, arrival);
                        self.paused_at =
                            Some(self.paused_at.map_or(place, |before| before.min(place)));
                    }
                }
                Direction::Inbound => {
                    inbound.extend(queued_at(records).map(|at| (at, *id)));
                }
            }
        }
        self.queue.sort_unstable();
        // Those of one moment stay in the order in which they came.
        inbound.sort_by_key(|(at, _)| *at);
        self.inbound = inbound.into_iter().map(|(_, id)| id).collect();
    }

    /// Whether a pause holds this message of the agent back.
    pub(crate) fn is_held_back(&self, id: &MessageId) -> bool {
        let place = self.queue.iter().find(|(_, _, other)| *other == id);
        let place = place.map(|(time, arrival, _)| (*time, *arrival));
        self.talk.is_paused() && place > self.paused_at
    }

    /// How many of the agent's messages go before this one.
    pub(crate) fn ahead(&self, id: &MessageId) -> usize {
        self.queue.iter().position(|(_, _, other)| *other == id).unwrap_or(0)
    }

    /// How many of the customer's messages go before this one.
    pub(crate) fn inbound_ahead(&self, id: &MessageId) -> usize {
        self.inbound.iter().position(|other| *other == id).unwrap_or(0)
    }

    /// Whether there is a session now.
    pub(crate) fn session(&self) -> SessionState {
        match self.talk.now.session {
            // No session was ever asked for.
            SessionState::Unknown if !self.is_pruned() && self.damaged.is_empty() => {
                SessionState::Closed
            }
            state => state,
        }
    }

    /// Since when Genesys is owed this message of the customer, or the final receipt of this
    /// message of the agent, if it is.
    pub(crate) fn owed_since(&self, key: Key<'_>) -> Option<Timestamp> {
        self.owed.get(&key).copied()
    }

    /// Whether records may be missing.
    pub(crate) fn is_pruned(&self) -> bool {
        self.dossier.pruned_seq > 0
    }

    /// How many records from that time cannot be read.
    pub(crate) fn damaged_in(&self, from: Timestamp, to: Timestamp) -> usize {
        self.damaged.iter().filter(|row| from <= row.at && row.at <= to).count()
    }
}

/// Where a message of the agent stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Waits,
    FailedAt(Timestamp),
    Succeeded,
}

/// The time of a message's place in the order, and where it stands, if it was accepted.
fn stand(records: &[(Timestamp, &Record)]) -> Option<(Timestamp, Stand)> {
    let (mut place, mut stand) = (None, Stand::Waits);
    for (at, record) in records {
        match record {
            Record::Accepted { time, .. } => place = Some(*time),
            Record::Settled { fate: Fate::Failed { .. }, .. } => stand = Stand::FailedAt(*at),
            Record::Settled { .. } => stand = Stand::Succeeded,
            _ => {}
        }
    }
    Some((place?, stand))
}

/// Since when a message of the customer waits for Genesys, if it does: since it was accepted, or
/// since an operator had it posted again.
fn queued_at(records: &[(Timestamp, &Record)]) -> Option<Timestamp> {
    records.iter().fold(None, |queued, (at, record)| match record {
        Record::InboundAccepted { .. } | Record::InboundRetried { .. } => Some(*at),
        Record::InboundDone { .. } => None,
        _ => queued,
    })
}

/// The message that a record is about, and its direction.
pub(crate) fn key_of(record: &Record) -> Option<Key<'_>> {
    let direction = match record {
        Record::Accepted { .. }
        | Record::Offered { .. }
        | Record::AttemptStarted { .. }
        | Record::AttemptEnded { .. }
        | Record::Reported { .. }
        | Record::Settled { .. }
        | Record::SentDue { .. }
        | Record::ReceiptDone { .. }
        | Record::NoticeDue { .. }
        | Record::NoticeDone { .. } => Direction::Outbound,
        Record::InboundAccepted { .. }
        | Record::InboundReleased { .. }
        | Record::InboundDone { .. }
        | Record::RefusalDue { .. }
        | Record::RefusalTelling { .. }
        | Record::RefusalTold { .. }
        | Record::InboundRetried { .. }
        | Record::InboundDiscarded { .. } => Direction::Inbound,
        Record::PostFailed { owed, .. } => match owed {
            Owed::Receipt { .. } | Owed::Notice { .. } => Direction::Outbound,
            Owed::Inbound { .. } => Direction::Inbound,
            Owed::Disconnect { .. } => return None,
        },
        Record::HandshakeStarted { .. }
        | Record::HandshakePending { .. }
        | Record::HandshakeFailed { .. }
        | Record::SessionOpened { .. }
        | Record::SessionRefused { .. }
        | Record::SessionClosed { .. }
        | Record::Paused
        | Record::Resumed
        | Record::GenesysConversation { .. }
        | Record::CustomerLeft { .. }
        | Record::DisconnectDue { .. }
        | Record::DisconnectDone { .. }
        | Record::Ending => return None,
    };
    record.message().map(|message| (direction, message))
}

/// The customers' messages and final receipts in the outbox.
fn owed(dossier: &Dossier) -> HashMap<Key<'_>, Timestamp> {
    let mut found = HashMap::new();
    for item in &dossier.owed {
        let key = match &item.owed {
            Owed::Receipt { message, fate: Some(_) } => (Direction::Outbound, message),
            Owed::Inbound { message, .. } => (Direction::Inbound, message),
            Owed::Receipt { fate: None, .. } | Owed::Notice { .. } | Owed::Disconnect { .. } => {
                continue;
            }
        };
        found.entry(key).or_insert(item.since);
    }
    found
}

/// The message that waits in the inbox as this input.
fn key_of_input(input: &Input) -> Option<Key<'_>> {
    match input {
        Input::AgentMessage { message, .. } => Some((Direction::Outbound, message)),
        Input::CustomerMessage { message, .. } => Some((Direction::Inbound, message)),
        _ => None,
    }
}
