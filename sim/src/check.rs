//! The invariants, looked at with every step: each record that becomes durable, each message that leaves for the chat
//! service, each receipt that reaches Genesys.

use std::collections::BTreeMap;
use std::time::Duration;

use conversation::{AttemptOutcome, ConversationId, Fate, History, MessageId, Record};
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// How late something may be done (I8).
const SLACK: SignedDuration = SignedDuration::from_millis(1_050);

/// What is known of everything so far.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) breaches: Vec<String>,
    histories: BTreeMap<ConversationId, Journal>,
    lives: BTreeMap<MessageId, Life>,
    /// Agents' messages that were answered with a 2xx, and when; in steps that were told, like all times here.
    pub(crate) promised: BTreeMap<MessageId, u64>,
    /// When Genesys first sent an agent's message.
    sent: BTreeMap<MessageId, u64>,
    pub(crate) forwards: u64,
    pub(crate) repeats: u64,
}

#[derive(Default)]
struct Journal {
    history: History,
    breaches: usize,
    arrivals: u64,
}

/// One agent's message.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one message")]
struct Life {
    place: (Timestamp, u64),
    give_up: Timestamp,
    /// Counted in records that became durable.
    accepted: u64,
    first_attempt: Option<u64>,
    open: bool,
    /// The last attempt's end is not known.
    unknown: bool,
    fate: Option<Fate>,
    owed: bool,
    taken: Option<u64>,
    receipts: Vec<String>,
    /// When Genesys had the final receipt, if it has.
    receipted: Option<Duration>,
    asked: bool,
}

impl World {
    /// Records became durable.
    pub(crate) fn journaled(
        &self,
        conversation: &ConversationId,
        after: u64,
        at: Timestamp,
        records: &[Record],
    ) {
        let customer = self.customer_of(conversation);
        for record in records {
            self.tell(format_args!("journal   customer {customer}: {record:?}"));
        }
        let mut found = Vec::new();
        let mut check = self.check();
        let Check { histories, lives, promised, sent, .. } = &mut *check;
        let journal = histories.entry(conversation.clone()).or_default();
        for (seq, record) in (after + 1..).zip(records) {
            journal.history.read(seq, at, record);
            let breaches = journal.history.breaches();
            found.extend(breaches[journal.breaches..].iter().map(ToString::to_string));
            journal.breaches = breaches.len();
            live(lives, &mut journal.arrivals, record, self.told().0);
            if let Record::Accepted { message, .. } = record
                && let Some(sent) = sent.get(message)
                && let Some((left, _)) = of_customer(promised, customer)
                    .find(|(other, answered)| *answered < sent && !lives.contains_key(other))
            {
                found.push(format!(
                    "I3: {message} overtakes {left}, which was answered before it was sent"
                ));
            }
        }
        drop(check);
        for what in found {
            self.breach(format!("customer {customer}: {what}"));
        }
    }

    /// Genesys sends an agent's message, maybe not for the first time.
    pub(crate) fn sends(&self, id: &str) {
        let step = self.told().0;
        self.check().sent.entry(MessageId::new(id)).or_insert(step);
    }

    /// An agent's message was answered with a 2xx.
    pub(crate) fn promises(&self, id: &str) {
        let step = self.told().0;
        self.check().promised.entry(MessageId::new(id)).or_insert(step);
    }

    /// A message leaves a node for the chat service.
    pub(crate) fn leaves(
        &self,
        node: &str,
        conversation: &ConversationId,
        id: &MessageId,
        now: Timestamp,
    ) {
        let driver = self.database.driver(conversation);
        let mut check = self.check();
        check.forwards += 1;
        let wrong = match check.lives.get(id) {
            None => Some("I7: it is in no journal".to_owned()),
            Some(life) => match &life.fate {
                Some(Fate::Failed { .. }) => Some("I4: it was failed".to_owned()),
                Some(fate) => Some(format!("I7: it is settled already ({fate:?})")),
                None if !life.open => Some("I7: no attempt is open in the journal".to_owned()),
                None if driver.as_deref() != Some(node) => {
                    Some(format!("I9: the conversation is driven by {driver:?}"))
                }
                None if now.duration_since(life.give_up) > SLACK => {
                    Some(format!("I8: its time was up at {}", life.give_up))
                }
                None => None,
            },
        };
        drop(check);
        if let Some(wrong) = wrong {
            self.breach(format!("{id} leaves {node}: {wrong}"));
        }
    }

