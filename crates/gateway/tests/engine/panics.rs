//! A connector that panics, with a customer's words in the message of the panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use connector::{Forward, Open, Refusal};
use conversation::{AttemptOutcome, OpenOutcome, Record, SessionId};
use gateway::{GatewayCore, Limits};
use store::memory::{Database, Direct, MemoryStore};

use crate::support::{Service, Simulated, acme, are_refused, ask, journal_of, until, webhook};

const WORDS: &str = "my card number is 4929";

#[tokio::test(start_paused = true)]
async fn the_words_in_a_panic_of_the_connector_reach_no_record() {
    let (database, clock) = (Database::new(None), Simulated::from_now());
    are_refused(&database, &*clock, &["lost"], &["lost"]).await;
    let journal = journal_of(&database);
    let store = MemoryStore::alone(&database, Arc::new(Direct));
    let integration = acme(Arc::new(Chat { has_opened: AtomicBool::new(false) }));
    let inside =
        GatewayCore::start(vec![Arc::new(integration)], Arc::new(store), clock, Limits::default());
    assert_eq!(ask(&inside, webhook("m", "noor")).await.0, 200);
    let has =
        |wanted: fn(&Record) -> bool| journal.lock().expect("no test panicked").iter().any(wanted);
    for (what, wanted) in [
        ("the handshake fails", (|r| matches!(r, Record::HandshakeFailed { .. })) as fn(&_) -> _),
        ("the attempt fails", |r| matches!(r, Record::AttemptEnded { .. })),
        ("the refusal is not told", |r| matches!(r, Record::RefusalTold { .. })),
    ] {
        until(what, || has(wanted)).await;
    }
    for record in journal.lock().expect("no test panicked").iter() {
        let record = serde_json::to_string(record).expect("a record is JSON");
        assert!(!record.contains(WORDS), "{record}");
    }
    inside.shutdown().await;
}

/// A chat service whose connector panics at every call except the second `open`.
struct Chat {
    has_opened: AtomicBool,
}

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        assert!(self.has_opened.swap(true, Ordering::Relaxed), "in {WORDS}");
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        panic!("in {WORDS}")
    }

    async fn message_refused(&self, _: &Refusal) -> Result<(), String> {
        panic!("in {WORDS}")
    }
}
