//! Logs and counts the records of a step, once they are durable. It must not log a message's text.

use connector::CallKind;
use conversation::{
    AttemptOutcome, ClosedBy, ConversationId, Fate, MessageId, PostResult, Reason, ReasonCode,
    Record, TellOutcome,
};
use jiff::Timestamp;

use super::Engine;
use crate::settings::Integration;

/// Reports each message that is accepted or settled, and each failed call to the chat service.
pub(super) fn log_and_count(
    engine: &Engine,
    of: &Integration,
    id: &ConversationId,
    at: Timestamp,
    records: &[Record],
) {
    let integration = of.name.as_str();
    let teller = Teller { engine, of, id, at };
    for (number, record) in records.iter().enumerate() {
        match record {
            Record::Accepted { message, .. } => {
                tracing::info!(integration, conversation = %id, id = %message, "accepted");
            }
            Record::Settled { message, fate, .. } => {
                let (word, reason) = match fate {
                    Fate::Delivered => ("delivered", None),
                    Fate::Sent => ("sent", None),
                    Fate::Failed { reason } => ("failed", Some(reason)),
                };
                engine.metrics.settled(integration, word);
                let (code, why) = (
                    reason.map(|reason| reason.code.as_str()),
                    reason.map(|reason| &*reason.message),
                );
                tracing::info!(
                    integration, conversation = %id, id = %message, fate = word, reason = code, why, "settled"
                );
            }
            Record::AttemptEnded { message, outcome, retry_at, .. } => {
                engine.metrics.attempt(integration, word_of(outcome));
                let next = || match retry_at {
                    Some(retry_at) => teller.again_in(*retry_at),
                    None => settled_as(&records[number..], message),
                };
                teller.attempt(outcome, next);
            }
            Record::HandshakeFailed { reason, retry_at: Some(retry_at) } => {
                teller.failed(CallKind::Open, "retry", reason, || teller.again_in(*retry_at));
            }
            // A handshake that was given up has no failed call of its own.
            Record::HandshakeFailed { reason, retry_at: None }
                if reason.code != ReasonCode::MessageExpired =>
            {
                teller.failed(CallKind::Open, "refused", reason, || {
                    "the messages that wait for it fail".to_owned()
                });
            }
            Record::SessionClosed { cause: ClosedBy::Service, .. } => {
                tracing::info!(integration, conversation = %id, "the customer has left the chat");
            }
            Record::SessionClosed { cause: ClosedBy::Lost, .. } => {
                tracing::info!(integration, conversation = %id, "the chat service lost the session");
            }
            Record::SessionRefused { reason } => {
                teller.failed(CallKind::Open, "refused", reason, || {
                    "the messages that wait for it fail".to_owned()
                });
            }
            Record::InboundDone { message, result: PostResult::Refused { why } } => {
                engine.metrics.dead_letter(integration);
                engine.dead_letters.notify_one();
                tracing::error!(
                    integration, conversation = %id, id = %message, why = &**why,
                    "a customer's message is a dead letter: Genesys will never accept it; the \
                     store keeps it"
                );
            }
            Record::InboundRetried { message, by, .. } => {
                teller.operator_acted(message, "retries", by);
            }
            Record::InboundDiscarded { message, by, .. } => {
                teller.operator_acted(message, "discards", by);
            }
            Record::RefusalTold { message, outcome: TellOutcome::Failed { why }, retry_at } => {
                teller.not_told(message, why, *retry_at);
            }
            Record::RefusalTold { message, outcome: TellOutcome::NotMade, retry_at: None } => {
                teller.not_told(message, "it was not told within a day", None);
            }
            Record::RefusalTold { message, outcome: TellOutcome::GivenUp { why }, .. } => {
                teller.not_told(message, why, None);
            }
            _ => {}
        }
    }
}

/// Reports a failed call that has no consequences.
pub(super) fn best_effort_failed(
    engine: &Engine,
    of: &Integration,
    id: &ConversationId,
    call: CallKind,
    cause: &str,
) {
    let teller = Teller { engine, of, id, at: Timestamp::MIN };
    teller.failed(call, "failed", &Reason::new(ReasonCode::ServerError, cause), || {
        "the call is not repeated".to_owned()
    });
}

