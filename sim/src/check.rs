//! The invariants, looked at with every step: each record that becomes durable, each message that
//! leaves for the chat service, each receipt that reaches Genesys.

use std::collections::BTreeSet;
use std::time::Duration;

use conversation::{AttemptOutcome, ConversationId, Fate, MessageId, PostResult, Record, Written};
use jiff::{SignedDuration, Timestamp};

use crate::ledger::{Ledger, Life, Times, goes_first, live, of_customer};
use crate::world::World;

/// So many customers who wait for Genesys are no coincidence, as docs/guarantees.md says.
const FEW: usize = 4;
/// A chat service that said nothing more after its 202 is asked again after that.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_secs(10);

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
        let mut ledger = self.ledger();
        let Ledger { histories, lives, promised, sent, written, left, times, in_time, .. } =
            &mut *ledger;
        let now = self.passed();
        let journal = histories.entry(conversation.clone()).or_default();
        for (seq, record) in (after + 1..).zip(records) {
            if let Record::Accepted { message, .. } = record {
                let written = written.get(message).copied().unwrap_or(Written::NoTime);
                journal.history.wrote(message, written);
                let place = journal.place(written);
                let Times { sent, promised } = times.get(message).copied().unwrap_or_default();
                in_time.accepted(message, customer, sent, promised.unwrap_or(now).min(now), now);
                lives.entry(message.clone()).or_insert(Life::new(place, self.told().0));
            }
            journal.history.read(seq, at, record);
            found.extend(in_time.read(&self.plan.policy, customer, now, record));
            let breaches = journal.history.breaches();
            found.extend(breaches[journal.breaches..].iter().map(ToString::to_string));
            journal.breaches = breaches.len();
            live(lives, record, self.told().0);
            found.extend(sessions(record, at));
            if let Record::Accepted { message, .. } = record
                && let Some(sent) = sent.get(message)
                && let Some((left, _)) =
                    of_customer(promised, customer).find(|(other, answered)| {
                        *answered < sent
                            && !lives.contains_key(other)
                            && !goes_first(written, message, other)
                    })
            {
                found.push(format!(
                    "I3: {message} overtakes {left}, which was answered before it was sent"
                ));
            }
        }
        // What came after the customer had left is handled with that, or after it.
        let accepted = records.iter().filter_map(|record| match record {
            Record::Accepted { message, .. } => sent.get(message),
            _ => None,
        });
        if let Some(last) = accepted.max() {
            for (_, since, _) in
                left.iter().filter(|(who, _, known)| who == conversation && known < last)
            {
                let held = of_customer(lives, customer).find(|(_, life)| {
                    life.accepted < *since
                        && life.fate.is_none()
                        && !life.open
                        && life.taken.is_none()
                });
                found.extend(
                    held.map(|(held, _)| format!("I4: {held} waits for a customer who has left")),
                );
            }
        }
        drop(ledger);
        for record in records {
            self.customers_words(customer, record);
        }
        for what in found {
            self.breach(format!("customer {customer}: {what}"));
        }
    }

    /// Genesys writes this on an agent's message as its time.
    pub(crate) fn writes(&self, id: &str, written: Written) {
        self.ledger().written.insert(MessageId::new(id), written);
    }

    /// Genesys answered a question, or took a customer's words.
    pub(crate) fn shows_life(&self, customer: Option<usize>) {
        if customer.is_none() {
            self.tell(format_args!("genesys   answers a question"));
        }
        let mut ledger = self.ledger();
        match customer {
            Some(customer) => *ledger.life.1.entry(customer).or_default() += 1,
            None => ledger.life.0 += 1,
        }
    }

    /// The gateway has accepted an event. It may be a customer's message.
    pub(crate) fn accepts_words(&self, id: &str) {
        let Some((customer, number)) = id.split_once("-said-") else { return };
        if let (Ok(customer), Ok(number)) = (customer.parse(), number.parse()) {
            let now = self.passed();
            self.ledger().words.entry((customer, number)).or_insert(now);
        }
    }

    /// How many other customers have messages that Genesys does not have, although the gateway has
    /// had them for so long that its store must know.
    fn other_customers_waiting(&self, besides: usize) -> usize {
        let settled = self.plan.takeover + Duration::from_secs(30);
        let (ledger, genesys) = (self.ledger(), self.genesys());
        let waits = |((customer, number), at): &(&(usize, u64), &Duration)| {
            let id = MessageId::new(format!("{customer}-said-{number}"));
            *customer != besides
                && self.since(**at) > settled
                && !genesys.has_heard(*customer, *number)
                && !ledger.refused.contains(&id)
        };
        ledger
            .words
            .iter()
            .filter(waits)
            .map(|((customer, _), _)| customer)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// The chat service is told that a customer's message was given up.
    pub(crate) fn told_refused(&self, id: &str) {
        self.tell(format_args!("chat      hears that {id} was refused"));
        let id = MessageId::new(id);
        let known = self.ledger().refused.contains(&id);
        if !known {
            self.breach(format!("the chat service hears that {id} was refused, and it was not"));
        }
        self.ledger().told_refused.insert(id);
    }

    /// A customer's message is on its way, or was given up. Genesys must have worked for others as
    /// often as tries counted.
    fn customers_words(&self, customer: usize, record: &Record) {
        let mut ledger = self.ledger();
        let signs = ledger.life.0
            + ledger
                .life
                .1
                .iter()
                .filter(|(who, _)| **who != customer)
                .map(|(_, n)| n)
                .sum::<u32>();
        match record {
            Record::InboundReleased { message } => {
                ledger.released.insert(message.clone(), signs);
            }
            Record::InboundDone { message, result: PostResult::Refused { .. } } => {
                ledger.refused.insert(message.clone());
                let since = signs - ledger.released.get(message).copied().unwrap_or(signs);
                // One sign may have been on its way when the message was released.
                let too_few = since + 1 < self.plan.policy.inbound.give_up_tries;
                drop(ledger);
                if too_few {
                    let what = format!(
                        "I11: {message} is given up although Genesys worked for others {since} \
                         times"
                    );
                    self.breach(what);
                }
                let waiting = self.other_customers_waiting(customer);
                if self.messages_are_down() && waiting >= FEW {
                    self.breach(format!(
                        "I11: {message} is given up in an outage: {waiting} others wait"
                    ));
                }
            }
            _ => {}
        }
    }

    /// Genesys sends an agent's message, maybe not for the first time.
    pub(crate) fn sends(&self, id: &str) {
        let (step, now, id) = (self.told().0, self.passed(), MessageId::new(id));
        let mut ledger = self.ledger();
        ledger.sent.entry(id.clone()).or_insert(step);
        ledger.times.entry(id).or_insert(Times { sent: now, promised: None });
    }

    /// The gateway has been told that a customer left, which the chat service knew since that step.
    pub(crate) fn leaves_chat(&self, conversation: &ConversationId, since: u64) {
        let known = self.told().0;
        self.ledger().left.push((conversation.clone(), since, known));
    }

    /// An agent's message was answered with a 2xx.
    pub(crate) fn promises(&self, id: &str) {
        let (step, now, id) = (self.told().0, self.passed(), MessageId::new(id));
        let mut ledger = self.ledger();
        ledger.promised.entry(id.clone()).or_insert(step);
        ledger.times.entry(id).or_default().promised.get_or_insert(now);
    }

    /// A message leaves a node for the chat service.
    pub(crate) fn leaves(&self, node: &str, conversation: &ConversationId, id: &MessageId) {
        let stranger = self.stranger(node, conversation);
        let mut ledger = self.ledger();
        ledger.forwards += 1;
        let latest = ledger.in_time.latest(&self.plan.policy, id).unwrap_or_default();
        let wrong = match ledger.lives.get(id) {
            None => Some("I7: it is in no journal".to_owned()),
            Some(life) => match &life.fate {
                Some(Fate::Failed { .. }) => Some("I4: it was failed".to_owned()),
                Some(fate) => Some(format!("I7: it is settled already ({fate:?})")),
                None if !life.open => Some("I7: no attempt is open in the journal".to_owned()),
                None if stranger.is_some() => stranger,
                None if self.passed() > latest => {
                    Some(format!("I8: its time was up by {latest:.2?}"))
                }
                None => None,
            },
        };
        drop(ledger);
        if let Some(wrong) = wrong {
            self.breach(format!("{id} leaves {node}: {wrong}"));
        }
    }

    /// A call for a session leaves a node.
    pub(crate) fn asks(&self, node: &str, conversation: &ConversationId) {
        if let Some(wrong) = self.stranger(node, conversation) {
            let customer = self.customer_of(conversation);
            self.breach(format!("{node} asks for a session of customer {customer}: {wrong}"));
        }
    }

    /// The chat service takes a message for the first time. `last` is the one that it took before.
    pub(crate) fn taken(&self, id: &MessageId, last: Option<&MessageId>) {
        let step = self.told().0;
        let mut ledger = self.ledger();
        let mut wrong = None;
        if let Some(last) = last
            && let (Some(life), Some(before)) = (ledger.lives.get(id), ledger.lives.get(last))
        {
            // One that failed with an unknown outcome may still arrive. Its reason says so.
            let known = !(life.unknown && life.fate.as_ref().is_some_and(Fate::is_failed));
            let waited = before.first_attempt.is_some_and(|first| life.accepted < first);
            if before.place > life.place && waited && known {
                wrong = Some(format!("I3: {id} reaches the chat service behind {last}"));
            }
        }
        if let Some(life) = ledger.lives.get_mut(id) {
            life.taken = Some(step);
        }
        drop(ledger);
        if let Some(wrong) = wrong {
            self.breach(wrong);
        }
    }

    /// A receipt reaches Genesys.
    ///
    /// One that was on its way already when another came there could not know of it; it `left` its
    /// node before.
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
        let mut ledger = self.ledger();
        let mut repeated = false;
        let wrong = match ledger.lives.get_mut(id) {
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
                    } else if std::mem::take(&mut life.missing) || crossed {
                        None
                    } else {
                        Some(
                            "I2: a final receipt comes twice, and Genesys never said that there \
                            was none"
                                .to_owned(),
                        )
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
        ledger.repeats += u64::from(repeated);
        drop(ledger);
        if let Some(wrong) = wrong {
            self.breach(format!("{id}: {wrong}"));
        }
    }

    /// A node has Genesys's answer to the question whether there is a final receipt. A question
    /// whose answer got lost excuses nothing.
    pub(crate) fn told_of(&self, id: &MessageId, receipted: bool) {
        if let Some(life) = self.ledger().lives.get_mut(id) {
            life.missing |= !receipted;
        }
    }
}

/// What no step may decide about a session: a resend that waits, and a handshake that is waited for
/// without a question.
fn sessions(record: &Record, at: Timestamp) -> Option<String> {
    match record {
        Record::AttemptEnded {
            message,
            outcome: AttemptOutcome::SessionGone,
            retry_at: Some(retry_at),
            ..
        } => Some(format!(
            "{message} is to wait until {retry_at}, whether or not there is a session before that"
        )),
        Record::HandshakePending { ask_at, .. }
            if ask_at.is_none_or(|ask_at| ask_at.duration_since(at) > ASKED_AGAIN) =>
        {
            Some(format!("a handshake that goes on is to be asked about at {ask_at:?}"))
        }
        _ => None,
    }
}
