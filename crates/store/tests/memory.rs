//! The store in memory against the suite that every store must pass, alone and shared.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use store::conformance;
use store::memory::{Database, Direct, MemoryStore};

#[tokio::test]
async fn it_keeps_its_word_and_remembers() {
    let database = Database::new(None);
    conformance::keeps_its_word(&MemoryStore::alone(&database, Arc::new(Direct))).await;
    // Nothing is closed: the node is gone, and the database has all that it answered for.
    conformance::remembers(&MemoryStore::alone(&database, Arc::new(Direct))).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_several_nodes_keeps_it_too() {
    let database = Database::new(None);
    let takeover = Duration::from_secs(4);
    let store = MemoryStore::shared(&database, Arc::new(Direct), "a", takeover);
    store.news().await;
    conformance::keeps_its_word(&store).await;
    drop(store);
    let other = MemoryStore::shared(&database, Arc::new(Direct), "b", takeover);
    other.news().await;
    conformance::remembers(&other).await;
}
