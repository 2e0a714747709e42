//! Very many conversations set deadlines while the timers read a slow store.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use connector::{Forward, Open};
use conversation::{AttemptOutcome, OpenOutcome, Record};
use gateway::{GatewayCore, Limits};
use store::StoreError;
use store::memory::{Database, MemoryStore, SimulatedLink};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::support::{Service, Simulated, acme, webhook};

/// The hold ends after the search has continued, and within the 30 s that the timers have in
/// memory.
const HOLD: Duration = Duration::from_secs(9);
/// More than the number of wake-ups that may wait for the timers.
const CUSTOMERS: usize = 6_000;

/// A connection to the database that can hold back the search for deadlines.
struct SlowSearch(watch::Sender<bool>);

#[async_trait]
impl SimulatedLink for SlowSearch {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "due" {
            let _ = self.0.subscribe().wait_for(|held| !held).await;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_found_no_room_are_found_in_the_store() {
    let settled = Arc::new(Mutex::new(HashSet::new()));
    let (database, told) = (Database::new(None), Arc::clone(&settled));
    database.watch(Arc::new(move |_, _, _, records: &[Record]| {
        let fates = records.iter().filter_map(|record| match record {
            Record::Settled { message, .. } => Some(message.to_string()),
            _ => None,
        });
        told.lock().expect("no test panicked").extend(fates);
    }));
    let line = Arc::new(SlowSearch(watch::Sender::new(false)));
    let store = MemoryStore::alone(&database, Arc::<SlowSearch>::clone(&line));
    let mut integration = acme(Arc::new(Chat));
    integration.policy.hold.limit = HOLD;
    let inside = GatewayCore::start(
        vec![Arc::new(integration)],
        Arc::new(store),
        Simulated::from_now(),
        Limits::default(),
    );
    // The first search has ended, and covers the next half minute. The next one, after 15 s, hangs.
    tokio::time::sleep(Duration::from_secs(10)).await;
    line.0.send_replace(true);
    tokio::time::sleep(Duration::from_secs(6)).await;
    for number in 0..CUSTOMERS {
        let call = webhook(&format!("m-{number}"), &format!("c-{number}"));
        assert_eq!(
            inside.router().oneshot(call).await.expect("an answer").status(),
            StatusCode::OK
        );
    }
    // Every task has ended, and has told the timers to wake it within the half minute.
    tokio::time::sleep(Duration::from_secs(2)).await;
    line.0.send_replace(false);
    tokio::time::sleep(HOLD).await;
    let settled = settled.lock().expect("no test panicked").len();
    assert_eq!(settled, CUSTOMERS, "each message fails when its time is over");
}

/// A chat service whose handshakes never end.
struct Chat;

#[async_trait]
impl Service for Chat {
    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Pending
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Delivered { service_id: None }
    }
}
