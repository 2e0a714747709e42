//! Every place for a task is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connector::{Forward, Open};
use conversation::{AttemptOutcome, ConversationId, OpenOutcome, SessionId};
use gateway::{GatewayCore, Limits};
use store::memory::{Database, Direct, MemoryStore};

use crate::support::{Service, Simulated, acme, agent_types, ask, until, webhook};

/// How many conversations may have a task.
const MAX_ACTIVE: usize = 8_192;

#[tokio::test(start_paused = true)]
async fn typing_reaches_a_conversation_that_has_a_task() {
    let store = MemoryStore::alone(&Database::new(None), Arc::new(Direct));
    let chat = Arc::<Chat>::default();
    let integration = acme(Arc::<Chat>::clone(&chat));
    let inside = GatewayCore::start(
        vec![Arc::new(integration)],
        Arc::new(store),
        Simulated::from_now(),
        Limits::default(),
    );
    assert_eq!(ask(&inside, webhook("m", "noor")).await.0, 200);
    until("noor's message is on its way", || chat.forwards.load(Ordering::Relaxed) == 1).await;
    for number in 1..MAX_ACTIVE {
        let (id, customer) = (format!("m-{number}"), format!("c-{number}"));
        assert_eq!(ask(&inside, webhook(&id, &customer)).await.0, 200);
    }
    until("all ask for a session", || chat.opens.load(Ordering::Relaxed) == MAX_ACTIVE).await;
    assert_eq!(ask(&inside, agent_types("t", "noor")).await.0, 200);
    until("the customer sees it", || chat.typings.load(Ordering::Relaxed) == 1).await;
    assert_eq!(ask(&inside, agent_types("t", "nour")).await.0, 200);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(chat.typings.load(Ordering::Relaxed), 1, "there is no place for another task");
}

/// A chat service that opens a session for the first customer at once, and answers nothing else.
#[derive(Default)]
struct Chat {
    opens: AtomicUsize,
    forwards: AtomicUsize,
    typings: AtomicUsize,
}

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        if self.opens.fetch_add(1, Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        self.forwards.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }

    async fn typing(&self, _: &ConversationId) {
        self.typings.fetch_add(1, Ordering::Relaxed);
    }
}
