//! Calls to the chat service. Each runs in a task of its own and always comes back with an answer,
//! even if it panics.

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
use store::{Direction, LeaseGuard, StoreError};
use tokio_util::sync::CancellationToken;

use super::terms::{AnswerUse, CallEnd, CallTerms};
use super::{Engine, report};
use crate::from_genesys;
use crate::settings::Integration;

/// The calls of one conversation that are under way.
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
    /// Asks for a session. The chat service is told which try of its handshake the call is.
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
            let outcome = task.await.unwrap_or_else(|error| OpenOutcome::Retry {
                reason: Reason::new(
                    ReasonCode::GeneralError,
                    format!("the connector broke: {error}"),
                ),
                after: None,
            });
            Input::OpenEnded { attempt, outcome }
        })
    }

    /// Forwards a message. Its record is durable; from here on its bytes may leave.
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
                let mut forward =
                    match read(&engine, &integration, conversation, id, session, departure).await {
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
            let outcome = task.await.unwrap_or_else(|error| AttemptOutcome::Unknown {
                reason: Reason::new(
                    ReasonCode::GeneralError,
                    format!("the connector broke: {error}"),
                ),
            });
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

    /// Closes the session, unless it is called off before that: the next one may be asked for
    /// meanwhile.
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

    /// Tells the chat service that Genesys will never have a customer's message.
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
            let broke = |error| failed_to_tell(&format!("the connector broke: {error}"));
            let outcome = task.await.unwrap_or_else(broke);
            Input::RefusalTold { message, attempt, outcome }
        })
    }

    /// Makes a call from whose outcome nothing follows but a line in the log.
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
                // From here on it would meet what others do.
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

fn unreadable(error: &StoreError) -> Box<str> {
    format!("the message could not be read: {error}").into()
}

/// The sentence is cut as one of a reason is: a chat service may have had a part in it.
fn failed_to_tell(why: &str) -> TellOutcome {
    TellOutcome::Failed { why: Reason::new(ReasonCode::GeneralError, why).message.into() }
}

/// Reads the message's body. If that fails, nothing has left.
async fn read(
    engine: &Engine,
    integration: &Integration,
    conversation: ConversationId,
    message: MessageId,
    session: SessionId,
    departure: Departure,
) -> Result<Forward, AttemptOutcome> {
    let reason = |what: String| Reason::new(ReasonCode::GeneralError, what);
    let row = match engine.store.body(&integration.name, Direction::Outbound, &message).await {
        Ok(Some(row)) => row,
        Ok(None) => {
            return Err(AttemptOutcome::Rejected {
                reason: reason("the message's body is gone".into()),
            });
        }
        Err(error) => {
            let reason = reason(format!("the message could not be read: {error}"));
            return Err(AttemptOutcome::NotTaken { reason, after: None });
        }
    };
    let body = WebhookMessage::read(&row.bytes)
        .map_err(|error| AttemptOutcome::Rejected { reason: reason(error.to_string()) })?;
    Ok(Forward {
        conversation,
        id: message,
        time: body.timestamp().unwrap_or(row.received),
        content: from_genesys::content(body.contents()),
        text: body.text,
        session,
        timeout: integration.policy.delivery.timeout,
        departure,
    })
}
