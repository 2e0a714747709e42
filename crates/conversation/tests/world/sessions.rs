//! What must hold for sessions, judged by the inputs and the records, not by the state machine's
//! own state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conversation::{
    AttemptOutcome, ClosedBy, CustomerLeft, Input, MessageId, OpenOutcome, Policy, Record,
    SessionId, Step,
};
use jiff::Timestamp;

/// The longest time until a chat service is asked again that said nothing more after its 202.
const ASKED_AGAIN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Sessions {
    open: Option<SessionId>,
    /// Agents' messages without a fate, in the order of I3.
    queue: BTreeMap<(Timestamp, u64), MessageId>,
    arrivals: u64,
    attempt: Option<MessageId>,
    paused: bool,
    /// A message whose session was gone, until it is sent again.
    resend: Option<MessageId>,
    /// Messages that were accepted before the customer left.
    left: BTreeSet<MessageId>,
    /// Calls for a session that were under way when the customer left, and the sessions that
    /// resulted.
    calls: BTreeSet<u32>,
    abandoned: BTreeSet<u32>,
    void: BTreeSet<SessionId>,
    /// When the chat service said that the handshake is in progress, if nothing has followed.
    pending: Option<Timestamp>,
    /// The try number of the last call; `None` if no handshake is in progress.
    tries: Option<u32>,
    /// Genesys knows the chat, and must be told that the customer left.
    known: bool,
    to_tell: bool,
    wrong: Option<String>,
}

impl Sessions {
    /// A call is made.
    pub(crate) fn asks(&mut self, attempt: u32, tries: u32) {
        self.calls.insert(attempt);
        if tries != self.tries.unwrap_or(0) {
            self.wrong = Some(format!(
                "the chat service is told try {tries} of a handshake, and it is {:?}",
                self.tries
            ));
        }
    }

    pub(crate) fn hears(&mut self, input: &Input, step: &Step, now: Timestamp) {
        match input {
            Input::SessionClosed { session: None, .. } => {
                self.left.extend(self.queue.values().cloned());
                self.abandoned.append(&mut self.calls);
            }
            Input::OpenEnded { attempt, outcome } => {
                self.calls.remove(attempt);
                if let OpenOutcome::Opened(session) = outcome
                    && self.abandoned.remove(attempt)
                {
                    self.void.insert(session.clone());
                }
            }
            // The service says so by an event as well, so the session is valid.
            Input::SessionOpened { session } => drop(self.void.remove(session)),
            _ => {}
        }
        for record in &step.records {
            self.reads(record, now);
        }
    }

    fn reads(&mut self, record: &Record, now: Timestamp) {
        match record {
            Record::Accepted { message, time, .. } => {
                self.arrivals += 1;
                self.queue.insert((*time, self.arrivals), message.clone());
            }
            Record::AttemptStarted { message, session, .. } => {
                self.attempt = Some(message.clone());
                self.resend.take_if(|resend| resend == message);
                if self.left.contains(message) {
                    self.wrong = Some(format!("{message} is sent after the customer left"));
                } else if self.void.contains(session) {
                    self.wrong =
                        Some(format!("{message} is sent into {session}, which came too late"));
                }
            }
            Record::AttemptEnded { message, outcome, .. } => {
                self.attempt = None;
                if *outcome == AttemptOutcome::SessionGone {
                    self.resend = Some(message.clone());
                }
            }
            Record::Settled { message, .. } => {
                self.queue.retain(|_, other| other != message);
                self.resend.take_if(|resend| resend == message);
            }
            Record::Paused => self.paused = true,
            Record::Resumed => self.paused = false,
            Record::GenesysConversation { .. } => self.known = true,
            Record::InboundAccepted { .. } | Record::DisconnectDue { .. } => self.to_tell = false,
            _ => self.reads_session(record, now),
        }
    }

    fn reads_session(&mut self, record: &Record, now: Timestamp) {
        match record {
            Record::HandshakeStarted { .. } => {
                (self.pending, self.tries) = (None, Some(self.tries.unwrap_or(0) + 1));
            }
            Record::HandshakePending { .. } => self.pending = Some(now),
            Record::HandshakeFailed { retry_at, .. } => {
                self.pending = None;
                self.tries = self.tries.filter(|_| retry_at.is_some());
            }
            Record::SessionOpened { session } => {
                (self.open, self.pending, self.tries) = (Some(session.clone()), None, None);
            }
            Record::SessionClosed { cause, .. } => {
                (self.open, self.pending, self.tries) = (None, None, None);
                self.to_tell |= self.known && *cause == ClosedBy::Service;
            }
            Record::SessionRefused { .. } => {
                (self.open, self.pending, self.tries) = (None, None, None);
                self.to_tell |= self.known;
            }
            _ => {}
        }
    }

    pub(crate) fn check(&mut self, now: Timestamp) -> Result<(), String> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        if self.pending.is_some_and(|since| now > since.checked_add(ASKED_AGAIN).expect("in range"))
        {
            return Err("a handshake that does not end is not asked about".to_owned());
        }
        let free = self.open.is_some() && self.attempt.is_none() && !self.paused;
        let first = self.queue.values().next();
        if free && first.is_some() && first == self.resend.as_ref() {
            return Err(format!("{:?} is not sent, and there is a session", self.resend));
        }
        Ok(())
    }

    pub(crate) fn check_end(&self, policy: &Policy) -> Result<(), String> {
        if self.to_tell && policy.on_customer_left == CustomerLeft::Disconnect {
            return Err("Genesys was never told that the customer left".to_owned());
        }
        Ok(())
    }
}
