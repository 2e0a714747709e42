//! What a conversation is: the sum of its records.
//!
//! [`Conversation::apply`] is the only function that changes it, and depends on nothing but the record, so that a
//! restart on any node finds the same state. Nothing is decided here.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::input::Owed;
use crate::mutant::{self, Mutant};
use crate::policy::Policy;
use crate::record::{Fate, PostResult, Record};
use crate::{AttemptOutcome, MessageId, Reason, SessionId};

/// One customer's conversation. It begins empty ([`Conversation::default`]), and is rebuilt from a snapshot (its serde
/// form) and the records after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// How many agent's messages were accepted: the tie-break of the order.
    pub(crate) arrivals: u64,
    pub(crate) session: Session,
    /// How many handshakes were started.
    pub(crate) handshakes: u32,
    /// Messages that lost their session may wait until then for the next one.
    pub(crate) hold_until: Option<Timestamp>,
    /// Agents' messages that wait for a session or for their turn, in the order in which they must go.
    pub(crate) waiting: VecDeque<Waiting>,
    /// The one attempt that is open.
    pub(crate) attempt: Option<OpenAttempt>,
    /// Messages that the chat service took and has not reported on.
    pub(crate) unreported: VecDeque<Unreported>,
    pub(crate) paused: bool,
    pub(crate) ending: bool,
    /// The customer has left, and Genesys has not been told.
    #[serde(default)]
    pub(crate) leaving: bool,
    /// Customer's messages that wait for their turn.
    pub(crate) inbound: VecDeque<WaitingInbound>,
    /// What Genesys has not confirmed yet. At most one customer's message is among it, which keeps their order.
    pub(crate) owed: Vec<Owed>,
    /// Genesys's conversation id, as far as it is known.
    pub(crate) genesys: Option<Box<str>>,
}

