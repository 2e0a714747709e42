//! What concerns all messages of a conversation: handshakes, sessions, pauses and ends.

use conversation::{ClosedBy, Owed, PostResult, Reason, ReasonCode, Record, SessionId};
use jiff::Timestamp;

use crate::model::{Cause, SessionState};

/// The facts that are about no single message, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk<'a> {
    pub(crate) calls: Vec<Call>,
    pub(crate) sessions: Vec<Session<'a>>,
    pub(crate) pauses: Vec<Pause>,
    pub(crate) disconnects: Vec<Disconnect<'a>>,
    /// Genesys's conversation ids, each with when it was learned.
    pub(crate) genesys: Vec<(Timestamp, &'a str)>,
    pub(crate) turns: Vec<(Timestamp, TurnOfEvents<'a>)>,
    pub(crate) now: Situation,
}

/// One call for a session, and what followed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// `None` if its beginning is missing.
    pub(crate) attempt: Option<u32>,
    /// The chat service answered that the handshake is in progress.
    pub(crate) promised: bool,
    pub(crate) end: CallEnd,
}

/// What a call for a session led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// It has not ended.
    Open,
    /// There is a session.
    Opened,
    /// It failed; the next call is due then, if there is one.
    Failed { cause: Cause, retry_at: Option<Timestamp> },
    /// The chat service refused the customer.
    Refused(Cause),
    /// Its time was up before it had an end.
    Expired(Cause),
    /// The gateway asked again before this call had an end.
    AskedAgain,
    /// The customer left.
    Left,
}

/// One session of the conversation, from the record that opens it to the one that ends it.
#[derive(Clone, Debug)]
pub(crate) struct Session<'a> {
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Its beginning is missing: only an attempt says that it was open then.
    pub(crate) is_inferred: bool,
    pub(crate) id: &'a SessionId,
    /// What closed it; `None` while it is open, or if the chat service opened another one.
    pub(crate) closed: Option<ClosedBy>,
    pub(crate) reason: Option<&'a Reason>,
}

/// A time in which a failed message held back those behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
}

/// The disconnect of the customer's participant at Genesys.
#[derive(Clone, Debug)]
pub(crate) struct Disconnect<'a> {
    pub(crate) at: Timestamp,
    pub(crate) done: Option<(Timestamp, &'a PostResult)>,
    pub(crate) id: &'a str,
}

