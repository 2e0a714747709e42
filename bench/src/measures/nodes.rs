//! B13: two nodes on one PostgreSQL database, beside one node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Bench, CONVERSATIONS, UNDER_WAY, turns};
use crate::load::{Outcome, PATIENCE, Source, loops, open_sessions};
use crate::postgres_cluster::Cluster;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};
use crate::usage::Usage;

impl Bench {
    pub(super) async fn two_nodes(&self) -> Vec<Row> {
        let (mut rates, mut times, mut costs, mut costs_of_database) =
            (vec![], vec![], vec![], vec![]);
        for round in 0..self.scale.rounds {
            let mut of = [Work::default(); 2];
            for side in turns(round, of.len()) {
                let nodes = side + 1;
                of[side] = self.loops_over(nodes, &format!("b13-{round}-{nodes}")).await;
            }
            let [one, two] = of;
            rates.push((two.rate, one.rate));
            times.push((two.p99, one.p99));
            costs.push((two.cpu, one.cpu));
            costs_of_database.push((two.cpu_of_database, one.cpu_of_database));
        }
        vec![
            Row::ratio(
                "B13",
                "whole loop on PostgreSQL, two nodes beside one",
                "/s",
                &rates,
                Goal::AtLeast(1.0),
            ),
            Row::ratio("B13", "p99 of a message in it", "ms", &times, Goal::Told),
            Row::ratio("B13", "the nodes' processor time for a message", "µs", &costs, Goal::Told),
            Row::ratio(
                "B13",
                "the database's processor time for it",
                "µs",
                &costs_of_database,
                Goal::Told,
            ),
        ]
    }

    /// Measures this many nodes on a new database.
    async fn loops_over(&self, nodes: usize, run: &str) -> Work {
        let cluster = tokio::task::block_in_place(Cluster::start);
        let stubs = Stubs::start().await;
        let mut all = Vec::new();
        for _ in 0..nodes {
            all.push(self.programs.node(&stubs, &cluster.url()).await);
        }
        shared_out(&cluster, nodes).await;
        open_sessions(all[0].address, UNDER_WAY, &Source::new(run, CONVERSATIONS), &stubs.seen)
            .await;
        let source = Source::new(&format!("{run}-open"), CONVERSATIONS);
        let used = || all.iter().map(|node| Usage::of(node.id()).cpu).sum::<Duration>();
        let (mut outcome, mut before) = (Outcome::default(), (Duration::ZERO, Duration::ZERO));
        for over in [self.scale.slice / 2, self.scale.slice] {
            before = (used(), used_by_database(&cluster));
            // Messages go to the nodes in turn, whichever node drives their conversations.
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
        let each = |now: Duration, then| {
            now.saturating_sub(then).as_secs_f64() * 1e6 / outcome.count as f64
        };
        Work {
            rate: outcome.rate(),
            p99: outcome.p99(),
            cpu: each(used(), before.0),
            cpu_of_database: each(used_by_database(&cluster), before.1),
        }
    }
}

/// Messages per second, and for one message the p99 in milliseconds and the CPU time in
/// microseconds.
#[derive(Clone, Copy, Default)]
struct Work {
    rate: f64,
    p99: f64,
    cpu: f64,
    cpu_of_database: f64,
}

/// The CPU time that the database's processes have used: its own, and those that serve the nodes.
fn used_by_database(cluster: &Cluster) -> Duration {
    let pids = ask(cluster, "select pid from pg_stat_activity where pid <> pg_backend_pid()");
    pids.lines().map(|pid| Usage::of(pid.parse().expect("a process")).cpu).sum()
}

fn ask(cluster: &Cluster, sql: &str) -> String {
    let mut ask = cluster.command("psql");
    ask.args([&cluster.url(), "--tuples-only", "--no-align", "--command", sql]);
    let said = tokio::task::block_in_place(|| ask.output()).expect("psql runs");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// Waits until each node drives its share of the conversations.
async fn shared_out(cluster: &Cluster, nodes: usize) {
    let begun = Instant::now();
    let fair = 256_usize.div_ceil(nodes);
    loop {
        let sql =
            "select count(*) from tidegate.lease where node <> '' and until > now() group by node";
        let said = ask(cluster, sql);
        if said.lines().filter(|shards| shards.parse() == Ok(fair)).count() == nodes {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the nodes do not share: {said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
