//! Checks the invariants with every step: each record that becomes durable, each message that
//! leaves for the chat service, each receipt that reaches Genesys.

use std::collections::BTreeSet;
use std::time::Duration;

use conversation::{AttemptOutcome, ConversationId, Fate, MessageId, PostResult, Record, Written};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ledger::{Ledger, Life, Times, goes_first, live, of_customer};
use crate::world::World;

/// If at least this many other customers wait for Genesys, it is an outage, as docs/guarantees.md
/// says.
const FEW: usize = 4;
/// The longest time until a chat service is asked again that said nothing more after its 202.
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
        // A message that was sent after the gateway knew that the customer had left is handled
        // together with that, or later.
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

    /// Records what Genesys writes as the time of an agent's message.
    pub(crate) fn writes(&self, id: &str, written: Written) {
        self.ledger().written.insert(MessageId::new(id), written);
    }

    /// Records that Genesys answered a question, or took a message of this customer.
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

    /// Records that the gateway has accepted an event, which may be a customer's message.
    pub(crate) fn accepts_words(&self, id: &str) {
        let Some((customer, number)) = id.split_once("-said-") else { return };
        if let (Ok(customer), Ok(number)) = (customer.parse(), number.parse()) {
            let now = self.passed();
            self.ledger().words.entry((customer, number)).or_insert(now);
        }
    }

    /// How many other customers have messages that Genesys does not have, although the gateway
    /// accepted them so long ago that they must be in the outbox. Since then, a node must have been
    /// able to work on their conversations.
    fn other_customers_waiting(&self, besides: usize) -> usize {
        let (now, settled) = (self.passed(), self.plan.takeover + Duration::from_secs(30));
        let (ledger, genesys) = (self.ledger(), self.genesys());
        let waits = |((customer, number), at): &(&(usize, u64), &Duration)| {
            let id = MessageId::new(format!("{customer}-said-{number}"));
            *customer != besides
                && self.since(**at) > settled
                && ledger.in_time.could_work(*customer, **at, now)
                && !genesys.has_heard(*customer, *number)
                && !ledger.is_gone(&id)
        };
        let waiting = ledger.words.iter().filter(waits).map(|((customer, _), _)| customer);
        waiting.collect::<BTreeSet<_>>().len()
    }

    /// Checks that a message was given up if the chat service is told so.
    pub(crate) fn told_refused(&self, id: &str) {
        self.tell(format_args!("chat      hears that {id} was refused"));
        let id = MessageId::new(id);
        let known = self.ledger().was_refused(&id);
        if !known {
            self.breach(format!("the chat service hears that {id} was refused, and it was not"));
        }
        self.ledger().told_refused.insert(id);
    }

    /// Checks records about customers' messages. If one is given up, Genesys must have worked for
    /// other customers as often as tries counted.
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
            Record::InboundReleased { message, .. } => {
                ledger.released.insert(message.clone(), signs);
            }
            Record::InboundDone { message, result: PostResult::Refused { .. } } => {
                ledger.refused.insert(message.clone());
                let since = signs - ledger.released.get(message).copied().unwrap_or(signs);
                // One such sign may have been on its way when the message was released.
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
            Record::InboundRetried { message, .. } => {
                ledger.refused.remove(message);
                // If it is given up again, the chat service must be told again.
                ledger.told_refused.remove(message);
                ledger.retried.insert(message.clone());
            }
            _ => {}
        }
    }

    /// Records that Genesys sends an agent's message, possibly not for the first time.
    pub(crate) fn sends(&self, id: &str) {
        let (step, now, id) = (self.told().0, self.passed(), MessageId::new(id));
        let mut ledger = self.ledger();
        ledger.sent.entry(id.clone()).or_insert(step);
        ledger.times.entry(id).or_insert(Times { sent: now, promised: None });
    }

    /// Records that the gateway has accepted that a customer left, which the chat service sent at
    /// the step `since`.
    pub(crate) fn leaves_chat(&self, conversation: &ConversationId, since: u64) {
        let known = self.told().0;
        self.ledger().left.push((conversation.clone(), since, known));
    }

    /// Records that an agent's message was answered with a 2xx.
    pub(crate) fn promises(&self, id: &str) {
        let (step, now, id) = (self.told().0, self.passed(), MessageId::new(id));
        let mut ledger = self.ledger();
        ledger.promised.entry(id.clone()).or_insert(step);
        ledger.times.entry(id).or_default().promised.get_or_insert(now);
    }

    /// Checks a message that leaves a node for the chat service.
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

    /// Checks an answer to an offer that Genesys gets. The customer typed the number of the option,
    /// the message that offered it may have reached them, and no other answer to it is there.
    pub(crate) fn answers_offer(&self, body: &Value) {
        let text = |value: &Value| MessageId::new(value.as_str().unwrap_or_default());
        let (id, offered) =
            (text(&body["channel"]["messageId"]), text(&body["originatingMessageId"]));
        let payload = body["buttonResponse"]["payload"].as_str().unwrap_or_default();
        let mut ledger = self.ledger();
        let typed = ledger.typed.get(&id).map(|number| format!("{offered}/{number}"));
        let attempted = ledger.lives.get(&offered).is_some_and(|life| life.first_attempt.is_some());
        let before = ledger.answers.insert(offered.clone(), id.clone());
        drop(ledger);
        if typed.as_deref() != Some(payload) {
            self.breach(format!("I11: Genesys gets {payload} for {id}, which says {typed:?}"));
        }
        if !attempted {
            self.breach(format!(
                "I11: {id} answers {offered}, which the customer cannot have read"
            ));
        }
        if let Some(before) = before.filter(|before| *before != id) {
            self.breach(format!("I5: {id} answers {offered}, as {before} did"));
        }
    }

    /// Checks a call for a session that leaves a node.
    pub(crate) fn asks(&self, node: &str, conversation: &ConversationId) {
        if let Some(wrong) = self.stranger(node, conversation) {
            let customer = self.customer_of(conversation);
            self.breach(format!("{node} asks for a session of customer {customer}: {wrong}"));
        }
    }

    /// Checks a message that the chat service accepts for the first time. `last` is the one that it
    /// accepted before.
    pub(crate) fn taken(&self, id: &MessageId, last: Option<&MessageId>) {
        let step = self.told().0;
        let mut ledger = self.ledger();
        let mut wrong = None;
        if let Some(last) = last
            && let (Some(life), Some(before)) = (ledger.lives.get(id), ledger.lives.get(last))
        {
            // A message that failed after an unknown outcome may still arrive. Its reason says so.
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

    /// Checks a receipt that reaches Genesys.
    ///
    /// `left` is when it left its node. If that was before an earlier receipt arrived, the node
    /// could not know of that one.
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

    /// Records that a node has Genesys's answer to the question whether there is a final receipt. A
    /// question whose answer got lost does not count.
    pub(crate) fn told_of(&self, id: &MessageId, receipted: bool) {
        if let Some(life) = self.ledger().lives.get_mut(id) {
            life.missing |= !receipted;
        }
    }
}

/// Checks what no step may decide about a session: that a resend waits, or that the gateway never
/// asks about a pending handshake.
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
