//! Calls to the chat service. Each runs in a task of its own and always comes back with an answer, even if it panics.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connector::{Customer, Forward, Open, Typing};
use conversation::{AttemptOutcome, ConversationId, Input, MessageId, OpenOutcome, Reason, ReasonCode, SessionId};
use futures_util::stream::FuturesUnordered;
use genesys::WebhookMessage;
use store::{Direction, Drive};

use super::Engine;
use crate::from_genesys;
use crate::settings::Integration;

/// The calls of one conversation that are under way.
pub(super) type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = Input> + Send>>>;

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
        let open = Open { conversation: self.conversation.clone(), customer: self.customer.clone(), attempt };
        let task = self.engine.tasks.spawn(async move { connector.open(&open).await });
        Box::pin(async move {
            let outcome = task.await.unwrap_or_else(|error| OpenOutcome::Retry {
                reason: Reason::new(ReasonCode::GeneralError, format!("the connector broke: {error}")),
                after: None,
            });
            Input::OpenEnded { attempt, outcome }
        })
    }

    /// Forwards a message. Its record is durable; from here on its bytes may leave.
    pub(super) fn forward(
        &self,
        message: MessageId,
        attempt: u32,
        session: SessionId,
    ) -> Pin<Box<dyn Future<Output = Input> + Send>> {
        let (engine, integration) = (Arc::clone(self.engine), Arc::clone(self.integration));
        let (conversation, id, drive) = (self.conversation.clone(), message.clone(), self.drive.clone());
        let task = self.engine.tasks.spawn(async move {
            match read(&engine, &integration, conversation, id, session).await {
                // A process that was paused finds out here that another may have it now.
                Ok(_) if !drive.holds() => AttemptOutcome::NotTaken {
                    reason: Reason::new(ReasonCode::GeneralError, "another node has taken over"),
                    after: None,
                },
                Ok(forward) => integration.connector.forward(&forward).await,
                Err(outcome) => outcome,
            }
        });
        Box::pin(async move {
            let outcome = task.await.unwrap_or_else(|error| AttemptOutcome::Unknown {
                reason: Reason::new(ReasonCode::GeneralError, format!("the connector broke: {error}")),
            });
            Input::AttemptEnded { message, attempt, outcome }
        })
    }

    /// Shows that the agent types, if the chat service can.
    pub(super) fn typing(&self, on: bool, duration: Duration) {
        if self.integration.connector.capabilities().typing {
            let (connector, conversation) = (Arc::clone(&self.integration.connector), self.conversation.clone());
            self.engine.tasks.spawn(async move { connector.typing(&conversation, Typing { on, duration }).await });
        }
    }

    /// Closes the session.
    pub(super) fn close(&self) {
        let (connector, conversation) = (Arc::clone(&self.integration.connector), self.conversation.clone());
        let reason = "the agent's side ended the conversation";
        self.engine.tasks.spawn(async move { connector.close(&conversation, reason).await });
    }
}

/// Reads the message's body. Where that fails, nothing has left.
async fn read(
    engine: &Engine,
    integration: &Integration,
    conversation: ConversationId,
    id: MessageId,
    session: SessionId,
) -> Result<Forward, AttemptOutcome> {
    let reason = |what: String| Reason::new(ReasonCode::GeneralError, what);
    let row = match engine.store.message(&integration.name, Direction::Outbound, &id).await {
        Ok(Some(row)) => row,
        Ok(None) => return Err(AttemptOutcome::Rejected { reason: reason("the message's body is gone".into()) }),
        Err(error) => {
            let reason = reason(format!("the message could not be read: {error}"));
            return Err(AttemptOutcome::NotTaken { reason, after: None });
        }
    };
    let message = WebhookMessage::read(&row.body)
        .map_err(|error| AttemptOutcome::Rejected { reason: reason(error.to_string()) })?;
    Ok(Forward {
        conversation,
        id,
        time: message.timestamp().unwrap_or(row.received),
        content: from_genesys::content(message.contents()),
        text: message.text,
        session,
        timeout: integration.policy.delivery.timeout,
    })
}
