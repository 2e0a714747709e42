//! Agents' messages on their way to the chat service: accepted, forwarded in order, settled once.

use std::time::Duration;

use jiff::Timestamp;

use crate::input::{Effect, Ignored, Owed};
use crate::mutant::{self, Mutant};
use crate::policy::{AfterFailure, NoticeKind, OnUnknown, SendReceipts};
use crate::record::{ClosedBy, Fate, Record};
use crate::state::{OpenAttempt, Session, Waiting, later};
use crate::turn::Turn;
use crate::{AttemptOutcome, MessageId, Reason, ReasonCode, Report};

/// More than these never wait in one conversation, session or not: its state stays small enough to hold (I12).
const MOST_WAITING: usize = 1_000;

impl Turn<'_> {
    /// A new message: it is answered for from here on.
    pub(crate) fn accept(
        &mut self,
        message: MessageId,
        time: Option<Timestamp>,
        received: Timestamp,
        unsuited: Option<Reason>,
    ) {
        let waiting = self.conversation.waiting.len();
        let has_session = matches!(self.conversation.session, Session::Open { .. });
        let most = if has_session {
            MOST_WAITING
        } else {
            self.policy.hold.max_messages.min(MOST_WAITING)
        };
        self.record(Record::Accepted {
            message: message.clone(),
            // A clock that runs ahead must not put a message behind all that follow.
            time: time.map_or(received, |time| time.min(received)),
            received,
            hold_until: later(received, self.policy.hold.limit),
            give_up: later(received, self.policy.delivery.give_up_after),
        });
        if let Some(reason) = unsuited {
            self.fail(message, reason);
        } else if waiting >= most {
            let why = format!("{waiting} messages already wait for the customer's chat service");
            self.fail(message, Reason::new(ReasonCode::RateLimited, why));
        } else if !has_session && waiting == 0 && self.policy.notices.contains(&NoticeKind::Held) {
            // One note for a hold, not one for each message in it.
            self.notice(message, NoticeKind::Held);
        }
    }

    /// Takes the next message from the head of the queue, if it may go. No other function does.
    pub(crate) fn forward_next(&mut self) {
        let conversation = &*self.conversation;
        let (Session::Open { id }, None, false) =
            (&conversation.session, &conversation.attempt, conversation.paused)
        else {
            return;
        };
        let Some(head) = conversation.waiting.front() else { return };
        // A message that waits for its retry holds up those behind it: that is what keeps the order (I3).
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

    /// An attempt is over, one way or another.
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
            AttemptOutcome::Accepted { .. } => {
                self.end_attempt(&open.of, outcome, None);
                if self.policy.acceptance_is_delivery() {
                    self.settle(open.of.message, Fate::Delivered);
                } else if self.policy.receipts.send == SendReceipts::All {
                    self.record(Record::SentDue { message: open.of.message.clone() });
                    self.effect(Effect::Post(Owed::Receipt {
                        message: open.of.message,
                        fate: None,
                    }));
                }
            }
            AttemptOutcome::Rejected { ref reason } => {
                let reason = reason.clone();
                self.end_attempt(&open.of, outcome, None);
                self.fail(open.of.message, reason);
            }
            AttemptOutcome::SessionGone => self.lost_session(open),
            AttemptOutcome::NotTaken { ref reason, after } => {
                let reason = reason.clone();
                self.retry_or_fail(open.of, outcome, after, reason);
            }
            AttemptOutcome::Unknown { ref reason } => match self.policy.delivery.on_unknown {
                OnUnknown::Retry => {
                    let reason = reason.clone();
                    self.retry_or_fail(open.of, outcome, None, reason);
                }
                OnUnknown::Fail => {
                    let why = format!("it may have arrived: {}", reason.message);
                    let reason = Reason::new(reason.code, why);
                    self.end_attempt(&open.of, outcome, None);
                    self.fail(open.of.message, reason);
                }
            },
        }
    }

    fn end_attempt(&mut self, of: &Waiting, outcome: AttemptOutcome, retry_at: Option<Timestamp>) {
        let (message, attempt) = (of.message.clone(), of.attempts);
        self.record(Record::AttemptEnded { message, attempt, outcome, retry_at });
    }

    /// The session that the message was sent into is gone: the message keeps its place and waits for the next one.
    fn lost_session(&mut self, open: OpenAttempt) {
        // The first loss is an accident; a service that loses every session is left alone for longer and longer.
        let retry_at =
            (open.of.attempts > 1).then(|| later(self.now, self.pause_of_message(&open.of)));
        self.end_attempt(&open.of, AttemptOutcome::SessionGone, retry_at);
        if self.conversation.session == (Session::Open { id: open.session }) {
            self.close_session(ClosedBy::Forward);
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
            // No other attempt would start in time, so the agent may know now.
            self.end_attempt(&of, outcome, None);
            self.fail(of.message, reason);
        }
    }

    fn pause_of_message(&self, of: &Waiting) -> Duration {
        self.policy.delivery.pause(of.message.as_str().as_bytes(), of.attempts)
    }

    /// The chat service said what became of a message.
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
        // The report may overtake the answer to the very call that it is about.
        if let Some(open) = open {
            self.end_attempt(&open.of, outcome, None);
        }
        match report {
            Report::Delivered | Report::Read => self.settle(message, Fate::Delivered),
            Report::Failed { reason } => self.fail(message, reason),
        }
    }

    /// Fails what has waited too long.
    pub(crate) fn expire_messages(&mut self) {
        let now = self.now;
        // A failure may change whose time is up, so each is looked for anew.
        while let Some(late) =
            self.conversation.waiting.iter().find(|w| self.conversation.deadline(w) <= now)
        {
            let held = !matches!(self.conversation.session, Session::Open { .. });
            let reason = match (&late.last, held) {
                (Some(last), false) => last.clone(),
                (None, false) => Reason::new(
                    ReasonCode::MessageExpired,
                    "its time ran out while it waited behind other messages for the chat service",
                ),
                (_, true) => Reason::new(
                    ReasonCode::MessageExpired,
                    "the customer's chat session was not ready in time",
                ),
            };
            let message = late.message.clone();
            self.fail_as(message, reason, NoticeKind::Expired);
        }
    }

    /// Closes the books on what the chat service took and never reported on.
    pub(crate) fn expire_reports(&mut self) {
        while let Some(first) = self.conversation.unreported.front() {
            if later(first.since, self.policy.receipts.report_timeout) > self.now {
                return;
            }
            let message = first.message.clone();
            self.settle(message, Fate::Sent);
        }
    }

    /// After a crash nobody knows what became of an open attempt.
    pub(crate) fn recover_attempt(&mut self) {
        let Some(open) = self.conversation.attempt.clone() else { return };
        let reason = Reason::new(
            ReasonCode::GeneralError,
            "the gateway stopped while the message was being forwarded",
        );
        self.attempt_ended(&open.of.message, open.of.attempts, AttemptOutcome::Unknown { reason });
    }

    pub(crate) fn fail(&mut self, message: MessageId, reason: Reason) {
        self.fail_as(message, reason, NoticeKind::Failed);
    }

    fn fail_as(&mut self, message: MessageId, reason: Reason, notice: NoticeKind) {
        let place = self.conversation.waiting.iter().position(|waiting| waiting.message == message);
        self.settle(message.clone(), Fate::Failed { reason });
        if self.policy.notices.contains(&notice) {
            self.notice(message, notice);
        }
        match self.policy.delivery.after_failure {
            AfterFailure::Continue => {}
            AfterFailure::FailRest => self.fail_rest(place.unwrap_or(0)),
            AfterFailure::Pause => {
                if !self.conversation.paused && !self.conversation.waiting.is_empty() {
                    self.record(Record::Paused);
                }
            }
        }
    }

    /// Fails what stands at `place` and behind it. A loop of its own, since these failures fail nothing more.
    fn fail_rest(&mut self, place: usize) {
        let rest: Vec<_> =
            self.conversation.waiting.iter().skip(place).map(|w| w.message.clone()).collect();
        for message in rest {
            let reason = Reason::new(ReasonCode::GeneralError, "a message before it failed");
            self.settle(message.clone(), Fate::Failed { reason });
            if self.policy.notices.contains(&NoticeKind::Failed) {
                self.notice(message, NoticeKind::Failed);
            }
        }
    }

    /// Decides a message's fate. Every way to a final receipt leads through here, once for each message.
    fn settle(&mut self, message: MessageId, fate: Fate) {
        let receipt = match self.policy.receipts.send {
            SendReceipts::Final | SendReceipts::All => true,
            SendReceipts::Failures => fate.is_failed(),
        };
        self.record(Record::Settled { message: message.clone(), fate: fate.clone(), receipt });
        if receipt {
            self.effect(Effect::Post(Owed::Receipt { message, fate: Some(fate) }));
        }
        if self.conversation.paused && self.conversation.waiting.is_empty() {
            self.record(Record::Resumed);
        }
    }
}
