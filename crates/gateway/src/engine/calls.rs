//! Calls to the chat service. Each runs in a task of its own. A call that the journal knows of
//! always returns an answer, even if it panics.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connector::{CallKind, Connector, Customer, Departure, Forward, Open, Refusal, Typing};
use conversation::mutant::{self, Mutant};
use conversation::{
    AttemptOutcome, ClosedBy, ConversationId, Input, MessageId, OpenOutcome, Reason, ReasonCode,
    SessionId, TellOutcome,
};
use futures_util::stream::FuturesUnordered;
use genesys::WebhookMessage;
use store::{Chain, Direction, LeaseGuard, StoreError};
use tokio_util::sync::CancellationToken;

use super::terms::{AnswerUse, CallEnd, CallTerms};
use super::{Engine, report};
use crate::files::outbound::{Obstructed, Outgoing};
use crate::settings::Integration;
use crate::{files, from_genesys};

/// The calls of one conversation that are in progress.
pub(super) type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = Input> + Send>>>;

/// What a call needs to know.
pub(super) struct Call<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) integration: &'a Arc<Integration>,
    pub(super) conversation: &'a ConversationId,
    pub(super) guard: &'a LeaseGuard,
    pub(super) customer: &'a Customer,
}

impl Call<'_> {
    /// Requests a session. `tries` tells the chat service which try of the handshake this is.
    pub(super) fn open(
        &self,
        attempt: u32,
        tries: u32,
        terms: CallTerms,
    ) -> Pin<Box<dyn Future<Output = Input> + Send>> {
        let connector = Arc::clone(&self.integration.connector);
        let (conversation, customer) = (self.conversation.clone(), self.customer.clone());
        let task = self.engine.tasks.spawn(async move {
            let made = terms.make(AnswerUse::Always, |departure, _| async move {
                connector.open(&Open { conversation, customer, attempt: tries, departure }).await
            });
            made.await
                .unwrap_or_else(|ended| OpenOutcome::Retry { reason: ended.reason(), after: None })
        });
        Box::pin(async move {
            let outcome = task
                .await
                .unwrap_or_else(|_| OpenOutcome::Retry { reason: panicked(), after: None });
            Input::OpenEnded { attempt, outcome }
        })
    }

    /// Forwards a message. The record of the attempt is durable, so the bytes may leave.
    pub(super) fn forward(
        &self,
        message: MessageId,
        number: u32,
        session: SessionId,
        terms: CallTerms,
    ) -> Pin<Box<dyn Future<Output = Input> + Send>> {
        let (engine, integration) = (Arc::clone(self.engine), Arc::clone(self.integration));
        let (conversation, id) = (self.conversation.clone(), message.clone());
        let task = self.engine.tasks.spawn(async move {
            let made = terms.make(AnswerUse::WhileOpen, |departure, terms| async move {
                let owner = (&*integration, &conversation, &id);
                let mut forward = match read(&engine, owner, session, departure, &terms).await {
                    Ok(forward) => forward,
                    Err(outcome) => return outcome,
                };
                forward.timeout = terms.cut(integration.policy.delivery.timeout);
                if mutant::is(Mutant::NewKeyEachTime) && number > 1 {
                    forward.id = MessageId::new(format!("{}-{number}", forward.id));
                }
                integration.connector.forward(&forward).await
            });
            made.await.unwrap_or_else(|ended| match ended {
                CallEnd::NothingLeft(_) => {
                    AttemptOutcome::NotTaken { reason: ended.reason(), after: None }
                }
                CallEnd::Left(_) => AttemptOutcome::Unknown { reason: ended.reason() },
            })
        });
        Box::pin(async move {
            let outcome =
                task.await.unwrap_or_else(|_| AttemptOutcome::Unknown { reason: panicked() });
            Input::AttemptEnded { message, attempt: number, outcome }
        })
    }

    /// Shows that the agent types, if the chat service can.
    pub(super) fn typing(&self, on: bool, duration: Duration) {
        if self.integration.connector.capabilities().typing {
            let typing = Typing { on, duration };
            self.best_effort(
                CallKind::Typing,
                CancellationToken::new(),
                move |connector, conversation| async move {
                    connector.typing(&conversation, typing).await
                },
            );
        }
    }

    /// Closes the session. `called_off` cancels the call if the next session is requested first,
    /// because the call would close that one.
    pub(super) fn close(&self, by: ClosedBy, called_off: CancellationToken) {
        let reason = match by {
            ClosedBy::Agent => "the agent's side ended the conversation",
            ClosedBy::Service | ClosedBy::Forward | ClosedBy::Lost => {
                "the chat had ended before this session was open"
            }
        };
        self.best_effort(CallKind::Close, called_off, move |connector, conversation| async move {
            connector.close(&conversation, reason).await
        });
    }

    /// Tells the chat service that Genesys will never accept a customer's message.
    pub(super) fn tell_refused(
        &self,
        message: MessageId,
        reason: Reason,
        attempt: u32,
        terms: CallTerms,
    ) -> Pin<Box<dyn Future<Output = Input> + Send>> {
        let (engine, integration) = (Arc::clone(self.engine), Arc::clone(self.integration));
        let (conversation, id) = (self.conversation.clone(), message.clone());
        let task = self.engine.tasks.spawn(async move {
            let made = terms.make(AnswerUse::WhileOpen, |departure, _| async move {
                let message_id =
                    match engine.store.body(&integration.name, Direction::Inbound, &id).await {
                        Ok(Some(body)) => body.foreign_id,
                        Ok(None) => {
                            return TellOutcome::GivenUp {
                                why: "the message's row is gone".into(),
                            };
                        }
                        Err(error @ StoreError::Corrupt(_)) => {
                            return TellOutcome::GivenUp { why: unreadable(&error) };
                        }
                        Err(error) => return TellOutcome::Failed { why: unreadable(&error) },
                    };
                let refusal = Refusal { conversation, message_id, reason, departure };
                match integration.connector.message_refused(&refusal).await {
                    Ok(()) => TellOutcome::Heard,
                    Err(why) => failed_to_tell(&why),
                }
            });
            match made.await {
                Ok(outcome) => outcome,
                Err(CallEnd::NothingLeft(_)) => TellOutcome::NotMade,
                Err(ended @ CallEnd::Left(_)) => failed_to_tell(&ended.reason().message),
            }
        });
        Box::pin(async move {
            let outcome = task.await.unwrap_or_else(|_| failed_to_tell(&panicked().message));
            Input::RefusalTold { message, attempt, outcome }
        })
    }

    /// Makes a call whose failure is only logged and counted.
    fn best_effort<F>(
        &self,
        kind: CallKind,
        called_off: CancellationToken,
        call: impl FnOnce(Arc<dyn Connector>, ConversationId) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (engine, integration) = (Arc::clone(self.engine), Arc::clone(self.integration));
        let (conversation, guard) = (self.conversation.clone(), self.guard.clone());
        self.engine.tasks.spawn(async move {
            let outcome = tokio::select! {
                biased;
                // Another node may make calls for this conversation now.
                () = guard.until_invalid() => return,
                () = called_off.cancelled() => return,
                outcome = call(Arc::clone(&integration.connector), conversation.clone()) => outcome,
            };
            if let Err(cause) = outcome {
                report::best_effort_failed(&engine, &integration, &conversation, kind, &cause);
            }
        });
    }
}

