//! The state of a conversation: the sum of its records.
//!
//! [`Conversation::apply`] is the only function that changes it, and depends on nothing but the
//! record. So a restart on any node finds the same state. No decisions are made here.

mod apply;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::death::HandledDeath;
use crate::mutant::{self, Mutant};
use crate::owed::Owed;
use crate::policy::Policy;
use crate::record::Record;
use crate::{Answer, MessageId, Offer, Reason, SessionId};

/// How long after its message's deadline an open attempt is ended without an answer. The call
/// itself ends at the deadline, and its answer, which has the true cause, needs time to arrive.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// One customer's conversation. It begins empty ([`Conversation::default`]). It is rebuilt from a
/// snapshot (its serde form) and the records after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may be true at once"
)]
pub struct Conversation {
    /// How many agents' messages were accepted. It breaks ties in the order.
    pub(crate) arrivals: u64,
    /// The greatest time of an accepted message. Snapshots of earlier versions lack it: see
    /// [`Conversation::last_place`].
    #[serde(default)]
    latest: Option<Timestamp>,
    pub(crate) session: Session,
    /// How many handshakes were started.
    pub(crate) handshakes: u32,
    /// Until when messages that lost their session may wait for the next one.
    pub(crate) hold_until: Option<Timestamp>,
    /// How many sessions in a row were lost before the chat service took or refused a message.
    #[serde(default)]
    pub(crate) losses: u32,
    /// When the next handshake starts, whether or not a message waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reopen_at: Option<Timestamp>,
    /// Calls for a session up to this number were made for a customer who has left. Their sessions
    /// are not used.
    #[serde(default)]
    pub(crate) abandoned: u32,
    /// Why the last try did not give a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<Reason>,
    /// Agents' messages that wait for a session or for their turn, in the order of I3.
    pub(crate) waiting: VecDeque<Waiting>,
    /// The open attempt. There is at most one.
    pub(crate) attempt: Option<OpenAttempt>,
    /// Messages that the chat service accepted and has not reported on, oldest first.
    pub(crate) unreported: VecDeque<Unreported>,
    pub(crate) paused: bool,
    /// The place of the message whose failure paused the conversation: the messages ahead of it go
    /// on. `None` if every message waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paused_at: Option<Place>,
    /// The place of the last message that failed, until a pause follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed_at: Option<Place>,
    pub(crate) ending: bool,
    /// The customer has left, and Genesys has not been told.
    #[serde(default)]
    pub(crate) leaving: bool,
    /// Why messages from the agent fail, until Genesys has ended the chat that the customer left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<Reason>,
    /// The chat has ended, and no other has begun. A further event that the customer has left means
    /// nothing.
    #[serde(default)]
    pub(crate) over: bool,
    /// What messages offer that wait to be sent, and the one offer that the customer may answer.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) offers: VecDeque<KeptOffer>,
    /// Customer's messages that wait for their turn.
    pub(crate) inbound: VecDeque<WaitingInbound>,
    /// What Genesys has not confirmed yet. It contains at most one customer's message, which keeps
    /// their order.
    pub(crate) owed: Vec<Owed>,
    /// The item that Genesys does not take, although it takes items of other customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<Failing>,
    /// Customers' messages that Genesys will never have and that the chat service has not been told
    /// about, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) untold: VecDeque<UntoldRefusal>,
    /// The last dead letters that operators acted on.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) handled: VecDeque<HandledDeath>,
    /// Genesys's conversation id, as far as it is known.
    pub(crate) genesys: Option<Box<str>>,
}

/// The session of a conversation, which has at most one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "session", rename_all = "snake_case")]
pub(crate) enum Session {
    #[default]
    Closed,
    Opening {
        attempt: u32,
        /// How often the call of this handshake was made.
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
    /// The chat service said that it will report the result.
    Pending {
        /// When the gateway asks again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_at: Option<Timestamp>,
    },
    /// The call failed and is made again at that time.
    Retrying { at: Timestamp },
}

/// A place in the order of I3: Genesys's time, then arrival.
pub(crate) type Place = (Timestamp, u64);

/// An agent's message that has not been sent, or may not have been sent.
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
    /// It must not be sent before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<Timestamp>,
    /// It must not be sent before this time, because the chat service asked for that: not even in a
    /// new session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked_until: Option<Timestamp>,
    /// Why the last attempt did not settle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Reason>,
    /// The outcome of one of its attempts is unknown: it may have arrived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unsure: bool,
}

