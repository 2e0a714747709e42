//! B3 and B4: the whole loop, from a webhook to the final receipt.

use std::sync::atomic::Ordering;

use super::{Bench, CONVERSATIONS, UNDER_WAY, turns};
use crate::load::{Source, loops, open_sessions};
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// The programs that run the whole loop.
#[derive(Clone, Copy)]
enum Side {
    Tidegate,
    Relay,
    Memory,
    Express,
}

impl Bench {
    /// Messages per second, and the p99 of one message in milliseconds, over `slices` slices.
    async fn loops_of(&self, side: Side, slices: u32, run: &str) -> (f64, f64) {
        let stubs = Stubs::start().await;
        let program = match side {
            Side::Tidegate => self.programs.gateway(&stubs, "").await,
            Side::Relay => self.programs.peer("relay", &stubs).await,
            Side::Memory => self.programs.peer("memory", &stubs).await,
            Side::Express => self.programs.express(&stubs).await,
        };
        let loops = async |over| {
            let source = Source::new(&format!("{run}-{over:?}"), CONVERSATIONS);
            loops(program.address, UNDER_WAY, over, &source, &stubs.seen).await
        };
        open_sessions(program.address, UNDER_WAY, &Source::new(run, CONVERSATIONS), &stubs.seen)
            .await;
        loops(self.scale.slice / 2).await;
        let outcome = loops(self.scale.slice * slices).await;
        assert_eq!(stubs.seen.failed.load(Ordering::Relaxed), 0, "no message fails");
        (outcome.rate(), outcome.p99())
    }

    /// Messages per second of the gateway.
    pub(super) async fn rate_of_loops(&self, run: &str) -> f64 {
        self.loops_of(Side::Tidegate, 1, run).await.0
    }

    /// The rates and the p99 of each side, in each round.
    async fn loops_in_turn<const N: usize>(
        &self,
        id: &str,
        sides: [Side; N],
        slices: u32,
    ) -> (Vec<[f64; N]>, Vec<[f64; N]>) {
        let (mut rates, mut times) = (Vec::new(), Vec::new());
        for round in 0..self.scale.rounds {
            let (mut rate, mut time) = ([0.0; N], [0.0; N]);
            for side in turns(round, N) {
                (rate[side], time[side]) =
                    self.loops_of(sides[side], slices, &format!("{id}-{round}-{side}")).await;
            }
            rates.push(rate);
            times.push(time);
        }
        (rates, times)
    }

    pub(super) async fn whole_loop(&self) -> Vec<Row> {
        let (rates, times) =
            self.loops_in_turn("b3", [Side::Tidegate, Side::Relay, Side::Memory], 1).await;
        vec![
            Row::ratio(
                "B3",
                "whole loop, beside one in memory",
                "/s",
                &pairs(&rates, 0, 1),
                Goal::AtLeast(0.9),
            ),
            Row::ratio("B3", "p99 of a message in it", "ms", &pairs(&times, 0, 1), Goal::Told),
            Row::ratio(
                "B3",
                "Tidegate with its store in memory",
                "/s",
                &pairs(&rates, 2, 1),
                Goal::Told,
            ),
        ]
    }

    pub(super) async fn whole_loop_of_express(&self) -> Vec<Row> {
        // Some messages of Express take as long as a slice, a second or two.
        let (rates, times) = self.loops_in_turn("b4", [Side::Tidegate, Side::Express], 5).await;
        vec![
            Row::ratio(
                "B4",
                "whole loop, beside Express",
                "/s",
                &pairs(&rates, 0, 1),
                Goal::AtLeast(8.0),
            ),
            Row::ratio(
                "B4",
                "p99 of a message in it",
                "ms",
                &pairs(&times, 0, 1),
                Goal::AtMost(1.0 / 3.0),
            ),
        ]
    }
}

/// Pairs one side with another, round by round.
fn pairs<const N: usize>(rounds: &[[f64; N]], ours: usize, theirs: usize) -> Vec<(f64, f64)> {
    rounds.iter().map(|round| (round[ours], round[theirs])).collect()
}
