//! Deliberate mistakes in both stores, one at a time. The suite, and tests that crash or race a
//! store, must find each. A suite that passes with one of them would prove nothing.

#[path = "../../../tests/ports.rs"]
mod ports;
#[path = "../../../tests/postgres_cluster.rs"]
mod postgres_cluster;
#[path = "../../../tests/psql.rs"]
mod psql;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use conversation::{ConversationId, IntegrationName, MessageId};
use futures_util::FutureExt;
use postgres_cluster::Cluster;
use store::mistake::{self, Mistake};
use store::{
    Arrival, Direction, NewMessage, Ownership, PostgresStore, SqliteStore, Store, conformance,
};
use tokio::time::Instant;

const TAKEOVER: Duration = Duration::from_secs(2);

/// Mistakes that do not affect SQLite: one thread writes, and there are no leases.
const ELSEWHERE: [Mistake; 2] = [Mistake::RowLock, Mistake::HandOverWaits];

async fn on_sqlite() {
    let dir = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", dir.path().join("tidegate.db").display());
    let store = SqliteStore::open(&url).expect("it opens");
    conformance::keeps_its_word(&store).await;
    store.close().await;
    drop(store);
    let store = SqliteStore::open(&url).expect("it opens again");
    conformance::remembers(&store).await;
    store.close().await;
}

async fn on_postgres(cluster: &mut Cluster) {
    cluster.ask("drop schema if exists tidegate cascade");
    let open = async |url: &str| PostgresStore::open(url, TAKEOVER).await.expect("it opens");
    let store = open(&cluster.url()).await;
    conformance::keeps_its_word(&store).await;
    store.close().await;
    let (store, other) = (open(&cluster.url()).await, open(&cluster.url()).await);
    conformance::remembers(&store).await;
    conformance::lets_one_of_two_append(&store, &other).await;
    hands_over_in_time(&store, &other).await;
    store.close().await;
    other.close().await;
    survives_a_crash(cluster).await;
}

/// A node that leaves has work that never ends in every one of its conversations.
async fn hands_over_in_time(leaves: &PostgresStore, stays: &PostgresStore) {
    let integration = IntegrationName::new("acme");
    let customers = (0..200).map(|n| ConversationId::of(&integration, &format!("customer-{n}")));
    let customers: Vec<_> =
        customers.filter(|customer| leaves.acquire(customer).is_some()).collect();
    let guards: Vec<_> = customers.iter().filter_map(|customer| leaves.acquire(customer)).collect();
    leaves.step_down();
    let begun = Instant::now();
    while !customers.iter().all(|customer| stays.acquire(customer).is_some()) {
        // One second is for the statements.
        assert!(
            begun.elapsed() < TAKEOVER / 4 + Duration::from_secs(1),
            "a hand-over takes {:?}",
            begun.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(guards.iter().all(|guard| !guard.is_valid()), "work in progress is cancelled");
}

/// A server that does not sync by default crashes right after it has answered.
async fn survives_a_crash(cluster: &mut Cluster) {
    cluster.ask("alter role tidegate set synchronous_commit = off");
    cluster.ask("alter system set wal_writer_delay = '10s'");
    cluster.ask("select pg_reload_conf()");
    let store = PostgresStore::open(&cluster.url(), TAKEOVER).await.expect("it opens");
    let (integration, id) = (IntegrationName::new("acme"), MessageId::new("answered"));
    let message = NewMessage {
        conversation: ConversationId::of(&integration, "noor"),
        integration: integration.clone(),
        direction: Direction::Outbound,
        id: id.clone(),
        foreign_id: "answered".to_owned(),
        customer: "{}".to_owned(),
        received: jiff::Timestamp::UNIX_EPOCH,
        body: b"hello"[..].into(),
        input: None,
    };
    store.accept(Arrival::Message(message)).await.expect("accepted");
    cluster.stop("QUIT");
    cluster.run();
    cluster.ask("alter role tidegate reset synchronous_commit");
    let store = PostgresStore::open_read_only(&cluster.url()).await.expect("it opens");
    let row = store.message(&integration, Direction::Outbound, &id).await.expect("a read");
    assert!(row.is_some(), "an acknowledged message is gone after a crash");
}

/// How `run` found the mistake: the first line of its panic. `None` if it did not panic.
async fn found(run: impl Future<Output = ()>) -> Option<String> {
    let broke = AssertUnwindSafe(run).catch_unwind().await.err()?;
    let said = broke
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| broke.downcast_ref().copied());
    Some(said.unwrap_or("it broke").lines().next().unwrap_or_default().chars().take(100).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_found() {
    let mut cluster = Cluster::start();
    mistake::make(None);
    assert_eq!(found(on_sqlite()).await, None, "without a mistake nothing is found");
    assert_eq!(found(on_postgres(&mut cluster)).await, None, "without a mistake nothing is found");
    let (mut made, mut missed) = (0, Vec::new());
    let mut tell = |name: String, found: Option<String>| {
        println!("{name:<24} {}", found.as_deref().unwrap_or("NOT FOUND"));
        made += 1;
        if found.is_none() {
            missed.push(name);
        }
    };
    let only = std::env::var("TIDEGATE_MISTAKE").ok();
    for one in Mistake::ALL
        .into_iter()
        .filter(|one| only.as_ref().is_none_or(|only| *only == format!("{one:?}")))
    {
        mistake::make(Some(one));
        if !ELSEWHERE.contains(&one) {
            tell(format!("sqlite {one:?}"), found(on_sqlite()).await);
        }
        tell(format!("postgres {one:?}"), found(on_postgres(&mut cluster)).await);
    }
    println!("{} of {made} mistakes were found", made - missed.len());
    assert!(missed.is_empty(), "not found: {missed:?}");
}
