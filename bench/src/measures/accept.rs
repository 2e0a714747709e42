//! B1 and B2: webhooks accepted, beside a handler that only reads the body.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Bench;
use crate::load::{Source, closed, open};
use crate::programs::Program;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// Conversations that the webhooks are about.
const CONVERSATIONS: usize = 1_000;

/// What is accepted waits for a handshake that goes on, so that accepting and holding is all there is to do.
pub(super) const HELD: &str =
    "[integration.hold]\nfor = \"1h\"\nmax_messages = 10000\n[integration.delivery]\ngive_up_after = \"2h\"";

/// References between the handler and Tidegate, each with a part of what Tidegate does.
const LIMITS: [(&str, &str); 3] = [
    ("file", "a file and nothing else"),
    ("table", "a table of SQLite and nothing else"),
    ("memory", "Tidegate with its store in memory"),
];

impl Bench {
    pub(super) async fn accepting(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (connections, goal) in [(64, 0.5), (256, 0.65)] {
            let (mut pairs, mut limits) = (Vec::new(), LIMITS.map(|_| Vec::new()));
            for round in 0..self.scale.rounds {
                let stubs = Stubs::start().await;
                stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
                let source = Source::new(&format!("b1-{connections}-{round}"), CONVERSATIONS);
                let accepted = async |program: Program| self.accepted(&program, connections, &source).await;
                let ours = accepted(self.programs.gateway(&stubs, HELD).await).await;
                let theirs = accepted(self.programs.peer("bare", &stubs).await).await;
                pairs.push((ours, theirs));
                for ((peer, _), rates) in LIMITS.iter().zip(&mut limits) {
                    rates.push((accepted(self.programs.peer(peer, &stubs).await).await, theirs));
                }
            }
            let what = format!("webhooks accepted, {connections} connections");
            rows.push(Row::ratio("B1", what, "/s", &pairs, Goal::AtLeast(goal)));
            for ((_, what), rates) in LIMITS.iter().zip(&limits) {
                rows.push(Row::ratio("B1", format!("{what}, {connections} connections"), "/s", rates, Goal::Told));
            }
        }
        rows
    }

    /// How many a second a program accepts, once it is warm.
    pub(super) async fn accepted(&self, program: &Program, connections: usize, source: &Arc<Source>) -> f64 {
        closed(program.address, connections, self.scale.slice / 4, source).await;
        closed(program.address, connections, self.scale.slice, source).await.rate()
    }

    pub(super) async fn accepting_in_time(&self) -> Vec<Row> {
        let (mut ninety_nine, mut middle, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        let mut limits = LIMITS.map(|_| Vec::new());
        for round in 0..self.scale.rounds {
            let stubs = Stubs::start().await;
            stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
            let source = Source::new(&format!("b2-{round}"), CONVERSATIONS);
            let gateway = self.programs.gateway(&stubs, HELD).await;
            let most = closed(gateway.address, 64, self.scale.slice / 2, &source).await.rate();
            // What it was given for that is worked off before it is asked for half of it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let ours = open(gateway.address, 64, most / 2.0, self.scale.slice, &source).await;
            drop(gateway);
            let answered = async |peer: &str| {
                let peer = self.programs.peer(peer, &stubs).await;
                closed(peer.address, 64, self.scale.slice / 4, &source).await;
                open(peer.address, 64, most / 2.0, self.scale.slice, &source).await
            };
            let theirs = answered("bare").await;
            ninety_nine.push((ours.p99(), theirs.p99()));
            middle.push((ours.p50(), theirs.p50()));
            rates.push(ours.rate());
            for ((peer, _), times) in LIMITS.iter().zip(&mut limits) {
                times.push((answered(peer).await.p99(), theirs.p99()));
            }
        }
        let mut rows = vec![
            Row::difference("B2", "p99 of an answer at half of that rate", "ms", &ninety_nine, Goal::AtMost(1.0)),
            Row::difference("B2", "p50 of it", "ms", &middle, Goal::Told),
            Row::figure("B2", "the rate", "/s", &rates, Goal::Told),
        ];
        for ((_, what), times) in LIMITS.iter().zip(&limits) {
            rows.push(Row::difference("B2", format!("p99 of {what} at that rate"), "ms", times, Goal::Told));
        }
        rows
    }
}
