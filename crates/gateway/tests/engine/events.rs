//! Events that name no conversation of their integration.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::HeaderMap;
use connector::protocol::{BadEvent, NotEvents};
use connector::{Event, EventSource, EventsRefused, Forward, IncomingEvent, Open};
use conversation::{AttemptOutcome, ConversationId, IntegrationName, OpenOutcome, SessionId};
use gateway::{GatewayCore, Limits};
use serde_json::{Value, json};
use store::memory::{Database, Direct, MemoryStore};

use crate::support::{
    Service, Simulated, acme, ask, events, integration, journal_of, until, webhook,
};

const UNKNOWN: &str = "it names a conversation or message that the gateway does not know";

#[tokio::test(start_paused = true)]
async fn a_chat_service_cannot_act_on_another_integrations_conversation() {
    let database = Database::new(None);
    let journal = journal_of(&database);
    let store = MemoryStore::alone(&database, Arc::new(Direct));
    let inside = GatewayCore::start(
        vec![
            Arc::new(acme(Arc::new(Chat))),
            Arc::new(integration("other", "c4a1", Arc::new(Chat))),
        ],
        Arc::new(store),
        Simulated::from_now(),
        Limits::default(),
    );
    assert_eq!(ask(&inside, webhook("m", "noor")).await.0, 200);
    let records = || journal.lock().expect("no test panicked").len();
    until("the message is delivered", || records() == 6).await;

    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let event = |kind: &str| {
        json!({
            "type": kind, "id": kind, "conversation": noor.as_str(), "session": "s2", "state": "on",
        })
    };
    let kinds = ["session.opened", "session.refused", "session.closed", "session.lost", "typing"];
    let all: Value = kinds.iter().map(|kind| event(kind)).collect();
    let (status, answer) = ask(&inside, events("other", &all)).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((status, &answer["accepted"]), (202, &json!(0)), "{answer}");
    for (index, kind) in kinds.iter().enumerate() {
        assert_eq!(answer["ignored"][index]["why"], UNKNOWN, "{kind}: {answer}");
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(records(), 6, "nothing follows from it");

    let (_, answer) = ask(&inside, events("acme", &event("typing"))).await;
    assert_eq!(answer, r#"{"accepted":1}"#, "its own service may");
    inside.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn typing_of_nobody_is_ignored_and_the_answer_says_why() {
    let store = MemoryStore::alone(&Database::new(None), Arc::new(Direct));
    let mut integration = acme(Arc::new(Chat));
    integration.events = Arc::new(Nameless);
    let inside = GatewayCore::start(
        vec![Arc::new(integration)],
        Arc::new(store),
        Simulated::from_now(),
        Limits::default(),
    );
    let (_, answer) = ask(&inside, events("acme", &json!({}))).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(
        answer["ignored"][0]["why"], "it says neither `customer` nor `conversation`",
        "{answer}"
    );
    assert_eq!(answer["accepted"], 0, "{answer}");
    inside.shutdown().await;
}

/// Reads every body as typing that says neither who types nor where.
struct Nameless;

impl EventSource for Nameless {
    fn verify(&self, _: &HeaderMap, _: &[u8]) -> Result<(), EventsRefused> {
        Ok(())
    }

    fn parse(&self, _: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents> {
        let event = Event::Typing { customer: None, conversation: None, on: true };
        Ok(vec![Ok(IncomingEvent { event, raw: "{}".into(), left_out: Vec::new() })])
    }
}

/// A chat service that accepts everything at once.
struct Chat;

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Delivered { service_id: None }
    }
}
