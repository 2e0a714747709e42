//! Sessions: the gateway asks for them when needed, gives up in time, reopens lost ones, and ends
//! them when the customer leaves.

use std::time::Duration;

use jiff::Timestamp;

use crate::input::{Effect, Ignored};
use crate::mutant::{self, Mutant};
use crate::record::{ClosedBy, Record};
use crate::state::{Conversation, Opening, Session, later};
use crate::turn::Turn;
use crate::{OpenOutcome, Reason, ReasonCode, SessionId};

/// How long the gateway waits before it asks again, after the chat service has answered for the
/// first time that the handshake is in progress. Most handshakes take less. It is short compared
/// with the hold limit, so a service that crashed meanwhile is asked again in time.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// The same after each later such answer.
const ASK_AGAIN_LATER: Duration = Duration::from_secs(10);

impl Conversation {
    /// Why there is no session, as far as it is known. The text is the end of a sentence.
    pub(crate) fn why_no_session(&self) -> Option<String> {
        match (&self.session, &self.trouble) {
            (_, Some(last)) => Some(format!("the last try: {}", last.message)),
            (Session::Opening { phase: Opening::Calling, .. }, None) => {
                Some("the chat service did not answer".to_owned())
            }
            _ => None,
        }
    }
}

impl Turn<'_> {
    /// Starts a handshake, or repeats its call, if it is time.
    pub(crate) fn advance_handshake(&mut self) {
        match self.conversation.session {
            Session::Closed
                if self.conversation.needs_session() || self.conversation.reopen_at.is_some() =>
            {
                self.start_handshake();
            }
            Session::Opening { until, phase: Opening::Retrying { at }, .. }
            | Session::Opening { until, phase: Opening::Pending { ask_at: Some(at) }, .. }
                if at <= self.now =>
            {
                self.call_open(until);
            }
            Session::Closed | Session::Opening { .. } | Session::Open { .. } => {}
        }
    }

    /// Requests a session, unless there is one or the chat service is not to be called yet.
    pub(crate) fn start_handshake(&mut self) {
        let paused = self.conversation.reopen_at.is_some_and(|at| at > self.now);
        if self.conversation.session == Session::Closed && !paused {
            // The handshake is given up at the earliest deadline of the waiting messages, in the
            // step that also fails that message.
            let waiting = self
                .conversation
                .waiting
                .iter()
                .map(|waiting| self.conversation.deadline(waiting))
                .min();
            self.call_open(waiting.unwrap_or_else(|| later(self.now, self.policy.hold.limit)));
        }
    }

    fn call_open(&mut self, until: Timestamp) {
        let attempt = self.conversation.handshakes + 1;
        self.record(Record::HandshakeStarted { attempt, until });
        self.effect(Effect::Open { attempt, tries: self.tries() });
    }

    /// Handles the end of a call that requests a session.
    pub(crate) fn open_ended(&mut self, attempt: u32, outcome: OpenOutcome) {
        if attempt <= self.conversation.abandoned {
            return self.abandoned_open_ended(&outcome);
        }
        let ours = matches!(self.conversation.session,
            Session::Opening { attempt: a, phase: Opening::Calling, .. } if a == attempt);
        match outcome {
            // A session is used even if its call was given up, because it is the chat service's
            // latest answer.
            OpenOutcome::Opened(session) if ours || !self.has_session() => {
                self.session_opened(session);
            }
            OpenOutcome::Pending if ours => {
                let pause = if self.tries() == 1 { ASK_AGAIN } else { ASK_AGAIN_LATER };
                let ask_at =
                    Some(later(self.now, pause)).filter(|_| !mutant::is(Mutant::PendingForever));
                self.record(Record::HandshakePending { attempt, ask_at });
            }
            OpenOutcome::Refused(reason) if ours => self.refused(reason),
            OpenOutcome::Unauthorized(reason) if ours => {
                self.record(Record::HandshakeFailed { reason: reason.clone(), retry_at: None });
                self.fail_held(&reason);
            }
            OpenOutcome::Retry { reason, after } if ours => {
                let pause = self.pause_of_handshake().max(after.unwrap_or_default());
                let retry_at = later(self.now, pause);
                self.record(Record::HandshakeFailed { reason, retry_at: Some(retry_at) });
            }
            OpenOutcome::Opened(_)
            | OpenOutcome::Pending
            | OpenOutcome::Refused(_)
            | OpenOutcome::Unauthorized(_)
            | OpenOutcome::Retry { .. } => self.ignore(Ignored::StaleAnswer),
        }
    }

    /// Handles the end of a call that was made for a customer who left meanwhile. Its session is
    /// never used. The session is closed again, unless another handshake has begun, with which the
    /// chat service could confuse it.
    fn abandoned_open_ended(&mut self, outcome: &OpenOutcome) {
        if matches!(outcome, OpenOutcome::Opened(_)) && self.conversation.session == Session::Closed
        {
            self.effect(Effect::Close { by: ClosedBy::Service });
        }
        self.ignore(Ignored::StaleAnswer);
    }

    /// The chat service says that there is a session, requested or not.
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
    pub(crate) fn session_refused(&mut self, reason: Reason) {
        match self.conversation.session {
            Session::Opening { .. } => self.refused(reason),
            Session::Closed if self.conversation.needs_session() => self.refused(reason),
            Session::Closed | Session::Open { .. } => self.ignore(Ignored::StrayedSession),
        }
    }

    /// Nobody would read the agent's messages without a session, so the chat ends at Genesys too.
    fn refused(&mut self, reason: Reason) {
        self.record(Record::SessionRefused { reason: reason.clone() });
        self.fail_held(&reason);
        self.customer_left(reason);
    }

    /// Fails the messages that wait for a session which will not come. It does not fail a message
    /// whose attempt is still open: the outcome of that attempt decides.
    fn fail_held(&mut self, reason: &Reason) {
        let held: Vec<_> =
            self.conversation.waiting.iter().map(|waiting| waiting.message.clone()).collect();
        for message in held {
            // An earlier failure may have failed this message too (`fail-rest`).
            if self.conversation.waiting.iter().any(|waiting| waiting.message == message) {
                self.fail(message, reason.clone());
            }
        }
    }

    /// The chat service says by an event that the customer has left. During a handshake it may name
    /// a session that the gateway has not heard of yet. So the event is ignored only if another
    /// session is open.
    pub(crate) fn session_closed(&mut self, session: Option<&SessionId>, reason: Option<Reason>) {
        let strayed = match &self.conversation.session {
            Session::Open { id } => session.is_some_and(|session| session != id),
            Session::Opening { .. } => mutant::is(Mutant::LeftIsIgnored),
            Session::Closed => self.conversation.over && !self.conversation.needs_session(),
        };
        if strayed {
            return self.ignore(Ignored::StrayedSession);
        }
        let reason = reason.unwrap_or_else(|| {
            let why = "the customer left the chat before the message could be sent";
            Reason::new(ReasonCode::InvalidDestination, why)
        });
        self.close_session(ClosedBy::Service, None, Some(reason.clone()));
        self.fail_held(&reason);
        self.customer_left(reason);
    }

    /// The chat service says by an event that it lost the session. A handshake that it has promised
    /// to finish is then lost too.
    pub(crate) fn session_lost(&mut self, session: Option<&SessionId>) {
        match &self.conversation.session {
            Session::Open { id } if session.is_none_or(|session| session == id) => {
                self.session_gone(ClosedBy::Lost);
            }
            Session::Opening {
                until,
                phase: Opening::Pending { .. } | Opening::Retrying { .. },
                ..
            } if session.is_none() && *until > self.now => {
                self.call_open(*until);
            }
            Session::Closed | Session::Opening { .. } | Session::Open { .. } => {
                self.ignore(Ignored::StrayedSession);
            }
        }
    }

    /// The session is gone and the customer is still there, so another session is needed. The first
    /// time, the handshake starts at once. If the service loses one session after another, the
    /// pause before the next handshake grows. It is at most half of the hold limit, which leaves
    /// enough time for that handshake.
    pub(crate) fn session_gone(&mut self, cause: ClosedBy) {
        let pause = match (&self.conversation.session, self.conversation.losses) {
            (Session::Open { id }, losses @ 1..) => {
                let pause = self.policy.delivery.pause(id.as_str().as_bytes(), losses);
                pause.min(self.policy.hold.limit / 2)
            }
            _ => Duration::ZERO,
        };
        // If the agent's side has ended the chat, a session is needed only for messages that still
        // wait.
        let reopen_at = Some(later(self.now, pause)).filter(|_| !self.conversation.ending);
        self.close_session(cause, reopen_at, None);
    }

    fn close_session(
        &mut self,
        cause: ClosedBy,
        reopen_at: Option<Timestamp>,
        reason: Option<Reason>,
    ) {
        let hold_until = later(self.now, self.policy.hold.limit);
        self.record(Record::SessionClosed { cause, hold_until, reopen_at, reason });
    }

    /// Gives up a handshake that has taken too long.
    pub(crate) fn expire_handshake(&mut self) {
        let Session::Opening { until, .. } = self.conversation.session else { return };
        if until <= self.now {
            let why =
                self.conversation.why_no_session().map_or(String::new(), |why| format!("; {why}"));
            let reason = Reason::new(
                ReasonCode::MessageExpired,
                format!("the handshake did not end in time{why}"),
            );
            self.record(Record::HandshakeFailed { reason, retry_at: None });
        }
    }

    /// After a crash the answer to an open call is lost, so the call is made again. A handshake
    /// that the chat service has promised to finish continues.
    pub(crate) fn recover_handshake(&mut self) {
        match self.conversation.session {
            Session::Opening { until, phase: Opening::Calling, .. } if until > self.now => {
                self.call_open(until);
            }
            Session::Closed | Session::Opening { .. } | Session::Open { .. } => {}
        }
    }

    /// One of Genesys's conversations has ended. The session is closed after the last message has
    /// gone. It stays open if the customer has written since, because their message begins the next
    /// conversation, or resumes this one.
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
            self.close_session(ClosedBy::Agent, None, None);
            self.effect(Effect::Close { by: ClosedBy::Agent });
        }
    }

    fn pause_of_handshake(&self) -> Duration {
        match self.conversation.session {
            // `until` differs between conversations by chance, which is enough to seed the jitter.
            Session::Opening { until, tries, .. } => {
                self.policy.delivery.pause(&until.as_millisecond().to_be_bytes(), tries)
            }
            Session::Closed | Session::Open { .. } => Duration::ZERO,
        }
    }

    /// How often this handshake's call was made.
    fn tries(&self) -> u32 {
        if let Session::Opening { tries, .. } = self.conversation.session { tries } else { 1 }
    }

    fn has_session(&self) -> bool {
        matches!(self.conversation.session, Session::Open { .. })
    }
}
