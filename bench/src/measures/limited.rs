//! B12: a Genesys that allows 300 calls per minute, and messages that need ten times as many.

use std::time::Duration;

use tokio::time::Instant;

use super::{Bench, CONVERSATIONS};
use crate::limit::{Limit, WINDOW, Window};
use crate::load::{PATIENCE, Source, open, quantile};
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

/// Calls per minute, as Genesys allows a client by default.
const ALLOWED: u32 = 300;
/// Messages per allowed call.
const TIMES: f64 = 10.0;
/// How many whole windows are measured. The first window is not, because a client starts with a
/// burst.
const WINDOWS: usize = 2;
/// How long a smoke test observes the first window instead.
const GLANCE: Duration = Duration::from_secs(3);

impl Bench {
    pub(super) async fn limited_rate(&self) -> Vec<Row> {
        let stubs = Stubs::start().await;
        let limit = stubs.seen.limit.get_or_init(|| Limit::new(ALLOWED));
        let gateway = self.programs.gateway(&stubs, "").await;
        let source = Source::new("b12", CONVERSATIONS);
        let rate = f64::from(ALLOWED) / WINDOW.as_secs_f64() * TIMES;
        let most = (WINDOW + PATIENCE) * (1 + WINDOWS as u32);
        tokio::select! {
            _ = open(gateway.address, 16, rate, most, &source) => panic!("Genesys is not called any more"),
            () = self.enough(limit) => {}
        }
        let now = Instant::now();
        let windows = limit.windows();
        let shares: Vec<f64> = if self.scale.quick {
            vec![share(&windows[0], now)]
        } else {
            windows.windows(2).skip(1).map(|pair| share(&pair[0], pair[1].begun)).collect()
        };
        let taken: u32 = windows.iter().map(|window| window.taken).sum();
        let refused: u32 = windows.iter().map(|window| window.limited).sum();
        let mut waits = limit.waits(now);
        waits.sort_unstable();
        let refused = f64::from(refused) / f64::from(taken + refused);
        let what =
            format!("share of {ALLOWED} calls a minute that is used, ten times as many wanted");
        vec![
            Row::figure("B12", what, "", &shares, Goal::AtLeast(0.95)),
            Row::figure(
                "B12",
                "share of the calls that are answered 429",
                "",
                &[refused],
                Goal::AtMost(0.01),
            ),
            Row::figure(
                "B12",
                "p99 of a Failed receipt's wait",
                "ms",
                &[quantile(&waits, 0.99)],
                Goal::AtMost(2_000.0),
            ),
            Row::figure("B12", "p50 of it", "ms", &[quantile(&waits, 0.5)], Goal::Told),
        ]
    }

    /// Waits until enough windows have passed.
    async fn enough(&self, limit: &Limit) {
        let begun = |windows: &[Window]| {
            windows.first().is_some_and(|first| first.begun.elapsed() >= GLANCE)
        };
        loop {
            let windows = limit.windows();
            if windows.len() > 1 + WINDOWS || (self.scale.quick && begun(&windows)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The share of the allowed calls that was used, from the start of a window to `until`, when the
/// next one began. If the next one begins late, the time in between counts as unused.
fn share(window: &Window, until: Instant) -> f64 {
    let allowed = f64::from(ALLOWED) * (until - window.begun).as_secs_f64() / WINDOW.as_secs_f64();
    f64::from(window.taken) / allowed
}
