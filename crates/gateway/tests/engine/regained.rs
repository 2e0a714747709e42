//! A node that loses a conversation and regains it continues it at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Forward, Open};
use conversation::{AttemptOutcome, ConversationId, IntegrationName, OpenOutcome, SessionId};
use gateway::{GatewayCore, Limits};
use store::StoreError;
use store::memory::{Database, Direct, MemoryStore, SimulatedLink};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::support::{Service, Simulated, acme, until, webhook};

const TAKEOVER: Duration = Duration::from_secs(8);

/// While a node is cut off, another node takes its conversations over and gives them back. The
/// answer to the first node's append is lost. The node retries after a pause, and learns that it
/// had lost the conversation. During that pause it regains the conversation, and is told to drive
/// it.
#[tokio::test(start_paused = true)]
async fn a_wake_up_that_meets_the_end_of_the_last_lease_is_not_lost() {
    let (database, clock, chat) =
        (Database::new(None), Simulated::from_now(), Arc::<Chat>::default());
    let way = Arc::new(Way { whole: watch::Sender::new(true) });
    let store = MemoryStore::shared(&database, Arc::<Way>::clone(&way), "one", TAKEOVER);
    let integration = acme(Arc::<Chat>::clone(&chat));
    let inside =
        GatewayCore::start(vec![Arc::new(integration)], Arc::new(store), clock, Limits::default());
    until("it has all conversations", || database.shards("one") == 256).await;
    for id in ["first", "second"] {
        let answer = inside.router().oneshot(webhook(id, "noor")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    until("the first is forwarded", || chat.forwarded() == ["first"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    // It becomes durable that the first is delivered and that the second is attempted. The answer
    // is lost.
    way.whole.send_replace(false);
    chat.answers.send_replace(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let other = MemoryStore::shared(&database, Arc::new(Direct), "two", TAKEOVER);
    until("another has taken over", || database.shards("two") == 256).await;
    store::Ownership::step_down(&other);
    until("the other has given all back", || database.shards("two") == 0).await;
    way.whole.send_replace(true);

    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    until("it has the conversation again", || database.holder(&noor).as_deref() == Some("one"))
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(chat.forwarded(), ["first", "second"], "two seconds later");
    inside.shutdown().await;
}

/// A connection to the database. While it is broken, no lease is renewed, and the answers to
/// appends are lost.
struct Way {
    whole: watch::Sender<bool>,
}

impl Way {
    /// Waits until the connection is whole. Returns whether it was broken.
    async fn until_whole(&self) -> bool {
        let mut whole = self.whole.subscribe();
        let broken = !*whole.borrow();
        let _ = whole.wait_for(|whole| *whole).await;
        broken
    }
}

#[async_trait]
impl SimulatedLink for Way {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "lease" {
            self.until_whole().await;
        }
        Ok(())
    }

    async fn answer(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "append" && self.until_whole().await {
            return Err(StoreError::Unavailable("the answer is lost".into()));
        }
        Ok(())
    }
}

/// A chat service that accepts everything once the test lets it answer.
#[derive(Default)]
struct Chat {
    answers: watch::Sender<bool>,
    forwarded: Mutex<Vec<String>>,
}

impl Chat {
    fn forwarded(&self) -> Vec<String> {
        self.forwarded.lock().expect("no test panicked").clone()
    }
}

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        self.forwarded.lock().expect("no test panicked").push(message.id.to_string());
        let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
        AttemptOutcome::Delivered { service_id: None }
    }
}
