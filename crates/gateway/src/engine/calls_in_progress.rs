//! The calls that one conversation's task waits for, and what happens to their answers if the task
//! ends first.

use std::sync::Arc;

use conversation::{ConversationId, Input, IntegrationName, OpenOutcome};
use futures_util::StreamExt;
use store::Arrival;

use super::Engine;
use super::calls::Calls;
use crate::settings::Integration;

/// Calls in progress, and answers that have arrived but are not handled.
#[derive(Default)]
pub(super) struct CallsInProgress {
    pub(super) calls: Calls,
    pub(super) answers: Vec<Input>,
    /// The integration of the conversation; known once the conversation has been read.
    integration: Option<Arc<Integration>>,
}

impl CallsInProgress {
    pub(super) fn of(&mut self, integration: &Arc<Integration>) {
        self.integration.get_or_insert_with(|| Arc::clone(integration));
    }

    /// Keeps answers whose handling did not become durable, so that they are handled again with the
    /// state as it is then. `Recovered` is left out, because loading the state creates it again.
    pub(super) fn again(&mut self, answers: Vec<Input>) {
        self.answers.extend(answers.into_iter().filter(|answer| *answer != Input::Recovered));
    }

    /// The task ends, and another task or node has the conversation, or will have it. The result of
    /// an attempt stays unknown there. A session that opens now must be recorded, or it would never
    /// be closed. The conversation's driver gets it as an event, and the newest state decides what
    /// follows.
    pub(super) fn leave_behind(self, engine: &Arc<Engine>, id: &ConversationId) {
        let Self { mut calls, answers, integration } = self;
        let Some(integration) = integration.filter(|_| !(calls.is_empty() && answers.is_empty()))
        else {
            return;
        };
        let (engine, id) = (Arc::clone(engine), id.clone());
        engine.tasks.clone().spawn(async move {
            for answer in answers {
                hand_on(&engine, &integration.name, &id, answer).await;
            }
            while let Some(answer) = calls.next().await {
                hand_on(&engine, &integration.name, &id, answer).await;
            }
        });
    }
}

async fn hand_on(
    engine: &Arc<Engine>,
    integration: &IntegrationName,
    id: &ConversationId,
    answer: Input,
) {
    let Input::OpenEnded { attempt, outcome: OpenOutcome::Opened(_) } = answer else { return };
    let arrival = Arrival::Event {
        integration: integration.clone(),
        // Cannot clash with a chat service's event: its own ids are not prefixed by the
        // conversation's.
        id: format!("{id}.open.{attempt}"),
        received: engine.clock.now(),
        conversation: id.clone(),
        input: answer,
    };
    if let Err(error) = engine.accept(arrival).await {
        tracing::warn!(conversation = %id, %error, "a session was opened, and could not be \
            recorded");
    }
}
