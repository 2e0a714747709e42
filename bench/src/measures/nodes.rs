//! B13: two nodes on PostgreSQL, beside one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Bench;
use crate::load::{Outcome, PATIENCE, Source, loops};
use crate::postgres_cluster::Cluster;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

const CONVERSATIONS: usize = 1_000;
/// Messages that are under way at once, over all nodes.
const UNDER_WAY: usize = 256;

impl Bench {
    pub(super) async fn two_nodes(&self) -> Vec<Row> {
        let (mut rates, mut times) = (Vec::new(), Vec::new());
        for round in 0..self.scale.rounds {
            // Whoever goes first finds another machine than who goes second: they take turns at that as well.
            let order = if round % 2 == 0 { [1, 2] } else { [2, 1] };
            let mut of = [(0.0, 0.0); 2];
            for nodes in order {
                of[nodes - 1] = self.loops_over(nodes, &format!("b13-{round}-{nodes}")).await;
            }
            let [one, two] = of;
            rates.push((two.0, one.0));
            times.push((two.1, one.1));
        }
        vec![
            Row::ratio("B13", "whole loop on PostgreSQL, two nodes beside one", "/s", &rates, Goal::AtLeast(1.0)),
            Row::ratio("B13", "p99 of a message in it", "ms", &times, Goal::Told),
        ]
    }

    /// Messages a second of so many nodes on a database of their own, and the p99 of one.
    async fn loops_over(&self, nodes: usize, run: &str) -> (f64, f64) {
        let cluster = tokio::task::block_in_place(Cluster::start);
        let stubs = Stubs::start().await;
        let mut all = Vec::new();
        for _ in 0..nodes {
            all.push(self.programs.node(&stubs, &cluster.url()).await);
        }
        shared_out(&cluster, nodes).await;
        let source = Source::new(run, CONVERSATIONS);
        let mut outcome = Outcome::default();
        // The first of each conversation opens its session.
        for over in [self.scale.slice / 2, self.scale.slice] {
            // Each node gets the next of them, whosever conversation it is.
            let under_way = UNDER_WAY / nodes;
            let to = |node: usize| loops(all[node].address, under_way, over, &source, &stubs.seen);
            outcome = if nodes == 1 {
                to(0).await
            } else {
                let (first, second) = tokio::join!(to(0), to(1));
                first.and(second)
            };
        }
        assert_eq!(stubs.seen.failed.load(Ordering::Relaxed), 0, "no message fails");
        (outcome.rate(), outcome.p99())
    }
}

/// Waits until each node drives its part of the conversations.
async fn shared_out(cluster: &Cluster, nodes: usize) {
    let begun = Instant::now();
    let fair = 256_usize.div_ceil(nodes);
    loop {
        let mut ask = cluster.command("psql");
        let sql = "select count(*) from tidegate.lease where node <> '' and until > now() group by node";
        ask.args([&cluster.url(), "--tuples-only", "--no-align", "--command", sql]);
        let said = tokio::task::block_in_place(|| ask.output()).expect("psql runs");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        if said.lines().filter(|shards| shards.parse() == Ok(fair)).count() == nodes {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the nodes do not share: {said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
