//! Asks Genesys at intervals about each conversation that has a session, and at once about those
//! that a notification names.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Hint, check};
use crate::engine::{Engine, NoAnswer};
use crate::settings::Integration;

/// How many conversations one read of the store returns.
const PAGE: usize = 100;
/// The longest pause between two questions. In rounds of a minute, the default, or longer, it
/// leaves nine tenths of Genesys's limit to messages and receipts.
const PACE: Duration = Duration::from_secs(2);
/// A round shorter than a minute has time for this many questions, because the pauses are shorter
/// then. If there are more conversations, a round takes longer. Notifications lead to further
/// questions.
const QUESTIONS: u32 = 30;

/// Asks about each conversation once in about `every`, until the gateway stops.
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
            let name = integration.name.as_str();
            let page = match engine.read_for_all("read the open conversations", name, ask).await {
                Ok(page) => page,
                // The next round tries again. Hints are heard meanwhile.
                Err(NoAnswer::Damaged) => break,
                Err(NoAnswer::Stopped) => return,
            };
            let Some(last) = page.last() else { break };
            after = Some(last.conversation.clone());
            for watched in page {
                match pause(&engine, &integration, Instant::now() + between, &mut hints).await {
                    Pause::Over => check(&engine, &integration, &watched).await,
                    // This round polls all conversations already.
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

/// Waits until `until`, and meanwhile checks the conversations that hints name.
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
            // This comes before the hints, which may arrive faster than they can be checked. Only
            // the round finds the conversations that no hint names.
            () = tokio::time::sleep_until(until) => return Pause::Over,
            Some(hint) = hints.recv() => match hint {
                Hint::Ended(watched) => check(engine, integration, &watched).await,
                Hint::LookAtAll => return Pause::LookAtAll,
            },
        }
    }
}
