//! B3 and B4: the whole loop, from a webhook to the receipt that ends it.

use std::sync::atomic::Ordering;

use super::Bench;
use crate::load::{Source, loops};
use crate::programs::{Program, express_folder};
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

const CONVERSATIONS: usize = 1_000;
/// Messages that are under way at once.
const UNDER_WAY: usize = 256;

impl Bench {
    /// Messages a second, and the p99 of one.
    async fn loops_of(&self, program: Program, stubs: &Stubs, round: &str) -> (f64, f64) {
        let source = Source::new(round, CONVERSATIONS);
        // The first of each conversation opens its session.
        loops(program.address, UNDER_WAY, self.scale.slice / 2, &source, &stubs.seen).await;
        let outcome = loops(program.address, UNDER_WAY, self.scale.slice, &source, &stubs.seen).await;
        assert_eq!(stubs.seen.failed.load(Ordering::Relaxed), 0, "no message fails");
        (outcome.rate(), outcome.p99())
    }

    /// Messages a second of a gateway.
    pub(super) async fn rate_of_loops(&self, round: &str) -> f64 {
        let stubs = Stubs::start().await;
        self.loops_of(self.programs.gateway(&stubs, "").await, &stubs, round).await.0
    }

    pub(super) async fn whole_loop(&self) -> Vec<Row> {
        let (mut rates, mut times, mut without) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.scale.rounds {
            let stubs = Stubs::start().await;
            let ours = self.loops_of(self.programs.gateway(&stubs, "").await, &stubs, &format!("b3-{round}")).await;
            let relay = self.programs.peer("relay", &stubs).await;
            let theirs = self.loops_of(relay, &stubs, &format!("b3r-{round}")).await;
            let memory = self.programs.peer("memory", &stubs).await;
            let limit = self.loops_of(memory, &stubs, &format!("b3m-{round}")).await;
            rates.push((ours.0, theirs.0));
            times.push((ours.1, theirs.1));
            without.push((limit.0, theirs.0));
        }
        vec![
            Row::ratio("B3", "whole loop, beside one in memory", "/s", &rates, Goal::AtLeast(0.9)),
            Row::ratio("B3", "p99 of a message in it", "ms", &times, Goal::Told),
            Row::ratio("B3", "Tidegate with its store in memory", "/s", &without, Goal::Told),
        ]
    }

    pub(super) async fn whole_loop_of_express(&self) -> Vec<Row> {
        let installed = express_folder().join("node_modules/express").exists();
        assert!(installed, "the Express middleware is not installed: run npm ci in {}", express_folder().display());
        let (mut rates, mut times) = (Vec::new(), Vec::new());
        for round in 0..self.scale.rounds {
            let stubs = Stubs::start().await;
            let ours = self.loops_of(self.programs.gateway(&stubs, "").await, &stubs, &format!("b4-{round}")).await;
            let express = self.programs.express(&stubs).await;
            let theirs = self.loops_of(express, &stubs, &format!("b4e-{round}")).await;
            rates.push((ours.0, theirs.0));
            times.push((ours.1, theirs.1));
        }
        vec![
            Row::ratio("B4", "whole loop, beside Express", "/s", &rates, Goal::AtLeast(8.0)),
            Row::ratio("B4", "p99 of a message in it", "ms", &times, Goal::AtMost(1.0 / 3.0)),
        ]
    }
}
