//! The PostgreSQL store against the suite that every store must pass, and against failures that
//! only a database can have.

#[path = "../../../tests/ports.rs"]
mod ports;
#[path = "../../../tests/postgres_cluster.rs"]
mod postgres_cluster;

use std::sync::Arc;
use std::time::Duration;

use conversation::{
    Clock, ConversationId, Input, IntegrationName, MessageId, MessageRef, Record, Report,
};
use jiff::Timestamp;
use postgres_cluster::Cluster;
use store::{
    Acceptance, Append, Arrival, Direction, EventCursor, Machine, NewMessage, OpenError, Ownership,
    Portable, PostgresStore, SqliteStore, Store, StoreClock, StoreError, conformance, copy,
};
use tokio::time::Instant;

/// How soon another node takes over.
const TAKEOVER: Duration = Duration::from_secs(4);

async fn open(cluster: &Cluster) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(&cluster.url(), TAKEOVER).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_word_and_remembers() {
    let mut cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    conformance::keeps_its_word(&store).await;
    store.close().await;
    // A crash of the database loses nothing that was acknowledged.
    cluster.stop("QUIT");
    cluster.run();
    let store = open(&cluster).await.expect("it opens again, without waiting");
    conformance::remembers(&store).await;
}

/// Waits until the number of conversations that a node drives, of 1,000 customers, satisfies
/// `wanted`.
async fn drives(store: &PostgresStore, what: &str, wanted: impl Fn(usize) -> bool) -> usize {
    let integration = IntegrationName::new("acme");
    let customers =
        || (0..1_000).map(|n| ConversationId::of(&integration, &format!("customer-{n}")));
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let driven = customers().filter(|customer| store.acquire(customer).is_some()).count();
        if wanted(driven) {
            return driven;
        }
        assert!(Instant::now() < until, "{what}: it drives {driven} of 1,000");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_the_conversations_and_no_two_drive_the_same() {
    let cluster = Cluster::start();
    let first = open(&cluster).await.expect("it opens");
    drives(&first, "one node drives all", |driven| driven == 1_000).await;
    let second = open(&cluster).await.expect("any number may");
    let half = |driven| (300..700).contains(&driven);
    drives(&second, "the second gets its share", half).await;
    drives(&first, "the first keeps its share", half).await;
    let integration = IntegrationName::new("acme");
    for n in 0..1_000 {
        let customer = ConversationId::of(&integration, &format!("customer-{n}"));
        let is_first = first.acquire(&customer).is_some();
        assert!(!(is_first && second.acquire(&customer).is_some()), "two drive {customer}");
    }
    // The hint goes only to the node that drives the conversation.
    for n in 0..100 {
        let mut arrival = message(&format!("m{n}"), "");
        if let Arrival::Message(new) = &mut arrival {
            new.conversation = ConversationId::of(&integration, &format!("customer-{n}"));
            new.input = Some(Input::CustomerMessage { message: new.id.clone() });
        }
        first.accept(arrival).await.expect("any node takes it");
    }
    let waiting =
        async |store: &PostgresStore| store.with_pending_input(None, 1_000).await.expect("a read");
    let (at_first, at_second) = (waiting(&first).await, waiting(&second).await);
    assert_eq!(at_first.len() + at_second.len(), 100);
    assert!(at_first.iter().all(|conversation| !at_second.contains(conversation)));
    // A node that leaves hands over at once.
    let left = Instant::now();
    second.close().await;
    drives(&first, "the first has all again", |driven| driven == 1_000).await;
    assert!(left.elapsed() < TAKEOVER / 2, "it took {:?}", left.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_not_handed_over_before_it_has_ended() {
    let cluster = Cluster::start();
    // So long that it does not run out in this test.
    let first =
        PostgresStore::open(&cluster.url(), Duration::from_mins(5)).await.expect("it opens");
    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let guard = first.acquire(&noor).expect("it is alone");
    first.step_down();
    let second = open(&cluster).await.expect("it opens");
    drives(&second, "the second has nearly all", |driven| driven > 950).await;
    assert!(guard.is_valid() && !guard.admits_new_work() && second.acquire(&noor).is_none());
    drop(guard);
    drives(&second, "the second has all", |driven| driven == 1_000).await;
    assert!(second.acquire(&noor).is_some() && first.acquire(&noor).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_renew_its_leases_stops_by_itself_before_another_has_them() {
    let mut cluster = Cluster::start();
    let first = open(&cluster).await.expect("it opens");
    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let guard = first.acquire(&noor).expect("it is alone");
    cluster.stop("INT");
    let stopped = Instant::now();
    drives(&first, "it relies on nothing any more", |driven| driven == 0).await;
    assert!(!guard.is_valid() && stopped.elapsed() < TAKEOVER, "after {:?}", stopped.elapsed());
    cluster.run();
    drives(&first, "no other node has taken them", |driven| driven == 1_000).await;
    assert!(
        guard.is_revoked(),
        "a server that was started again may have forgotten who took it meanwhile"
    );
    let guard = first.acquire(&noor).expect("it is ours again");
    // As if another node had taken over while this one was paused, and had left again.
    let (client, connection) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let taken = "update tidegate.lease set node = 'another', until = now()";
    client.batch_execute(taken).await.expect("an update");
    drives(&first, "it takes what is free", |driven| driven == 1_000 && !guard.is_valid()).await;
    assert!(!guard.is_valid(), "what it knew of then is old");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_on_an_empty_database_all_start() {
    let cluster = Cluster::start();
    for _ in 0..5 {
        let mut starting = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = cluster.url();
            starting.spawn(async move { PostgresStore::open(&url, TAKEOVER).await.map(drop) });
        }
        for started in starting.join_all().await {
            started.expect("it opens");
        }
        let (client, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls)
            .await
            .expect("a connection");
        tokio::spawn(connection);
        client.batch_execute("drop schema tidegate cascade").await.expect("it is empty again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_wrong() {
    assert!(matches!(PostgresStore::open("mysql://x", TAKEOVER).await, Err(OpenError::Url)));
    assert!(matches!(
        PostgresStore::open("postgres://tidegate@127.0.0.1:1/x", TAKEOVER).await,
        Err(OpenError::Database(_))
    ));
    let cluster = Cluster::start();
    let empty = PostgresStore::open_read_only(&cluster.url()).await;
    assert!(
        matches!(empty, Err(OpenError::Database(_))),
        "nothing is written where something is only read"
    );
}

fn message(id: &str, foreign_id: &str) -> Arrival {
    let integration = IntegrationName::new("acme");
    Arrival::Message(NewMessage {
        conversation: ConversationId::of(&integration, "noor"),
        integration,
        direction: Direction::Outbound,
        id: MessageId::new(id),
        foreign_id: foreign_id.to_owned(),
        customer: "{}".to_owned(),
        received: Timestamp::UNIX_EPOCH,
        body: vec![0, 255].into(),
        input: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_the_database_does_not_take_is_kept_all_the_same() {
    let cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    let foreign = format!("\0%{}", "x".repeat(100_000));
    assert_eq!(store.accept(message("m1", &foreign)).await.expect("accepted"), Acceptance::Kept);
    let row = store
        .message(&IntegrationName::new("acme"), Direction::Outbound, &MessageId::new("m1"))
        .await;
    let row = row.expect("a read").expect("it is there");
    assert!(row.foreign_id == foreign && row.body == [0, 255]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_a_nul_in_its_name_is_unknown_and_keeps_nobody_waiting() {
    let cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    let (integration, received) = (IntegrationName::new("acme"), Timestamp::UNIX_EPOCH);
    let event = Arrival::Event {
        integration: integration.clone(),
        id: "e\0".to_owned(),
        received,
        conversation: ConversationId::new("c\0"),
        input: Input::SessionClosed { session: None, reason: None },
    };
    assert_eq!(store.accept(event).await.expect("an answer"), Acceptance::Unknown);
    for of in [MessageRef::Ours(MessageId::new("m\0")), MessageRef::Service("x\0".into())] {
        let unknown = matches!(of, MessageRef::Ours(_));
        let id = "r\0".to_owned();
        let report = Arrival::Report {
            integration: integration.clone(),
            id,
            received,
            of,
            report: Report::Delivered,
        };
        let stored = store.accept(report).await.expect("an answer");
        assert_eq!(stored, if unknown { Acceptance::Unknown } else { Acceptance::Early });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_it_says_so_and_comes_back_by_itself() {
    let mut cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    assert_eq!(store.accept(message("m1", "m1")).await.expect("accepted"), Acceptance::Kept);
    cluster.stop("INT");
    assert!(matches!(store.accept(message("m2", "m2")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.with_pending_input(None, 1).await, Err(StoreError::Unavailable(_))));
    cluster.run();
    assert_eq!(store.accept(message("m1", "m1")).await.expect("an answer"), Acceptance::Repeated);
    assert_eq!(store.accept(message("m2", "m2")).await.expect("accepted"), Acceptance::Kept);
    store.ready().await.expect("it is ready again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_repeated_because_its_answer_was_lost_has_the_effect_of_one() {
    let cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    store.accept(message("m1", "m1")).await.expect("accepted");
    let integration = IntegrationName::new("acme");
    let conversation = ConversationId::of(&integration, "noor");
    let append = |record: Record| Append {
        conversation: conversation.clone(),
        integration: integration.clone(),
        after: 0,
        at: Timestamp::UNIX_EPOCH,
        records: vec![record],
        taken: vec![],
        due: None,
        watched: None,
        snapshot: None,
        lazy: false,
    };
    store.append(append(Record::Paused)).await.expect("an append");
    store.append(append(Record::Paused)).await.expect("the same one again is known");
    store.append(append(Record::Resumed)).await.expect_err("another one is fenced off");
    let dossier = store.dossier(&conversation).await.expect("a read").expect("it is there");
    assert_eq!((dossier.seq, dossier.journal.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_there_and_back_is_the_same_to_the_byte() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    let first = SqliteStore::open(&file("first.db")).expect("it opens");
    conformance::keeps_its_word(&first).await;
    // Data that only one of the two stores accepts unchanged.
    first.accept(message("m-odd", &format!("\0%{}", "x".repeat(10_000)))).await.expect("accepted");
    let report = Arrival::Report {
        integration: IntegrationName::new("acme"),
        id: "r\0".repeat(1_000),
        received: Timestamp::UNIX_EPOCH,
        of: MessageRef::Service("x\0".repeat(1_000).into()),
        report: Report::Delivered,
    };
    assert_eq!(first.accept(report.clone()).await.expect("accepted"), Acceptance::Early);
    let waits = Arrival::Report {
        integration: IntegrationName::new("acme"),
        id: "waits".to_owned(),
        received: Timestamp::UNIX_EPOCH,
        of: MessageRef::Ours(MessageId::new("m-odd")),
        report: Report::Delivered,
    };
    assert!(matches!(first.accept(waits).await, Ok(Acceptance::New(_))), "it waits in the inbox");
    let between = PostgresStore::open_to_fill(&cluster.url()).await.expect("it opens");
    let there = copy(&first, &between).await.expect("copied");
    let again = copy(&first, &between).await.expect("copied");
    assert_eq!(
        (again.conversations, again.unchanged),
        (0, 6),
        "nothing has changed, the inbox neither"
    );
    let second = SqliteStore::open(&file("second.db")).expect("it opens");
    let back = copy(&between, &second).await.expect("copied");
    assert_eq!(there, back);
    assert_eq!(
        (there.conversations, there.unchanged, there.messages),
        (6, 0, 11),
        "what the suite has not pruned"
    );
    for id in first.conversations(None, 1_000).await.expect("a read") {
        let of = first.export(&id).await.expect("a read").expect("it is there");
        assert_eq!(between.export(&id).await.expect("a read"), Some(of.clone()), "in the database");
        assert_eq!(second.export(&id).await.expect("a read"), Some(of), "in the file again");
    }
    assert_eq!(first.early().await.expect("a read"), second.early().await.expect("a read"));
    let place = EventCursor::default();
    assert_eq!(
        first.events(&place, 100).await.expect("a read"),
        second.events(&place, 100).await.expect("a read")
    );
    // The copy knows what was seen before it was made.
    let node = open(&cluster).await.expect("it opens");
    assert_eq!(node.accept(report).await.expect("an answer"), Acceptance::Repeated);
    conformance::remembers(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_each_answered_once() {
    let cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    let tasks: Vec<_> = (0..2_000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.accept(message(&format!("m{}", n % 1_000), "")).await.expect("an answer")
            })
        })
        .collect();
    let mut kept = 0;
    for task in tasks {
        kept += usize::from(task.await.expect("no panic") == Acceptance::Kept);
    }
    assert_eq!(kept, 1_000, "each id is new once");
}

/// The clocks of a machine: how long it has been running, and a wall clock that is a year off.
#[derive(Debug)]
struct Skewed(Instant);

impl Machine for Skewed {
    fn wall(&self) -> Timestamp {
        "2025-01-01T00:00:00Z".parse().expect("a time")
    }

    fn uptime(&self) -> jiff::SignedDuration {
        jiff::SignedDuration::try_from(self.0.elapsed()).expect("in range")
    }

    fn boot(&self) -> Option<String> {
        None
    }
}

/// How far apart the clocks of two nodes are now, in milliseconds.
fn apart(one: &StoreClock, other: &StoreClock) -> i64 {
    (one.now().as_millisecond() - other.now().as_millisecond()).abs()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_go_by_one_clock_whatever_theirs_and_the_databases_say() {
    let cluster = Cluster::start();
    let sql = async |sql: &'static str| {
        let (client, connection) =
            tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("a way");
        tokio::spawn(connection);
        client.batch_execute(sql).await.expect(sql);
    };
    let machine = || Arc::new(Skewed(Instant::now()));
    let first = open(&cluster).await.expect("it opens");
    let one = first.clock(machine()).await.expect("a clock");
    let second = open(&cluster).await.expect("it opens");
    let other = second.clock(machine()).await.expect("a clock");
    assert!(apart(&one, &other) < 250, "{} ms", apart(&one, &other));
    // The database's clock is stepped an hour ahead while nodes live. They know better, and correct
    // the pair with their next update.
    sql("update tidegate.clock set at = at - interval '1 hour'").await;
    let kept = async || {
        let (client, connection) =
            tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("a way");
        tokio::spawn(connection);
        let fresh = "select at > clock_timestamp() - interval '3 seconds' from tidegate.clock";
        client.query_one(fresh, &[]).await.expect("a row").get::<_, bool>(0)
    };
    let until = Instant::now() + TAKEOVER;
    while !kept().await {
        assert!(Instant::now() < until, "the pair is brought up to date");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let third = open(&cluster).await.expect("it opens");
    let new = third.clock(machine()).await.expect("a clock");
    assert!(apart(&one, &new) < 1_000, "{} ms", apart(&one, &new));
    // A node whose clock stood still catches up with the others.
    sql("update tidegate.clock set time = time + 60000").await;
    let until = Instant::now() + TAKEOVER;
    let ahead = one.now();
    while [&one, &other, &new]
        .into_iter()
        .any(|clock| clock.now().duration_since(ahead).as_secs() < 55)
    {
        assert!(Instant::now() < until, "all go forward to the one that is ahead");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(apart(&one, &other) < 1_000 && apart(&one, &new) < 1_000);
    for store in [first, second, third] {
        store.close().await;
    }
}
