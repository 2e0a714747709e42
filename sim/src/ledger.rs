//! What the checks know so far: each journal, and the life of each message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conversation::{AttemptOutcome, ConversationId, Fate, History, MessageId, Record, Written};
use jiff::Timestamp;

use crate::in_time::InTime;

/// What the checks know so far. Times are numbers of steps ([`crate::world::World::told`]), unless
/// they are durations.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) breaches: Vec<String>,
    pub(crate) histories: BTreeMap<ConversationId, Journal>,
    pub(crate) lives: BTreeMap<MessageId, Life>,
    /// Agents' messages that were answered with a 2xx, and when.
    pub(crate) promised: BTreeMap<MessageId, u64>,
    /// When Genesys first sent an agent's message.
    pub(crate) sent: BTreeMap<MessageId, u64>,
    /// What Genesys wrote as the time of an agent's message. The order is judged by that, not by
    /// the journal.
    pub(crate) written: BTreeMap<MessageId, Written>,
    /// Customers that left: when the chat service sent that, and when the gateway had accepted it.
    pub(crate) left: Vec<(ConversationId, u64, u64)>,
    pub(crate) times: BTreeMap<MessageId, Times>,
    pub(crate) in_time: InTime,
    /// How often Genesys has shown that it works: by answering a question, and by taking a message
    /// of each customer.
    pub(crate) life: (u32, BTreeMap<usize, u32>),
    /// Customers' messages that were released to Genesys: how often it had then shown other
    /// customers that it works.
    pub(crate) released: BTreeMap<MessageId, u32>,
    /// When the gateway accepted customers' messages, by customer and number.
    pub(crate) words: BTreeMap<(usize, u64), Duration>,
    /// Customers' messages that were given up, and are dead letters. Discarded ones stay here.
    pub(crate) refused: BTreeSet<MessageId>,
    /// Dead letters that an operator had posted again at least once.
    pub(crate) retried: BTreeSet<MessageId>,
    /// Customers' messages that the chat service was told about.
    pub(crate) told_refused: BTreeSet<MessageId>,
    /// The numbers that customers typed, by message: each may answer an offer.
    pub(crate) typed: BTreeMap<MessageId, u8>,
    /// The answers to offers that Genesys has, by the message that made the offer.
    pub(crate) answers: BTreeMap<MessageId, MessageId>,
    pub(crate) forwards: u64,
    pub(crate) repeats: u64,
}

/// When an agent's message left Genesys, and when it was answered with a 2xx, in true time.
#[derive(Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) sent: Duration,
    pub(crate) promised: Option<Duration>,
}

/// What the journal of one conversation says, checked by its history.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) history: History,
    /// How many of the history's breaches have been reported.
    pub(crate) breaches: usize,
    pub(crate) arrivals: u64,
    /// The greatest time of an accepted message.
    pub(crate) latest: Option<Timestamp>,
}

impl Journal {
    /// The place of a message that is accepted now: Genesys's time, then arrival.
    pub(crate) fn place(&mut self, written: Written) -> (Timestamp, u64) {
        self.arrivals += 1;
        let time = match written {
            Written::At(time) => time,
            Written::NoTime => self.latest.unwrap_or(Timestamp::MIN),
        };
        self.latest = self.latest.max(Some(time));
        (time, self.arrivals)
    }
}

/// One agent's message.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one message")]
pub(crate) struct Life {
    pub(crate) place: (Timestamp, u64),
    /// The step at which it was accepted.
    pub(crate) accepted: u64,
    pub(crate) first_attempt: Option<u64>,
    pub(crate) open: bool,
    /// The outcome of an attempt is unknown.
    pub(crate) unknown: bool,
    pub(crate) fate: Option<Fate>,
    pub(crate) owed: bool,
    pub(crate) taken: Option<u64>,
    pub(crate) receipts: Vec<String>,
    /// When Genesys had the final receipt, if it has.
    pub(crate) receipted: Option<Duration>,
    /// Genesys has answered that it has no final receipt, and it has got no such receipt since.
    pub(crate) missing: bool,
}

impl Life {
    /// A message that was accepted at the step `accepted`.
    pub(crate) fn new(place: (Timestamp, u64), accepted: u64) -> Self {
        Self {
            place,
            accepted,
            first_attempt: None,
            open: false,
            unknown: false,
            fate: None,
            owed: false,
            taken: None,
            receipts: Vec::new(),
            receipted: None,
            missing: false,
        }
    }
}

impl Ledger {
    /// What was acknowledged and is not done yet, for people.
    pub(crate) fn open(&self) -> Vec<String> {
        let mut open = Vec::new();
        for id in self.promised.keys() {
            match self.lives.get(id) {
                None => open.push(format!("I1: {id} was answered with a 2xx and is in no journal")),
                Some(life) if life.fate.is_none() => open.push(format!("I2: {id} has no fate")),
                Some(life) if life.owed && life.receipted.is_none() => {
                    open.push(format!("I2: {id} has no final receipt"));
                }
                Some(_) => {}
            }
        }
        open
    }

    /// Whether an attempt was made to forward it, or its fate is decided without one.
    pub(crate) fn was_tried(&self, id: &MessageId) -> bool {
        self.lives.get(id).is_some_and(|life| life.first_attempt.is_some() || life.fate.is_some())
    }

    /// Whether Genesys will never have a customer's message: it is a dead letter, or discarded.
    pub(crate) fn is_gone(&self, id: &MessageId) -> bool {
        self.refused.contains(id)
    }

    /// Whether a customer's message was ever given up.
    pub(crate) fn was_refused(&self, id: &MessageId) -> bool {
        self.is_gone(id) || self.retried.contains(id)
    }

    /// A customer's message that was given up and that the chat service was not told about.
    pub(crate) fn untold(&self) -> Option<&MessageId> {
        self.refused.difference(&self.told_refused).next()
    }

    /// How many agents' messages were journaled.
    pub(crate) fn accepted(&self) -> usize {
        self.lives.len()
    }
}

/// Whether `one` has an earlier time by Genesys than `other`, so that it goes first even if it came
/// later.
pub(crate) fn goes_first(
    written: &BTreeMap<MessageId, Written>,
    one: &MessageId,
    other: &MessageId,
) -> bool {
    match (written.get(one), written.get(other)) {
        (Some(Written::At(one)), Some(Written::At(other))) => one < other,
        (Some(Written::At(_)), _) => true,
        _ => false,
    }
}

/// The entries of one customer: their ids begin with the customer's number.
pub(crate) fn of_customer<T>(
    all: &BTreeMap<MessageId, T>,
    customer: usize,
) -> impl Iterator<Item = (&MessageId, &T)> {
    let prefix = format!("{customer}-");
    let first = MessageId::new(&prefix);
    all.range(first..).take_while(move |(id, _)| id.as_str().starts_with(&prefix))
}

/// Updates the life of the message that a record is about.
pub(crate) fn live(lives: &mut BTreeMap<MessageId, Life>, record: &Record, step: u64) {
    match record {
        Record::AttemptStarted { message, .. } => {
            if let Some(life) = lives.get_mut(message) {
                life.first_attempt.get_or_insert(step);
                life.open = true;
            }
        }
        Record::AttemptEnded { message, outcome, .. } => {
            if let Some(life) = lives.get_mut(message) {
                life.open = false;
                life.unknown |= matches!(outcome, AttemptOutcome::Unknown { .. });
            }
        }
        Record::Settled { message, fate, receipt } => {
            if let Some(life) = lives.get_mut(message) {
                life.fate.get_or_insert_with(|| fate.clone());
                life.owed |= receipt;
            }
        }
        _ => {}
    }
}
