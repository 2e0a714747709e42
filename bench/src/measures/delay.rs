//! B5: how long one message takes through an idle gateway, beside one `fdatasync`.

use std::time::Duration;

use tokio::time::Instant;

use super::Bench;
use crate::disk::Probe;
use crate::load::{Caller, Source};
use crate::programs::folder;
use crate::stubs::Stubs;
use crate::table::{Goal, Row, median};

impl Bench {
    pub(super) async fn delay(&self) -> Vec<Row> {
        let stubs = Stubs::start().await;
        let gateway = self.programs.gateway(&stubs, "").await;
        let mut caller = Caller::connect(gateway.address).await;
        let relay = self.programs.peer("relay", &stubs).await;
        let mut beside = Caller::connect(relay.address).await;
        let source = Source::new("b5", 1);
        let dir = folder();
        let mut probe = Probe::new(dir.path());
        let (mut pairs, mut over, mut relayed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.scale.rounds {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let (mut appended, mut written_over) = (Vec::new(), Vec::new());
            for _ in 0..if self.scale.quick { 5 } else { 100 } {
                for (caller, took) in [(&mut caller, &mut ours), (&mut beside, &mut theirs)] {
                    let (id, customer) = source.next();
                    let (forwarded, receipted) = (stubs.seen.forward(&id), stubs.seen.receipt(&id));
                    let begun = Instant::now();
                    caller.post(&id, &customer).await;
                    took.push(forwarded.await.expect("it is forwarded").duration_since(begun));
                    receipted.await.expect("it is receipted");
                }
                // Gives the gateway time to finish its writes.
                tokio::time::sleep(Duration::from_millis(5)).await;
                appended.push(tokio::task::block_in_place(|| probe.append()));
                written_over.push(tokio::task::block_in_place(|| probe.write_over()));
            }
            let middle = |all: &[Duration]| {
                median(&all.iter().map(|took| took.as_secs_f64() * 1e6).collect::<Vec<_>>())
            };
            pairs.push((middle(&ours), middle(&appended)));
            over.push((middle(&ours), middle(&written_over)));
            relayed.push(middle(&theirs));
        }
        vec![
            Row::ratio(
                "B5",
                "webhook to forward, idle, beside one fdatasync",
                "µs",
                &pairs,
                Goal::AtMost(3.0),
            ),
            Row::ratio(
                "B5",
                "the same beside an fdatasync over what was there",
                "µs",
                &over,
                Goal::Told,
            ),
            Row::figure("B5", "the same without a store (the relay)", "µs", &relayed, Goal::Told),
        ]
    }
}
