//! Sessions: asked for when they are needed, given up in time, reopened when they are lost.

use std::time::Duration;

use crate::input::{Effect, Ignored};
use crate::record::{ClosedBy, Record};
use crate::state::{Opening, Session, later};
use crate::turn::Turn;
use crate::{OpenOutcome, Reason, ReasonCode, SessionId};

impl Turn<'_> {
    /// Starts a handshake, or makes its call again, if it is time.
    pub(crate) fn advance_handshake(&mut self) {
        match self.conversation.session {
            Session::Closed if self.conversation.needs_session() => self.start_handshake(),
            Session::Opening { until, phase: Opening::Retrying { at }, .. } if at <= self.now => {
                self.call_open(until);
            }
            Session::Closed | Session::Opening { .. } | Session::Open { .. } => {}
        }
    }

    pub(crate) fn start_handshake(&mut self) {
        if self.conversation.session == Session::Closed {
            // When nobody waits for it any more it is given up, in the same step that fails the first message.
            let waiting = self
                .conversation
                .waiting
                .iter()
                .map(|waiting| self.conversation.deadline(waiting))
                .min();
            self.call_open(waiting.unwrap_or_else(|| later(self.now, self.policy.hold.limit)));
        }
    }

    fn call_open(&mut self, until: jiff::Timestamp) {
        let attempt = self.conversation.handshakes + 1;
        self.record(Record::HandshakeStarted { attempt, until });
        self.effect(Effect::Open { attempt });
    }

    /// The call is over.
    pub(crate) fn open_ended(&mut self, attempt: u32, outcome: OpenOutcome) {
        let ours = matches!(self.conversation.session,
            Session::Opening { attempt: a, phase: Opening::Calling, .. } if a == attempt);
        match outcome {
            // A session is welcome even if its call was given up: it is the chat service's latest word.
            OpenOutcome::Opened(session) if ours || !self.has_session() => {
                self.session_opened(session)
            }
            OpenOutcome::Pending if ours => self.record(Record::HandshakePending { attempt }),
            OpenOutcome::Refused(reason) if ours => self.refused(&reason),
            OpenOutcome::Retry { reason, after } if ours => {
                let pause = self.pause_of_handshake().max(after.unwrap_or_default());
                let retry_at = later(self.now, pause);
                self.record(Record::HandshakeFailed { reason, retry_at: Some(retry_at) });
            }
            OpenOutcome::Opened(_)
            | OpenOutcome::Pending
            | OpenOutcome::Refused(_)
            | OpenOutcome::Retry { .. } => {
                self.ignore(Ignored::StaleAnswer);
            }
        }
    }

    /// The chat service says that there is a session, asked for or not.
    pub(crate) fn session_opened(&mut self, session: SessionId) {
        if self.conversation.session == (Session::Open { id: session.clone() }) {
            self.ignore(Ignored::StrayedSession);
            return;
        }
        self.record(Record::SessionOpened { session });
        if self.conversation.paused {
            self.record(Record::Resumed);
        }
    }

    /// The chat service says by an event that there will be no session.
    pub(crate) fn session_refused(&mut self, reason: &Reason) {
        match self.conversation.session {
            Session::Opening { .. } => self.refused(reason),
            Session::Closed | Session::Open { .. } => self.ignore(Ignored::StrayedSession),
        }
    }

    fn refused(&mut self, reason: &Reason) {
        self.record(Record::SessionRefused { reason: reason.clone() });
        // Nobody waits for a session that will not come. A message whose attempt is still open is not among them: its
        // outcome decides.
        let held: Vec<_> =
            self.conversation.waiting.iter().map(|waiting| waiting.message.clone()).collect();
        for message in held {
            // An earlier failure may already have taken it along (`fail-rest`).
            if self.conversation.waiting.iter().any(|waiting| waiting.message == message) {
                self.fail(message, reason.clone());
            }
        }
    }

    /// The chat service says by an event that the session is over.
    pub(crate) fn session_closed(&mut self, session: Option<&SessionId>) {
        match &self.conversation.session {
            Session::Open { id } if session.is_none_or(|session| session == id) => {
                self.close_session(ClosedBy::Service);
                self.customer_left();
            }
            Session::Closed | Session::Opening { .. } | Session::Open { .. } => {
                self.ignore(Ignored::StrayedSession);
            }
        }
    }

    pub(crate) fn close_session(&mut self, cause: ClosedBy) {
        self.record(Record::SessionClosed {
            cause,
            hold_until: later(self.now, self.policy.hold.limit),
        });
    }

    /// Gives up a handshake that has taken too long.
    pub(crate) fn expire_handshake(&mut self) {
        let Session::Opening { until, .. } = self.conversation.session else { return };
        if until <= self.now {
            let reason =
                Reason::new(ReasonCode::MessageExpired, "the handshake did not end in time");
            self.record(Record::HandshakeFailed { reason, retry_at: None });
        }
    }

    /// After a crash the answer to an open call is lost, so it is made again. A handshake that the chat service has
    /// promised to finish goes on.
    pub(crate) fn recover_handshake(&mut self) {
        match self.conversation.session {
            Session::Opening { until, phase: Opening::Calling, .. } if until > self.now => {
                self.call_open(until)
            }
            Session::Closed | Session::Opening { .. } | Session::Open { .. } => {}
        }
    }

    /// One of Genesys's conversations has ended: the session goes when the last message has gone. Not where she has
    /// written since: her words begin the next one, or take up the same again.
    pub(crate) fn genesys_ended(&mut self, id: &str) {
        let conversation = &*self.conversation;
        let ours = conversation.genesys.as_deref() == Some(id);
        if !conversation.ending
            && conversation.session != Session::Closed
            && ours
            && !conversation.has_words()
        {
            self.record(Record::Ending);
        }
    }

    pub(crate) fn close_when_done(&mut self) {
        let nothing_left =
            self.conversation.waiting.is_empty() && self.conversation.attempt.is_none();
        if self.conversation.ending && nothing_left && self.has_session() {
            self.close_session(ClosedBy::Agent);
            self.effect(Effect::Close);
        }
    }

    fn pause_of_handshake(&self) -> Duration {
        match self.conversation.session {
            // `until` differs from conversation to conversation by chance, which is all that a jitter needs.
            Session::Opening { until, tries, .. } => {
                self.policy.delivery.pause(&until.as_millisecond().to_be_bytes(), tries)
            }
            Session::Closed | Session::Open { .. } => Duration::ZERO,
        }
    }

    fn has_session(&self) -> bool {
        matches!(self.conversation.session, Session::Open { .. })
    }
}
