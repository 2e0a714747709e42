//! Handles one input: what it means, which deadlines have passed, and what comes next.
//!
//! This is the entry point. `outbound` decides about agents' messages, `handshake` about sessions,
//! and `inbound` about customers' messages and everything else that Genesys is owed. `refusals`
//! tells the chat service about customers' messages that Genesys will never accept.

use jiff::Timestamp;

use crate::input::{Effect, Ignored, Input, Step};
use crate::policy::Policy;
use crate::record::Record;
use crate::state::{Conversation, Session};

/// The state while one input is handled, and the step so far.
pub(crate) struct Turn<'a> {
    pub(crate) conversation: &'a mut Conversation,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Timestamp,
    step: Step,
}

impl Conversation {
    /// Decides what follows from `input` at `now`.
    ///
    /// It accepts every input in every state: if an input does not fit, [`Step::ignored`] says why.
    /// The records must be durable before the first effect runs. If they cannot be made durable,
    /// the caller must discard the state and replay it.
    pub fn handle(&mut self, policy: &Policy, now: Timestamp, input: Input) -> Step {
        let mut turn = Turn { conversation: self, policy, now, step: Step::default() };
        turn.take(input);
        // Deadlines come first, so that an expired message fails before anything can forward it
        // (I4, I8).
        turn.expire_attempt();
        turn.expire_messages();
        turn.expire_handshake();
        turn.expire_reports();
        turn.advance_handshake();
        turn.forward_next();
        turn.release_inbound();
        turn.disconnect();
        turn.close_when_done();
        turn.tell_next();
        turn.step
    }
}

impl Turn<'_> {
    fn take(&mut self, input: Input) {
        match input {
            Input::AgentMessage { message, time, received, unsuited, genesys, offer } => {
                self.learn_genesys_conversation(genesys);
                self.accept(message, time, received, unsuited, offer);
            }
            Input::CustomerMessage { message, text, tap } => {
                self.accept_inbound(message, text.as_deref(), tap);
            }
            Input::OpenEnded { attempt, outcome } => self.open_ended(attempt, outcome),
            Input::SessionOpened { session } => self.session_opened(session),
            Input::SessionRefused { reason } => self.session_refused(reason),
            Input::SessionClosed { session, reason } => {
                self.session_closed(session.as_ref(), reason);
            }
            Input::SessionLost { session } => self.session_lost(session.as_ref()),
            Input::AttemptEnded { message, attempt, outcome } => {
                self.attempt_ended(&message, attempt, outcome);
            }
            Input::Reported { message, report } => self.reported(message, report),
            Input::ReceiptDone { message, last, result } => {
                self.receipt_done(message, last, result);
            }
            Input::InboundDone { message, result, genesys } => {
                self.inbound_done(message, result, genesys);
            }
            Input::PostFailed { owed, why } => self.post_failed(owed, &why),
            Input::RefusalTold { message, attempt, outcome } => {
                self.refusal_told(message, attempt, outcome);
            }
            Input::NoticeDone { message, notice, result } => {
                self.notice_done(message, notice, result);
            }
            Input::DisconnectDone { result } => self.disconnect_done(result),
            Input::GenesysEnded { id } => self.genesys_ended(&id),
            Input::DeadLetter { action, message, died, by } => {
                self.act_on_dead_letter(action, message, died, by);
            }
            Input::Resume => {
                if self.conversation.paused {
                    self.record(Record::Resumed);
                }
            }
            Input::Recovered => {
                self.recover_attempt();
                self.recover_handshake();
                self.recover_telling();
            }
            Input::AgentTyping { on, duration } => match self.conversation.session {
                Session::Open { .. } => self.effect(Effect::Typing { on, duration }),
                Session::Closed | Session::Opening { .. } => self.ignore(Ignored::Typing),
            },
            // Genesys may create a conversation from a typing event, so the customer's words must
            // come first.
            Input::CustomerTyping => match self.conversation.genesys {
                Some(_) => self.effect(Effect::CustomerTyping),
                None => self.ignore(Ignored::Typing),
            },
            Input::Tick => {}
        }
    }

    /// Adds a decision to the step, and applies it to the state.
    pub(crate) fn record(&mut self, record: Record) {
        self.conversation.apply(self.now, &record);
        self.step.records.push(record);
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }

    pub(crate) fn ignore(&mut self, why: Ignored) {
        self.step.ignored = Some(why);
    }
}
