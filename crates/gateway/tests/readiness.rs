//! Readiness, if very many callers ask at once and the store is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::future::join_all;
use gateway::{GatewayCore, Limits, SystemClock};
use store::StoreError;
use store::memory::{Database, MemoryStore, SimulatedLink};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// A connection to the database on which probes wait until the test lets them continue.
struct SlowProbes {
    asked: AtomicUsize,
    go: Semaphore,
}

#[async_trait]
impl SimulatedLink for SlowProbes {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        if what == "probe" {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.go.acquire().await.expect("it is never closed").forget();
        }
        Ok(())
    }
}

async fn readyz(router: axum::Router) -> StatusCode {
    let request = Request::get("/readyz").body(Body::empty()).expect("a request");
    router.oneshot(request).await.expect("an answer").status()
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_share_one_probe_and_the_next_begins_a_new_one() {
    let line = Arc::new(SlowProbes { asked: AtomicUsize::new(0), go: Semaphore::new(0) });
    let store = MemoryStore::alone(&Database::new(None), Arc::<SlowProbes>::clone(&line));
    let inside =
        GatewayCore::start(vec![], Arc::new(store), Arc::new(SystemClock), Limits::default());
    let asking = tokio::spawn(join_all((0..200).map(|_| readyz(inside.router()))));
    tokio::time::sleep(Duration::from_millis(500)).await;
    line.go.add_permits(200);
    let answers = asking.await.expect("no panic");
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
    assert_eq!(line.asked.load(Ordering::Relaxed), 1, "probes at once");
    assert_eq!(readyz(inside.router()).await, StatusCode::OK);
    assert_eq!(line.asked.load(Ordering::Relaxed), 2, "an old answer is no answer");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_ready_and_is_asked_again() {
    let line = Arc::new(SlowProbes { asked: AtomicUsize::new(0), go: Semaphore::new(0) });
    let store = MemoryStore::alone(&Database::new(None), Arc::<SlowProbes>::clone(&line));
    let inside =
        GatewayCore::start(vec![], Arc::new(store), Arc::new(SystemClock), Limits::default());
    let begun = tokio::time::Instant::now();
    assert_eq!(readyz(inside.router()).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(begun.elapsed() < Duration::from_secs(3));
    // The caller has left. The probe still ends, so the next caller starts a new one.
    let gone = tokio::time::timeout(Duration::from_millis(1), readyz(inside.router())).await;
    assert!(gone.is_err());
    tokio::time::sleep(Duration::from_secs(10)).await;
    line.go.add_permits(10);
    assert_eq!(readyz(inside.router()).await, StatusCode::OK);
}