/// Something without a duration.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TurnOfEvents<'a> {
    /// The customer left while there was no session.
    LeftBefore(Option<&'a Reason>),
    /// The chat service refused the customer, although no call for a session was open.
    RefusedUnasked(&'a Reason),
    /// A handshake was given up between two calls.
    GivenUp(&'a Reason),
    /// Genesys must be told that the customer left.
    MustEnd,
    /// The agent's side ended the conversation.
    Ending,
    /// Genesys did not confirm the disconnect this time.
    DisconnectFailed { tries: u32, why: &'a str },
}

/// Where the session stands after the last record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// `Unknown` if no record says it.
    pub(crate) session: SessionState,
    pub(crate) since: Option<Timestamp>,
    /// Until when the handshake may take.
    pub(crate) handshake_until: Option<Timestamp>,
    /// When the next call for a session is due.
    pub(crate) call_at: Option<Timestamp>,
    /// Until when messages that lost their session may wait for another.
    pub(crate) hold_until: Option<Timestamp>,
    pub(crate) ending: bool,
}

impl Default for Situation {
    fn default() -> Self {
        Self {
            session: SessionState::Unknown,
            since: None,
            handshake_until: None,
            call_at: None,
            hold_until: None,
            ending: false,
        }
    }
}

impl Session<'_> {
    /// From when it may have been open.
    fn from(&self) -> Timestamp {
        if self.is_inferred { Timestamp::MIN } else { self.at }
    }
}

impl<'a> Talk<'a> {
    /// Reads the next record that is about no message.
    pub(crate) fn read(&mut self, at: Timestamp, record: &'a Record) {
        match record {
            Record::HandshakeStarted { attempt, until } => self.started(at, *attempt, *until),
            Record::HandshakePending { attempt, ask_at } => self.pending(at, *attempt, *ask_at),
            Record::HandshakeFailed { reason, retry_at } => self.failed(at, reason, *retry_at),
            Record::SessionOpened { session } => self.opened(at, session),
            Record::SessionRefused { reason } => {
                if !self.end_call(at, CallEnd::Refused(reason.into())) {
                    self.turns.push((at, TurnOfEvents::RefusedUnasked(reason)));
                }
                self.no_session(at);
            }
            Record::SessionClosed { cause, hold_until, reopen_at, reason } => {
                self.closed(at, *cause, reason.as_ref());
                (self.now.hold_until, self.now.call_at) = (Some(*hold_until), *reopen_at);
            }
            Record::Paused if self.is_paused() => {}
            Record::Paused => self.pauses.push(Pause { at, until: None }),
            Record::Resumed => {
                if let Some(pause) = self.open_pause() {
                    pause.until = Some(at);
                }
            }
            Record::GenesysConversation { id } => self.genesys.push((at, id)),
            Record::CustomerLeft { .. } => self.turns.push((at, TurnOfEvents::MustEnd)),
            Record::DisconnectDue { id } => {
                self.disconnects.push(Disconnect { at, done: None, id });
            }
            Record::DisconnectDone { result } => {
                if let Some(last) = self.disconnects.last_mut().filter(|last| last.done.is_none()) {
                    last.done = Some((at, result));
                }
            }
            Record::PostFailed { owed: Owed::Disconnect { .. }, tries, why } => {
                let failed = TurnOfEvents::DisconnectFailed { tries: *tries, why };
                self.turns.push((at, failed));
            }
            Record::Ending => {
                self.now.ending = true;
                self.turns.push((at, TurnOfEvents::Ending));
            }
            // These are about one message.
            _ => {}
        }
    }

    fn started(&mut self, at: Timestamp, attempt: u32, until: Timestamp) {
        self.end_call(at, CallEnd::AskedAgain);
        let attempt = Some(attempt);
        let end = CallEnd::Open;
        self.calls.push(Call { at, until: None, attempt, promised: false, end });
        if self.now.session != SessionState::Opening {
            (self.now.session, self.now.since) = (SessionState::Opening, Some(at));
        }
        (self.now.handshake_until, self.now.call_at) = (Some(until), None);
    }

    fn pending(&mut self, at: Timestamp, attempt: u32, ask_at: Option<Timestamp>) {
        match self.open_call() {
            Some(call) => call.promised = true,
            None => self.calls.push(Call {
                at,
                until: None,
                attempt: Some(attempt),
                promised: true,
                end: CallEnd::Open,
            }),
        }
        self.now.call_at = ask_at;
    }

    fn failed(&mut self, at: Timestamp, reason: &'a Reason, retry_at: Option<Timestamp>) {
        // Only the gateway itself says that a handshake expired.
        let expired = retry_at.is_none() && reason.code == ReasonCode::MessageExpired;
        let end = if expired {
            CallEnd::Expired(reason.into())
        } else {
            CallEnd::Failed { cause: reason.into(), retry_at }
        };
        if !self.end_call(at, end) {
            self.turns.push((at, TurnOfEvents::GivenUp(reason)));
        }
        match retry_at {
            Some(_) => self.now.call_at = retry_at,
            None => self.no_session(at),
        }
    }

    fn opened(&mut self, at: Timestamp, id: &'a SessionId) {
        self.end_call(at, CallEnd::Opened);
        if let Some(open) = self.open_session() {
            open.until = Some(at);
        }
        self.push_session(at, id, false);
        self.now = Situation {
            session: SessionState::Open,
            since: Some(at),
            ending: self.now.ending,
            ..Situation::default()
        };
    }

    fn push_session(&mut self, at: Timestamp, id: &'a SessionId, is_inferred: bool) {
        let (until, closed, reason) = (None, None, None);
        self.sessions.push(Session { at, until, is_inferred, id, closed, reason });
    }

    /// An attempt was made in this session. That says that it was open, if no other record does.
    pub(crate) fn attempted(&mut self, at: Timestamp, id: &'a SessionId) {
        if self.now.session == SessionState::Unknown {
            self.push_session(at, id, true);
            self.now.session = SessionState::Open;
        }
    }

    fn closed(&mut self, at: Timestamp, cause: ClosedBy, reason: Option<&'a Reason>) {
        let was_open = match self.open_session() {
            Some(open) => {
                (open.until, open.closed, open.reason) = (Some(at), Some(cause), reason);
                true
            }
            None => false,
        };
        self.end_call(at, CallEnd::Left);
        if !was_open && cause == ClosedBy::Service {
            self.turns.push((at, TurnOfEvents::LeftBefore(reason)));
        }
        self.no_session(at);
    }

    fn no_session(&mut self, at: Timestamp) {
        self.now = Situation {
            session: SessionState::Closed,
            since: Some(at),
            hold_until: self.now.hold_until,
            ..Situation::default()
        };
    }

    /// Ends the open call, if there is one.
    fn end_call(&mut self, at: Timestamp, end: CallEnd) -> bool {
        let Some(call) = self.open_call() else { return false };
        (call.until, call.end) = (Some(at), end);
        true
    }

    fn open_call(&mut self) -> Option<&mut Call> {
        self.calls.last_mut().filter(|call| call.end == CallEnd::Open)
    }

    fn open_session(&mut self) -> Option<&mut Session<'a>> {
        self.sessions.last_mut().filter(|session| session.until.is_none())
    }

    fn open_pause(&mut self) -> Option<&mut Pause> {
        self.pauses.last_mut().filter(|pause| pause.until.is_none())
    }

    /// Whether the conversation is paused now.
    pub(crate) fn is_paused(&self) -> bool {
        self.pauses.last().is_some_and(|pause| pause.until.is_none())
    }

    /// The session that is open now.
    pub(crate) fn session(&self) -> Option<&Session<'a>> {
        self.sessions.last().filter(|session| session.until.is_none())
    }

    /// Whether there was a session at that time.
    pub(crate) fn had_session_at(&self, at: Timestamp) -> bool {
        self.sessions.iter().any(|s| s.from() <= at && s.until.is_none_or(|until| at < until))
    }

    /// Whether there was a session at any time between the two.
    pub(crate) fn had_session_in(&self, from: Timestamp, to: Timestamp) -> bool {
        self.sessions.iter().any(|s| s.from() <= to && s.until.is_none_or(|until| from <= until))
    }

    /// Whether the customer left between the two times.
    pub(crate) fn has_lost_customer_in(&self, from: Timestamp, to: Timestamp) -> bool {
        let left = |session: &Session<'_>| {
            session.until.is_some_and(|at| from <= at && at <= to)
                && session.closed == Some(ClosedBy::Service)
        };
        let left_before = |(at, turn): &(Timestamp, TurnOfEvents<'_>)| {
            from <= *at && *at <= to && matches!(turn, TurnOfEvents::LeftBefore(_))
        };
        self.sessions.iter().any(left) || self.turns.iter().any(left_before)
    }

    /// Whether the chat service refused the customer between the two times.
    pub(crate) fn has_refused_customer_in(&self, from: Timestamp, to: Timestamp) -> bool {
        let refused = |call: &Call| {
            call.until.is_some_and(|at| from <= at && at <= to)
                && matches!(call.end, CallEnd::Refused(_))
        };
        let unasked = |(at, turn): &(Timestamp, TurnOfEvents<'_>)| {
            from <= *at && *at <= to && matches!(turn, TurnOfEvents::RefusedUnasked(_))
        };
        self.calls.iter().any(refused) || self.turns.iter().any(unasked)
    }

    /// The calls for a session that were open at any time between the two.
    pub(crate) fn calls_in(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &Call> {
        self.calls
            .iter()
            .filter(move |call| call.at <= to && call.until.is_none_or(|until| from <= until))
    }
}
