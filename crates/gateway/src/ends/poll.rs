//! Asks about each conversation that has a session, now and then, and at once about those that a notification names.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Hint, check};
use crate::engine::Engine;
use crate::settings::Integration;

/// How many conversations one look into the store brings.
const PAGE: usize = 100;
/// The longest pause between two questions. With the default of a minute a round, it leaves nine tenths of what Genesys
/// allows to messages and receipts.
const PACE: Duration = Duration::from_secs(2);
/// So many questions a round at most, whatever the pace: where there are more conversations, a round takes longer.
const QUESTIONS: u32 = 30;

/// Asks about each once in about `every`, until the gateway stops.
pub(super) async fn run(
    engine: Arc<Engine>,
    integration: Arc<Integration>,
    every: Duration,
    mut hints: mpsc::Receiver<Hint>,
) {
    let between = (every / QUESTIONS).min(PACE);
    loop {
        let mut next = Instant::now() + every;
        let mut after = None;
        loop {
            let ask = || engine.store.watched(&integration.name, after.as_ref(), PAGE);
            let Some(page) = engine.patiently("look for open conversations", ask).await else {
                return;
            };
            let Some(last) = page.last() else { break };
            after = Some(last.conversation.clone());
            for watched in page {
                match pause(&engine, &integration, Instant::now() + between, &mut hints).await {
                    Pause::Over => check(&engine, &integration, &watched).await,
                    // It is being looked at all.
                    Pause::LookAtAll => {}
                    Pause::Stop => return,
                }
            }
        }
        loop {
            match pause(&engine, &integration, next, &mut hints).await {
                Pause::Over => break,
                Pause::LookAtAll => next = Instant::now(),
                Pause::Stop => return,
            }
        }
    }
}

enum Pause {
    Over,
    LookAtAll,
    Stop,
}

/// Waits until `until`, and looks meanwhile at what is named.
async fn pause(
    engine: &Arc<Engine>,
    integration: &Integration,
    until: Instant,
    hints: &mut mpsc::Receiver<Hint>,
) -> Pause {
    loop {
        tokio::select! {
            biased;
            () = engine.stop.cancelled() => return Pause::Stop,
            // Before the hints: those may come faster than they can be looked at, and the round is what finds the others.
            () = tokio::time::sleep_until(until) => return Pause::Over,
            Some(hint) = hints.recv() => match hint {
                Hint::Ended(watched) => check(engine, integration, &watched).await,
                Hint::LookAtAll => return Pause::LookAtAll,
            },
        }
    }
}
