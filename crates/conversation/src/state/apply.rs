//! What each record changes. This is the only code that changes a conversation, and it depends on
//! nothing but the record.

use jiff::Timestamp;

use super::{
    Conversation, Failing, OpenAttempt, Opening, Session, Telling, Unreported, UntoldRefusal,
    Waiting, WaitingInbound, later,
};
use crate::mutant::{self, Mutant};
use crate::owed::Owed;
use crate::record::{ClosedBy, Record};
use crate::{AttemptOutcome, MessageId, Reason, ReasonCode, SessionId, TellOutcome};

impl Conversation {
    /// Applies one record, taken at `at`. A record that does not fit is skipped: `tidegate audit`
    /// names it.
    pub(crate) fn apply(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Accepted { message, time, hold_until, give_up, .. } => {
                self.arrivals += 1;
                self.latest = self.latest.max(Some(*time));
                self.enqueue(Waiting {
                    message: message.clone(),
                    time: *time,
                    arrival: self.arrivals,
                    hold_until: *hold_until,
                    give_up: *give_up,
                    attempts: 0,
                    retry_at: None,
                    asked_until: None,
                    last: None,
                    unsure: false,
                });
            }
            Record::AttemptStarted { message, attempt, session } => {
                if let Some(mut of) = self.take_waiting(message) {
                    of.attempts = *attempt;
                    of.retry_at = None;
                    self.attempt = Some(OpenAttempt { of, session: session.clone(), left: None });
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
                    self.owed.retain(|owed| !owed.is_receipt_about(message));
                    let (message, fate) = (message.clone(), Some(fate.clone()));
                    self.owed.push(Owed::Receipt { message, fate });
                }
            }
            Record::SentDue { message } => {
                self.owed.push(Owed::Receipt { message: message.clone(), fate: None });
            }
            Record::ReceiptDone { message, last, .. } => {
                self.owed.retain(|owed| !owed.is_receipt(message, *last));
            }
            Record::HandshakeStarted { attempt, until } => {
                let tries = match self.session {
                    Session::Opening { tries, .. } => tries + 1,
                    Session::Closed | Session::Open { .. } => 1,
                };
                self.handshakes = *attempt;
                self.reopen_at = None;
                self.over = false;
                let (attempt, until, phase) = (*attempt, *until, Opening::Calling);
                self.session = Session::Opening { attempt, tries, until, phase };
            }
            Record::HandshakePending { ask_at, .. } => {
                self.set_phase(Opening::Pending { ask_at: *ask_at });
                let said = "the chat service answered that its handshake goes on, and has not \
                    ended it";
                self.trouble = Some(Reason::new(ReasonCode::ServerError, said));
            }
            Record::HandshakeFailed { retry_at: Some(at), reason } => {
                self.set_phase(Opening::Retrying { at: *at });
                self.trouble = Some(reason.clone());
            }
            Record::HandshakeFailed { retry_at: None, .. } => {
                self.session = Session::Closed;
                self.ending = false;
            }
            Record::SessionRefused { reason } => self.end_chat(Some(reason)),
            Record::SessionOpened { session } => self.apply_session_opened(session),
            Record::SessionClosed { cause, hold_until, reopen_at, reason } => {
                self.hold_until = Some(*hold_until);
                self.apply_session_closed(*cause, *reopen_at, reason.as_ref());
            }
            Record::Paused => self.paused = true,
            Record::Resumed => self.paused = false,
            Record::InboundAccepted { message, hold_until } => {
                let (message, hold_until) = (message.clone(), *hold_until);
                self.inbound.push_back(WaitingInbound { message, hold_until });
                self.ending = false;
                self.leaving = false;
                self.left = None;
                self.over = false;
            }
            Record::InboundReleased { message } => {
                self.inbound.retain(|waiting| waiting.message != *message);
                self.owed.push(Owed::Inbound { message: message.clone() });
            }
            Record::PostFailed { owed, tries, .. } => {
                let before = self.failing.take().filter(|failing| failing.owed == *owed);
                let since = before.map_or(at, |failing| failing.since);
                self.failing = Some(Failing { owed: owed.clone(), tries: *tries, since });
            }
            Record::InboundDone { message, .. } => {
                self.failing = None;
                self.owed.retain(|owed| !owed.is_inbound(message));
            }
            Record::RefusalDue { message, reason } => self.untold.push_back(UntoldRefusal {
                message: message.clone(),
                reason: reason.clone(),
                since: at,
                attempts: 0,
                failed: 0,
                phase: Telling::Waiting { until: at },
            }),
            Record::RefusalTelling { message, attempt } => {
                if let Some(untold) = self.untold_of(message) {
                    untold.attempts = *attempt;
                    untold.phase = Telling::Calling;
                }
            }
            Record::RefusalTold { message, retry_at: None, .. } => {
                self.untold.retain(|untold| untold.message != *message);
            }
            Record::RefusalTold { message, retry_at: Some(until), outcome } => {
                if let Some(untold) = self.untold_of(message) {
                    untold.failed += u32::from(matches!(outcome, TellOutcome::Failed { .. }));
                    untold.phase = Telling::Waiting { until: *until };
                }
            }
            Record::GenesysConversation { id } => self.genesys = Some(id.clone()),
            Record::NoticeDue { message, notice } => {
                self.owed.push(Owed::Notice { message: message.clone(), notice: *notice });
            }
            Record::NoticeDone { message, notice, .. } => {
                self.owed.retain(|owed| !owed.is_notice(message, *notice));
            }
            Record::CustomerLeft { reason } => {
                self.leaving = true;
                self.left.clone_from(reason);
            }
            Record::DisconnectDue { id } => {
                self.leaving = false;
                self.owed.push(Owed::Disconnect { id: id.clone() });
            }
            Record::DisconnectDone { .. } => {
                self.owed.retain(|owed| !matches!(owed, Owed::Disconnect { .. }));
                self.left = None;
                self.failing = None;
            }
            Record::Ending => self.ending = true,
            Record::Reported { .. } => {}
        }
    }

    fn apply_session_opened(&mut self, session: &SessionId) {
        self.session = Session::Open { id: session.clone() };
        self.hold_until = None;
        self.reopen_at = None;
        self.trouble = None;
        self.over = false;
        // A new session is news from the chat service, so a pause of our own choosing ends with it.
        for waiting in &mut self.waiting {
            waiting.retry_at = waiting.asked_until;
        }
    }

    fn apply_session_closed(
        &mut self,
        cause: ClosedBy,
        reopen_at: Option<Timestamp>,
        reason: Option<&Reason>,
    ) {
        self.session = Session::Closed;
        self.ending = false;
        self.reopen_at = reopen_at;
        match cause {
            ClosedBy::Service => self.end_chat(reason),
            ClosedBy::Agent => self.end_chat(None),
            ClosedBy::Forward | ClosedBy::Lost => {
                self.losses = self.losses.saturating_add(1);
                self.trouble =
                    Some(Reason::new(ReasonCode::ServerError, "the chat service lost the session"));
            }
        }
    }

    /// The chat is over: whatever was requested for it does not help the next one.
    fn end_chat(&mut self, reason: Option<&Reason>) {
        self.session = Session::Closed;
        self.ending = false;
        self.reopen_at = None;
        self.abandoned = self.handshakes;
        self.over = true;
        if let Some(open) = &mut self.attempt {
            open.left = reason.cloned();
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
        if let AttemptOutcome::Accepted { .. }
        | AttemptOutcome::Delivered { .. }
        | AttemptOutcome::Rejected { .. } = outcome
        {
            self.losses = 0;
        }
        of.asked_until = match outcome {
            AttemptOutcome::NotTaken { after: Some(after), .. } => Some(later(at, *after)),
            _ => None,
        };
        match outcome {
            AttemptOutcome::Accepted { .. } => {
                self.unreported.push_back(Unreported { message: of.message, since: at });
            }
            AttemptOutcome::Delivered { .. } => {}
            // A `Settled` follows each final outcome; until then the message keeps its place.
            AttemptOutcome::SessionGone => {
                of.retry_at = retry_at;
                self.enqueue(of);
            }
            AttemptOutcome::Rejected { reason }
            | AttemptOutcome::NotTaken { reason, .. }
            | AttemptOutcome::Unknown { reason } => {
                of.retry_at = retry_at;
                of.last = Some(reason.clone());
                of.unsure |= matches!(outcome, AttemptOutcome::Unknown { .. });
                self.enqueue(of);
            }
        }
    }

    /// Inserts a message at its place in the order.
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

    fn untold_of(&mut self, message: &MessageId) -> Option<&mut UntoldRefusal> {
        self.untold.iter_mut().find(|untold| untold.message == *message)
    }

    fn set_phase(&mut self, to: Opening) {
        if let Session::Opening { phase, .. } = &mut self.session {
            *phase = to;
        }
    }
}
