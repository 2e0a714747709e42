//! The measurements, one file each. The sides run in turn, in short slices, and the ratio of two
//! neighbouring slices counts, because the machine may be half as fast a minute later.

mod accept;
mod cost;
mod deadlines;
mod delay;
mod full;
mod held;
mod limited;
mod memory;
mod nodes;
mod release;
mod restart;
mod start;
mod whole;

use std::time::Duration;

use crate::programs::Programs;
use crate::table::Row;

/// How many conversations a load has.
const CONVERSATIONS: usize = 1_000;
/// How many messages are in the whole loop at a time.
const UNDER_WAY: usize = 256;

/// How much is measured.
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// How long one side is measured at a time.
    pub(crate) slice: Duration,
    /// A smoke test: everything is small, and times mean nothing.
    pub(crate) quick: bool,
}

pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) scale: Scale,
}

impl Bench {
    /// The number of rounds of a measurement whose rounds take a minute each.
    fn few_rounds(&self) -> usize {
        self.scale.rounds.min(3)
    }

    /// Runs the measurement of this name, such as B1.
    pub(crate) async fn measure(&self, id: &str) -> Vec<Row> {
        match id {
            "B1" => self.accepting().await,
            "B2" => self.accepting_in_time().await,
            "B3" => self.whole_loop().await,
            "B4" => self.whole_loop_of_express().await,
            "B5" => self.delay().await,
            "B6" => self.memory_of_the_held().await,
            "B7" => self.deadlines().await,
            "B8" => self.release().await,
            "B9" => self.restart().await,
            "B10" => self.accepting_into_a_full_store().await,
            "B11" => self.start().await,
            "B12" => self.limited_rate().await,
            "B13" => self.two_nodes().await,
            "B14" => self.cost_of_a_message().await,
            _ => panic!("there is no measurement {id}"),
        }
    }
}

/// The order of the sides in a round. It rotates from round to round, because the machine may be
/// slower for the last side than for the first.
fn turns(round: usize, sides: usize) -> impl Iterator<Item = usize> {
    (0..sides).map(move |turn| (round + turn) % sides)
}

/// The names of all measurements, in the order in which they run.
pub(crate) const ALL: [&str; 14] =
    ["B11", "B5", "B1", "B2", "B3", "B4", "B6", "B7", "B8", "B9", "B10", "B12", "B13", "B14"];
