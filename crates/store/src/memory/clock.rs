//! The store's clock, kept as the PostgreSQL store keeps it.

use std::sync::Arc;

use conversation::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::SimulatedLink;
use super::database::Database;
use super::tables::{ClockPair, Tables};
use crate::StoreError;
use crate::clock_keeper::ClockTable;
use crate::store_clock::{Machine, Start, StoreClock};

/// 2026-11-20T09:00:00Z: what the database's own clock shows at the first query.
const BEGUN: Timestamp = Timestamp::constant(1_795_165_200, 0);

impl Database {
    /// The clock of a node that starts.
    pub(super) fn clock(&self, machine: Arc<dyn Machine>) -> Arc<StoreClock> {
        let mut tables = self.tables();
        let at = tables.wall();
        let time = match tables.clock {
            None => at,
            Some(last) => {
                let gone_on = last.time.checked_add(at.duration_since(last.at)).ok();
                Start { gone_on, latest: last.time, wall: at, idle: false }.time()
            }
        };
        tables.clock = Some(ClockPair { time, at });
        StoreClock::starting_at(machine, time)
    }
}

impl Tables {
    /// What the database's own clock shows.
    fn wall(&mut self) -> Timestamp {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let passed = SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::MAX);
        BEGUN.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// Updates the pair. If another node's clock is ahead, returns its time instead.
    fn exchange(&mut self, now: Timestamp) -> Option<Timestamp> {
        let at = self.wall();
        match self.clock {
            Some(last) if last.time > now => Some(last.time),
            Some(_) | None => {
                self.clock = Some(ClockPair { time: now, at });
                None
            }
        }
    }
}

/// One node's access to the pair.
pub(super) struct MemoryClock {
    pub(super) database: Arc<Database>,
    pub(super) line: Arc<dyn SimulatedLink>,
}

impl ClockTable for MemoryClock {
    type Error = StoreError;

    async fn exchange(&self, clock: &StoreClock) -> Result<Option<Timestamp>, StoreError> {
        self.line.ask("clock").await?;
        let ahead = self.database.tables().exchange(clock.now());
        self.line.answer("clock").await?;
        Ok(ahead)
    }
}
