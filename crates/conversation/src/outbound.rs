//! Agents' messages on their way to the chat service: accepted, forwarded in order, settled once.

use std::time::Duration;

use jiff::Timestamp;

use crate::input::{Effect, Ignored};
use crate::mutant::{self, Mutant};
use crate::owed::{Fate, Owed};
use crate::policy::{AfterFailure, NoticeKind, OnUnknown, SendReceipts};
use crate::record::{ClosedBy, Record};
use crate::state::{Conversation, KeptOffer, OpenAttempt, Session, Waiting, later};
use crate::turn::Turn;
use crate::{AttemptOutcome, MessageId, Offer, Reason, ReasonCode, Report};

/// At most this many messages wait in one conversation, with or without a session. This limits its
/// memory (I12).
const MOST_WAITING: usize = 1_000;

/// How many offers one conversation keeps with their options (I12). Answers to a further one reach
/// Genesys as text.
const MAX_OFFERS: usize = 5;

/// The reason of a message that expired without an attempt.
const BEHIND: &str = "its time ran out while it waited behind other messages for the chat service";

impl Conversation {
    /// Why a message has expired, with the last thing that went wrong.
    fn why_expired(&self, late: &Waiting) -> Reason {
        let expired = |what: &str, why: Option<String>| {
            let why = why.map_or(String::new(), |why| format!("; {why}"));
            Reason::new(ReasonCode::MessageExpired, format!("{what}{why}"))
        };
        if !matches!(self.session, Session::Open { .. }) {
            return expired(
                "the customer's chat session was not ready in time",
                self.why_no_session(),
            );
        }
        if let Some(last) = &late.last {
            return last.clone();
        }
        let before = match (&self.attempt, self.waiting.front()) {
            (Some(open), _) => open.of.last.as_ref().map_or("no answer yet", |last| &last.message),
            (None, Some(Waiting { last: Some(last), .. })) => &last.message,
            (None, _) if self.is_held(late) => {
                return expired(BEHIND, Some("a failure had paused the conversation".to_owned()));
            }
            (None, _) => return expired(BEHIND, None),
        };
        expired(BEHIND, Some(format!("the last try of the one before it: {before}")))
    }
}

