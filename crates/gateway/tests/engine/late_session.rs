//! If a chat service opens a session for a task that no longer waits for it, the session must still
//! be recorded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Forward, Open};
use conversation::{
    AttemptOutcome, Clock, ConversationId, IntegrationName, OpenOutcome, Record, SessionId,
};
use gateway::{GatewayCore, Limits, SystemClock};
use store::memory::{Database, Direct, MemoryStore, SimulatedLink};
use store::{Append, AppendPriority, Store, StoreError};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::support::{Service, acme, until, webhook};

const TAKEOVER: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_after_the_conversation_was_read_again_is_used() {
    let database = Database::new(None);
    let chat = Chat::new("one");
    let store = MemoryStore::alone(&database, Arc::new(Direct));
    let inside = start(&chat, store);
    takes(&inside, "first").await;
    until("a session is asked for", || chat.asked() == 1).await;
    append_behind_its_back(&database).await;
    takes(&inside, "second").await;
    until("the conversation is read again, and asks again", || chat.asked() == 2).await;
    chat.answer();
    until("both are forwarded", || chat.forwarded().len() == 2).await;
    assert_eq!(chat.forwarded(), ["first in one", "second in one"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_after_another_node_has_taken_over_is_used_there() {
    let database = Database::new(None);
    let cable = Arc::new(Cable::default());
    let (here, there) = (Chat::new("one"), Chat::new("another"));
    let first = start(
        &here,
        MemoryStore::shared(&database, Arc::<Cable>::clone(&cable), "first", TAKEOVER),
    );
    takes(&first, "hello").await;
    until("a session is asked for", || here.asked() == 1).await;
    cable.cut(true);
    let _second =
        start(&there, MemoryStore::shared(&database, Arc::new(Direct), "second", TAKEOVER));
    until("the other node asks too", || there.asked() == 1).await;
    cable.cut(false);
    // The first node learns that it has lost the conversation. Only then does its chat service
    // answer.
    tokio::time::sleep(TAKEOVER).await;
    here.answer();
    until("it is forwarded", || !there.forwarded().is_empty()).await;
    assert_eq!(
        (here.forwarded(), there.forwarded()),
        (Vec::new(), vec!["hello in one".to_owned()])
    );
}

/// A customer whose conversation stays with the first node when another one joins, because the
/// first node hands over the later half.
fn customer() -> String {
    let acme = IntegrationName::new("acme");
    let stays = |customer: &String| ConversationId::of(&acme, customer).as_str()[1..3] < *"40";
    (0..100).map(|number| format!("customer-{number}")).find(stays).expect("one in four")
}

fn start(chat: &Arc<Chat>, store: MemoryStore) -> GatewayCore {
    let integration = acme(Arc::<Chat>::clone(chat));
    GatewayCore::start(
        vec![Arc::new(integration)],
        Arc::new(store),
        Arc::new(SystemClock),
        Limits::default(),
    )
}

async fn takes(inside: &GatewayCore, id: &str) {
    let answer = inside.router().oneshot(webhook(id, &customer())).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// Another writer appends the conversation's next record.
async fn append_behind_its_back(database: &Arc<Database>) {
    let store = MemoryStore::alone(database, Arc::new(Direct));
    let conversation = ConversationId::of(&IntegrationName::new("acme"), &customer());
    let loaded = store.load(&conversation).await.expect("it can be read").expect("it is there");
    let append = Append {
        integration: loaded.integration,
        after: loaded.seq,
        at: SystemClock.now(),
        records: vec![Record::GenesysConversation { id: "somebody-elses".into() }],
        taken: Vec::new(),
        due: loaded.state.next_wakeup(&acme(Chat::new("")).policy),
        watched: None,
        standing: None,
        snapshot: None,
        priority: AppendPriority::Normal,
        conversation,
    };
    store.append(append).await.expect("it is the next record");
}

/// A chat service that opens one session when it is told to, and answers no other call for one.
struct Chat {
    session: &'static str,
    answers: watch::Sender<bool>,
    asked: Mutex<usize>,
    forwarded: Mutex<Vec<String>>,
}

impl Chat {
    fn new(session: &'static str) -> Arc<Self> {
        let (asked, forwarded) = (Mutex::new(0), Mutex::default());
        Arc::new(Self { session, answers: watch::Sender::new(false), asked, forwarded })
    }

    fn answer(&self) {
        self.answers.send_replace(true);
    }

    fn asked(&self) -> usize {
        *self.asked.lock().expect("no test panicked")
    }

    fn forwarded(&self) -> Vec<String> {
        self.forwarded.lock().expect("no test panicked").clone()
    }
}

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        let first = {
            let mut asked = self.asked.lock().expect("no test panicked");
            *asked += 1;
            *asked == 1
        };
        if !first {
            std::future::pending::<()>().await;
        }
        self.answers.subscribe().wait_for(|answers| *answers).await.expect("the chat is there");
        OpenOutcome::Opened(SessionId::new(self.session))
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        self.forwarded
            .lock()
            .expect("no test panicked")
            .push(format!("{} in {}", message.id, message.session));
        AttemptOutcome::Delivered { service_id: None }
    }
}

/// A connection to the database that can be cut.
#[derive(Default)]
struct Cable(Mutex<bool>);

impl Cable {
    fn cut(&self, cut: bool) {
        *self.0.lock().expect("no test panicked") = cut;
    }
}

#[async_trait]
impl SimulatedLink for Cable {
    async fn ask(&self, _: &'static str) -> Result<(), StoreError> {
        if *self.0.lock().expect("no test panicked") {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(StoreError::Unavailable("the cable is cut".into()));
        }
        Ok(())
    }
}
