//! A database with slow commits delays messages, but loses none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Forward, Open};
use conversation::{AttemptOutcome, OpenOutcome, SessionId};
use gateway::{GatewayCore, Limits};
use store::StoreError;
use store::memory::{Database, MemoryStore, SimulatedLink};
use tower::ServiceExt;

use crate::support::{Service, Simulated, acme, until, webhook};

/// Longer than a node that stops may take between a decision and its call.
const COMMIT: Duration = Duration::from_millis(1_500);

#[tokio::test(start_paused = true)]
async fn what_is_decided_is_done_once_although_each_commit_takes_long() {
    let database = Database::new(None);
    let chat = Arc::new(Chat { calls: Mutex::default() });
    let integration = acme(Arc::<Chat>::clone(&chat));
    let store =
        MemoryStore::shared(&database, Arc::new(SlowCommits), "one", Duration::from_secs(10));
    let one = GatewayCore::start(
        vec![Arc::new(integration)],
        Arc::new(store),
        Simulated::from_now(),
        Limits::default(),
    );
    until("it has its part of the conversations", || database.shards("one") > 0).await;
    let answer = one.router().oneshot(webhook("m1", "noor")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let calls = || chat.calls.lock().expect("no test panicked").clone();
    until("it is forwarded", || calls().last().is_some_and(|last| last == "m1")).await;
    tokio::time::sleep(COMMIT * 4).await;
    assert_eq!(calls(), ["open", "m1"]);
}

/// A connection to a database that waits for a slow disk, or for a remote standby.
struct SlowCommits;

#[async_trait]
impl SimulatedLink for SlowCommits {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "append" {
            tokio::time::sleep(COMMIT).await;
        }
        Ok(())
    }
}

struct Chat {
    calls: Mutex<Vec<String>>,
}

impl Chat {
    fn note(&self, call: &str) {
        self.calls.lock().expect("no test panicked").push(call.to_owned());
    }
}

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        self.note("open");
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        self.note(message.id.as_str());
        AttemptOutcome::Delivered { service_id: None }
    }
}
