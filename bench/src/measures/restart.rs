//! B9: a start with a million held messages in the store.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use tempfile::TempDir;
use tokio::time::Instant;

use super::Bench;
use super::held::{CONNECTIONS, all_held, look_into};
use crate::load::{Caller, PATIENCE, Source, all};
use crate::programs::{STORE, folder};
use crate::stock::multiply;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// Times are moved into the past by up to an hour, and no deadline may pass during the measurement.
const HOLD: &str =
    "[integration.hold]\nfor = \"4h\"\n[integration.delivery]\ngive_up_after = \"8h\"";
const SPREAD: u64 = 3_600_000;
/// Conversations of the small store.
const SMALL: usize = 1_000;
/// How long the gateway's memory is observed after its start.
const LOOK: Duration = Duration::from_secs(10);

/// The state of the handshakes that the last process left.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    /// They are pending, except one in 125 whose call was open, as after a crash during work.
    Pending,
    /// The chat service was unavailable, and every handshake is due for a retry. All conversations
    /// have work at once.
    ToBeTried,
}

impl Bench {
    pub(super) async fn restart(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for left in [Left::Pending, Left::ToBeTried] {
            let built = self.build_open(left).await;
            rows.extend(self.restart_with(left, &built).await);
        }
        rows
    }

    async fn restart_with(&self, left: Left, built: &TempDir) -> Vec<Row> {
        let (mut answered, mut forwarded, mut peak) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.few_rounds() {
            let dir = folder();
            tokio::task::block_in_place(|| {
                copy(&built.path().join(STORE), &dir.path().join(STORE));
            });
            let stubs = Stubs::start().await;
            stubs.seen.forwarded.begin();
            let begun = Instant::now();
            let mut gateway = self.programs.launch(dir, &stubs, HOLD);
            gateway.listens().await;
            let (id, customer) = Source::behind(&format!("b9-{round}"), 1, self.open()).next();
            let status = Caller::connect(gateway.address).await.post(&id, &customer).await;
            assert_eq!(status, StatusCode::OK);
            answered.push(begun.elapsed().as_secs_f64());
            // The message that was just posted may be forwarded before the held ones.
            while stubs.seen.forwarded.len() < 2 {
                assert!(begun.elapsed() < PATIENCE, "nothing is forwarded");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if !self.scale.quick {
                tokio::time::sleep_until(begun + LOOK).await;
            }
            peak.push(gateway.peak() as f64 / f64::from(1 << 20));
            let first =
                stubs.seen.forwarded.take().into_iter().find(|(forwarded, _)| *forwarded != id);
            let (_, at) = first.expect("one of two is another");
            forwarded.push(at.duration_since(begun).as_secs_f64());
        }
        let how = match left {
            Left::Pending => "handshakes go on",
            Left::ToBeTried => "all handshakes to be tried again",
        };
        let what = |what: &str| format!("start with {} held messages ({how}): {what}", self.open());
        vec![
            Row::figure("B9", what("to the first 200"), "s", &answered, Goal::AtMost(1.0)),
            Row::figure("B9", what("to the first forward"), "s", &forwarded, Goal::AtMost(3.0)),
            Row::figure("B9", what("peak of memory in 10 s"), "MiB", &peak, Goal::AtMost(512.0)),
        ]
    }

    fn open(&self) -> usize {
        if self.scale.quick { 5_000 } else { 1_000_000 }
    }

    /// Builds a store with [`Self::open`] conversations, each with a held message.
    async fn build_open(&self, left: Left) -> TempDir {
        let stubs = Stubs::start().await;
        stubs.seen.slow_handshakes.store(left == Left::Pending, Ordering::Relaxed);
        stubs.seen.away.store(left == Left::ToBeTried, Ordering::Relaxed);
        let gateway = self.programs.gateway(&stubs, HOLD).await;
        let calling = if left == Left::Pending { SMALL / 125 } else { 0 };
        let source = Source::random(SMALL, 0);
        all(gateway.address, CONNECTIONS, SMALL - calling, &source).await;
        if left == Left::Pending {
            all_held(&gateway.store()).await;
        }
        stubs.seen.silent.store(true, Ordering::Relaxed);
        all(gateway.address, CONNECTIONS, calling, &source).await;
        let begun = Instant::now();
        // Every conversation has a wake-up time, even one whose call is open.
        let not_yet = "select exists (select 1 from inbox) or count(due) < ?1 from conversation";
        let store = look_into(&gateway.store());
        while store.query_row(not_yet, [SMALL], |row| row.get::<_, bool>(0)).expect("SQL") {
            assert!(begun.elapsed() < PATIENCE, "the small store is not made");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(store);
        let (small, large) = (gateway.kill(), folder());
        tokio::task::block_in_place(|| {
            multiply(&small.path().join(STORE), &large.path().join(STORE), self.open(), 0, SPREAD);
        });
        large
    }
}

/// Copies a file. The copy shares the blocks if the file system can.
fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("--reflink=auto").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "the store is copied");
    std::fs::File::open(to).and_then(|file| file.sync_all()).expect("on the disk");
}