impl Waiting {
    /// Its place in the order of I3.
    pub(crate) fn place(&self) -> Place {
        (self.time, self.arrival)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenAttempt {
    pub(crate) of: Waiting,
    pub(crate) session: SessionId,
    /// The customer left while the attempt was open, so it is the message's last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<Reason>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unreported {
    pub(crate) message: MessageId,
    /// Snapshots of earlier versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
    pub(crate) since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingInbound {
    pub(crate) message: MessageId,
    /// Until when it waits for a handshake in progress.
    pub(crate) hold_until: Timestamp,
    /// The option that it names, if it answers an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Box<Answer>>,
}

/// What one of the agent's messages offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptOffer {
    pub(crate) message: MessageId,
    #[serde(flatten)]
    pub(crate) offer: Box<Offer>,
    pub(crate) until: Timestamp,
    #[serde(default)]
    pub(crate) phase: OfferPhase,
}

/// Whether the customer may answer an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OfferPhase {
    /// Not yet: its message waits, and no attempt may have reached the customer.
    #[default]
    Waiting,
    /// An attempt was made, so the customer may have read it.
    Open,
    /// The customer has read it, and the attempt to send the next offer is open. The end of that
    /// attempt says which of the two they can read.
    Replaced,
}

/// An item that blocks the customer's next messages and fails, although Genesys takes items of
/// other customers. Only such tries count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    pub(crate) owed: Owed,
    pub(crate) tries: u32,
    /// When the first counted try failed.
    pub(crate) since: Timestamp,
}

