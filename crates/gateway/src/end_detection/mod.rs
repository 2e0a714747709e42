//! Detects when a conversation has ended at Genesys, so that the session at the chat service can be
//! closed. No webhook reports that end.
//!
//! This module asks Genesys; the conversation's state machine decides what follows. A notification
//! only says when to ask.

mod notifications;
mod poll;

use std::sync::Arc;

use conversation::Input;
use genesys::conversation::{MessageConversation, Participant, ParticipantState, Purpose};
use genesys::{CallError, Lane, LastCall, Permit};
use store::WatchedConversation;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::failed_calls::{self, FailedCall};
use crate::settings::{DetectEnd, Integration};

/// How many hints may wait. If there is no room, a hint about one conversation is dropped, because
/// the next round asks about it. A hint about all of them waits for room.
const MAX_HINTS: usize = 1_000;

/// What a notification leads to.
enum Hint {
    /// This conversation may have ended.
    Ended(WatchedConversation),
    /// Any conversation may have ended while the socket was down.
    LookAtAll,
}

/// Starts to detect ends, as the integration is configured.
pub(crate) fn start(
    engine: &Arc<Engine>,
    integration: &Arc<Integration>,
    session_opened: mpsc::Receiver<WatchedConversation>,
) {
    let (hints, hinted) = mpsc::channel(MAX_HINTS);
    let every = match integration.detect_end {
        DetectEnd::Notifications { poll } => {
            let listen = notifications::run(
                Arc::clone(engine),
                Arc::clone(integration),
                hints,
                session_opened,
            );
            engine.keep_up("listening to Genesys's notifications", listen);
            poll
        }
        DetectEnd::Poll { every } => every,
        DetectEnd::Off => return,
    };
    let poll = poll::run(Arc::clone(engine), Arc::clone(integration), every, hinted);
    engine.keep_up("polling for ended conversations", poll);
}

/// Asks Genesys about one conversation, and tells its driver if it has ended.
///
/// The lease guard is taken after the permit, because it must not be held while the question waits
/// for the rate budget.
async fn check(engine: &Arc<Engine>, integration: &Integration, watched: &WatchedConversation) {
    if engine.store.acquire(&watched.conversation).is_none() {
        return;
    }
    let permit = tokio::select! {
        biased;
        () = engine.stop.cancelled() => return,
        permit = integration.budget.permit(Lane::Background) => permit,
    };
    let Some(permit) = permit else { return };
    let Some(guard) = engine.store.acquire(&watched.conversation) else { return permit.unused() };
    if ended(engine, integration, watched, permit).await {
        tracing::info!(integration = %integration.name, conversation = %watched.conversation, "ended at Genesys");
        // The result is not awaited: a round that finds the conversation still open asks again.
        drop(engine.deliver(
            &watched.conversation,
            guard,
            Input::GenesysEnded { id: watched.genesys.clone() },
        ));
    }
}

async fn ended(
    engine: &Engine,
    integration: &Integration,
    watched: &WatchedConversation,
    permit: Permit,
) -> bool {
    let last_call = LastCall::default();
    let client = permit.client().clone().noting(&last_call);
    let outcome = client.conversation(&watched.genesys).await;
    permit.done(&outcome);
    match outcome {
        // An answer about another conversation proves nothing.
        Ok(answer) => {
            answer.value.id.as_deref() == Some(&*watched.genesys) && has_ended(&answer.value)
        }
        // The conversation no longer exists.
        Err(CallError::Refused { status, .. }) if status.as_u16() == 404 => true,
        Err(error) => {
            failed_calls::report(
                engine,
                integration,
                &FailedCall::new(&last_call, &error),
                "the conversation is polled again in the next round",
            );
            false
        }
    }
}

/// Whether the customer is disconnected and no one is left to answer. During a hand-over, the next
/// agent's queue or flow is a participant.
fn has_ended(conversation: &MessageConversation) -> bool {
    let gone = |participant: &Participant| {
        matches!(
            participant.state,
            Some(ParticipantState::Disconnected | ParticipantState::Terminated)
        )
    };
    let all_gone = |purpose: &Purpose| conversation.participants_as(purpose).all(gone);
    let was_there = conversation.participants_as(&Purpose::Customer).next().is_some();
    was_there
        && [Purpose::Customer, Purpose::Agent, Purpose::User, Purpose::Acd, Purpose::Workflow]
            .iter()
            .all(all_gone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(participants: &[(&str, &str)]) -> MessageConversation {
        let participants: Vec<_> = participants
            .iter()
            .map(|(purpose, state)| json!({ "purpose": purpose, "state": state }))
            .collect();
        serde_json::from_value(json!({ "id": "c", "participants": participants }))
            .expect("a conversation")
    }

    #[test]
    fn it_has_ended_when_the_customer_is_out_and_nobody_is_left() {
        assert!(has_ended(&with(&[("customer", "disconnected"), ("agent", "disconnected")])));
        assert!(has_ended(&with(&[
            ("customer", "terminated"),
            ("acd", "terminated"),
            ("external", "connected")
        ])));
    }

    #[test]
    fn a_hand_over_is_no_end_and_neither_is_what_is_not_known() {
        assert!(!has_ended(&with(&[("customer", "connected"), ("agent", "disconnected")])));
        assert!(!has_ended(&with(&[
            ("customer", "disconnected"),
            ("agent", "disconnected"),
            ("acd", "connected")
        ])));
        assert!(
            !has_ended(&with(&[("customer", "disconnected"), ("customer", "connected")])),
            "the customer came back"
        );
        assert!(!has_ended(&with(&[("customer", "something-new")])));
        assert!(!has_ended(&with(&[])));
    }
}