/// Reports failed calls about one conversation.
struct Teller<'a> {
    engine: &'a Engine,
    of: &'a Integration,
    id: &'a ConversationId,
    at: Timestamp,
}

impl Teller<'_> {
    fn attempt(&self, outcome: &AttemptOutcome, next: impl FnOnce() -> String) {
        match outcome {
            AttemptOutcome::Delivered { .. } | AttemptOutcome::Accepted { .. } => {}
            AttemptOutcome::Rejected { reason }
            | AttemptOutcome::NotTaken { reason, .. }
            | AttemptOutcome::Unknown { reason } => {
                self.failed(CallKind::Messages, word_of(outcome), reason, next);
            }
            AttemptOutcome::SessionGone => {
                let reason = Reason::new(
                    ReasonCode::GeneralError,
                    "the chat service answered 409: the session is gone",
                );
                let next = || "sent again in the next session".to_owned();
                self.failed(CallKind::Messages, word_of(outcome), &reason, next);
            }
        }
    }

    fn operator_acted(&self, message: &MessageId, action: &str, by: &str) {
        self.engine.dead_letters.notify_one();
        tracing::info!(
            integration = self.of.name.as_str(), conversation = %self.id, id = %message, by,
            "an operator {action} a dead letter"
        );
    }

    /// Reports that the chat service was not told that Genesys will never accept a customer's
    /// message.
    fn not_told(&self, message: &MessageId, why: &str, retry_at: Option<Timestamp>) {
        let reason = Reason::new(ReasonCode::ServerError, why);
        self.failed(CallKind::Events, "failed", &reason, || match retry_at {
            Some(retry_at) => self.again_in(retry_at),
            None => "the gateway no longer tries to tell it".to_owned(),
        });
        if retry_at.is_none() {
            tracing::error!(
                integration = self.of.name.as_str(), conversation = %self.id, id = %message, why,
                "the chat service was not told that Genesys will never accept a customer's \
                 message; the store keeps it"
            );
        }
    }

    /// Counts a failed call, and logs it unless a line of this kind was written recently.
    fn failed(
        &self,
        call: CallKind,
        outcome: &'static str,
        cause: &Reason,
        next: impl FnOnce() -> String,
    ) {
        let integration = self.of.name.as_str();
        self.engine.metrics.failed_call(integration, call.as_str(), outcome);
        if let Some(more) = self.engine.failures.admit(integration, call.as_str(), &cause.message) {
            tracing::warn!(
                integration,
                conversation = %self.id,
                call = call.as_str(),
                address = self.of.connector.address(self.id, call),
                outcome,
                code = cause.code.as_str(),
                cause = cause.message,
                next = next(),
                more,
                "a call to the chat service failed"
            );
        }
    }

    fn again_in(&self, retry_at: Timestamp) -> String {
        let pause = retry_at.duration_since(self.at);
        format!("tried again in {:.1} s", pause.as_secs_f64().max(0.0))
    }
}

/// What follows an attempt without a scheduled retry: the message's fate, or another try at once.
fn settled_as(rest: &[Record], of: &MessageId) -> String {
    let fate = rest.iter().find_map(|record| match record {
        Record::Settled { message, fate, .. } if message == of => Some(fate),
        _ => None,
    });
    match fate {
        Some(Fate::Failed { reason }) => {
            format!("the message has failed: {}", reason.code.as_str())
        }
        Some(Fate::Delivered) => "the message was delivered anyway".to_owned(),
        Some(Fate::Sent) | None => "tried again at once".to_owned(),
    }
}

fn word_of(outcome: &AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Delivered { .. } => "delivered",
        AttemptOutcome::Accepted { .. } => "accepted",
        AttemptOutcome::Rejected { .. } => "rejected",
        AttemptOutcome::SessionGone => "session_gone",
        AttemptOutcome::NotTaken { .. } => "not_taken",
        AttemptOutcome::Unknown { .. } => "unknown",
    }
}
