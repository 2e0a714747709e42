//! B1 and B2: webhooks accepted, beside a handler that only reads the body.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Bench;
use crate::load::{Source, closed, open};
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// Conversations that the webhooks are about.
const CONVERSATIONS: usize = 1_000;

/// What is accepted waits for a handshake that goes on, so that accepting and holding is all there is to do.
pub(super) const HELD: &str =
    "[integration.hold]\nfor = \"1h\"\nmax_messages = 10000\n[integration.delivery]\ngive_up_after = \"2h\"";

impl Bench {
    pub(super) async fn accepting(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (connections, goal) in [(64, 0.5), (256, 0.65)] {
            let (mut pairs, mut floors) = (Vec::new(), Vec::new());
            for round in 0..self.scale.rounds {
                let stubs = Stubs::start().await;
                stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
                let source = Source::new(&format!("b1-{connections}-{round}"), CONVERSATIONS);
                let gateway = self.programs.gateway(&stubs, HELD).await;
                closed(gateway.address, connections, self.scale.slice / 4, &source).await;
                let ours = closed(gateway.address, connections, self.scale.slice, &source).await;
                drop(gateway);
                let bare = self.programs.peer("bare", &stubs).await;
                closed(bare.address, connections, self.scale.slice / 4, &source).await;
                let theirs = closed(bare.address, connections, self.scale.slice, &source).await;
                drop(bare);
                let floor = self.programs.peer("floor", &stubs).await;
                closed(floor.address, connections, self.scale.slice / 4, &source).await;
                let least = closed(floor.address, connections, self.scale.slice, &source).await;
                pairs.push((ours.rate(), theirs.rate()));
                floors.push((least.rate(), theirs.rate()));
            }
            let what = format!("webhooks accepted, {connections} connections");
            rows.push(Row::ratio("B1", what, "/s", &pairs, Goal::AtLeast(goal)));
            let what = format!("a file and nothing else, {connections} connections");
            rows.push(Row::ratio("B1", what, "/s", &floors, Goal::Told));
        }
        rows
    }

    pub(super) async fn accepting_in_time(&self) -> Vec<Row> {
        let (mut ninety_nine, mut middle, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        let mut floors = Vec::new();
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
            let bare = self.programs.peer("bare", &stubs).await;
            closed(bare.address, 64, self.scale.slice / 4, &source).await;
            let theirs = open(bare.address, 64, most / 2.0, self.scale.slice, &source).await;
            drop(bare);
            let floor = self.programs.peer("floor", &stubs).await;
            closed(floor.address, 64, self.scale.slice / 4, &source).await;
            let least = open(floor.address, 64, most / 2.0, self.scale.slice, &source).await;
            floors.push((least.p99(), theirs.p99()));
            ninety_nine.push((ours.p99(), theirs.p99()));
            middle.push((ours.p50(), theirs.p50()));
            rates.push(ours.rate());
        }
        vec![
            Row::difference("B2", "p99 of an answer at half of that rate", "ms", &ninety_nine, Goal::AtMost(1.0)),
            Row::difference("B2", "p50 of it", "ms", &middle, Goal::Told),
            Row::difference("B2", "p99 of a file and nothing else at that rate", "ms", &floors, Goal::Told),
            Row::figure("B2", "the rate", "/s", &rates, Goal::Told),
        ]
    }
}
