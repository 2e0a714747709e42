//! Long spans that take no real time: the clock is stopped, or moved by hand.

use std::time::Duration;

use sandbox::SandboxConfig;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Bench, CUSTOMER, Mood, eventually};

/// A sandbox whose time moves by hand only.
async fn frozen() -> Bench {
    Bench::with(SandboxConfig { clock_scale: 0.0, ..SandboxConfig::default() }).await
}

impl Bench {
    async fn advance(&self, by: &str) {
        self.post("/sandbox/clock/advance", &json!({"by": by})).await.json();
    }

    /// The webhook attempts in the transcript.
    async fn attempts(&self) -> Vec<Value> {
        let all = self.get("/sandbox/transcript").await.value();
        all.as_array().unwrap().iter().filter(|entry| entry["kind"] == "webhook").cloned().collect()
    }
}

#[tokio::test]
async fn the_whole_ladder_of_retries_is_85_seconds_and_takes_no_time() {
    let start = Instant::now();
    let bench = frozen().await;
    bench.customer_writes(CUSTOMER).await;
    bench.hook.always(Mood::Hang);
    let before = bench.running.handle.clock().now();
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    // Six calls of 10 s each, and five pauses of 5 s between them.
    for attempt in 1..=6 {
        bench.hook.wait_for(attempt).await;
        bench.advance("10s").await;
        eventually("the time-out", async || {
            (bench.attempts().await.len() == attempt).then_some(())
        })
        .await;
        assert_eq!(bench.hook.calls().len(), attempt, "the pause is not over");
        if attempt < 6 {
            bench.advance("5s").await;
        }
    }
    assert_eq!(bench.settled(&message).await, "delivery-failed");
    let took = bench.running.handle.clock().now().duration_since(before);
    assert_eq!(took.as_secs(), 85);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_customer_who_returns_within_72_hours_finds_the_conversation_again() {
    let start = Instant::now();
    let mut bench = frozen().await;
    bench.put("/sandbox/switches", &json!({"token_life": "1000h"})).await.json();
    bench.token = bench.new_token().await;
    let first = bench.customer_writes(CUSTOMER).await;
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.advance("71h59m59s").await;
    assert_eq!(bench.customer_writes(CUSTOMER).await, first);
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.advance("72h").await;
    assert_ne!(bench.customer_writes(CUSTOMER).await, first);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_fast_clock_and_a_slow_one() {
    let bench = frozen().await;
    let now = || bench.running.handle.clock().now();
    bench.put("/sandbox/clock", &json!({"scale": 100_000})).await.json();
    let before = now();
    eventually("an hour to pass", async || {
        (now().duration_since(before).as_secs() >= 3_600).then_some(())
    })
    .await;
    bench.put("/sandbox/clock", &json!({"scale": 0.000_001})).await.json();
    let before = now();
    bench.customer_writes(CUSTOMER).await;
    assert!(now().duration_since(before).as_millis() <= 1);
}
