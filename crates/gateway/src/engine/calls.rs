//! Calls to the chat service. Each runs in a task of its own and always comes back with an answer, even if it panics.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connector::{Customer, Forward, Open, Typing};
use conversation::mutant::{self, Mutant};
use conversation::{
    AttemptOutcome, ConversationId, Input, MessageId, OpenOutcome, Reason, ReasonCode, SessionId,
};
use futures_util::stream::FuturesUnordered;
use genesys::WebhookMessage;
use jiff::Timestamp;
use store::{Direction, Drive};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::drive::is_stale;
use crate::from_genesys;
use crate::settings::Integration;

/// The calls of one conversation that are under way.
pub(super) type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = Input> + Send>>>;

/// An attempt that is about to be made. It is called off by whoever decides something else before its bytes leave: a report
/// may overtake it.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) message: MessageId,
    pub(super) number: u32,
    pub(super) session: SessionId,
    /// When it was decided.
    decided: Timestamp,
    /// Until when its bytes may leave.
    until: Timestamp,
    called_off: CancellationToken,
}

impl Attempt {
    pub(super) fn new(
        message: MessageId,
        number: u32,
        session: SessionId,
        decided: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self { message, number, session, decided, until, called_off: CancellationToken::new() }
    }

    pub(super) fn call_off(&self) {
        self.called_off.cancel();
    }

    /// Why its bytes must not leave any more, if so.
    fn obstacle(&self, engine: &Engine, drive: &Drive) -> Option<&'static str> {
        if self.called_off.is_cancelled() {
            Some("its fate was decided meanwhile")
        } else if !drive.holds() {
            // A process that was paused finds out here that another may have it now.
            Some("another node has taken over")
        } else if is_stale(engine, drive, self.decided, self.until)
            && !mutant::is(Mutant::LateCallsMade)
        {
            Some("the store was slow")
        } else {
            None
        }
    }
}

/// What a call needs to know.
pub(super) struct Call<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) integration: &'a Arc<Integration>,
    pub(super) conversation: &'a ConversationId,
    pub(super) drive: &'a Drive,
    pub(super) customer: &'a Customer,
}

impl Call<'_> {
    /// Asks for a session.
    pub(super) fn open(&self, attempt: u32) -> Pin<Box<dyn Future<Output = Input> + Send>> {
        let connector = Arc::clone(&self.integration.connector);
        let open = Open {
            conversation: self.conversation.clone(),
            customer: self.customer.clone(),
            attempt,
        };
        let task = self.engine.tasks.spawn(async move { connector.open(&open).await });
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
    pub(super) fn forward(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Input> + Send>> {
        let (engine, integration) = (Arc::clone(self.engine), Arc::clone(self.integration));
        let (conversation, drive) = (self.conversation.clone(), self.drive.clone());
        let Attempt { message, number, .. } = attempt.clone();
        let task = self.engine.tasks.spawn(async move {
            let mut forward = match read(&engine, &integration, conversation, &attempt).await {
                Ok(forward) => forward,
                Err(outcome) => return outcome,
            };
            if let Some(obstacle) = attempt.obstacle(&engine, &drive) {
                let reason = Reason::new(ReasonCode::GeneralError, obstacle);
                return AttemptOutcome::NotTaken { reason, after: None };
            }
            if mutant::is(Mutant::NewKeyEachTime) && number > 1 {
                forward.id = MessageId::new(format!("{}-{number}", forward.id));
            }
            // It may still have to connect. What becomes of it is of no interest once it is called off.
            tokio::select! {
                biased;
                () = attempt.called_off.cancelled() => AttemptOutcome::Unknown {
                    reason: Reason::new(ReasonCode::GeneralError, "its fate was decided meanwhile"),
                },
                outcome = integration.connector.forward(&forward) => outcome,
            }
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
            let (connector, conversation) =
                (Arc::clone(&self.integration.connector), self.conversation.clone());
            self.engine.tasks.spawn(async move {
                connector.typing(&conversation, Typing { on, duration }).await
            });
        }
    }

    /// Closes the session.
    pub(super) fn close(&self) {
        let (connector, conversation) =
            (Arc::clone(&self.integration.connector), self.conversation.clone());
        let reason = "the agent's side ended the conversation";
        self.engine.tasks.spawn(async move { connector.close(&conversation, reason).await });
    }
}

/// Reads the message's body. Where that fails, nothing has left.
async fn read(
    engine: &Engine,
    integration: &Integration,
    conversation: ConversationId,
    attempt: &Attempt,
) -> Result<Forward, AttemptOutcome> {
    let reason = |what: String| Reason::new(ReasonCode::GeneralError, what);
    let row =
        match engine.store.body(&integration.name, Direction::Outbound, &attempt.message).await {
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
    let message = WebhookMessage::read(&row.bytes)
        .map_err(|error| AttemptOutcome::Rejected { reason: reason(error.to_string()) })?;
    Ok(Forward {
        conversation,
        id: attempt.message.clone(),
        time: message.timestamp().unwrap_or(row.received),
        content: from_genesys::content(message.contents()),
        text: message.text,
        session: attempt.session.clone(),
        timeout: integration.policy.delivery.timeout,
    })
}