/// A customer's message that Genesys will never have, until the chat service has been told about
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UntoldRefusal {
    pub(crate) message: MessageId,
    pub(crate) reason: Reason,
    /// Since when it is pending.
    pub(crate) since: Timestamp,
    /// How many calls were begun.
    pub(crate) attempts: u32,
    /// How many of them failed.
    #[serde(default)]
    pub(crate) failed: u32,
    pub(crate) phase: Telling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Telling {
    /// The next call must not start before this time.
    Waiting { until: Timestamp },
    /// The call is under way.
    Calling,
}

impl Conversation {
    /// Rebuilds a conversation from a snapshot and the records that follow it, each with the time
    /// of its step.
    pub fn replay(snapshot: Self, records: impl IntoIterator<Item = (Timestamp, Record)>) -> Self {
        records.into_iter().fold(snapshot, |mut conversation, (at, record)| {
            conversation.apply(at, &record);
            conversation
        })
    }

    /// Whether the chat has ended, or the customer has left it, and no other has begun.
    pub fn is_over(&self) -> bool {
        self.over || self.leaving || self.left.is_some()
    }

    /// What a text of the customer answers, if it names exactly one option that they can read.
    pub(crate) fn answered_by(&self, text: &str, now: Timestamp) -> Option<Answer> {
        let read = self.offers.iter().filter(|kept| kept.phase != OfferPhase::Waiting);
        let mut hits = read
            .filter(|kept| now <= kept.until)
            .filter_map(|kept| Some((kept, kept.offer.chosen(text)?)));
        let (Some((open, choice)), None) = (hits.next(), hits.next()) else { return None };
        let mut choice = choice.clone();
        if let (true, Some(first)) = (mutant::is(Mutant::WrongOption), open.offer.options.first()) {
            choice = first.clone();
        }
        Some(Answer { to: open.message.clone(), choice })
    }

    /// Whether nothing is open: no message waits, no call and no handshake is under way, Genesys is
    /// owed nothing.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.attempt.is_none()
            && self.unreported.is_empty()
            && self.inbound.is_empty()
            && self.owed.is_empty()
            && self.untold.is_empty()
            && self.reopen_at.is_none()
            && !matches!(self.session, Session::Opening { .. })
    }

    /// Whether a call to the chat service is open, so that a crash would lose its outcome.
    pub fn is_calling(&self) -> bool {
        let opening = matches!(self.session, Session::Opening { phase: Opening::Calling, .. });
        opening || self.attempt.is_some() || self.is_telling()
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

    /// Until when a session may be asked for, if that call is open: as long as the handshake may
    /// take.
    pub fn open_until(&self, call: u32) -> Option<Timestamp> {
        match self.session {
            Session::Opening { attempt, until, phase: Opening::Calling, .. } if attempt == call => {
                Some(until)
            }
            _ => None,
        }
    }

    /// The place in the order for a message without a time from Genesys: after everything accepted
    /// so far, whatever our clocks say.
    pub fn last_place(&self) -> Timestamp {
        let waiting = self.waiting.back().map(|last| last.time);
        let trying = self.attempt.as_ref().map(|open| open.of.time);
        self.latest.max(waiting).max(trying).unwrap_or(Timestamp::MIN)
    }

    /// How many customer's messages wait for their turn at Genesys. The caller may hold back
    /// further ones until there are few, because they are sent one at a time.
    pub fn inbound_waiting(&self) -> usize {
        self.inbound.len()
    }

    /// Genesys's conversation id, while its end must be detected: that is, while there is a session
    /// to close.
    pub fn watched(&self) -> Option<&str> {
        let watched = matches!(self.session, Session::Open { .. }) && !self.ending;
        self.genesys.as_deref().filter(|_| watched)
    }

    /// What Genesys has not confirmed yet.
    pub fn owed(&self) -> &[Owed] {
        &self.owed
    }

    /// When [`crate::Input::Tick`] is due if nothing else happens before. Every input may change
    /// it.
    pub fn next_wakeup(&self, policy: &Policy) -> Option<Timestamp> {
        let open = matches!(self.session, Session::Open { .. });
        let deadlines = self.waiting.iter().map(|waiting| self.deadline(waiting));
        let retry = self.waiting.front().and_then(|head| head.retry_at);
        let held = self.waiting.front().is_some_and(|head| self.is_held(head));
        let retry = retry.filter(|_| open && self.attempt.is_none() && !held);
        let handshake = match self.session {
            Session::Opening { until, phase: Opening::Retrying { at }, .. }
            | Session::Opening { until, phase: Opening::Pending { ask_at: Some(at) }, .. } => {
                Some(at.min(until))
            }
            Session::Opening { until, .. } => Some(until),
            Session::Closed => self.reopen_at,
            Session::Open { .. } => None,
        };
        let report =
            self.unreported.front().map(|first| later(first.since, policy.receipts.report_timeout));
        let inbound = self.next_inbound().map(|first| first.hold_until);
        let attempt = self.attempt_deadline();
        let tell = self.tell_at();
        deadlines
            .chain(attempt)
            .chain(retry)
            .chain(handshake)
            .chain(report)
            .chain(inbound)
            .chain(tell)
            .min()
    }

    /// Whether a pause holds this message back.
    pub(crate) fn is_held(&self, waiting: &Waiting) -> bool {
        self.paused && Some(waiting.place()) > self.paused_at
    }

    /// The place of a message that waits, or that the chat service took and has not reported on.
    pub(crate) fn place_of(&self, message: &MessageId) -> Option<Place> {
        let waiting = self.waiting.iter().find(|waiting| waiting.message == *message);
        let unreported = || self.unreported.iter().find(|taken| taken.message == *message);
        waiting.map(Waiting::place).or_else(|| unreported()?.place)
    }

    /// The deadline of a waiting message.
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

    /// When an open attempt is ended, whether or not its answer has come.
    pub(crate) fn attempt_deadline(&self) -> Option<Timestamp> {
        let open = self.attempt.as_ref().filter(|_| !mutant::is(Mutant::AttemptOutlivesMessage));
        open.map(|open| later(open.of.give_up, ANSWER_GRACE))
    }

    /// Whether there are customer's messages that Genesys does not have.
    pub(crate) fn has_words(&self) -> bool {
        !self.inbound.is_empty()
            || self.owed.iter().any(|owed| matches!(owed, Owed::Inbound { .. }))
    }

    /// The next customer's message, if nothing is on its way that must reach Genesys before it. A
    /// customer may come back before Genesys knows that they left. Then the disconnect must come
    /// first, or it would end the conversation that the new message begins.
    pub(crate) fn next_inbound(&self) -> Option<&WaitingInbound> {
        let before = |owed: &Owed| matches!(owed, Owed::Inbound { .. } | Owed::Disconnect { .. });
        self.inbound.front().filter(|_| !self.owed.iter().any(before))
    }
}

/// `t + d`, or the end of time.
pub(crate) fn later(t: Timestamp, d: Duration) -> Timestamp {
    t.checked_add(d).unwrap_or(Timestamp::MAX)
}
