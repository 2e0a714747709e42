//! B14: what a message costs at three offered rates.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Bench, CONVERSATIONS, UNDER_WAY};
use crate::load::{PATIENCE, Source, open, open_sessions};
use crate::programs::Program;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};
use crate::usage::{Syncs, Usage};

/// The offered rates, in messages per second. The last is more than the machine can process.
const RATES: [u32; 3] = [1, 100, 10_000];
/// How long an idle gateway is observed: all of its periodic work happens at least every 15 s.
const IDLE: Duration = Duration::from_secs(15);
/// After this time without a write, everything is written: the store checkpoints its log within 5
/// s.
const QUIET: Duration = Duration::from_millis(5_500);

/// What a message costs at one rate, in each round.
#[derive(Default)]
struct Costs {
    cpu: Vec<f64>,
    written: Vec<f64>,
    syncs: Vec<f64>,
    rates: Vec<f64>,
}

impl Bench {
    pub(super) async fn cost_of_a_message(&self) -> Vec<Row> {
        let mut idle = Vec::new();
        let mut all = RATES.map(|_| Costs::default());
        for round in 0..self.scale.rounds {
            let stubs = Stubs::start().await;
            let gateway = self.programs.gateway(&stubs, "").await;
            let source = Source::new(&format!("b14-{round}"), CONVERSATIONS);
            open_sessions(gateway.address, UNDER_WAY, &source, &stubs.seen).await;
            self.written_down(&gateway).await;
            idle.push(self.idle(&gateway).await);
            for (rate, costs) in RATES.into_iter().zip(&mut all) {
                self.cost_at(rate, &gateway, &stubs, &source, costs).await;
            }
        }
        let figure =
            |what: String, unit, rounds: &[f64]| Row::figure("B14", what, unit, rounds, Goal::Told);
        let mut rows =
            vec![figure("processor time of an idle gateway, each second".to_owned(), "µs", &idle)];
        for (rate, costs) in RATES.into_iter().zip(all) {
            let wanted = crate::table::number(rate.into()).replace(".00", "");
            if rate > 100 {
                rows.push(figure(
                    format!("reached where {wanted} a second are wanted"),
                    "/s",
                    &costs.rates,
                ));
            }
            rows.push(figure(
                format!("processor time of a message, {wanted} a second"),
                "µs",
                &costs.cpu,
            ));
            rows.push(figure(
                format!("written to the disk for it, {wanted} a second"),
                "B",
                &costs.written,
            ));
            rows.push(figure(format!("fdatasync for it, {wanted} a second"), "", &costs.syncs));
        }
        rows
    }

    /// Microseconds of CPU per second without a message.
    async fn idle(&self, gateway: &Program) -> f64 {
        let (before, begun) = (Usage::of(gateway.id()), Instant::now());
        tokio::time::sleep(if self.scale.quick { self.scale.slice } else { IDLE }).await;
        Usage::of(gateway.id()).since(before).cpu.as_secs_f64() * 1e6
            / begun.elapsed().as_secs_f64()
    }

    async fn cost_at(
        &self,
        rate: u32,
        gateway: &Program,
        stubs: &Stubs,
        source: &std::sync::Arc<Source>,
        to: &mut Costs,
    ) {
        let (over, connections) = match rate {
            1 => (self.scale.slice * 5, 1),
            100 => (self.scale.slice, 4),
            // Processing the load that is offered in this time takes several times as long.
            _ => (self.scale.slice / if self.scale.quick { 8 } else { 1 }, 64),
        };
        let finals = || stubs.seen.finals.load(Ordering::Relaxed);
        let (finals_before, before, begun) = (finals(), Usage::of(gateway.id()), Instant::now());
        let syncs = Syncs::count(gateway.id()).await;
        let sent = open(gateway.address, connections, rate.into(), over, source).await.count;
        while finals() < finals_before + sent as u64 {
            assert!(
                begun.elapsed() < PATIENCE + over,
                "{} of {sent} are receipted",
                finals() - finals_before
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        to.rates.push(sent as f64 / begun.elapsed().as_secs_f64());
        self.written_down(gateway).await;
        let used = Usage::of(gateway.id()).since(before);
        let each = |all: f64| all / sent as f64;
        to.cpu.push(each(used.cpu.as_secs_f64() * 1e6));
        to.written.push(each(used.written as f64));
        if let Some(syncs) = syncs
            && let Some(syncs) = syncs.end().await
        {
            to.syncs.push(each(syncs as f64));
        }
    }

    /// Waits until the gateway has written everything: until it writes nothing and uses almost no
    /// CPU for [`QUIET`].
    async fn written_down(&self, gateway: &Program) {
        let quiet = if self.scale.quick { Duration::from_millis(50) } else { QUIET };
        let begun = Instant::now();
        let (mut last, mut since) = (Usage::of(gateway.id()), Instant::now());
        while since.elapsed() < quiet {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = Usage::of(gateway.id());
            let used = now.since(last);
            if used.written > 0 || used.cpu >= Duration::from_millis(2) {
                assert!(begun.elapsed() < PATIENCE, "it never rests");
                since = Instant::now();
            }
            last = now;
        }
    }
}
