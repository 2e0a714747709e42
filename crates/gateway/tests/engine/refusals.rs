//! The gateway tells the chat service about refused messages, and the row of one cannot be read.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Forward, Open, Refusal};
use conversation::{AttemptOutcome, OpenOutcome, Record, SessionId, TellOutcome};
use gateway::{GatewayCore, Limits};
use store::StoreError;
use store::memory::{Database, Direct, MemoryStore, SimulatedLink};

use crate::support::{Service, Simulated, acme, are_refused, until};

/// The outcome of each call about a refused message, and whether another call follows.
type Outcomes = Arc<Mutex<Vec<(TellOutcome, bool)>>>;

fn outcomes(database: &Database) -> Outcomes {
    let outcomes = Outcomes::default();
    let noted = Arc::clone(&outcomes);
    database.watch(Arc::new(move |_, _, _, records: &[Record]| {
        for record in records {
            if let Record::RefusalTold { outcome, retry_at, .. } = record {
                noted.lock().expect("no test panicked").push((outcome.clone(), retry_at.is_some()));
            }
        }
    }));
    outcomes
}

fn start(store: MemoryStore, clock: Arc<Simulated>, told: &Arc<Told>) -> GatewayCore {
    let integration = acme(Arc::clone(told));
    GatewayCore::start(vec![Arc::new(integration)], Arc::new(store), clock, Limits::default())
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_row_is_gone_is_given_up_and_the_others_are_told() {
    let (database, clock, told) =
        (Database::new(None), Simulated::from_now(), Arc::<Told>::default());
    are_refused(&database, &*clock, &["first"], &["gone", "first"]).await;
    let outcomes = outcomes(&database);
    let store = MemoryStore::alone(&database, Arc::new(Direct));
    let core = start(store, clock, &told);
    until("the first is told", || told.0.load(Relaxed) == 1).await;
    tokio::time::sleep(Duration::from_hours(25)).await;
    let outcomes = outcomes.lock().expect("no test panicked").clone();
    assert!(
        matches!(
            &outcomes[..],
            [(TellOutcome::GivenUp { .. }, false), (TellOutcome::Heard, false)]
        ),
        "{outcomes:?}"
    );
    core.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_is_tried_with_growing_pauses() {
    let (database, clock, told) =
        (Database::new(None), Simulated::from_now(), Arc::<Told>::default());
    are_refused(&database, &*clock, &["first"], &["first"]).await;
    let outcomes = outcomes(&database);
    let store = MemoryStore::alone(&database, Arc::new(Unreadable));
    let core = start(store, clock, &told);
    tokio::time::sleep(Duration::from_hours(2)).await;
    let outcomes = outcomes.lock().expect("no test panicked").clone();
    // At once, after 1 s, 10 s, a minute and ten minutes, and then every hour.
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
    assert!(
        outcomes.iter().all(|(outcome, again)| {
            *again
                && matches!(outcome, TellOutcome::Failed { why } if why.contains("could not be read"))
        }),
        "{outcomes:?}"
    );
    assert_eq!(told.0.load(Relaxed), 0);
    core.shutdown().await;
}

/// A connection to the database on which no message's row can be read.
struct Unreadable;

#[async_trait]
impl SimulatedLink for Unreadable {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "message" {
            return Err(StoreError::Unavailable("the page is damaged".into()));
        }
        Ok(())
    }
}

/// A chat service that counts what it is told.
#[derive(Default)]
struct Told(AtomicUsize);

#[async_trait]
impl Service for Told {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("s"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Delivered { service_id: None }
    }

    async fn message_refused(&self, _: &Refusal) -> Result<(), String> {
        self.0.fetch_add(1, Relaxed);
        Ok(())
    }
}