    /// The chat service takes a message for the first time. `last` is the one that it took before.
    pub(crate) fn taken(&self, id: &MessageId, last: Option<&MessageId>) {
        let step = self.told().0;
        let mut check = self.check();
        let mut wrong = None;
        if let Some(last) = last
            && let (Some(life), Some(before)) = (check.lives.get(id), check.lives.get(last))
        {
            // One that was failed because nobody knew may still arrive; so its reason says.
            let known = !(life.unknown && life.fate.as_ref().is_some_and(Fate::is_failed));
            let waited = before.first_attempt.is_some_and(|first| life.accepted < first);
            if before.place > life.place && waited && known {
                wrong = Some(format!("I3: {id} reaches the chat service behind {last}"));
            }
        }
        if let Some(life) = check.lives.get_mut(id) {
            life.taken = Some(step);
        }
        drop(check);
        if let Some(wrong) = wrong {
            self.breach(wrong);
        }
    }

    /// A receipt reaches Genesys.
    ///
    /// One that was on its way already when another came there could not know of it; it `left` its node before.
    pub(crate) fn receipted(
        &self,
        id: &MessageId,
        status: &str,
        last: bool,
        reason: Option<&str>,
        left: Duration,
    ) {
        let now = self.passed();
        let said = format!("{status}/{}", reason.unwrap_or_default());
        let mut check = self.check();
        let mut repeated = false;
        let wrong = match check.lives.get_mut(id) {
            None => Some("I2: a receipt about a message that is in no journal".to_owned()),
            Some(life) => {
                let expected = match &life.fate {
                    Some(Fate::Delivered) => "Delivered",
                    Some(Fate::Failed { .. }) => "Failed",
                    Some(Fate::Sent) => "Sent",
                    None => "",
                };
                let crossed = life.receipted.is_some_and(|at| left < at);
                let wrong = if last && life.receipted.is_some() {
                    repeated = true;
                    if life.receipts.last() != Some(&said) {
                        Some(format!("I2: a final receipt says {said} after {:?}", life.receipts))
                    } else if life.asked || crossed {
                        None
                    } else {
                        Some("I2: a final receipt comes twice, and nobody asked".to_owned())
                    }
                } else if life.receipted.is_some() && crossed {
                    None
                } else if life.receipted.is_some() {
                    Some(format!("I2: {said} comes after the final receipt"))
                } else if last && expected != status {
                    Some(format!("I6: the receipt says {said}, the journal {:?}", life.fate))
                } else if status == "Delivered" && life.taken.is_none() {
                    Some("I6: Delivered, and the chat service never had it".to_owned())
                } else {
                    None
                };
                if last {
                    life.receipts.push(said);
                    life.receipted.get_or_insert(now);
                }
                wrong
            }
        };
        check.repeats += u64::from(repeated);
        drop(check);
        if let Some(wrong) = wrong {
            self.breach(format!("{id}: {wrong}"));
        }
    }

    /// Somebody asks Genesys what became of a message.
    pub(crate) fn asked(&self, id: &MessageId) {
        if let Some(life) = self.check().lives.get_mut(id) {
            life.asked = true;
        }
    }
}

impl Check {
    /// What is promised and not done yet.
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

    /// How many agents' messages were journaled.
    pub(crate) fn accepted(&self) -> usize {
        self.lives.len()
    }
}

/// Those of one customer: their ids begin with her number.
fn of_customer<T>(
    all: &BTreeMap<MessageId, T>,
    customer: usize,
) -> impl Iterator<Item = (&MessageId, &T)> {
    let prefix = format!("{customer}-");
    let first = MessageId::new(&prefix);
    all.range(first..).take_while(move |(id, _)| id.as_str().starts_with(&prefix))
}

fn live(lives: &mut BTreeMap<MessageId, Life>, arrivals: &mut u64, record: &Record, step: u64) {
    match record {
        Record::Accepted { message, time, give_up, .. } => {
            *arrivals += 1;
            lives.entry(message.clone()).or_insert(Life {
                place: (*time, *arrivals),
                give_up: *give_up,
                accepted: step,
                first_attempt: None,
                open: false,
                unknown: false,
                fate: None,
                owed: false,
                taken: None,
                receipts: Vec::new(),
                receipted: None,
                asked: false,
            });
        }
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
