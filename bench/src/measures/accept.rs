//! B1 and B2: webhooks accepted, beside a handler that only reads the body.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;

use super::{Bench, CONVERSATIONS, turns};
use crate::load::{Outcome, Source, closed, open};
use crate::programs::Program;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// Accepted messages wait for a handshake that stays pending, so that the gateway only accepts and
/// holds them.
pub(super) const HELD: &str = "[integration.hold]\nfor = \"1h\"\nmax_messages = 10000\n[integration.delivery]\ngive_up_after = \"2h\"";

/// The references: the bare handler, and handlers that do a part of Tidegate's work.
const PEERS: [(&str, &str); 4] = [
    ("bare", ""),
    ("file", "a file and nothing else"),
    ("table", "a table of SQLite and nothing else"),
    ("memory", "Tidegate with its store in memory"),
];

/// The result of each side in one round: Tidegate first, then the references.
type Round<T> = [T; PEERS.len() + 1];

/// Pairs a side with the handler of the same round, for all rounds.
fn beside_handler(rounds: &[Round<f64>], side: usize) -> Vec<(f64, f64)> {
    rounds.iter().map(|round| (round[side], round[1])).collect()
}

impl Bench {
    pub(super) async fn accepting(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (connections, goal) in [(64, 0.5), (256, 0.65)] {
            let mut rounds = Vec::new();
            for round in 0..self.scale.rounds {
                let source = Source::new(&format!("b1-{connections}-{round}"), CONVERSATIONS);
                let mut rates = Round::default();
                self.sides(round, async |side, program| {
                    rates[side] = self.accepted(program, connections, &source).await;
                })
                .await;
                rounds.push(rates);
            }
            let what = format!("webhooks accepted, {connections} connections");
            rows.push(Row::ratio(
                "B1",
                what,
                "/s",
                &beside_handler(&rounds, 0),
                Goal::AtLeast(goal),
            ));
            for (side, (_, what)) in (1..).zip(PEERS).skip(1) {
                let what = format!("{what}, {connections} connections");
                rows.push(Row::ratio("B1", what, "/s", &beside_handler(&rounds, side), Goal::Told));
            }
        }
        rows
    }

    /// Runs each side of a round in turn, with a fresh process and an empty store.
    async fn sides(&self, round: usize, mut measure: impl AsyncFnMut(usize, &Program)) {
        let stubs = Stubs::start().await;
        stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
        // Keeps the folders until all sides are measured, because removing a large file keeps the
        // disk busy.
        let mut done: Vec<TempDir> = Vec::new();
        for side in turns(round, PEERS.len() + 1) {
            let program = match side.checked_sub(1) {
                None => self.programs.gateway(&stubs, HELD).await,
                Some(peer) => self.programs.peer(PEERS[peer].0, &stubs).await,
            };
            measure(side, &program).await;
            done.push(program.kill());
        }
    }

    /// How many webhooks per second a program accepts once it is warm.
    pub(super) async fn accepted(
        &self,
        program: &Program,
        connections: usize,
        source: &Arc<Source>,
    ) -> f64 {
        closed(program.address, connections, self.scale.slice / 4, source).await;
        closed(program.address, connections, self.scale.slice, source).await.rate()
    }

    pub(super) async fn accepting_in_time(&self) -> Vec<Row> {
        let (mut ninety_nine, mut middle, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.scale.rounds {
            let source = Source::new(&format!("b2-{round}"), CONVERSATIONS);
            let half = self.most(&source).await / 2.0;
            let mut times = Round::<Outcome>::default();
            self.sides(round, async |side, program| {
                times[side] = self.answered(program, half, &source).await;
            })
            .await;
            ninety_nine.push(times.each_ref().map(Outcome::p99));
            middle.push(times.each_ref().map(Outcome::p50));
            rates.push(times[0].rate());
        }
        let mut rows = vec![
            Row::difference(
                "B2",
                "p99 of an answer at half of the rate",
                "ms",
                &beside_handler(&ninety_nine, 0),
                Goal::AtMost(1.0),
            ),
            Row::difference("B2", "p50 of it", "ms", &beside_handler(&middle, 0), Goal::Told),
            Row::figure("B2", "half of the rate", "/s", &rates, Goal::Told),
        ];
        for (side, (_, what)) in (1..).zip(PEERS).skip(1) {
            let what = format!("p99 of {what} at that rate");
            rows.push(Row::difference(
                "B2",
                what,
                "ms",
                &beside_handler(&ninety_nine, side),
                Goal::Told,
            ));
        }
        rows
    }

    /// The most webhooks per second that Tidegate accepts.
    async fn most(&self, source: &Arc<Source>) -> f64 {
        let stubs = Stubs::start().await;
        stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
        self.accepted(&self.programs.gateway(&stubs, HELD).await, 64, source).await
    }

    /// How long answers take at a rate, once a program is warm.
    async fn answered(&self, program: &Program, rate: f64, source: &Arc<Source>) -> Outcome {
        closed(program.address, 64, self.scale.slice / 4, source).await;
        // Gives the program time to process the messages of the warm-up.
        tokio::time::sleep(Duration::from_millis(500)).await;
        open(program.address, 64, rate, self.scale.slice, source).await
    }
}
