//! Leases on PostgreSQL while clocks and servers change. Two nodes never drive the same
//! conversation, and the conversations of a dead node get another driver in time.

#[path = "../../../tests/ports.rs"]
mod ports;
#[path = "../../../tests/postgres_cluster.rs"]
mod postgres_cluster;
#[path = "../../../tests/postgres_standby.rs"]
mod postgres_standby;
#[path = "../../../tests/psql.rs"]
mod psql;
#[path = "../../../tests/wall_clock.rs"]
mod wall_clock;

use std::sync::Arc;
use std::time::Duration;

use conversation::{Clock, ConversationId, IntegrationName};
use jiff::{SignedDuration, Timestamp};
use postgres_cluster::Cluster;
use store::{Machine, OpenError, Ownership, PostgresStore, Store};
use tokio::time::Instant;
use wall_clock::WallClock;

/// A dead node is replaced within this time.
const TAKEOVER: Duration = Duration::from_secs(4);

/// Enough customers that most shards have one.
fn customers() -> Vec<ConversationId> {
    let integration = IntegrationName::new("acme");
    (0..1_000).map(|n| ConversationId::of(&integration, &format!("customer-{n}"))).collect()
}

fn driven(store: &PostgresStore, customers: &[ConversationId]) -> usize {
    customers.iter().filter(|customer| store.acquire(customer).is_some()).count()
}

