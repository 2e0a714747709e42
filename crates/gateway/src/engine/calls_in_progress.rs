//! The calls that the task of a conversation waits for. If the task ends first, this module records
//! the sessions that they open.

use std::sync::Arc;

use conversation::{ConversationId, Input, IntegrationName, OpenOutcome};
use futures_util::StreamExt;
use store::{Arrival, Chain};

use super::Engine;
use super::calls::Calls;
use crate::settings::Integration;

/// Calls in progress, and answers that no turn has handled yet.
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

    /// Keeps the answers of a turn that did not become durable, so that the next turn handles them
    /// with the newest state. `Recovered` is left out, because loading the state creates it again.
    pub(super) fn again(&mut self, answers: Vec<Input>) {
        self.answers.extend(answers.into_iter().filter(|answer| *answer != Input::Recovered));
    }

    /// Called when the task ends before its calls. Another task or node drives the conversation
    /// next, and treats the outcome of an open attempt as unknown. A session that opens now must be
    /// recorded, or it would never be closed. The next driver gets it as an event, and its state
    /// decides what follows.
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
        // A chat service has no reason to use such an id for an event of its own.
        id: format!("{id}.open.{attempt}"),
        received: engine.clock.now(),
        conversation: id.clone(),
        input: answer,
    };
    if let Err(error) = engine.accept(arrival).await {
        let error = Chain(&error);
        tracing::warn!(conversation = %id, %error, "a session was opened, but could not be \
            recorded");
    }
}
