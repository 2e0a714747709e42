//! Asks about each conversation that has a session at intervals, and at once about those that a
//! notification names.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Hint, check};
use crate::engine::Engine;
use crate::settings::Integration;

/// How many conversations one read of the store returns.
const PAGE: usize = 100;
/// The longest pause between two questions. With the default of a minute per round, it leaves nine
/// tenths of Genesys's limit to messages and receipts.
const PACE: Duration = Duration::from_secs(2);
/// The most questions per round, at any pace. If there are more conversations, a round takes
/// longer.
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
            let Some(page) = engine.retry_until_stopped("look for open conversations", ask).await
            else {
                return;
            };
            let Some(last) = page.last() else { break };
            after = Some(last.conversation.clone());
            for watched in page {
                match pause(&engine, &integration, Instant::now() + between, &mut hints).await {
                    Pause::Over => check(&engine, &integration, &watched).await,
                    // All conversations are being polled already.
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

/// Waits until `until`, and meanwhile checks what the hints name.
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
            // Before the hints, which may arrive faster than they can be checked. Only the round
            // finds the other conversations.
            () = tokio::time::sleep_until(until) => return Pause::Over,
            Some(hint) = hints.recv() => match hint {
                Hint::Ended(watched) => check(engine, integration, &watched).await,
                Hint::LookAtAll => return Pause::LookAtAll,
            },
        }
    }
}