/// Checks that no two nodes drive the same conversation, until `done` returns true.
async fn one_driver(nodes: &[&PostgresStore], what: &str, mut done: impl FnMut(&[usize]) -> bool) {
    let customers = customers();
    let until = Instant::now() + TAKEOVER * 6;
    loop {
        for customer in &customers {
            let drivers = nodes.iter().filter(|store| store.acquire(customer).is_some()).count();
            assert!(drivers < 2, "{what}: two nodes drive {customer}");
        }
        let counts: Vec<usize> = nodes.iter().map(|store| driven(store, &customers)).collect();
        if done(&counts) {
            return;
        }
        assert!(Instant::now() < until, "{what}: they drive {counts:?} of 1,000");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn shared_out(counts: &[usize]) -> bool {
    counts.iter().sum::<usize>() == 1_000 && counts.iter().all(|count| *count > 600 / counts.len())
}

async fn two_nodes(url: &str) -> (PostgresStore, PostgresStore) {
    let open = async || PostgresStore::open(url, TAKEOVER).await.expect("it opens");
    let nodes = (open().await, open().await);
    one_driver(&[&nodes.0, &nodes.1], "at first", shared_out).await;
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_databases_clock_makes_no_second_driver() {
    let clock = WallClock::off_by("+0");
    let cluster = Cluster::start_with(clock.variables());
    let (first, second) = two_nodes(&cluster.url()).await;
    for by in ["+7s", "-1h"] {
        clock.set(by);
        // The third node takes the leases that it considers free.
        let third = PostgresStore::open(&cluster.url(), TAKEOVER).await.expect("it opens");
        one_driver(&[&first, &second, &third], &format!("the clock is set to {by}"), shared_out)
            .await;
        third.close().await;
        one_driver(&[&first, &second], "one leaves", shared_out).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_in_time_although_the_databases_clock_is_set_back() {
    let clock = WallClock::off_by("+0");
    let cluster = Cluster::start_with(clock.variables());
    let (first, second) = two_nodes(&cluster.url()).await;
    // The node goes silent, as if it were killed.
    drop(second);
    clock.set("-1d");
    let died = Instant::now();
    one_driver(&[&first], "the other died", |counts| counts == [1_000]).await;
    assert!(died.elapsed() < TAKEOVER, "after {:?}", died.elapsed());
}

/// The machine that runs the test. Its clocks are right.
#[derive(Debug)]
struct Here(Instant);

impl Machine for Here {
    #[expect(clippy::disallowed_methods, reason = "the nodes' own clock must be the machine's")]
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> SignedDuration {
        SignedDuration::try_from(self.0.elapsed()).expect("in range")
    }

    fn boot(&self) -> Option<String> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_goes_by_the_time_of_those_that_live_whatever_the_database_says() {
    let wall = WallClock::off_by("+0");
    let cluster = Cluster::start_with(wall.variables());
    let machine: Arc<dyn Machine> = Arc::new(Here(Instant::now()));
    let open = async || PostgresStore::open(&cluster.url(), TAKEOVER).await.expect("it opens");
    let first = open().await;
    let lives = first.clock(Arc::clone(&machine)).await.expect("a clock");
    for by in ["+1h", "-1h"] {
        // The clock is set just after the living node has updated the pair; it does so again half a
        // second later.
        let kept = || cluster.ask("select at from tidegate.clock");
        let (before, until) = (kept(), Instant::now() + TAKEOVER);
        while kept() == before {
            assert!(Instant::now() < until, "it keeps its time");
        }
        wall.set(by);
        let second = open().await;
        let starts = second.clock(Arc::clone(&machine)).await.expect("a clock");
        let apart = starts.now().duration_since(lives.now()).abs();
        assert!(
            apart < SignedDuration::from_secs(1),
            "the database's clock is set to {by}: {apart:#} apart"
        );
        second.close().await;
    }
}

/// Dead nodes leave their rows behind, and no living node updates the pair.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_does_not_wait_for_the_dead() {
    let takeover = TAKEOVER * 2;
    let cluster = Cluster::start();
    let machine: Arc<dyn Machine> = Arc::new(Here(Instant::now()));
    let open = async || PostgresStore::open(&cluster.url(), takeover).await.expect("it opens");
    let first = open().await;
    first.clock(Arc::clone(&machine)).await.expect("a clock");
    // The node goes silent, as if it were killed.
    drop(first);
    let asks_for_the_time = async || {
        cluster.ask("update tidegate.clock set at = at - interval '1 hour'");
        let (second, asked) = (open().await, Instant::now());
        second.clock(Arc::clone(&machine)).await.expect("a clock");
        asked.elapsed()
    };
    // As if a standby had been promoted: a living node may still be connected to the old server.
    cluster.ask("update tidegate.lease set server = 'before'");
    let after = asks_for_the_time().await;
    assert!(after >= takeover / 2, "it waits for a node that hangs: {after:?}");
    cluster.ask(
        "update tidegate.lease set server = extract(epoch from pg_postmaster_start_time())::text",
    );
    let after = asks_for_the_time().await;
    assert!(after >= takeover / 4, "it waits for a node that lives: {after:?}");
    assert!(after < takeover * 3 / 8, "it starts after {after:?}");
}

/// An asynchronous standby takes over. It lacks the last takes and renewals, and its clock is off
/// by `off_by`.
async fn a_standby_takes_over(off_by: &str) {
    let mut primary = Cluster::start();
    let clock = WallClock::off_by(off_by);
    let standby = primary.standby(clock.variables());
    let (one, two) = (primary.port(), standby.port());
    let url = format!("postgres://tidegate@127.0.0.1:{one},127.0.0.1:{two}/postgres");
    let first = PostgresStore::open(&url, TAKEOVER).await.expect("it opens");
    one_driver(&[&first], "one node", |counts| counts == [1_000]).await;
    caught_up(&primary, &standby).await;
    standby.ask("alter system set primary_conninfo = ''");
    standby.ask("select pg_reload_conf()");
    gone(&primary).await;
    // From here on, the standby receives nothing. Half of the leases move to another node.
    let second = PostgresStore::open(&url, TAKEOVER).await.expect("it opens");
    one_driver(&[&first, &second], "before", shared_out).await;
    primary.stop("KILL");
    assert_eq!(standby.ask("select pg_promote()"), "t");
    // A third node that has never seen the old server.
    let third = PostgresStore::open(&url, TAKEOVER).await.expect("it opens");
    let what = format!("a standby whose clock is off by {off_by} is promoted");
    let since = Instant::now();
    let all =
        move |counts: &[usize]| since.elapsed() > TAKEOVER && counts.iter().sum::<usize>() == 1_000;
    one_driver(&[&first, &second, &third], &what, all).await;
}

async fn caught_up(primary: &Cluster, standby: &Cluster) {
    let at = primary.ask("select pg_current_wal_lsn()");
    let sql = format!("select pg_last_wal_replay_lsn() >= '{at}'");
    let until = Instant::now() + TAKEOVER * 6;
    while standby.ask(&sql) != "t" {
        assert!(Instant::now() < until, "the standby follows");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no standby follows the primary.
async fn gone(primary: &Cluster) {
    let until = Instant::now() + TAKEOVER * 6;
    while primary.ask("select count(*) from pg_stat_replication") != "0" {
        assert!(Instant::now() < until, "the standby follows still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lacks_the_last_leases_makes_no_second_driver() {
    a_standby_takes_over("+0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_clock_is_a_second_ahead_makes_no_second_driver() {
    a_standby_takes_over("+1s").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_clock_is_an_hour_ahead_makes_no_second_driver() {
    a_standby_takes_over("+1h").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_standby_is_no_store_to_work_on() {
    let primary = Cluster::start();
    PostgresStore::open(&primary.url(), TAKEOVER).await.expect("it opens").close().await;
    let standby = primary.standby(Vec::new());
    caught_up(&primary, &standby).await;
    let opened = PostgresStore::open(&standby.url(), TAKEOVER).await.map(drop);
    assert!(matches!(opened, Err(OpenError::Database(_))), "{opened:?}");
    PostgresStore::open_read_only(&standby.url()).await.expect("an audit may read it");
}
