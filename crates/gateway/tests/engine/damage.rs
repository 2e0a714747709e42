//! A store whose rows cannot be read for a while. Each task that reads for all conversations goes
//! on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use connector::{Forward, Open, Refusal};
use conversation::{
    AttemptOutcome, Clock, ConversationId, Input, IntegrationName, MessageId, OpenOutcome, Record,
};
use gateway::{DetectEnd, GatewayCore, Limits};
use store::memory::{Database, Direct, MemoryStore, SimulatedLink};
use store::{Arrival, Direction, NewMessage, Store, StoreError};

use crate::support::{Service, Simulated, acme, are_refused, ask, journal_of, until, webhook};

#[tokio::test(start_paused = true)]
async fn deadlines_are_kept_while_they_cannot_be_read_and_after_it() {
    let place = Place::with(&["due"], DetectEnd::Off).await;
    let hold = place.hold;
    assert_eq!(ask(&place.inside, webhook("m", "nobody")).await.0, 200);
    let is_settled = || {
        let journal = place.journal.lock().expect("no test panicked");
        journal.iter().any(|record| matches!(record, Record::Settled { .. }))
    };
    tokio::time::sleep(hold + Duration::from_secs(1)).await;
    assert!(is_settled(), "this process set the deadline, so it need not read it");
    assert_eq!(
        place.readyz().await,
        (
            503,
            "not ready: cannot read the deadlines: the store holds something that cannot be read\n"
                .to_owned()
        )
    );
    assert_eq!(place.told(), [""; 0]);
    place.line.heal();
    until("what the last process left is found", || place.told() == ["lost"]).await;
    assert_eq!(place.readyz().await.0, 200);
    place.inside.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_inbox_is_scanned_again_after_a_scan_that_failed() {
    for what in ["waiting", "ready"] {
        let place = Place::with(&[what], DetectEnd::Off).await;
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(place.readyz().await.0, 503, "{what}");
        place.line.heal();
        // As another node does, without a hint for this one.
        place.other.accept(customers_message(&*place.clock)).await.expect("accepted");
        let is_accepted = || {
            let journal = place.journal.lock().expect("no test panicked");
            journal.iter().any(|record| matches!(record, Record::InboundAccepted { .. }))
        };
        until("a scan finds it", is_accepted).await;
        assert_eq!(place.readyz().await.0, 200, "{what}");
        place.inside.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn genesys_is_polled_again_after_a_round_that_failed() {
    let poll = DetectEnd::Poll { every: Duration::from_secs(10) };
    let place = Place::with(&["watched"], poll).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(place.readyz().await.0, 503);
    let asked = place.line.asked("watched");
    place.line.heal();
    until("the next round begins", || place.line.asked("watched") > asked).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(place.readyz().await.0, 200);
    place.inside.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_outbox_is_read_again_after_a_read_that_failed() {
    let place = Place::with(&["outbox"], DetectEnd::Off).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(place.readyz().await.0, 503);
    place.line.heal();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(place.readyz().await.0, 200);
    place.inside.shutdown().await;
}

/// A gateway whose store is damaged from the beginning. The last process has left a deadline: the
/// chat service must be told about the refused message `lost`.
struct Place {
    line: Arc<DamagedRows>,
    chat: Arc<Chat>,
    clock: Arc<Simulated>,
    journal: Arc<Mutex<Vec<Record>>>,
    hold: Duration,
    /// The same database, undamaged.
    other: MemoryStore,
    inside: GatewayCore,
}

impl Place {
    async fn with(damaged: &[&'static str], detect_end: DetectEnd) -> Self {
        let (database, clock, chat) =
            (Database::new(None), Simulated::from_now(), Arc::<Chat>::default());
        are_refused(&database, &*clock, &["lost"], &["lost"]).await;
        let journal = journal_of(&database);
        let line = Arc::<DamagedRows>::default();
        line.damaged.lock().expect("no test panicked").extend(damaged);
        let store = MemoryStore::alone(&database, Arc::<DamagedRows>::clone(&line));
        let mut integration = acme(Arc::<Chat>::clone(&chat));
        integration.detect_end = detect_end;
        let hold = integration.policy.hold.limit;
        let inside = GatewayCore::start(
            vec![Arc::new(integration)],
            Arc::new(store),
            Arc::<Simulated>::clone(&clock),
            Limits::default(),
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
        let other = MemoryStore::alone(&database, Arc::new(Direct));
        Self { line, chat, clock, journal, hold, other, inside }
    }

    async fn readyz(&self) -> (u16, String) {
        let request = Request::get("/readyz").body(Body::empty()).expect("a request");
        ask(&self.inside, request).await
    }

    fn told(&self) -> Vec<String> {
        self.chat.0.lock().expect("no test panicked").clone()
    }
}

fn customers_message(clock: &dyn Clock) -> Arrival {
    let integration = IntegrationName::new("acme");
    let message = MessageId::new("c");
    Arrival::Message(NewMessage {
        conversation: ConversationId::of(&integration, "noor"),
        integration,
        direction: Direction::Inbound,
        id: message.clone(),
        foreign_id: "c".to_owned(),
        customer: r#"{"id":"noor"}"#.to_owned(),
        received: clock.now(),
        body: Vec::new().into(),
        input: Some(Input::CustomerMessage { message, text: None, tap: None }),
    })
}

/// A connection to a database in which some requests meet damaged rows.
#[derive(Default)]
struct DamagedRows {
    damaged: Mutex<HashSet<&'static str>>,
    asked: Mutex<Vec<&'static str>>,
}

impl DamagedRows {
    fn heal(&self) {
        self.damaged.lock().expect("no test panicked").clear();
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().expect("no test panicked").iter().filter(|asked| **asked == what).count()
    }
}

#[async_trait]
impl SimulatedLink for DamagedRows {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        self.asked.lock().expect("no test panicked").push(what);
        if self.damaged.lock().expect("no test panicked").contains(what) {
            return Err(StoreError::Corrupt("a row".into()));
        }
        Ok(())
    }
}

/// A chat service whose handshakes never end. It remembers the refusals that it was told about.
#[derive(Default)]
struct Chat(Mutex<Vec<String>>);

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Pending
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Accepted { service_id: None }
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        self.0.lock().expect("no test panicked").push(refusal.message_id.clone());
        Ok(())
    }
}
