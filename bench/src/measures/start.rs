//! B11: what an idle gateway costs.

use tokio::time::Instant;

use super::Bench;
use crate::load::{Caller, Source};
use crate::programs::folder;
use crate::stubs::Stubs;
use crate::table::{Goal, Row};

impl Bench {
    pub(super) async fn start(&self) -> Vec<Row> {
        let stubs = Stubs::start().await;
        let (mut ready, mut memory) = (Vec::new(), Vec::new());
        let mut dir = folder();
        for round in 0..=self.scale.rounds {
            let begun = Instant::now();
            let mut gateway = self.programs.launch(dir, &stubs, "");
            gateway.listens().await;
            let took = begun.elapsed();
            // The first start creates the store, so it does not count.
            if round > 0 {
                ready.push(took.as_secs_f64() * 1e3);
            }
            // The memory is measured after one message has gone through the whole loop.
            let source = Source::new(&format!("b11-{round}"), 1);
            let (id, customer) = source.next();
            let receipt = stubs.seen.receipt(&id);
            Caller::connect(gateway.address).await.post(&id, &customer).await;
            receipt.await.expect("a receipt");
            gateway.rests().await;
            memory.push(gateway.memory() as f64 / f64::from(1 << 20));
            dir = gateway.kill();
        }
        let size = std::fs::metadata(&self.programs.tidegate).expect("the program").len();
        vec![
            Row::figure("B11", "start to the first connection", "ms", &ready, Goal::AtMost(50.0)),
            Row::figure(
                "B11",
                "memory when idle, after one message",
                "MiB",
                &memory,
                Goal::AtMost(20.0),
            ),
            Row::figure(
                "B11",
                "size of the program",
                "MiB",
                &[size as f64 / f64::from(1 << 20)],
                Goal::AtMost(25.0),
            ),
        ]
    }
}
