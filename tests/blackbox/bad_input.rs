//! Whatever Genesys, chat services or strangers send, the gateway answers as the contract says, and
//! brings each message to its end. It serves everybody else, stays small, and writes no message
//! text into its log.

mod connector;
mod events;
mod mutations;
mod slow;
mod times;
mod webhooks;

use crate::support::{CONNECTOR_SECRET, Gateway, WEBHOOK_SECRET};

/// Contained in every text that these tests send.
const MARKER: &str = "words-that-nobody-may-log";

/// By how much the gateway may grow in a test, in bytes. This is far less than what the tests send.
const GROWTH: usize = 48 << 20;

/// A chat service that opens sessions and delivers at once.
const QUICK: &[&str] = &["--handshake", "0", "--deliver", "immediately"];

/// The gateway's memory at the start of a test.
struct Memory(usize);

impl Memory {
    fn of(gateway: &Gateway) -> Self {
        Self(gateway.process.memory().0)
    }

    /// Panics if the gateway was ever much larger than that.
    fn stayed_small(&self, gateway: &Gateway) {
        let (before, most) = (self.0, gateway.process.memory().1);
        assert!(most < before + GROWTH, "it had {before} bytes, and up to {most} afterwards");
    }
}

/// Panics unless the gateway runs, is ready, and has logged neither message texts nor secrets.
async fn unharmed(gateway: &mut Gateway) {
    assert!(gateway.process.runs(), "it runs");
    assert_eq!(gateway.get("/healthz").await.0, 200);
    assert_eq!(gateway.get("/readyz").await.0, 200);
    let (log, (_, metrics)) = (gateway.process.log(), gateway.get("/metrics").await);
    let connector_key = CONNECTOR_SECRET.trim_start_matches("whsec_");
    for secret in [MARKER, WEBHOOK_SECRET, connector_key, "sandbox-secret", "Bearer ", "Basic "] {
        assert!(!log.contains(secret), "the log holds {secret}");
        assert!(!metrics.contains(secret), "the metrics hold {secret}");
    }
    assert!(!log.contains("panicked"), "nothing panicked");
}