/// The reason for a call whose task panicked; no code aborts such a task. The panic's own message
/// may quote a customer, and the reason goes into the journal and to Genesys.
fn panicked() -> Reason {
    Reason::new(ReasonCode::GeneralError, "the connector panicked")
}

fn unreadable(error: &StoreError) -> Box<str> {
    format!("the message could not be read: {}", Chain(error)).into()
}

/// Cuts the sentence to the length of a reason's message, because it may contain text from the chat
/// service.
fn failed_to_tell(why: &str) -> TellOutcome {
    TellOutcome::Failed { why: Reason::new(ReasonCode::GeneralError, why).message.into() }
}

/// Reads the message to forward. If that fails, nothing has left.
async fn read(
    engine: &Engine,
    (integration, conversation, message): (&Integration, &ConversationId, &MessageId),
    session: SessionId,
    departure: Departure,
    terms: &CallTerms,
) -> Result<Forward, AttemptOutcome> {
    let reason = |what: String| Reason::new(ReasonCode::GeneralError, what);
    let row = match engine.store.body(&integration.name, Direction::Outbound, message).await {
        Ok(Some(row)) => row,
        Ok(None) => {
            return Err(AttemptOutcome::Rejected {
                reason: reason("the message's body is gone".into()),
            });
        }
        Err(error) => {
            let reason = reason(unreadable(&error).into());
            return Err(AttemptOutcome::NotTaken { reason, after: None });
        }
    };
    let body = WebhookMessage::read(&row.bytes)
        .map_err(|error| AttemptOutcome::Rejected { reason: reason(error.to_string()) })?;
    // What the service can show was checked when the message arrived. It may have changed since.
    let owner = files::FileOwner { integration, conversation, message, received: row.received };
    // Files may take a part of the time that is left. The rest is for the words.
    let patience = terms.cut(Duration::MAX) / 2;
    let outgoing =
        files::outbound::with_links(owner, &body, patience, &*engine.clock, &engine.metrics);
    let Outgoing { rendered, unavailable } = match terms.before_departure(outgoing).await {
        Ok(Ok(outgoing)) => outgoing,
        Ok(Err(Obstructed::ForGood(reason))) => return Err(AttemptOutcome::Rejected { reason }),
        Ok(Err(Obstructed::NotYet(reason))) => {
            return Err(AttemptOutcome::NotTaken { reason, after: None });
        }
        Err(obstacle) => {
            let reason = reason(obstacle.0.to_owned());
            return Err(AttemptOutcome::NotTaken { reason, after: None });
        }
    };
    Ok(Forward {
        conversation: conversation.clone(),
        id: message.clone(),
        time: body.timestamp().unwrap_or(row.received),
        content: rendered.content,
        text: rendered.text,
        unavailable,
        sender: from_genesys::sender(&body),
        session,
        timeout: integration.policy.delivery.timeout,
        departure,
    })
}
