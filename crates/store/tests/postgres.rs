//! The PostgreSQL store against the suite that every store must pass, and what only a database can suffer.

#[path = "../../../tests/postgres_cluster.rs"]
mod postgres_cluster;

use conversation::{ConversationId, Input, IntegrationName, MessageId, MessageRef, Record, Report};
use jiff::Timestamp;
use postgres_cluster::Cluster;
use store::{Append, Arrival, Direction, NewMessage, OpenError, PostgresStore, Store, StoreError, Stored, conformance};

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_word_and_remembers() {
    let mut cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
    conformance::keeps_its_word(&store).await;
    store.close().await;
    // A crash of the database loses nothing that was answered.
    cluster.stop("QUIT");
    cluster.run();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens again, without waiting");
    conformance::remembers(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_that_the_database_is_in_use() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
    assert!(matches!(PostgresStore::open(&cluster.url()).await, Err(OpenError::Driven(_))));
    PostgresStore::open_read_only(&cluster.url()).await.expect("an audit may read beside it");
    store.close().await;
    PostgresStore::open(&cluster.url()).await.expect("closing lets go of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_not_heard_of_for_long_may_not_act() {
    let cluster = Cluster::start();
    let first = PostgresStore::open(&cluster.url()).await.expect("it opens");
    assert_eq!(first.accept(message("m1", "m1")).await.expect("accepted"), Stored::Kept);
    // As if another had taken over while this one was paused, and had left again.
    let (client, connection) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let taken = "update tidegate.driver set process = 'another', until = now()";
    client.batch_execute(taken).await.expect("an update");
    let limit = std::time::Duration::from_secs(10);
    let name = tokio::time::timeout(limit, first.lost()).await.expect("it finds out");
    assert_eq!(name, "another");
    let second = PostgresStore::open(&cluster.url()).await.expect("the other has left");
    let refused = first.accept(message("m2", "m2")).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains(&name)), "{refused:?}");
    let read = first.message(&IntegrationName::new("acme"), Direction::Outbound, &MessageId::new("m1")).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "nothing can be sent without its body: {read:?}");
    assert_eq!(second.accept(message("m2", "m2")).await.expect("accepted"), Stored::Kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_wrong() {
    assert!(matches!(PostgresStore::open("mysql://x").await, Err(OpenError::Url(_))));
    assert!(matches!(PostgresStore::open("postgres://tidegate@127.0.0.1:1/x").await, Err(OpenError::Database(_))));
    let cluster = Cluster::start();
    let empty = PostgresStore::open_read_only(&cluster.url()).await;
    assert!(matches!(empty, Err(OpenError::Database(_))), "nothing is written where something is only read");
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
        body: vec![0, 255],
        input: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_the_database_does_not_take_is_kept_all_the_same() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
    let foreign = format!("\0%{}", "x".repeat(100_000));
    assert_eq!(store.accept(message("m1", &foreign)).await.expect("accepted"), Stored::Kept);
    let row = store.message(&IntegrationName::new("acme"), Direction::Outbound, &MessageId::new("m1")).await;
    let row = row.expect("a read").expect("it is there");
    assert!(row.foreign_id == foreign && row.body == [0, 255]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_a_nul_in_its_name_is_unknown_and_keeps_nobody_waiting() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
    let (integration, received) = (IntegrationName::new("acme"), Timestamp::UNIX_EPOCH);
    let event = Arrival::Event {
        integration: integration.clone(),
        id: "e\0".to_owned(),
        received,
        conversation: ConversationId::new("c\0"),
        input: Input::SessionClosed { session: None },
    };
    assert_eq!(store.accept(event).await.expect("an answer"), Stored::Unknown);
    for of in [MessageRef::Ours(MessageId::new("m\0")), MessageRef::Service("x\0".into())] {
        let unknown = matches!(of, MessageRef::Ours(_));
        let id = "r\0".to_owned();
        let report = Arrival::Report { integration: integration.clone(), id, received, of, report: Report::Delivered };
        let stored = store.accept(report).await.expect("an answer");
        assert_eq!(stored, if unknown { Stored::Unknown } else { Stored::Early });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_it_says_so_and_comes_back_by_itself() {
    let mut cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
    assert_eq!(store.accept(message("m1", "m1")).await.expect("accepted"), Stored::Kept);
    cluster.stop("INT");
    assert!(matches!(store.accept(message("m2", "m2")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.waiting(None, 1).await, Err(StoreError::Unavailable(_))));
    cluster.run();
    assert_eq!(store.accept(message("m1", "m1")).await.expect("an answer"), Stored::Repeated);
    assert_eq!(store.accept(message("m2", "m2")).await.expect("accepted"), Stored::Kept);
    store.ready().await.expect("it is ready again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_repeated_because_its_answer_was_lost_has_the_effect_of_one() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
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
    };
    store.append(append(Record::Paused)).await.expect("an append");
    store.append(append(Record::Paused)).await.expect("the same one again is known");
    store.append(append(Record::Resumed)).await.expect_err("another one is fenced off");
    let dossier = store.dossier(&conversation).await.expect("a read").expect("it is there");
    assert_eq!((dossier.seq, dossier.journal.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_each_answered_once() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.url()).await.expect("it opens");
    let tasks: Vec<_> = (0..2_000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(message(&format!("m{}", n % 1_000), "")).await.expect("an answer") })
        })
        .collect();
    let mut kept = 0;
    for task in tasks {
        kept += usize::from(task.await.expect("no panic") == Stored::Kept);
    }
    assert_eq!(kept, 1_000, "each id is new once");
}
