//! B8: the handshakes of 100,000 conversations end at once, and all held messages are forwarded in
//! order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conversation::{ConversationId, IntegrationName};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use super::accept::HELD;
use super::held::{CONNECTIONS, Held, all_held};
use crate::events::{self, Events};
use crate::load::{PATIENCE, Source, all};
use crate::table::{Goal, Row};
use crate::webhook;

/// How many events one request has.
const TOGETHER: usize = 100;
/// One conversation in this many has further messages, which show the order.
const LONGER: usize = 10;
/// How many further messages each of those has.
const FURTHER: usize = 2;

impl Bench {
    pub(super) async fn release(&self) -> Vec<Row> {
        let (mut rates, mut events, mut count) = (Vec::new(), Vec::new(), 0);
        for round in 0..self.few_rounds() {
            let run = format!("b8-{round}");
            // The machine may be half as fast a minute later, so B3's rate is measured before and
            // after.
            let before = self.rate_of_loops(&format!("b8a-{round}")).await;
            let held = self.hold(&run, HELD).await;
            // The customer of each message, and its position in the conversation.
            let mut places: HashMap<String, (String, usize)> = HashMap::new();
            let first = Source::new(&run, self.many());
            places.extend(
                (0..self.many()).map(|_| first.next()).map(|(id, customer)| (id, (customer, 0))),
            );
            for place in 1..=FURTHER {
                let run = format!("{run}-{place}");
                let longer = self.many() / LONGER;
                let (source, again) = (Source::new(&run, longer), Source::new(&run, longer));
                all(held.gateway.address, CONNECTIONS, longer, &source).await;
                places.extend(
                    (0..longer).map(|_| again.next()).map(|(id, customer)| (id, (customer, place))),
                );
            }
            all_held(&held.gateway.store()).await;
            count = places.len();
            let (took, told) = self.end_handshakes(&held, count).await;
            assert_in_order(&held.stubs.seen.forwarded.take(), &places);
            events.push(self.many() as f64 / told.as_secs_f64());
            drop(held);
            let after = self.rate_of_loops(&format!("b8z-{round}")).await;
            rates.push((count as f64 / took.as_secs_f64(), f64::midpoint(before, after)));
        }
        let what = format!("{count} held messages forwarded, beside B3's rate");
        vec![
            Row::ratio("B8", what, "/s", &rates, Goal::AtLeast(0.8)),
            Row::figure("B8", "ends of handshakes taken meanwhile", "/s", &events, Goal::Told),
        ]
    }

    /// Returns two times, both from the first event on: until all messages were forwarded, and
    /// until all events were accepted.
    async fn end_handshakes(&self, held: &Held, messages: usize) -> (Duration, Duration) {
        let name = IntegrationName::new("acme");
        let opened: Vec<String> = (0..self.many())
            .map(|number| {
                let conversation = ConversationId::of(&name, &webhook::customer(number));
                events::session_opened(conversation.as_str())
            })
            .collect();
        let requests: Vec<String> =
            opened.chunks(TOGETHER).map(|some| format!("[{}]", some.join(","))).collect();
        let seen = Arc::clone(&held.stubs.seen);
        seen.forwarded.begin();
        seen.receipted.begin();
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for number in 0..CONNECTIONS {
            let mine: Vec<String> =
                requests.iter().skip(number).step_by(CONNECTIONS).cloned().collect();
            let gateway = held.gateway.address;
            callers.spawn(async move {
                let mut events = Events::connect(gateway).await;
                for body in mine {
                    events.post(body).await;
                }
            });
        }
        callers.join_all().await;
        let told = begun.elapsed();
        while seen.forwarded.len() < messages {
            assert!(
                begun.elapsed() < PATIENCE * 5,
                "{} of {messages} are forwarded",
                seen.forwarded.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = begun.elapsed();
        // Duplicates, if any, come before the last receipt.
        while seen.receipted.len() < messages {
            assert!(
                begun.elapsed() < PATIENCE * 5,
                "{} of {messages} have a receipt",
                seen.receipted.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(seen.failed.load(Ordering::Relaxed), 0, "no message fails");
        (took, told)
    }
}

/// Asserts that no message is lost or comes twice, and that each conversation's messages come in
/// order.
fn assert_in_order(forwarded: &[(String, Instant)], places: &HashMap<String, (String, usize)>) {
    let mut next: HashMap<&str, usize> = HashMap::new();
    for (id, _) in forwarded {
        let (customer, place) = &places[id];
        let next = next.entry(customer).or_default();
        assert_eq!(place, next, "{id} is out of order");
        *next += 1;
    }
    assert_eq!(forwarded.len(), places.len(), "each is forwarded once");
}
