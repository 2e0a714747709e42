//! Learns when a conversation has ended at Genesys, which no webhook tells: the session at the chat service is closed then.
//!
//! It asks; the conversation's state machine decides what follows. A notification only says when to ask.

mod listen;
mod poll;

use std::sync::Arc;

use conversation::Input;
use genesys::conversation::{MessageConversation, Participant, ParticipantState, Purpose};
use genesys::{CallError, Lane};
use store::Watched;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::settings::{DetectEnd, Integration};

/// How many hints, and how many conversations with a new session, may wait. What finds no room is found by asking.
const WAITING: usize = 1_000;

/// What a notification is good for.
enum Hint {
    /// This one may have ended.
    Ended(Watched),
    /// Any may have ended while nobody listened.
    LookAtAll,
}

/// Where an integration's conversations are named when they get a session.
pub(crate) type Opened = mpsc::Sender<Watched>;

/// Starts looking for ends, as the integration is configured to.
pub(crate) fn start(
    engine: &Arc<Engine>,
    integration: &Arc<Integration>,
    opened: mpsc::Receiver<Watched>,
) {
    let (hints, hinted) = mpsc::channel(WAITING);
    let every = match integration.detect_end {
        DetectEnd::Notifications { poll } => {
            let listen = listen::run(Arc::clone(engine), Arc::clone(integration), hints, opened);
            engine.tasks.spawn(listen);
            poll
        }
        DetectEnd::Poll { every } => every,
        DetectEnd::Off => return,
    };
    engine.tasks.spawn(poll::run(Arc::clone(engine), Arc::clone(integration), every, hinted));
}

/// The two ends of the way on which conversations are named.
pub(crate) fn opened() -> (Opened, mpsc::Receiver<Watched>) {
    mpsc::channel(WAITING)
}

/// Asks about one conversation, and tells its driver where it has ended.
async fn check(engine: &Arc<Engine>, integration: &Integration, watched: &Watched) {
    let Some(drive) = engine.store.drive(&watched.conversation) else { return };
    if ended(integration, watched).await {
        tracing::info!(integration = %integration.name, conversation = %watched.conversation, "ended at Genesys");
        // Nobody waits for the answer: a round that finds it open still asks again.
        drop(engine.deliver(
            &watched.conversation,
            drive,
            Input::GenesysEnded { id: watched.genesys.clone() },
        ));
    }
}

async fn ended(integration: &Integration, watched: &Watched) -> bool {
    let read = async |client: genesys::Client| client.conversation(&watched.genesys).await;
    match integration.budget.call(Lane::Background, read).await {
        Ok(answer) => has_ended(&answer.value),
        // It is not there any more.
        Err(CallError::Refused { status, .. }) if status.as_u16() == 404 => true,
        Err(error) => {
            tracing::debug!(integration = %integration.name, %error, "cannot ask about a conversation");
            false
        }
    }
}

/// Whether the customer is disconnected and nobody is left to answer. While a conversation is handed over, the next
/// agent's queue or flow is there.
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
            "she came back"
        );
        assert!(!has_ended(&with(&[("customer", "something-new")])));
        assert!(!has_ended(&with(&[])));
    }
}
