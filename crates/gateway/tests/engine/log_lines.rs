//! A line about an error names what is behind it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connector::{Forward, Open};
use conversation::{AttemptOutcome, OpenOutcome, Reason, ReasonCode, SessionId};
use gateway::{GatewayCore, Limits};
use store::StoreError;
use store::memory::{Database, MemoryStore, SimulatedLink};
use tower::ServiceExt;

use crate::support::{Service, Simulated, acme, until, webhook};

#[tokio::test(start_paused = true)]
async fn a_line_about_the_store_or_about_genesys_names_the_cause() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    // The runtime of this test has one thread.
    let _guard = tracing::subscriber::set_default(lines.finish());
    let (database, clock) = (Database::new(None), Simulated::from_now());
    let store = MemoryStore::alone(&database, Arc::new(Full::default()));
    let integration = acme(Arc::new(Refusing));
    let core =
        GatewayCore::start(vec![Arc::new(integration)], Arc::new(store), clock, Limits::default());
    let answer = core.router().oneshot(webhook("first", "noor")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    for line in [
        "cannot append to the journal; trying again error=the store is not available: no space",
        "error=\"the call did not leave: no token: there is no Genesys here\"",
    ] {
        until(line, || log.text().contains(line)).await;
    }
    core.shutdown().await;
}

/// A way to a database that is full for a while.
#[derive(Default)]
struct Full(AtomicUsize);

#[async_trait]
impl SimulatedLink for Full {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if matches!(what, "append" | "accept with step") && self.0.fetch_add(1, Relaxed) < 3 {
            let cause = io::Error::new(io::ErrorKind::StorageFull, "no space");
            return Err(StoreError::Unavailable(cause.into()));
        }
        Ok(())
    }
}

/// A chat service that refuses each message, so that Genesys is owed a receipt.
struct Refusing;

#[async_trait]
impl Service for Refusing {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Rejected { reason: Reason::new(ReasonCode::GeneralError, "not this") }
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panicked")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