/// A conversation has at most one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "session", rename_all = "snake_case")]
pub(crate) enum Session {
    #[default]
    Closed,
    Opening {
        attempt: u32,
        /// How often this handshake's call was made.
        tries: u32,
        /// When this handshake is given up.
        until: Timestamp,
        phase: Opening,
    },
    Open {
        id: SessionId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Opening {
    /// The call is under way.
    Calling,
    /// The chat service said that it will tell.
    Pending,
    /// The call failed and is made again then.
    Retrying { at: Timestamp },
}

/// An agent's message that has not gone, or may not have gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) message: MessageId,
    pub(crate) time: Timestamp,
    pub(crate) arrival: u64,
    pub(crate) hold_until: Timestamp,
    pub(crate) give_up: Timestamp,
    /// How many attempts there have been.
    #[serde(default)]
    pub(crate) attempts: u32,
    /// Not before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<Timestamp>,
    /// Why the last attempt did not settle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Reason>,
}

impl Waiting {
    /// Its place in the order of I3.
    fn place(&self) -> (Timestamp, u64) {
        (self.time, self.arrival)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenAttempt {
    pub(crate) of: Waiting,
    pub(crate) session: SessionId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unreported {
    pub(crate) message: MessageId,
    pub(crate) since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingInbound {
    pub(crate) message: MessageId,
    /// How long it waits for a handshake that is under way.
    pub(crate) hold_until: Timestamp,
}

impl Conversation {
    /// Rebuilds a conversation from a snapshot and the records that follow it, each with the time of its step.
    pub fn replay(snapshot: Self, records: impl IntoIterator<Item = (Timestamp, Record)>) -> Self {
        records.into_iter().fold(snapshot, |mut conversation, (at, record)| {
            conversation.apply(at, &record);
            conversation
        })
    }

    /// Whether nothing is open: no message waits, no call and no handshake is under way, Genesys is owed nothing.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.attempt.is_none()
            && self.unreported.is_empty()
            && self.inbound.is_empty()
            && self.owed.is_empty()
            && !matches!(self.session, Session::Opening { .. })
    }

    /// Whether a call to the chat service is open, whose outcome would be lost in a crash.
    pub fn is_calling(&self) -> bool {
        self.attempt.is_some()
            || matches!(self.session, Session::Opening { phase: Opening::Calling, .. })
    }

    /// The message whose attempt is open, and which attempt that is.
    pub fn open_attempt(&self) -> Option<(&MessageId, u32)> {
        self.attempt.as_ref().map(|open| (&open.of.message, open.of.attempts))
    }

    /// Until when an attempt may begin, if it is open: until its message is given up.
    pub fn attempt_until(&self, message: &MessageId, attempt: u32) -> Option<Timestamp> {
        let open =
            self.attempt.as_ref().filter(|_| self.open_attempt() == Some((message, attempt)));
        open.map(|open| open.of.give_up)
    }

    /// Until when a session may be asked for, if that call is open: as long as the handshake may take.
    pub fn open_until(&self, call: u32) -> Option<Timestamp> {
        match self.session {
            Session::Opening { attempt, until, phase: Opening::Calling, .. } if attempt == call => {
                Some(until)
            }
            _ => None,
        }
    }

    /// How many customer's messages wait for their turn at Genesys. Whoever feeds the conversation may leave further ones
    /// where they are until there are few: they go one at a time anyway.
    pub fn inbound_waiting(&self) -> usize {
        self.inbound.len()
    }

    /// Genesys's conversation while it has to be watched for its end: that is, while there is a session to close.
    pub fn watched(&self) -> Option<&str> {
        let watched = matches!(self.session, Session::Open { .. }) && !self.ending;
        self.genesys.as_deref().filter(|_| watched)
    }

    /// What Genesys has not confirmed yet.
    pub fn owed(&self) -> &[Owed] {
        &self.owed
    }

    /// When [`crate::Input::Tick`] is due, if nothing else happens before; it changes with every input.
    pub fn next_wakeup(&self, policy: &Policy) -> Option<Timestamp> {
        let open = matches!(self.session, Session::Open { .. });
        let deadlines = self.waiting.iter().map(|waiting| self.deadline(waiting));
        let retry = self.waiting.front().and_then(|head| head.retry_at);
        let retry = retry.filter(|_| open && self.attempt.is_none() && !self.paused);
        let handshake = match self.session {
            Session::Opening { until, phase: Opening::Retrying { at }, .. } => Some(at.min(until)),
            Session::Opening { until, .. } => Some(until),
            Session::Closed | Session::Open { .. } => None,
        };
        let report =
            self.unreported.front().map(|first| later(first.since, policy.receipts.report_timeout));
        let inbound = self.next_inbound().map(|first| first.hold_until);
        deadlines.chain(retry).chain(handshake).chain(report).chain(inbound).min()
    }

    /// When a waiting message's time is up.
    pub(crate) fn deadline(&self, waiting: &Waiting) -> Timestamp {
        match self.session {
            Session::Open { .. } if mutant::is(Mutant::DeadlineMoved) => {
                later(waiting.give_up, std::time::Duration::from_mins(1))
            }
            Session::Open { .. } => waiting.give_up,
            Session::Closed | Session::Opening { .. } => {
                let hold = self
                    .hold_until
                    .map_or(waiting.hold_until, |until| until.max(waiting.hold_until));
                hold.min(waiting.give_up)
            }
        }
    }

    /// Whether there are customer's words that Genesys does not have.
    pub(crate) fn has_words(&self) -> bool {
        !self.inbound.is_empty()
            || self.owed.iter().any(|owed| matches!(owed, Owed::Inbound { .. }))
    }

    /// The next customer's message, where nothing is on its way to Genesys that must be there before it. She may be back
    /// before Genesys knows that she had left: in this order, or the disconnect would end what her words begin.
    pub(crate) fn next_inbound(&self) -> Option<&WaitingInbound> {
        let before = |owed: &Owed| matches!(owed, Owed::Inbound { .. } | Owed::Disconnect { .. });
        self.inbound.front().filter(|_| !self.owed.iter().any(before))
    }

    /// Adds one record, taken at `at`. A record that does not fit is passed over: `tidegate audit` names it.
    pub(crate) fn apply(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Accepted { message, time, hold_until, give_up, .. } => {
                self.arrivals += 1;
                self.enqueue(Waiting {
                    message: message.clone(),
                    time: *time,
                    arrival: self.arrivals,
                    hold_until: *hold_until,
                    give_up: *give_up,
                    attempts: 0,
                    retry_at: None,
                    last: None,
                });
            }
            Record::AttemptStarted { message, attempt, session } => {
                if let Some(mut of) = self.take_waiting(message) {
                    of.attempts = *attempt;
                    of.retry_at = None;
                    self.attempt = Some(OpenAttempt { of, session: session.clone() });
                }
            }
            Record::AttemptEnded { message, outcome, retry_at, .. } => {
                self.apply_attempt_ended(at, message, outcome, *retry_at);
            }
            Record::Settled { message, fate, receipt } => {
                self.waiting.retain(|waiting| waiting.message != *message);
                self.unreported.retain(|unreported| unreported.message != *message);
                if *receipt {
                    // A Sent that has not left is not worth sending any more.
                    self.owed.retain(|owed| !matches!(owed, Owed::Receipt { message: m, .. } if m == message));
                    self.owed.push(Owed::Receipt { message: message.clone(), fate: Some(fate.clone()) });
                }
            }
            Record::SentDue { message } => self.owed.push(Owed::Receipt { message: message.clone(), fate: None }),
            Record::ReceiptDone { message, last, .. } => self.owed.retain(
                |owed| !matches!(owed, Owed::Receipt { message: m, fate } if m == message && fate.is_some() == *last),
            ),
            Record::HandshakeStarted { attempt, until } => {
                let tries = if let Session::Opening { tries, .. } = self.session { tries + 1 } else { 1 };
                self.handshakes = *attempt;
                self.session = Session::Opening { attempt: *attempt, tries, until: *until, phase: Opening::Calling };
            }
            Record::HandshakePending { .. } => self.set_phase(Opening::Pending),
            Record::HandshakeFailed { retry_at: Some(at), .. } => self.set_phase(Opening::Retrying { at: *at }),
            Record::HandshakeFailed { retry_at: None, .. } | Record::SessionRefused { .. } => {
                self.session = Session::Closed;
                self.ending = false;
            }
            Record::SessionOpened { session } => {
                self.session = Session::Open { id: session.clone() };
                self.hold_until = None;
            }
            Record::SessionClosed { hold_until, .. } => {
                self.session = Session::Closed;
                self.hold_until = Some(*hold_until);
                self.ending = false;
            }
            Record::Paused => self.paused = true,
            Record::Resumed => self.paused = false,
            Record::InboundAccepted { message, hold_until } => {
                self.inbound.push_back(WaitingInbound { message: message.clone(), hold_until: *hold_until });
                self.ending = false;
                self.leaving = false;
            }
            Record::InboundReleased { message } => {
                self.inbound.retain(|waiting| waiting.message != *message);
                self.owed.push(Owed::Inbound { message: message.clone() });
            }
            Record::InboundDone { message, .. } => {
                self.owed.retain(|owed| !matches!(owed, Owed::Inbound { message: m } if m == message));
            }
            Record::GenesysConversation { id } => self.genesys = Some(id.clone()),
            Record::NoticeDue { message, notice } => {
                self.owed.push(Owed::Notice { message: message.clone(), notice: *notice });
            }
            Record::NoticeDone { message, notice, .. } => self
                .owed
                .retain(|owed| !matches!(owed, Owed::Notice { message: m, notice: n } if m == message && n == notice)),
            Record::CustomerLeft => self.leaving = true,
            Record::DisconnectDue { id } => {
                self.leaving = false;
                self.owed.push(Owed::Disconnect { id: id.clone() });
            }
            Record::DisconnectDone { .. } => self.owed.retain(|owed| !matches!(owed, Owed::Disconnect { .. })),
            Record::Ending => self.ending = true,
            Record::Reported { .. } => {}
        }
    }

    fn apply_attempt_ended(
        &mut self,
        at: Timestamp,
        message: &MessageId,
        outcome: &AttemptOutcome,
        retry_at: Option<Timestamp>,
    ) {
        let Some(OpenAttempt { mut of, .. }) =
            self.attempt.take_if(|open| open.of.message == *message)
        else {
            return;
        };
        match outcome {
            AttemptOutcome::Accepted { .. } => {
                self.unreported.push_back(Unreported { message: of.message, since: at });
            }
            AttemptOutcome::Delivered { .. } => {}
            // What is final is followed by its `Settled`; until then the message keeps its place.
            AttemptOutcome::SessionGone => {
                of.retry_at = retry_at;
                self.enqueue(of);
            }
            AttemptOutcome::Rejected { reason }
            | AttemptOutcome::NotTaken { reason, .. }
            | AttemptOutcome::Unknown { reason } => {
                of.retry_at = retry_at;
                of.last = Some(reason.clone());
                self.enqueue(of);
            }
        }
    }

    /// Puts a message into its place of the order.
    fn enqueue(&mut self, waiting: Waiting) {
        if mutant::is(Mutant::NewestFirst) {
            return self.waiting.push_front(waiting);
        }
        let place = self.waiting.partition_point(|other| other.place() <= waiting.place());
        self.waiting.insert(place, waiting);
    }

    fn take_waiting(&mut self, message: &MessageId) -> Option<Waiting> {
        let place = self.waiting.iter().position(|waiting| waiting.message == *message)?;
        self.waiting.remove(place)
    }

    fn set_phase(&mut self, to: Opening) {
        if let Session::Opening { phase, .. } = &mut self.session {
            *phase = to;
        }
    }
}

/// `t + d`, or the end of time.
pub(crate) fn later(t: Timestamp, d: Duration) -> Timestamp {
    t.checked_add(d).unwrap_or(Timestamp::MAX)
}

impl PostResult {
    /// Whether Genesys took it.
    pub fn is_posted(&self) -> bool {
        matches!(self, Self::Posted { .. })
    }
}

impl Fate {
    /// Whether the message failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}
