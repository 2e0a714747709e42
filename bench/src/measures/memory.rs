//! B6: the memory that a conversation with a held message takes.

use super::Bench;
use super::accept::HELD;
use crate::table::{Goal, Row};

impl Bench {
    pub(super) async fn memory_of_the_held(&self) -> Vec<Row> {
        let (mut each, mut further, mut before, mut after) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        for round in 0..self.few_rounds() {
            let held = self.hold(&format!("b6-{round}"), HELD).await;
            each.push((held.memory as f64 - held.idle as f64) / self.many() as f64);
            further.push((held.memory as f64 - held.half as f64) / (self.many() / 2) as f64);
            before.push(mib(held.idle));
            after.push(mib(held.memory));
        }
        let what = format!("memory of a conversation with a held message, {} of them", self.many());
        vec![
            Row::figure("B6", what, "bytes", &each, Goal::AtMost(512.0)),
            Row::figure(
                "B6",
                "of one among the second half of them",
                "bytes",
                &further,
                Goal::Told,
            ),
            Row::figure("B6", "memory before", "MiB", &before, Goal::Told),
            Row::figure("B6", "memory with all of them", "MiB", &after, Goal::Told),
        ]
    }
}
