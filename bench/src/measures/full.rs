//! B10: webhooks accepted with ten million messages in the store, beside an empty store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::Instant;

use super::accept::HELD;
use super::held::{CONNECTIONS, look_into};
use super::{Bench, CONVERSATIONS, turns};
use crate::load::{PATIENCE, Source, all};
use crate::peers::floor::{CREATE, TABLE};
use crate::programs::{STORE, folder};
use crate::stock::multiply;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// How many messages each conversation of the store has.
const EACH: usize = 10;
/// How many conversations the small store has.
const SMALL: usize = 100;

impl Bench {
    pub(super) async fn accepting_into_a_full_store(&self) -> Vec<Row> {
        let conversations = if self.scale.quick { 1_000 } else { 1_000_000 };
        let mut full = self.build_finished(conversations).await;
        let size =
            std::fs::metadata(full.path().join(STORE)).expect("the store").len() as f64 / 1e9;
        let mut table = table_of(&full);
        let (mut pairs, mut looked, mut limit) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.scale.rounds {
            // These customers are not in the store, so that both sides have the same work.
            let first = conversations + round * CONVERSATIONS;
            let mut rates = [0.0; 4];
            for side in turns(round, rates.len()) {
                rates[side] = match side {
                    0 => {
                        let (rate, took, dir) = self.accepts(full, first).await;
                        full = dir;
                        looked.push(took.as_secs_f64());
                        rate
                    }
                    1 => self.accepts(folder(), first).await.0,
                    2 => {
                        let (rate, dir) = self.accepts_into_table(table, first).await;
                        table = dir;
                        rate
                    }
                    _ => self.accepts_into_table(folder(), first).await.0,
                };
            }
            pairs.push((rates[0], rates[1]));
            limit.push((rates[2], rates[3]));
        }
        let what =
            format!("webhooks accepted, {} messages stored ({size:.1} GB)", conversations * EACH);
        vec![
            Row::ratio("B10", what, "/s", &pairs, Goal::AtLeast(0.8)),
            Row::ratio(
                "B10",
                "a table of SQLite and nothing else, as many in it",
                "/s",
                &limit,
                Goal::Told,
            ),
            Row::figure(
                "B10",
                "its look for what is older than the retention time",
                "s",
                &looked,
                Goal::Told,
            ),
        ]
    }

    /// How many webhooks per second a gateway accepts with the store in `dir`, and how long it was
    /// busy after its start.
    async fn accepts(&self, dir: TempDir, first: usize) -> (f64, Duration, TempDir) {
        let stubs = Stubs::start().await;
        stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
        let mut gateway = self.programs.launch(dir, &stubs, HELD);
        gateway.listens().await;
        // At its start, and every hour, the gateway looks for data that is old enough to remove.
        let looked = gateway.rests().await;
        let rate =
            self.accepted(&gateway, CONNECTIONS, &Source::random(CONVERSATIONS, first)).await;
        (rate, looked, gateway.kill())
    }

    /// How many webhooks per second the peer `table` accepts, with the table in `dir` if there is
    /// one.
    async fn accepts_into_table(&self, dir: TempDir, first: usize) -> (f64, TempDir) {
        let stubs = Stubs::start().await;
        let peer = self.programs.peer_in(dir, "table", &stubs).await;
        let rate = self.accepted(&peer, CONNECTIONS, &Source::random(CONVERSATIONS, first)).await;
        (rate, peer.kill())
    }

    /// Builds a store with this many conversations, whose messages are all delivered.
    async fn build_finished(&self, conversations: usize) -> TempDir {
        let stubs = Stubs::start().await;
        let gateway = self.programs.gateway(&stubs, "").await;
        let count = SMALL * EACH;
        all(gateway.address, CONNECTIONS, count, &Source::random(SMALL, 0)).await;
        let begun = Instant::now();
        let store = look_into(&gateway.store());
        let done = "select count(*) from message where receipt = 'posted'";
        while store.query_row(done, [], |row| row.get::<_, usize>(0)).expect("SQL") < count {
            assert!(begun.elapsed() < PATIENCE, "the small store is not made");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(store);
        let (small, large) = (gateway.kill(), folder());
        shorten(&small);
        // Ages of up to 29 days, which is less than the retention of 30 days.
        let spread = Duration::from_hours(29 * 24).as_millis() as u64;
        tokio::task::block_in_place(|| {
            multiply(
                &small.path().join(STORE),
                &large.path().join(STORE),
                conversations,
                0,
                spread,
            );
        });
        large
    }
}

/// Makes a table with the messages of a store.
fn table_of(full: &TempDir) -> TempDir {
    let dir = folder();
    tokio::task::block_in_place(|| {
        let store = Connection::open(dir.path().join(TABLE)).expect("a table");
        store.execute_batch("pragma journal_mode = off; pragma synchronous = off").expect("SQL");
        store.execute("attach ?1 as full", [full.path().join(STORE).to_str()]).expect("the store");
        // Creating the index after the rows is much faster.
        let rows = "create table message as
                    select id, conversation as customer, body from full.message join full.body using (seq)";
        store.execute_batch(rows).expect("SQL");
        store.execute_batch(CREATE).expect("SQL");
        store.close().expect("closed");
        let file = std::fs::File::open(dir.path().join(TABLE)).expect("the table");
        file.sync_all().expect("on the disk");
    });
    dir
}

/// Shortens the bodies: those of old messages are never read, so they need not fill the disk.
fn shorten(dir: &TempDir) {
    let store = Connection::open(dir.path().join(STORE)).expect("the small store");
    let short = "update body set body = cast('{\"id\":\"' || id || '\",\"type\":\"Text\"}' as blob)
                 from message where message.seq = body.seq";
    store.execute(short, []).expect("SQL");
}
