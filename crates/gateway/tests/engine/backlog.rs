//! A conversation whose inbox is longer than the part of it that one turn reads first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Forward, Open};
use conversation::{
    AttemptOutcome, Clock, ConversationId, Input, IntegrationName, MessageId, OpenOutcome,
    SessionId,
};
use gateway::{GatewayCore, Limits};
use serde_json::json;
use store::memory::{Database, Direct, MemoryStore};
use store::{Arrival, Direction, NewMessage, Store};

use crate::support::{Service, Simulated, acme, ask, until, webhook};

const MESSAGES: usize = 200;

/// The messages came while the conversation had no task, the last one first.
#[tokio::test(start_paused = true)]
async fn two_hundred_messages_go_in_the_order_of_their_times() {
    let (database, clock, chat) =
        (Database::new(None), Simulated::from_now(), Arc::<Chat>::default());
    let store = MemoryStore::alone(&database, Arc::new(Direct));
    let integration = acme(Arc::<Chat>::clone(&chat));
    let inside = GatewayCore::start(
        vec![Arc::new(integration)],
        Arc::new(store),
        Arc::<Simulated>::clone(&clock),
        Limits::default(),
    );
    assert_eq!(ask(&inside, webhook("m", "noor")).await.0, 200);
    let forwarded = || chat.0.lock().expect("no test panicked").clone();
    until("it has a session", || forwarded().len() == 1).await;

    // As another node does, without a hint for this one.
    let other = MemoryStore::alone(&database, Arc::new(Direct));
    for number in (0..MESSAGES).rev() {
        other.accept(message(number, &*clock)).await.expect("accepted");
    }
    until("all are forwarded", || forwarded().len() == MESSAGES + 1).await;
    let order: Vec<String> = (0..MESSAGES).map(|number| format!("m-{number:03}")).collect();
    assert_eq!(forwarded()[1..], order);
    inside.shutdown().await;
}

fn message(number: usize, clock: &dyn Clock) -> Arrival {
    let (integration, now) = (IntegrationName::new("acme"), clock.now());
    let id = format!("m-{number:03}");
    let time = now + Duration::from_millis(number as u64);
    let body = json!({
        "id": id, "channel": { "time": time.to_string() }, "type": "Text", "text": id,
    });
    Arrival::Message(NewMessage {
        conversation: ConversationId::of(&integration, "noor"),
        integration,
        direction: Direction::Outbound,
        id: MessageId::new(&id),
        foreign_id: id.clone(),
        customer: r#"{"id":"noor"}"#.to_owned(),
        received: now,
        body: body.to_string().into_bytes().into(),
        input: Some(Input::AgentMessage {
            message: MessageId::new(&id),
            time: Some(time),
            received: now,
            unsuited: None,
            genesys: None,
            offer: None,
        }),
    })
}

/// A chat service that accepts everything, and remembers the order.
#[derive(Default)]
struct Chat(Mutex<Vec<String>>);

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        self.0.lock().expect("no test panicked").push(message.id.to_string());
        AttemptOutcome::Delivered { service_id: None }
    }
}
