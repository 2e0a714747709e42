//! Checks the invariants on a history of records.
//!
//! It shares no code with the state machine that writes the records, so it cannot repeat that
//! machine's mistakes. In particular, it does not take a message's place in the order from the
//! record: the caller says what Genesys wrote ([`History::wrote`]). `tidegate audit`, the property
//! tests and the simulation use it.

mod offers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use self::offers::Offers;
use crate::invariant::Invariant;
use crate::owed::{Fate, Owed, PostResult};
use crate::record::Record;
use crate::{AttemptOutcome, MessageId, Report, SessionId, TellOutcome};

/// How long after its deadline an attempt may start (I8).
const SLACK: Duration = Duration::from_secs(1);

/// An invariant that a history breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The invariant. [`Invariant::OneOwner`] also stands for a record that makes no sense.
    pub invariant: Invariant,
    /// The journal's sequence number of the record that breaks it.
    pub seq: u64,
    /// The message, if the breach concerns one.
    pub message: Option<MessageId>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at seq {}", self.invariant, self.seq)?;
        if let Some(message) = &self.message {
            write!(f, ", message {message}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What Genesys wrote as the time of a message (`channel.time`), read from the message and from
/// nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// This time.
    At(Timestamp),
    /// No valid time: the message's place is after every message accepted before it.
    NoTime,
}

/// Reads the records of one conversation in order, and collects every breach.
#[derive(Debug, Default)]
pub struct History {
    /// The beginning was pruned, so records about unknown messages are normal.
    pruned: bool,
    seq: u64,
    arrivals: u64,
    messages: HashMap<MessageId, Life>,
    written: HashMap<MessageId, Written>,
    /// The greatest time of an accepted message so far.
    latest: Option<Timestamp>,
    /// Messages that may be forwarded, in the required order, without those whose time is unknown.
    queue: BTreeSet<(Timestamp, u64, MessageId)>,
    attempt: Option<(MessageId, u32, SessionId)>,
    session: Option<SessionId>,
    inbound: VecDeque<MessageId>,
    inbound_open: Option<MessageId>,
    inbound_seen: BTreeSet<MessageId>,
    /// Customers' messages that Genesys will never accept.
    refused: BTreeMap<MessageId, Timestamp>,
    /// The refused messages that the chat service has not been told about yet, each with the number
    /// of the last call about it.
    untold: BTreeMap<MessageId, u32>,
    /// The refused message with an open call about it.
    telling: Option<MessageId>,
    /// The refused messages that the chat service will never be told about.
    never_told: BTreeSet<MessageId>,
    offers: Offers,
    breaches: Vec<Breach>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one message")]
struct Life {
    /// `None` if the caller did not say what Genesys wrote.
    place: Option<(Timestamp, u64)>,
    give_up: Timestamp,
    attempts: u32,
    retry_at: Option<Timestamp>,
    /// Until when the chat service asked not to be called.
    asked_until: Option<Timestamp>,
    /// The customer has left since it was accepted.
    left: bool,
    taken: bool,
    arrived: bool,
    fate: Option<Fate>,
    receipt: bool,
    final_receipts: u32,
}

/// What is known about a message when an attempt for it starts.
struct Before {
    attempts: u32,
    fate: Option<Fate>,
    left: bool,
    /// The end of the pause, if the attempt starts before it.
    too_early: Option<Timestamp>,
    give_up: Timestamp,
}

impl Before {
    /// The invariants that an attempt breaks if it starts at `at`.
    fn breaches(&self, at: Timestamp, attempt: u32) -> Vec<(Invariant, String)> {
        let Self { attempts, fate, left, too_early, give_up } = self;
        let mut found = Vec::new();
        if attempt != attempts + 1 {
            found.push((
                Invariant::AttemptsJournaled,
                format!("attempt {attempt} follows attempt {attempts}"),
            ));
        }
        match fate {
            Some(Fate::Failed { .. }) => {
                found.push((
                    Invariant::NothingAfterFailed,
                    format!("attempt {attempt} after it was failed"),
                ));
            }
            Some(_) => found.push((
                Invariant::AttemptsJournaled,
                format!("attempt {attempt} after it was settled"),
            )),
            None => {}
        }
        if *left {
            let what = format!("attempt {attempt} starts after the customer had left");
            found.push((Invariant::NothingAfterFailed, what));
        }
        if let Some(retry_at) = too_early {
            let what = format!("attempt {attempt} starts before its pause is over ({retry_at})");
            found.push((Invariant::AttemptsJournaled, what));
        }
        if give_up.checked_add(SLACK).is_ok_and(|latest| at > latest) {
            let what = format!("attempt {attempt} starts after its time was up ({give_up})");
            found.push((Invariant::InTime, what));
        }
        found
    }
}

impl History {
    /// A history whose beginning was pruned.
    pub fn pruned() -> Self {
        Self { pruned: true, ..Self::default() }
    }

    /// Says what Genesys wrote as a message's time. Call it before [`Self::read`] gets the record
    /// that accepts the message. Otherwise the order of the message is not checked.
    pub fn wrote(&mut self, message: &MessageId, written: Written) {
        self.written.insert(message.clone(), written);
    }

    /// Reads the next record, journaled under `seq` at `at`.
    pub fn read(&mut self, seq: u64, at: Timestamp, record: &Record) {
        if seq != self.seq + 1 && !(self.pruned && self.seq == 0) {
            self.breach(Invariant::OneOwner, seq, None, format!("follows seq {}", self.seq));
        }
        self.seq = seq;
        for (invariant, what) in self.offers.read(at, record) {
            if !self.pruned {
                self.breach(invariant, seq, record.message(), what);
            }
        }
        match record {
            Record::Accepted { message, give_up, .. } => self.accepted(message, *give_up),
            Record::AttemptStarted { message, attempt, session } => {
                self.started(at, message, *attempt, session);
            }
            Record::AttemptEnded { message, attempt, outcome, retry_at } => {
                self.ended(at, message, *attempt, outcome, *retry_at);
            }
            Record::Reported { message, report } => {
                if let (Some(life), Report::Delivered | Report::Read) =
                    (self.messages.get_mut(message), report)
                {
                    life.arrived |= life.attempts > 0;
                }
            }
            Record::Settled { message, fate, receipt } => self.settled(message, fate, *receipt),
            Record::SentDue { message } => {
                if self.messages.get(message).is_some_and(|life| !life.taken || life.fate.is_some())
                {
                    self.breach(
                        Invariant::TrueReceipts,
                        seq,
                        Some(message),
                        "a Sent is due that is not true".into(),
                    );
                }
            }
            Record::ReceiptDone { message, last, result } => self.receipt(message, *last, result),
            Record::SessionOpened { session } => {
                self.session = Some(session.clone());
                // A new session ends the pauses that the gateway chose itself.
                self.messages.values_mut().for_each(|life| life.retry_at = life.asked_until);
            }
            Record::SessionClosed { reason, .. } => {
                self.session = None;
                // Older versions gave no reason, and sent the waiting messages in the next session.
                self.messages
                    .values_mut()
                    .for_each(|life| life.left |= reason.is_some() && life.fate.is_none());
            }
            Record::SessionRefused { .. } => self.session = None,
            Record::InboundAccepted { message, .. } => {
                if !self.inbound_seen.insert(message.clone()) {
                    self.breach(
                        Invariant::NoSecondEffect,
                        seq,
                        Some(message),
                        "a customer's message was accepted twice".into(),
                    );
                }
                self.inbound.push_back(message.clone());
            }
            Record::InboundReleased { message, .. } => self.inbound_released(message),
            Record::InboundDone { message, result } => {
                if !result.is_posted() {
                    self.refused.insert(message.clone(), at);
                }
                if self.inbound_open.as_ref() == Some(message) {
                    self.inbound_open = None;
                } else if !self.pruned {
                    self.breach(
                        Invariant::OneOwner,
                        seq,
                        Some(message),
                        "is done, but was not on its way to Genesys".into(),
                    );
                }
            }
            Record::PostFailed { owed: Owed::Inbound { message, .. }, .. } => {
                if self.inbound_open.as_ref() != Some(message) && !self.pruned {
                    self.breach(
                        Invariant::OneOwner,
                        seq,
                        Some(message),
                        "fails, but was not on its way to Genesys".into(),
                    );
                }
            }
            Record::InboundRetried { message, died, .. } => self.inbound_retried(message, *died),
            Record::InboundDiscarded { message, died, .. } => {
                self.leave_dead_letters(message, *died, "is discarded");
            }
            Record::RefusalDue { message, .. } => {
                if !self.refused.contains_key(message) && !self.pruned {
                    self.breach(
                        Invariant::OneOwner,
                        seq,
                        Some(message),
                        "is to be told as refused, and was not refused".into(),
                    );
                }
                if self.untold.insert(message.clone(), 0).is_some() {
                    self.breach(
                        Invariant::OneOwner,
                        seq,
                        Some(message),
                        "is to be told as refused twice".into(),
                    );
                }
            }
            Record::RefusalTelling { message, attempt } => {
                self.refusal_telling(seq, message, *attempt);
            }
            Record::RefusalTold { message, retry_at, outcome } => {
                let calling = self.telling.take_if(|telling| telling == message).is_some();
                let for_good = !matches!(outcome, TellOutcome::Heard) && retry_at.is_none();
                if !calling && !for_good && !self.pruned {
                    self.breach(
                        Invariant::OneOwner,
                        seq,
                        Some(message),
                        "was told as refused, and no call was made".into(),
                    );
                }
                if retry_at.is_none() {
                    self.untold.remove(message);
                    if *outcome != TellOutcome::Heard {
                        self.never_told.insert(message.clone());
                    }
                }
            }
            Record::DisconnectDue { .. } => {
                if let Some(words) =
                    self.inbound_open.clone().or_else(|| self.inbound.front().cloned())
                {
                    let what = "would reach Genesys after the customer was disconnected";
                    self.breach(Invariant::InboundInOrder, seq, Some(&words), what.into());
                }
            }
            Record::HandshakeStarted { .. }
            | Record::HandshakePending { .. }
            | Record::HandshakeFailed { .. }
            | Record::Paused
            | Record::Resumed
            | Record::Offered { .. }
            | Record::GenesysConversation { .. }
            | Record::NoticeDue { .. }
            | Record::NoticeDone { .. }
            | Record::CustomerLeft { .. }
            | Record::PostFailed { .. }
            | Record::DisconnectDone { .. }
            | Record::Ending => {}
        }
    }

    /// The message takes its place behind those that wait, and the chat service need not be told
    /// any more.
    fn inbound_retried(&mut self, message: &MessageId, died: Timestamp) {
        self.leave_dead_letters(message, died, "is posted again");
        self.never_told.remove(message);
        self.untold.remove(message);
        self.telling.take_if(|telling| telling == message);
        self.inbound.push_back(message.clone());
    }

    /// An action on a dead letter ends it. `died` says which of its deaths the action is about.
    fn leave_dead_letters(&mut self, message: &MessageId, died: Timestamp, what: &str) {
        let why = match self.refused.remove(message) {
            // Stores keep milliseconds.
            Some(since) if since.as_millisecond() == died.as_millisecond() => return,
            Some(_) => "because of an action on an earlier dead letter",
            None => "and was no dead letter",
        };
        if !self.pruned {
            let what = format!("{what}, {why}");
            self.breach(Invariant::NoSecondEffect, self.seq, Some(message), what);
        }
    }

    fn refusal_telling(&mut self, seq: u64, message: &MessageId, attempt: u32) {
        let before = self.untold.insert(message.clone(), attempt);
        if self.pruned {
            self.telling = Some(message.clone());
            return;
        }
        if before.is_none_or(|before| attempt != before + 1) {
            let what = format!("is told as refused by call {attempt}, after {before:?}");
            self.breach(Invariant::OneOwner, seq, Some(message), what);
        }
        if let Some(other) = self.telling.replace(message.clone()) {
            self.breach(
                Invariant::OneOwner,
                seq,
                Some(message),
                format!("is told as refused while {other} is"),
            );
        }
    }

    /// Every breach found so far.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// The sequence number of the last record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Agents' messages that are accepted and not settled yet.
    pub fn unsettled(&self) -> impl Iterator<Item = &MessageId> {
        self.messages.iter().filter(|(_, life)| life.fate.is_none()).map(|(message, _)| message)
    }

    /// Agents' messages whose final receipt is decided and has not reached Genesys.
    pub fn unreceipted(&self) -> impl Iterator<Item = &MessageId> {
        let owed = |life: &Life| life.receipt && life.final_receipts == 0;
        self.messages.iter().filter(move |(_, life)| owed(life)).map(|(message, _)| message)
    }

    /// Customers' messages that Genesys will never accept and that the chat service has not been
    /// told about. It is told about those too that an operator has discarded.
    pub fn untold(&self) -> impl Iterator<Item = &MessageId> {
        self.untold.keys()
    }

    /// The refused messages that the chat service will never be told about, unless a retry makes it
    /// unnecessary. It did not answer for a day, too many waited, or the call can never be made.
    pub fn never_told(&self) -> impl Iterator<Item = &MessageId> {
        self.never_told.iter()
    }

    /// The fate of an agent's message: `None` if it was never accepted, `Some(None)` if it is still
    /// open.
    pub fn fate(&self, message: &MessageId) -> Option<Option<&Fate>> {
        self.messages.get(message).map(|life| life.fate.as_ref())
    }

    /// How many agents' messages were accepted.
    pub fn accepted_messages(&self) -> usize {
        self.messages.len()
    }

    /// How many accepted messages have an unknown place in the order, so that their order was not
    /// checked.
    pub fn unjudged(&self) -> usize {
        self.messages.values().filter(|life| life.place.is_none()).count()
    }

    fn accepted(&mut self, message: &MessageId, give_up: Timestamp) {
        self.arrivals += 1;
        let time = self.written.remove(message).map(|written| match written {
            Written::At(time) => time,
            Written::NoTime => self.latest.unwrap_or(Timestamp::MIN),
        });
        self.latest = self.latest.max(time);
        let place = time.map(|time| (time, self.arrivals));
        let life = Life {
            place,
            give_up,
            attempts: 0,
            retry_at: None,
            asked_until: None,
            left: false,
            taken: false,
            arrived: false,
            fate: None,
            receipt: false,
            final_receipts: 0,
        };
        if self.messages.insert(message.clone(), life).is_some() {
            self.breach(
                Invariant::NoSecondEffect,
                self.seq,
                Some(message),
                "was accepted twice".into(),
            );
        }
        self.enqueue(message, place);
    }

    fn enqueue(&mut self, message: &MessageId, place: Option<(Timestamp, u64)>) {
        if let Some((time, arrival)) = place {
            self.queue.insert((time, arrival, message.clone()));
        }
    }

    fn dequeue(&mut self, message: &MessageId, place: Option<(Timestamp, u64)>) {
        if let Some((time, arrival)) = place {
            self.queue.remove(&(time, arrival, message.clone()));
        }
    }

    fn started(&mut self, at: Timestamp, message: &MessageId, attempt: u32, session: &SessionId) {
        let seq = self.seq;
        if let Some((other, number, _)) = self.attempt.take() {
            let what =
                format!("attempt {attempt} starts while attempt {number} of {other} is open");
            self.breach(Invariant::InOrder, seq, Some(message), what);
        }
        self.attempt = Some((message.clone(), attempt, session.clone()));
        if self.session.as_ref() != Some(session) && !(self.pruned && self.session.is_none()) {
            let what = format!("attempt {attempt} goes into session {session}, not the open one");
            self.breach(Invariant::InOrder, seq, Some(message), what);
        }
        let Some(life) = self.messages.get_mut(message) else {
            if !self.pruned {
                let what = format!("attempt {attempt} of a message never accepted");
                self.breach(Invariant::AttemptsJournaled, seq, Some(message), what);
            }
            return;
        };
        let too_early = life.retry_at.take().filter(|retry_at| at < *retry_at);
        let before = Before {
            attempts: life.attempts,
            fate: life.fate.clone(),
            left: life.left,
            too_early,
            give_up: life.give_up,
        };
        let place = life.place;
        life.attempts = attempt;
        for (invariant, what) in before.breaches(at, attempt) {
            self.breach(invariant, seq, Some(message), what);
        }
        let overtaken = |first: &&(Timestamp, u64, MessageId)| {
            place.is_some_and(|place| (first.0, first.1) < place)
        };
        if let Some((_, _, first)) = self.queue.first().filter(overtaken).cloned() {
            self.breach(Invariant::InOrder, seq, Some(message), format!("overtakes {first}"));
        }
        self.dequeue(message, place);
    }

    fn ended(
        &mut self,
        at: Timestamp,
        message: &MessageId,
        attempt: u32,
        outcome: &AttemptOutcome,
        retry_at: Option<Timestamp>,
    ) {
        let open = self.attempt.take();
        if !open.is_some_and(|(m, a, _)| m == *message && a == attempt) && !self.pruned {
            self.breach(
                Invariant::AttemptsJournaled,
                self.seq,
                Some(message),
                format!("attempt {attempt} ends, but was not open"),
            );
        }
        let Some(life) = self.messages.get_mut(message) else { return };
        life.retry_at = retry_at;
        life.asked_until = match outcome {
            AttemptOutcome::NotTaken { after: Some(after), .. } => at.checked_add(*after).ok(),
            _ => None,
        };
        match outcome {
            AttemptOutcome::Delivered { .. } => (life.taken, life.arrived) = (true, true),
            AttemptOutcome::Accepted { .. } => life.taken = true,
            AttemptOutcome::Rejected { .. }
            | AttemptOutcome::SessionGone
            | AttemptOutcome::NotTaken { .. }
            | AttemptOutcome::Unknown { .. } => {
                if life.fate.is_none() {
                    let place = life.place;
                    self.enqueue(message, place);
                }
            }
        }
    }

    fn settled(&mut self, message: &MessageId, fate: &Fate, receipt: bool) {
        let seq = self.seq;
        let Some(life) = self.messages.get_mut(message) else {
            if !self.pruned {
                self.breach(
                    Invariant::OneFinalReceipt,
                    seq,
                    Some(message),
                    "is settled, but was never accepted".into(),
                );
            }
            return;
        };
        let earlier = life.fate.replace(fate.clone());
        life.receipt |= receipt;
        let (place, taken, arrived) = (life.place, life.taken, life.arrived);
        self.dequeue(message, place);
        if let Some(earlier) = earlier {
            self.breach(
                Invariant::OneFinalReceipt,
                seq,
                Some(message),
                format!("is settled as {fate:?} after {earlier:?}"),
            );
        }
        if self.attempt.as_ref().is_some_and(|(open, _, _)| open == message) {
            self.breach(
                Invariant::AttemptsJournaled,
                seq,
                Some(message),
                "is settled while an attempt is open".into(),
            );
        }
        match fate {
            Fate::Delivered if !taken && !arrived => {
                self.breach(
                    Invariant::TrueReceipts,
                    seq,
                    Some(message),
                    "is Delivered, but the chat service never said so".into(),
                );
            }
            Fate::Sent if !taken => {
                self.breach(
                    Invariant::TrueReceipts,
                    seq,
                    Some(message),
                    "is Sent, but the chat service never took it".into(),
                );
            }
            Fate::Failed { reason } if reason.message.is_empty() => {
                self.breach(
                    Invariant::TrueReceipts,
                    seq,
                    Some(message),
                    "is Failed without a reason".into(),
                );
            }
            Fate::Delivered | Fate::Sent | Fate::Failed { .. } => {}
        }
    }

    fn receipt(&mut self, message: &MessageId, last: bool, _result: &PostResult) {
        let seq = self.seq;
        let Some(life) = self.messages.get_mut(message) else { return };
        let decided = life.fate.is_some() && life.receipt;
        let before = life.final_receipts;
        life.final_receipts += u32::from(last);
        if before > 0 {
            let which =
                if last { "a second final receipt" } else { "a receipt after the final one" };
            self.breach(Invariant::OneFinalReceipt, seq, Some(message), which.into());
        } else if last && !decided {
            self.breach(
                Invariant::OneFinalReceipt,
                seq,
                Some(message),
                "a final receipt before the message was settled".into(),
            );
        }
    }

    fn inbound_released(&mut self, message: &MessageId) {
        let seq = self.seq;
        if self.inbound_open.as_ref() == Some(message) {
            // Its words go instead of the option that it names.
            return;
        }
        if let Some(open) = self.inbound_open.replace(message.clone()) {
            self.breach(
                Invariant::InboundInOrder,
                seq,
                Some(message),
                format!("goes to Genesys while {open} is on its way"),
            );
        }
        let first = self.inbound.pop_front();
        if first.as_ref() != Some(message) && !self.pruned {
            let first = first.map_or("none".to_owned(), |first| first.to_string());
            self.breach(
                Invariant::InboundInOrder,
                seq,
                Some(message),
                format!("goes to Genesys before its turn: the first was {first}"),
            );
        }
    }

    fn breach(
        &mut self,
        invariant: Invariant,
        seq: u64,
        message: Option<&MessageId>,
        what: String,
    ) {
        self.breaches.push(Breach { invariant, seq, message: message.cloned(), what });
    }
}
