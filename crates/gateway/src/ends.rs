//! Learns when a conversation has ended at Genesys, which no webhook tells: the session at the chat service is closed then.
//!
//! It asks; the conversation's state machine decides what follows.

use std::sync::Arc;
use std::time::Duration;

use conversation::Input;
use genesys::conversation::{MessageConversation, Participant, ParticipantState, Purpose};
use genesys::{CallError, Lane};
use store::Watched;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::settings::Integration;

/// How many conversations one look into the store brings.
const PAGE: usize = 100;
/// The longest pause between two questions. With the default of a minute a round, it leaves nine tenths of what Genesys
/// allows to messages and receipts.
const PACE: Duration = Duration::from_secs(2);
/// So many questions a round at most, whatever the pace: where there are more conversations, a round takes longer.
const QUESTIONS: u32 = 30;

/// Asks about each conversation that has a session, about once in `every`, until the gateway stops.
pub(crate) async fn poll(engine: Arc<Engine>, integration: Arc<Integration>, every: Duration) {
    let pace = (every / QUESTIONS).min(PACE);
    loop {
        let next = Instant::now() + every;
        if !round(&engine, &integration, pace).await {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// Returns whether the gateway goes on.
async fn round(engine: &Arc<Engine>, integration: &Integration, pause: Duration) -> bool {
    let mut after = None;
    loop {
        let ask = || engine.store.watched(&integration.name, after.as_ref(), PAGE);
        let Some(page) = engine.patiently("look for open conversations", ask).await else { return false };
        let Some(last) = page.last() else { return true };
        after = Some(last.conversation.clone());
        for watched in page {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = engine.stop.cancelled() => return false,
            }
            if ended(integration, &watched).await {
                tracing::info!(integration = %integration.name, conversation = %watched.conversation, "ended at Genesys");
                // Nobody waits for the answer: a round that finds it open still asks again.
                drop(engine.deliver(&watched.conversation, Input::GenesysEnded));
            }
        }
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
        matches!(participant.state, Some(ParticipantState::Disconnected | ParticipantState::Terminated))
    };
    let all_gone = |purpose: &Purpose| conversation.participants_as(purpose).all(gone);
    let was_there = conversation.participants_as(&Purpose::Customer).next().is_some();
    was_there
        && [Purpose::Customer, Purpose::Agent, Purpose::User, Purpose::Acd, Purpose::Workflow].iter().all(all_gone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(participants: &[(&str, &str)]) -> MessageConversation {
        let participants: Vec<_> =
            participants.iter().map(|(purpose, state)| json!({ "purpose": purpose, "state": state })).collect();
        serde_json::from_value(json!({ "id": "c", "participants": participants })).expect("a conversation")
    }

    #[test]
    fn it_has_ended_when_the_customer_is_out_and_nobody_is_left() {
        assert!(has_ended(&with(&[("customer", "disconnected"), ("agent", "disconnected")])));
        assert!(has_ended(&with(&[("customer", "terminated"), ("acd", "terminated"), ("external", "connected")])));
    }

    #[test]
    fn a_hand_over_is_no_end_and_neither_is_what_is_not_known() {
        assert!(!has_ended(&with(&[("customer", "connected"), ("agent", "disconnected")])));
        assert!(!has_ended(&with(&[("customer", "disconnected"), ("agent", "disconnected"), ("acd", "connected")])));
        assert!(!has_ended(&with(&[("customer", "disconnected"), ("customer", "connected")])), "she came back");
        assert!(!has_ended(&with(&[("customer", "something-new")])));
        assert!(!has_ended(&with(&[])));
    }
}