impl Turn<'_> {
    /// Accepts a new message: the gateway is responsible for it from here on.
    pub(crate) fn accept(
        &mut self,
        message: MessageId,
        time: Option<Timestamp>,
        received: Timestamp,
        unsuited: Option<Reason>,
        offer: Option<Box<Offer>>,
    ) {
        // A message cannot have arrived later than now. So a node whose clock is ahead gives no
        // message more time.
        let received = received.min(self.now);
        let waiting = self.conversation.waiting.len();
        let has_session = matches!(self.conversation.session, Session::Open { .. });
        let most = if has_session {
            MOST_WAITING
        } else {
            self.policy.hold.max_messages.min(MOST_WAITING)
        };
        let place = if mutant::is(Mutant::OrderByOurClock) {
            time.map_or(received, |time| time.min(received))
        } else {
            // The time that Genesys wrote, however far it is from our clock. The clocks of two
            // nodes differ, and a machine's clock may be set, so only Genesys's clock says which
            // message was written first.
            time.unwrap_or_else(|| self.conversation.last_place())
        };
        self.record(Record::Accepted {
            message: message.clone(),
            time: place,
            received,
            hold_until: later(received, self.policy.hold.limit),
            give_up: later(received, self.policy.delivery.give_up_after),
        });
        if let Some(offer) = offer {
            let kept = |offer: &&KeptOffer| !offer.offer.options.is_empty();
            let has_room = self.conversation.offers.iter().filter(kept).count() < MAX_OFFERS;
            let offer = Box::new(if has_room { offer.bounded() } else { Offer::default() });
            let until = later(received, self.policy.answer_within);
            self.record(Record::Offered { message: message.clone(), offer, until });
        }
        if let Some(reason) = unsuited {
            self.fail(message, reason);
        } else if let Some(reason) = self.conversation.left.clone() {
            // It belongs to the chat that the customer left and that Genesys is about to end.
            self.fail(message, reason);
        } else if waiting >= most {
            let why = format!("{waiting} messages already wait for the customer's chat service");
            self.fail(message, Reason::new(ReasonCode::RateLimited, why));
        } else if !has_session && waiting == 0 && self.policy.notices.contains(&NoticeKind::Held) {
            // One notice for the whole hold, not one for each message in it.
            self.notice(message, NoticeKind::Held);
        }
    }

    /// Forwards the message at the head of the queue, if it may go. No other function starts an
    /// attempt.
    pub(crate) fn forward_next(&mut self) {
        let conversation = &*self.conversation;
        let (Session::Open { id }, None) = (&conversation.session, &conversation.attempt) else {
            return;
        };
        let head = conversation.waiting.front().filter(|head| !conversation.is_held(head));
        let Some(head) = head else { return };
        // A message that waits for its retry blocks those behind it. This keeps the order (I3).
        if head.retry_at.is_some_and(|at| at > self.now) {
            return;
        }
        let (message, attempt, session) = (head.message.clone(), head.attempts + 1, id.clone());
        self.record(Record::AttemptStarted {
            message: message.clone(),
            attempt,
            session: session.clone(),
        });
        self.effect(Effect::Forward { message, attempt, session });
    }

    /// Handles the end of an attempt.
    pub(crate) fn attempt_ended(
        &mut self,
        message: &MessageId,
        attempt: u32,
        outcome: AttemptOutcome,
    ) {
        let open = self.conversation.attempt.clone();
        let Some(open) =
            open.filter(|open| open.of.message == *message && open.of.attempts == attempt)
        else {
            self.ignore(Ignored::StaleAnswer);
            return;
        };
        let outcome = match outcome {
            AttemptOutcome::Unknown { .. } if mutant::is(Mutant::UnknownIsDelivered) => {
                AttemptOutcome::Delivered { service_id: None }
            }
            outcome => outcome,
        };
        match outcome {
            AttemptOutcome::Delivered { .. } => {
                self.end_attempt(&open.of, outcome, None);
                self.settle(open.of.message, Fate::Delivered);
            }
            AttemptOutcome::Accepted { .. } => self.taken(&open.of, outcome),
            AttemptOutcome::Rejected { ref reason } => {
                let reason = reason.clone();
                self.end_attempt(&open.of, outcome, None);
                self.fail(open.of.message, reason);
            }
            AttemptOutcome::SessionGone | AttemptOutcome::NotTaken { .. }
                if open.left.is_some() =>
            {
                self.end_last_attempt(open, outcome);
            }
            AttemptOutcome::SessionGone => self.lost_session(open),
            AttemptOutcome::NotTaken { ref reason, after } => {
                let reason = reason.clone();
                self.retry_or_fail(open.of, outcome, after, reason);
            }
            AttemptOutcome::Unknown { ref reason } => {
                let reason = reason.clone();
                match self.policy.delivery.on_unknown {
                    OnUnknown::Retry if open.left.is_none() => {
                        self.retry_or_fail(open.of, outcome, None, reason);
                    }
                    OnUnknown::Retry | OnUnknown::Fail => {
                        self.end_attempt(&open.of, outcome, None);
                        self.fail(open.of.message, reason);
                    }
                }
            }
        }
    }

    /// The chat service accepted the message, and may still report on it.
    fn taken(&mut self, of: &Waiting, outcome: AttemptOutcome) {
        let message = of.message.clone();
        self.end_attempt(of, outcome, None);
        if self.policy.acceptance_is_delivery() {
            self.settle(message, Fate::Delivered);
        } else if self.policy.receipts.send == SendReceipts::All {
            self.record(Record::SentDue { message: message.clone() });
            self.effect(Effect::Post(Owed::Receipt { message, fate: None }));
        }
    }

    /// The message was not accepted, and the customer left meanwhile, so it is not sent again.
    fn end_last_attempt(&mut self, open: OpenAttempt, outcome: AttemptOutcome) {
        self.end_attempt(&open.of, outcome, None);
        if let Some(reason) = open.left {
            self.fail(open.of.message, reason);
        }
    }

    fn end_attempt(&mut self, of: &Waiting, outcome: AttemptOutcome, retry_at: Option<Timestamp>) {
        let (message, attempt) = (of.message.clone(), of.attempts);
        self.record(Record::AttemptEnded { message, attempt, outcome, retry_at });
    }

    /// The session that the message was sent into is gone. The message keeps its place, and is sent
    /// as soon as there is another session. If a service loses every session, the pause is before
    /// the handshake, not after it.
    fn lost_session(&mut self, open: OpenAttempt) {
        let late = mutant::is(Mutant::PauseAfterGone) && open.of.attempts > 1;
        let retry_at = late.then(|| later(self.now, self.pause_of_message(&open.of)));
        self.end_attempt(&open.of, AttemptOutcome::SessionGone, retry_at);
        if self.conversation.session == (Session::Open { id: open.session }) {
            self.session_gone(ClosedBy::Forward);
        }
    }

    fn retry_or_fail(
        &mut self,
        of: Waiting,
        outcome: AttemptOutcome,
        after: Option<Duration>,
        reason: Reason,
    ) {
        let pause = self.pause_of_message(&of).max(after.unwrap_or_default());
        let retry_at = later(self.now, pause);
        if retry_at < of.give_up {
            self.end_attempt(&of, outcome, Some(retry_at));
        } else {
            // No further attempt would start in time, so the message fails now.
            self.end_attempt(&of, outcome, None);
            let reason = self.with_try_before(&of, reason);
            self.fail(of.message, reason);
        }
    }

    /// Why the last attempt failed. If the message's deadline cut it short, the attempt before it
    /// has the better reason.
    fn with_try_before(&self, of: &Waiting, reason: Reason) -> Reason {
        match &of.last {
            Some(last) if self.now >= of.give_up && last.message != reason.message => {
                let why = format!("{}; the last try before that: {}", reason.message, last.message);
                Reason::new(last.code, why)
            }
            _ => reason,
        }
    }

    fn pause_of_message(&self, of: &Waiting) -> Duration {
        self.policy.delivery.pause(of.message.as_str().as_bytes(), of.attempts)
    }

    /// Handles a report of the chat service on a message.
    pub(crate) fn reported(&mut self, message: MessageId, report: Report) {
        let open = self.conversation.attempt.clone().filter(|open| open.of.message == message);
        let unreported =
            self.conversation.unreported.iter().any(|unreported| unreported.message == message);
        let tried = self
            .conversation
            .waiting
            .iter()
            .any(|waiting| waiting.message == message && waiting.attempts > 0);
        self.record(Record::Reported { message: message.clone(), report: report.clone() });
        if open.is_none() && !unreported && !tried {
            self.ignore(Ignored::UselessReport);
            return;
        }
        let outcome = match &report {
            Report::Delivered | Report::Read => AttemptOutcome::Delivered { service_id: None },
            Report::Failed { reason } => AttemptOutcome::Rejected { reason: reason.clone() },
        };
        // The report may overtake the answer to the call that forwarded the message.
        if let Some(open) = open {
            self.end_attempt(&open.of, outcome, None);
        }
        match report {
            Report::Delivered | Report::Read => self.settle(message, Fate::Delivered),
            // The chat service knows the outcome, so the reason need not say that the message may
            // have arrived.
            Report::Failed { reason } => self.fail_known(message, reason),
        }
    }

    /// Fails the messages whose deadlines have passed.
    pub(crate) fn expire_messages(&mut self) {
        let now = self.now;
        // A failure may change which messages have expired, so the search starts again after each.
        while let Some(late) =
            self.conversation.waiting.iter().find(|w| self.conversation.deadline(w) <= now)
        {
            let reason = self.conversation.why_expired(late);
            let message = late.message.clone();
            self.fail_as(message, reason, NoticeKind::Expired);
        }
    }

    /// Ends an attempt that has outlived its message (I8). By then its call has ended, unless the
    /// connector ignores its time limit or the answer is still on its way here. The outcome of the
    /// call no longer matters.
    pub(crate) fn expire_attempt(&mut self) {
        if self.conversation.attempt_deadline().is_none_or(|deadline| deadline > self.now) {
            return;
        }
        let Some(open) = self.conversation.attempt.clone() else { return };
        let reason = Reason::new(
            ReasonCode::ServerError,
            "its time ran out while the chat service had not answered",
        );
        self.end_attempt(&open.of, AttemptOutcome::Unknown { reason: reason.clone() }, None);
        self.fail(open.of.message, reason);
    }

    /// Settles messages as `Sent` that the chat service accepted and did not report on in time.
    pub(crate) fn expire_reports(&mut self) {
        while let Some(first) = self.conversation.unreported.front() {
            if later(first.since, self.policy.receipts.report_timeout) > self.now {
                return;
            }
            let message = first.message.clone();
            self.settle(message, Fate::Sent);
        }
    }

    /// After a crash the outcome of an open attempt is unknown.
    pub(crate) fn recover_attempt(&mut self) {
        let Some(open) = self.conversation.attempt.clone() else { return };
        let reason = Reason::new(
            ReasonCode::GeneralError,
            "the node that was forwarding the message stopped, or lost the conversation",
        );
        self.attempt_ended(&open.of.message, open.of.attempts, AttemptOutcome::Unknown { reason });
    }

    pub(crate) fn fail(&mut self, message: MessageId, reason: Reason) {
        self.fail_as(message, reason, NoticeKind::Failed);
    }

    fn fail_as(&mut self, message: MessageId, reason: Reason, notice: NoticeKind) {
        let reason = self.with_doubt(&message, reason);
        self.fail_at(message, reason, notice);
    }

    /// Fails a message of which the chat service said that it did not arrive, even if the outcome
    /// of an earlier attempt is unknown.
    fn fail_known(&mut self, message: MessageId, reason: Reason) {
        self.fail_at(message, reason, NoticeKind::Failed);
    }

    fn fail_at(&mut self, message: MessageId, reason: Reason, notice: NoticeKind) {
        let place = self.conversation.place_of(&message);
        self.settle(message.clone(), Fate::Failed { reason });
        if self.policy.notices.contains(&notice) {
            self.notice(message, notice);
        }
        // Only messages behind it are concerned. Messages ahead of it may still wait.
        let waiting = &self.conversation.waiting;
        let ahead = waiting.iter().take_while(|w| Some(w.place()) < place).count();
        match self.policy.delivery.after_failure {
            AfterFailure::Continue => {}
            AfterFailure::FailRest => self.fail_rest(ahead),
            AfterFailure::Pause => {
                if waiting.get(ahead).is_some_and(|next| !self.conversation.is_held(next)) {
                    self.record(Record::Paused);
                }
            }
        }
    }

    /// Adds to a reason that the message may have arrived, if the outcome of any attempt is unknown
    /// (I6).
    fn with_doubt(&self, message: &MessageId, reason: Reason) -> Reason {
        if self
            .conversation
            .waiting
            .iter()
            .any(|waiting| waiting.message == *message && waiting.unsure)
        {
            Reason::new(reason.code, format!("it may have arrived: {}", reason.message))
        } else {
            reason
        }
    }

    /// Fails the messages at `place` and behind it. It does not call `fail`, because these failures
    /// must not fail further messages.
    fn fail_rest(&mut self, place: usize) {
        let rest: Vec<_> =
            self.conversation.waiting.iter().skip(place).map(|w| w.message.clone()).collect();
        for message in rest {
            let reason = self.with_doubt(
                &message,
                Reason::new(ReasonCode::GeneralError, "a message before it failed"),
            );
            self.settle(message.clone(), Fate::Failed { reason });
            if self.policy.notices.contains(&NoticeKind::Failed) {
                self.notice(message, NoticeKind::Failed);
            }
        }
    }

    /// Decides a message's fate. Every final receipt goes through here, once for each message.
    fn settle(&mut self, message: MessageId, fate: Fate) {
        let receipt = match self.policy.receipts.send {
            SendReceipts::Final | SendReceipts::All => true,
            SendReceipts::Failures => fate.is_failed(),
        };
        self.record(Record::Settled { message: message.clone(), fate: fate.clone(), receipt });
        if receipt {
            self.effect(Effect::Post(Owed::Receipt { message, fate: Some(fate) }));
        }
        let conversation = &*self.conversation;
        if conversation.paused && !conversation.waiting.iter().any(|w| conversation.is_held(w)) {
            self.record(Record::Resumed);
        }
    }
}
