//! What each record changes. This is the only code that changes a conversation, and it depends on
//! nothing but the record.

use jiff::Timestamp;

use super::{
    Conversation, Failing, KeptOffer, OfferPhase, OpenAttempt, Opening, Session, Telling,
    Unreported, UntoldRefusal, Waiting, WaitingInbound, later,
};
use crate::mutant::{self, Mutant};
use crate::owed::Owed;
use crate::record::{ClosedBy, Record};
use crate::{AttemptOutcome, MessageId, Reason, ReasonCode, SessionId, TellOutcome};

impl Conversation {
    /// Applies one record, decided at `at`. A record that does not fit is skipped; `tidegate audit`
    /// reports it.
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
            Record::Offered { message, offer, until } => {
                let (message, offer, until) = (message.clone(), offer.clone(), *until);
                let phase = OfferPhase::Waiting;
                self.offers.push_back(KeptOffer { message, offer, until, phase });
            }
            Record::AttemptStarted { message, attempt, session } => {
                self.open_offer(message);
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
                self.failed_at = self.place_of(message).filter(|_| fate.is_failed());
                self.waiting.retain(|waiting| waiting.message != *message);
                self.unreported.retain(|unreported| unreported.message != *message);
                self.settle_offer(message, !fate.is_failed());
                self.offers.retain(|kept| {
                    let was_sent = kept.phase != OfferPhase::Waiting;
                    kept.message != *message || (was_sent && !fate.is_failed())
                });
                if *receipt {
                    // The final receipt replaces a `Sent` that Genesys has not confirmed.
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
            // A message that was held stays held.
            Record::Paused => {
                let before = self.paused_at.filter(|_| self.paused);
                let at = self.failed_at.take();
                self.paused_at = if self.paused { at.min(before) } else { at };
                self.paused = true;
            }
            Record::Resumed => (self.paused, self.paused_at) = (false, None),
            Record::InboundAccepted { message, hold_until, answer, tap } => {
                if let Some(tap) = tap {
                    self.answer_offer(tap);
                }
                if let Some(answer) = answer
                    && !mutant::is(Mutant::AnsweredTwice)
                {
                    self.answer_offer(&answer.to);
                }
                let (message, hold_until, answer) = (message.clone(), *hold_until, answer.clone());
                self.inbound.push_back(WaitingInbound { message, hold_until, answer });
                self.ending = false;
                self.leaving = false;
                self.left = None;
                self.over = false;
            }
            Record::InboundReleased { message, answer } => {
                self.inbound.retain(|waiting| waiting.message != *message);
                // Words take the place of the option that Genesys does not take.
                self.owed.retain(|owed| !owed.is_inbound(message));
                self.failing = None;
                let (message, answer) = (message.clone(), answer.clone());
                self.owed.push(Owed::Inbound { message, answer });
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
            Record::InboundRetried { message, died, .. } => {
                self.handle_death(message, *died);
                // What became of it is open again, so there is nothing to tell.
                self.untold.retain(|untold| untold.message != *message);
                let (message, hold_until) = (message.clone(), at);
                self.inbound.push_back(WaitingInbound { message, hold_until, answer: None });
            }
            Record::InboundDiscarded { message, died, .. } => self.handle_death(message, *died),
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
            Record::GenesysConversation { id } => {
                // An option of the chat before would be taken as one of this chat.
                if self.genesys.is_some() {
                    self.close_offers();
                }
                self.genesys = Some(id.clone());
            }
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
            Record::Ending => {
                self.ending = true;
                self.close_offers();
            }
            Record::Reported { .. } => {}
        }
    }

    /// What the customer has read is no longer open. An offer whose message may still be sent, or
    /// sent again, stays: the customer reads it last.
    fn close_offers(&mut self) {
        let (waiting, attempt) = (&self.waiting, &self.attempt);
        self.offers.retain_mut(|kept| {
            let is_tried = attempt.as_ref().is_some_and(|open| open.of.message == kept.message);
            if is_tried || waiting.iter().any(|waiting| waiting.message == kept.message) {
                kept.phase = OfferPhase::Waiting;
            }
            kept.phase == OfferPhase::Waiting
        });
    }

    /// An offer is answered. If it is the newest, the customer has read it, and no older one is open
    /// any more.
    fn answer_offer(&mut self, message: &MessageId) {
        let newest = |kept: &KeptOffer| kept.message == *message && kept.phase == OfferPhase::Open;
        if self.offers.iter().any(newest) {
            self.close_offers();
        }
        self.offers.retain(|kept| kept.message != *message);
    }

    /// The message may be read from here on.
    fn open_offer(&mut self, message: &MessageId) {
        if !self.offers.iter().any(|kept| kept.message == *message) {
            return;
        }
        for kept in &mut self.offers {
            if kept.message == *message {
                kept.phase = OfferPhase::Open;
            } else if kept.phase == OfferPhase::Open {
                kept.phase = OfferPhase::Replaced;
            }
        }
    }

    /// An attempt to send an offer is over. If the customer can have read it, it takes the place of
    /// the one before it: a number that they type means the newest question. If not, the one before
    /// it is still the newest. A message that will be sent again keeps its offer until then.
    fn settle_offer(&mut self, message: &MessageId, can_be_read: bool) {
        let is_open = |kept: &KeptOffer| kept.message == *message && kept.phase == OfferPhase::Open;
        if !self.offers.iter().any(is_open) {
            return;
        }
        let waiting = &self.waiting;
        let waits = |id: &MessageId| waiting.iter().any(|waiting| waiting.message == *id);
        self.offers.retain_mut(|kept| {
            kept.phase = match (kept.message == *message, kept.phase) {
                (true, _) if can_be_read => OfferPhase::Open,
                (true, _) => OfferPhase::Waiting,
                (false, OfferPhase::Replaced) if mutant::is(Mutant::OldQuestionStays) => {
                    OfferPhase::Open
                }
                (false, OfferPhase::Replaced) if !can_be_read => OfferPhase::Open,
                (false, OfferPhase::Replaced) if waits(&kept.message) => OfferPhase::Waiting,
                (false, OfferPhase::Replaced) => return false,
                (false, phase) => phase,
            };
            true
        });
    }

    fn apply_session_opened(&mut self, session: &SessionId) {
        self.session = Session::Open { id: session.clone() };
        self.hold_until = None;
        self.reopen_at = None;
        self.trouble = None;
        self.over = false;
        // The chat service works again, so a new session ends the pauses that we chose ourselves,
        // but not those that the service asked for.
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

    /// The chat is over. A session that was requested for it must not serve the next one.
    fn end_chat(&mut self, reason: Option<&Reason>) {
        self.session = Session::Closed;
        self.ending = false;
        self.reopen_at = None;
        self.abandoned = self.handshakes;
        self.over = true;
        if !mutant::is(Mutant::OfferOutlivesChat) {
            self.close_offers();
        }
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
        let nothing_arrived = match outcome {
            AttemptOutcome::NotTaken { .. } | AttemptOutcome::SessionGone => !of.unsure,
            _ => false,
        };
        self.settle_offer(message, !nothing_arrived);
        of.asked_until = match outcome {
            AttemptOutcome::NotTaken { after: Some(after), .. } => Some(later(at, *after)),
            _ => None,
        };
        match outcome {
            AttemptOutcome::Accepted { .. } => {
                let place = Some(of.place());
                self.unreported.push_back(Unreported { message: of.message, place, since: at });
            }
            AttemptOutcome::Delivered { .. } => {}
            // If the outcome is final, a `Settled` follows. Until then the message keeps its place
            // in the order.
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

    /// Inserts a message at its place in the order of I3.
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
