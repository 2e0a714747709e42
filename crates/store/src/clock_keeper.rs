//! How nodes keep the store's clock. Each node updates the stored pair at intervals, and advances
//! its own clock if another node's is ahead. Every shared store runs this on its own tables;
//! `store_clock` says what the clock promises.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::Chain;
use crate::lease::HeldLeases;
use crate::store_clock::StoreClock;

/// A node whose clock was behind by more than this may have missed deadlines.
const SLEPT: Duration = Duration::from_millis(250);

/// Where a shared store keeps the pair: its clock's time, and what the database's clock said then.
pub(crate) trait ClockTable: Send + Sync {
    /// Why the pair could not be exchanged.
    type Error: std::error::Error + Send;

    /// Stores this clock's time with the database's, unless the stored time is ahead: an old time
    /// must not be stored as the current one. Reads `clock` only when the request leaves. Returns
    /// the time that is stored afterwards, if it may be another node's.
    fn exchange(
        &self,
        clock: &StoreClock,
    ) -> impl Future<Output = Result<Option<Timestamp>, Self::Error>> + Send;
}

/// Exchanges times once in each interval `every`, until it is dropped.
pub(crate) async fn keep(
    table: impl ClockTable,
    clock: Arc<StoreClock>,
    leases: Arc<HeldLeases>,
    every: Duration,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match table.exchange(&clock).await {
            Ok(stored) => {
                let behind = stored.map(|stored| clock.catch_up(stored)).unwrap_or_default();
                if behind > SLEPT {
                    tracing::warn!(
                        ?behind,
                        "this node's clock was behind the other nodes' clock; it now follows theirs"
                    );
                    // Deadlines may have passed meanwhile.
                    leases.ring_gained();
                }
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "cannot update the store's clock");
            }
        }
    }
}
