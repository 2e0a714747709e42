//! B7: how long after its deadline a held message fails, if 100,000 deadlines fall within a few
//! seconds.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conversation::Clock as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Bench;
use super::held::{CONNECTIONS, all_held, look_into};
use crate::load::{Outcome, PATIENCE, Source, all};
use crate::programs::{Program, folder};
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// The time over which the deadlines of the parts begin. Within each part, they are spread further
/// by the time that accepting it takes.
const WITHIN: Duration = Duration::from_secs(9);

/// How late each message was in one round.
struct Late {
    decided: Outcome,
    receipted: Outcome,
    /// The time from the first deadline to the last, in seconds.
    within: f64,
    /// Deadlines per second in the busiest half second.
    wanted: f64,
    /// Decisions per second while at least 100 messages waited: the highest possible rate.
    made: f64,
}

impl Bench {
    pub(super) async fn deadlines(&self) -> Vec<Row> {
        let mut all = Vec::new();
        for round in 0..self.few_rounds() {
            all.push(self.late(&format!("b7-{round}")).await);
        }
        let each = |of: fn(&Late) -> f64| all.iter().map(of).collect::<Vec<_>>();
        let what = format!(
            "lateness of the decision that a held message has failed, {} of them, p99",
            self.many()
        );
        vec![
            Row::figure("B7", what, "ms", &each(|late| late.decided.p99()), Goal::AtMost(100.0)),
            Row::figure("B7", "p50 of it", "ms", &each(|late| late.decided.p50()), Goal::Told),
            Row::figure("B7", "the latest", "ms", &each(|late| late.decided.at(1.0)), Goal::Told),
            Row::figure(
                "B7",
                "p99 of the receipt at Genesys",
                "ms",
                &each(|late| late.receipted.p99()),
                Goal::Told,
            ),
            Row::figure("B7", "all deadlines within", "s", &each(|late| late.within), Goal::Told),
            Row::figure(
                "B7",
                "of them in the busiest half second",
                "/s",
                &each(|late| late.wanted),
                Goal::Told,
            ),
            Row::figure(
                "B7",
                "decisions while 100 and more wait",
                "/s",
                &each(|late| late.made),
                Goal::Told,
            ),
        ]
    }

    async fn late(&self, run: &str) -> Late {
        let stubs = Stubs::start().await;
        stubs.seen.slow_handshakes.store(true, Ordering::Relaxed);
        stubs.seen.receipted.begin();
        let gateway = self.hold_until_a_time(run, &stubs).await;
        let begun = Instant::now();
        while stubs.seen.receipted.len() < self.many() {
            assert!(begun.elapsed() < PATIENCE * 5, "they do not fail");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Reads both clocks, to convert the stubs' times to the gateway's.
        let (clock, instant) = (gateway::SystemClock.now().as_millisecond(), Instant::now());
        let receipts: HashMap<String, i64> = stubs
            .seen
            .receipted
            .take()
            .into_iter()
            .map(|(id, at)| (id, clock - instant.duration_since(at).as_millis() as i64))
            .collect();
        let deadlines = deadlines(&gateway);
        assert_eq!(deadlines.len(), self.many(), "each has failed");
        // Rounding to whole milliseconds of two clocks may give -1.
        let millis = |late: i64| Duration::from_millis(late.max(0).unsigned_abs());
        let decided = deadlines.iter().map(|(_, deadline, decided)| {
            assert!(decided >= deadline, "none fails before its time");
            millis(decided - deadline)
        });
        let receipted = deadlines.iter().map(|(id, deadline, _)| millis(receipts[id] - deadline));
        let first = deadlines.iter().map(|(_, deadline, _)| *deadline).min().unwrap_or_default();
        let last = deadlines.iter().map(|(_, deadline, _)| *deadline).max().unwrap_or_default();
        let (wanted, made) = pace(&deadlines, first);
        Late {
            wanted,
            made,
            decided: Outcome::of(decided.collect(), begun.elapsed()),
            receipted: Outcome::of(receipted.collect(), begun.elapsed()),
            within: (last - first) as f64 / 1e3,
        }
    }

    /// Accepting this many messages takes longer than the time in which all must expire, and a
    /// deadline counts from when its message was accepted. So they are accepted in parts, by one
    /// process after another, each with a shorter `hold.for`.
    async fn hold_until_a_time(&self, run: &str, stubs: &Stubs) -> Program {
        let (parts, ahead) = if self.scale.quick {
            (2, Duration::from_secs(4))
        } else {
            (10, Duration::from_mins(2))
        };
        let up = Instant::now() + ahead;
        let mut dir = folder();
        for part in 0..parts {
            let hold = (up + WITHIN * part / parts).duration_since(Instant::now());
            let config = format!("[integration.hold]\nfor = \"{}ms\"", hold.as_millis());
            let mut gateway = self.programs.launch(dir, stubs, &config);
            gateway.listens().await;
            let each = self.many() / parts as usize;
            let source = Source::behind(&format!("{run}-{part}"), each, each * part as usize);
            all(gateway.address, CONNECTIONS, each, &source).await;
            all_held(&gateway.store()).await;
            assert!(Instant::now() < up, "the first are up before the last are held");
            if part + 1 == parts {
                return gateway;
            }
            dir = gateway.kill();
        }
        unreachable!("there is a last part")
    }
}

/// Returns the deadlines per second in the busiest half second, and the decisions per second while
/// at least `WAIT` messages waited. Then the next decision was always due.
fn pace(deadlines: &[(String, i64, i64)], first: i64) -> (f64, f64) {
    const WAIT: i64 = 100;
    const WINDOW: u32 = 500;
    let last = deadlines.iter().map(|(_, _, decided)| *decided).max().unwrap_or_default();
    // For each millisecond, how many messages were due, and how many were decided.
    let mut times = vec![(0_i64, 0_i64); usize::try_from(last - first).unwrap_or_default() + 1];
    for (_, due, decided) in deadlines {
        times[usize::try_from(due - first).expect("the first is the first")].0 += 1;
        times[usize::try_from(decided - first).expect("no message is decided before its time")]
            .1 += 1;
    }
    let wanted = times
        .windows(times.len().min(WINDOW as usize))
        .map(|part| part.iter().map(|(due, _)| due).sum::<i64>())
        .max();
    let (mut waiting, mut busy, mut made) = (0, 0_u32, 0);
    for (due, decided) in &times {
        if waiting >= WAIT {
            busy += 1;
            made += decided;
        }
        waiting += due - decided;
    }
    let each_second = |count: i64, millis: u32| count as f64 * 1e3 / f64::from(millis.max(1));
    (each_second(wanted.unwrap_or_default(), WINDOW), each_second(made, busy))
}

/// Each failed message, with its deadline and the time of the decision. The store has both by the
/// gateway's clock, in whole milliseconds. A record has the time of its decision, which comes
/// before its commit.
fn deadlines(gateway: &Program) -> Vec<(String, i64, i64)> {
    let store = look_into(&gateway.store());
    let mut query = store
        .prepare(
            "select message.id, value ->> '$.hold_until', settled from message join journal using (conversation),
                json_each('[' || replace(records, char(10), ',') || ']')
             where state = 'failed' and value ->> '$.kind' = 'accepted' and value ->> '$.message' = message.id",
        )
        .expect("SQL");
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))
        .expect("rows");
    rows.map(|row| {
        let (id, hold_until, settled) = row.expect("a row");
        (id, hold_until.parse::<Timestamp>().expect("a time").as_millisecond(), settled)
    })
    .collect()
}
