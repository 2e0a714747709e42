//! An operator who looks for dead letters: has each posted again, sometimes before its cause is
//! gone, or discards it. The same request may come several times.

use std::sync::Arc;
use std::time::Duration;

use conversation::{DeadLetterAction, Input, MessageId};
use store::memory::{Direct, MemoryStore};
use store::{Arrival, Direction, Store};

use crate::world::World;

/// How often the operator looks.
const EVERY: Duration = Duration::from_secs(20);

/// Looks until the simulation ends. The operator has random numbers of their own, so that seeds
/// without dead letters stay as they are.
pub(crate) async fn run(world: Arc<World>) {
    if world.poison().is_none() {
        return;
    }
    let mut rng = fastrand::Rng::with_seed(world.plan.seed ^ 0x0bec_70f5);
    // Whichever node takes the request: it is in the store before the answer.
    let store = MemoryStore::alone(&world.database, Arc::new(Direct));
    loop {
        tokio::time::sleep(EVERY.mul_f64(0.5 + rng.f64())).await;
        let dead: Vec<MessageId> = world.ledger().refused.iter().cloned().collect();
        for message in dead {
            act(&world, &store, &mut rng, message).await;
        }
    }
}

async fn act(world: &World, store: &MemoryStore, rng: &mut fastrand::Rng, message: MessageId) {
    let row = store.message(&world.integration, Direction::Inbound, &message).await;
    let Ok(Some(row)) = row else { return };
    let Some(died) = row.settled.filter(|_| row.state == "refused") else { return };
    if rng.f64() < 0.5 {
        world.heal();
    }
    let action = if rng.f64() < 0.2 { DeadLetterAction::Discard } else { DeadLetterAction::Retry };
    for time in 0..rng.u32(1..4) {
        let input = Input::DeadLetter {
            action,
            message: message.clone(),
            died,
            by: format!("operator {time}").into(),
        };
        let event = Arrival::Event {
            integration: world.integration.clone(),
            // Each request has an idempotency key of its own.
            id: format!("operator/{message}/{died}/{time}"),
            received: world.now(),
            conversation: row.conversation.clone(),
            input,
        };
        let stored = store.accept(event).await;
        world.tell(format_args!("operator  asks to {action:?} {message}: {stored:?}"));
        tokio::time::sleep(Duration::from_millis(rng.u64(0..2_000))).await;
    }
}
