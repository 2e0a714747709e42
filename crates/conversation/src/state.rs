//! What a conversation is: the sum of its records.
//!
//! [`Conversation::apply`] is the only function that changes it, and depends on nothing but the
//! record. So a restart on any node finds the same state. No decisions are made here.

mod apply;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mutant::{self, Mutant};
use crate::owed::Owed;
use crate::policy::Policy;
use crate::record::Record;
use crate::{MessageId, Reason, SessionId};

/// How much longer than its message's deadline an open attempt may take. The call itself is cut off
/// at that deadline. Its answer, which knows the true cause, must arrive before the attempt is
/// ended without one.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// One customer's conversation. It begins empty ([`Conversation::default`]). It is rebuilt from a
/// snapshot (its serde form) and the records after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may be true at once"
)]
pub struct Conversation {
    /// How many agents' messages were accepted: the tie-break of the order.
    pub(crate) arrivals: u64,
    /// The greatest time of an accepted message. Snapshots of earlier versions lack it: see
    /// [`Conversation::last_place`].
    #[serde(default)]
    latest: Option<Timestamp>,
    pub(crate) session: Session,
    /// How many handshakes were started.
    pub(crate) handshakes: u32,
    /// How long messages that lost their session may wait for the next one.
    pub(crate) hold_until: Option<Timestamp>,
    /// How many sessions in a row were lost before the chat service took or refused a message.
    #[serde(default)]
    pub(crate) losses: u32,
    /// When the next handshake starts, whether or not a message waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reopen_at: Option<Timestamp>,
    /// Calls for a session up to this one were made for a customer who has left. Their session is
    /// not used.
    #[serde(default)]
    pub(crate) abandoned: u32,
    /// Why there is no session, as far as the last try showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<Reason>,
    /// Agents' messages that wait for a session or for their turn, in sending order.
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
    /// Why messages from the agent fail, until Genesys has ended the chat that the customer left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<Reason>,
    /// The chat has ended, and no other has begun: there is nothing left for the customer to leave.
    #[serde(default)]
    pub(crate) over: bool,
    /// Customer's messages that wait for their turn.
    pub(crate) inbound: VecDeque<WaitingInbound>,
    /// What Genesys has not confirmed yet. It contains at most one customer's message, which keeps
    /// their order.
    pub(crate) owed: Vec<Owed>,
    /// What Genesys does not take, although it takes what others are owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<Failing>,
    /// Customers' messages that Genesys will never have and that the chat service has not been told
    /// about, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) untold: VecDeque<UntoldRefusal>,
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
    /// The chat service said that it will report the result.
    Pending {
        /// When it is asked again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_at: Option<Timestamp>,
    },
    /// The call failed and is made again at that time.
    Retrying { at: Timestamp },
}

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
    fn place(&self) -> (Timestamp, u64) {
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
    pub(crate) since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingInbound {
    pub(crate) message: MessageId,
    /// How long it waits for a handshake that is under way.
    pub(crate) hold_until: Timestamp,
}

/// An item that holds back the customer's next words and fails, although Genesys takes what others
/// are owed. Only such tries count.
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

    /// The place of a message on which Genesys wrote no time: after everything accepted so far,
    /// whatever our clocks say.
    pub fn last_place(&self) -> Timestamp {
        let waiting = self.waiting.back().map(|last| last.time);
        let trying = self.attempt.as_ref().map(|open| open.of.time);
        self.latest.max(waiting).max(trying).unwrap_or(Timestamp::MIN)
    }

    /// How many customer's messages wait for their turn at Genesys. The caller may hold back
    /// further ones until there are few: they go one at a time anyway.
    pub fn inbound_waiting(&self) -> usize {
        self.inbound.len()
    }

    /// Genesys's conversation while its end must be watched for: that is, while there is a session
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
        let retry = retry.filter(|_| open && self.attempt.is_none() && !self.paused);
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

    /// When an open attempt is ended, whether or not its answer has come.
    pub(crate) fn attempt_deadline(&self) -> Option<Timestamp> {
        let open = self.attempt.as_ref().filter(|_| !mutant::is(Mutant::AttemptOutlivesMessage));
        open.map(|open| later(open.of.give_up, ANSWER_GRACE))
    }

    /// Whether there are customer's words that Genesys does not have.
    pub(crate) fn has_words(&self) -> bool {
        !self.inbound.is_empty()
            || self.owed.iter().any(|owed| matches!(owed, Owed::Inbound { .. }))
    }

    /// The next customer's message, if nothing is on its way that must reach Genesys before it. A
    /// customer may come back before Genesys knows that they left. The disconnect must come first,
    /// or it would end what their words begin.
    pub(crate) fn next_inbound(&self) -> Option<&WaitingInbound> {
        let before = |owed: &Owed| matches!(owed, Owed::Inbound { .. } | Owed::Disconnect { .. });
        self.inbound.front().filter(|_| !self.owed.iter().any(before))
    }
}

/// `t + d`, or the end of time.
pub(crate) fn later(t: Timestamp, d: Duration) -> Timestamp {
    t.checked_add(d).unwrap_or(Timestamp::MAX)
}
