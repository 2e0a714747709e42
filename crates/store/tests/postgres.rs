//! The PostgreSQL store passes the suite for every store, and handles failures that only a database
//! can have.

#[path = "../../../tests/ports.rs"]
mod ports;
#[path = "../../../tests/postgres_cluster.rs"]
mod postgres_cluster;

use std::sync::Arc;
use std::time::Duration;

use conversation::{
    Clock, ConversationId, DeadLetterAction, Input, IntegrationName, MessageId, MessageRef, Record,
    Report,
};
use jiff::Timestamp;
use postgres_cluster::Cluster;
use store::{
    Acceptance, Append, AppendPriority, Arrival, ConversationList, ConversationPlace, Direction,
    EventCursor, Machine, MessageList, NewMessage, OpenError, Ownership, Portable, PostgresStore,
    SqliteStore, Store, StoreClock, StoreError, conformance, copy,
};
use tokio::time::Instant;

/// A dead node is replaced within this time.
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
    store.close().await;
    forget_genesys_conversations(&cluster).await;
    let store = open(&cluster).await.expect("it opens again");
    assert_eq!(store.find("chat-three", 10).await.expect("a search").len(), 1, "it was migrated");
    assert_eq!(store.find("chat-four", 10).await.expect("a search"), []);
    conformance::remembers(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lists_for_operators() {
    let cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    conformance::lists(&store).await;
    conformance::keeps_console_sessions(&store).await;
    store.close().await;
}

/// A damaged row costs a list nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_leaves_damaged_rows_out() {
    const ROWS: &str = "
        insert into tidegate.conversation (id, integration, customer, created)
            select 'c' || n, 'hurt', '{}', case n when 3 then 9000000000000000000 else n end
            from generate_series(1, 3) as n;
        insert into tidegate.message
            (integration, direction, id, foreign_id, conversation, received, state, body)
            select 'hurt', 'outbound', 'm' || n, '', 'c1',
                case n when 3 then 9000000000000000000 else n end, 'failed', ''
            from generate_series(1, 3) as n;
        insert into tidegate.undelivered (direction, integration, place, id)
            select direction, integration, place, id from tidegate.message;";
    let cluster = Cluster::start();
    let store = open(&cluster).await.expect("it opens");
    let (client, link) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("it connects");
    tokio::spawn(link);
    client.batch_execute(ROWS).await.expect("rows");
    let hurt = IntegrationName::new("hurt");
    for limit in [1, 2, 9] {
        let page = store.list_conversations(&hurt, ConversationList::All, None, limit).await;
        let ids: Vec<_> =
            page.expect("a page").into_iter().map(|one| one.place.conversation).collect();
        let wanted = ["c2", "c1"].map(ConversationId::new);
        assert_eq!(ids, wanted[..limit.min(2)]);
        let page = store.list_messages(&hurt, MessageList::Failed, None, limit).await;
        let ids: Vec<_> = page.expect("a page").into_iter().map(|one| one.row.id).collect();
        assert_eq!(ids, ["m2", "m1"].map(MessageId::new)[..limit.min(2)]);
    }
    store.close().await;
}

/// A prune that is about to remove a dead letter makes an action on it wait, and the action is then
/// not accepted.
#[tokio::test(flavor = "multi_thread")]
async fn an_action_waits_for_a_prune() {
    const ROWS: &str = "
        insert into tidegate.conversation (id, integration, customer) values ('c1', 'acme', '{}');
        insert into tidegate.message
            (integration, direction, id, foreign_id, conversation, received, state, settled, body)
            values ('acme', 'inbound', 'm1', '', 'c1', 1, 'refused', 2, '');";
    const PRUNE: &str = "begin;
        select from tidegate.conversation for update skip locked;
        delete from tidegate.message";
    const WAITS: &str =
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock')";
    let cluster = Cluster::start();
    let store = Arc::new(open(&cluster).await.expect("it opens"));
    let (client, link) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("it connects");
    tokio::spawn(link);
    // Another connection, because a transaction sees the activity as of its first look.
    let (watcher, link) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("it connects");
    tokio::spawn(link);
    client.batch_execute(ROWS).await.expect("rows");
    client.batch_execute(PRUNE).await.expect("a prune begins");
    let action = Arrival::Event {
        integration: IntegrationName::new("acme"),
        id: "an action".to_owned(),
        received: Timestamp::UNIX_EPOCH,
        conversation: ConversationId::new("c1"),
        input: Input::DeadLetter {
            action: DeadLetterAction::Retry,
            message: MessageId::new("m1"),
            died: Timestamp::from_millisecond(2).expect("a time"),
            by: "ops".into(),
        },
    };
    let accepting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.accept(action).await }
    });
    let until = Instant::now() + Duration::from_secs(20);
    while !watcher.query_one(WAITS, &[]).await.expect("a row").get::<_, bool>(0) {
        assert!(!accepting.is_finished(), "it does not wait for the prune");
        assert!(Instant::now() < until, "it has not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.batch_execute("commit").await.expect("the prune ends");
    let answer = accepting.await.expect("no panic").expect("an answer");
    assert_eq!(answer, Acceptance::Unknown);
    store.close().await;
}

/// A page of a list never reads a whole table.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_conversations_reads_its_own_page() {
    const MANY: &str = "
        insert into tidegate.conversation (id, integration, customer, created, standing)
            select 'c' || n, 'acme', '{}', n / 3, case when n % 1000 = 0 then 7 else 0 end
            from generate_series(1, 200000) as n;
        insert into tidegate.message
            (integration, direction, id, foreign_id, conversation, received, state, body)
            select 'acme', 'outbound', n::text, '', 'c' || n, n, 'failed', ''
            from generate_series(1, 200000) as n;
        insert into tidegate.undelivered (direction, integration, place, id)
            select direction, integration, place, id from tidegate.message;
        analyze tidegate.conversation, tidegate.message, tidegate.undelivered;";
    const READ: &str = "select sum(seq_tup_read + idx_tup_fetch)::bigint from pg_stat_user_tables
        where relname in ('conversation', 'message', 'undelivered')";
    const OTHERS: &str = "select exists (select from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid())";
    let cluster = Cluster::start();
    open(&cluster).await.expect("it opens").close().await;
    let (client, link) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("it connects");
    tokio::spawn(link);
    client.batch_execute(MANY).await.expect("rows");
    client.batch_execute("select pg_stat_force_next_flush()").await.expect("SQL");
    let read = async || client.query_one(READ, &[]).await.expect("a row").get::<_, i64>(0);
    let before = read().await;
    let store = open(&cluster).await.expect("it opens");
    let acme = IntegrationName::new("acme");
    for list in [ConversationList::All, ConversationList::Held, ConversationList::Failing] {
        let mut place: Option<ConversationPlace> = None;
        for _ in 0..3 {
            let page = store.list_conversations(&acme, list, place.as_ref(), 40).await;
            let page = page.expect("a page");
            assert_eq!(page.len(), 40);
            place = page.last().map(|last| last.place.clone());
        }
    }
    let failed = store.list_messages(&acme, MessageList::Failed, Some(100_000), 40).await;
    assert_eq!(failed.expect("a page").len(), 40);
    // A session reports its figures at the latest when it ends.
    store.close().await;
    drop(store);
    let until = Instant::now() + Duration::from_secs(20);
    while client.query_one(OTHERS, &[]).await.expect("a row").get::<_, bool>(0) {
        assert!(Instant::now() < until, "a session stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rows = read().await - before;
    assert!((300..2_000).contains(&rows), "400 rows were listed, and {rows} were read");
}

/// Makes the database as it was before the lists and the table of Genesys's conversations existed.
async fn forget_genesys_conversations(cluster: &Cluster) {
    let (client, link) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("it connects");
    let link = tokio::spawn(link);
    let older = "drop table tidegate.console_session;
        drop table tidegate.genesys_conversation;
        drop table tidegate.undelivered;
        create table tidegate.dead_letter (
            id text not null, direction text not null, integration text not null,
            primary key (id, direction, integration),
            foreign key (id, direction, integration) references tidegate.message on delete cascade
        );
        alter table tidegate.conversation drop column created, drop column standing;
        delete from tidegate.version where number >= 6";
    client.batch_execute(older).await.expect("SQL");
    drop(client);
    link.await.expect("no panic").expect("it ends");
}

/// Waits until the number of conversations that a node drives, of 1,000, satisfies `wanted`.
/// Returns that number.
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
    let second = open(&cluster).await.expect("any number of nodes may open it");
    let half = |driven| (300..700).contains(&driven);
    drives(&second, "the second gets its share", half).await;
    drives(&first, "the first keeps its share", half).await;
    let integration = IntegrationName::new("acme");
    for n in 0..1_000 {
        let customer = ConversationId::of(&integration, &format!("customer-{n}"));
        let is_first = first.acquire(&customer).is_some();
        assert!(!(is_first && second.acquire(&customer).is_some()), "two drive {customer}");
    }
    // Only the node that drives a conversation sees its input.
    for n in 0..100 {
        let mut arrival = message(&format!("m{n}"), "");
        if let Arrival::Message(new) = &mut arrival {
            new.conversation = ConversationId::of(&integration, &format!("customer-{n}"));
            new.input =
                Some(Input::CustomerMessage { message: new.id.clone(), text: None, tap: None });
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
    // The lease must not expire during this test.
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
    drives(&first, "it relies on no lease any more", |driven| driven == 0).await;
    assert!(!guard.is_valid() && stopped.elapsed() < TAKEOVER, "after {:?}", stopped.elapsed());
    cluster.run();
    drives(&first, "no other node has taken them", |driven| driven == 1_000).await;
    assert!(
        guard.is_revoked(),
        "a restarted server may have forgotten that another node took it meanwhile"
    );
    let guard = first.acquire(&noor).expect("it is ours again");
    // As if another node had taken over while this one was paused, and then gone silent.
    let (client, connection) =
        tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let taken = "update tidegate.lease set node = 'another', until = now()";
    client.batch_execute(taken).await.expect("an update");
    drives(&first, "it takes what is free", |driven| driven == 1_000 && !guard.is_valid()).await;
    assert!(!guard.is_valid(), "a guard of the earlier epoch stays invalid");
}

/// Another server may have forgotten that a lease was taken. If a node renewed what it no longer
/// relies on, the others would wait for a whole lease again.
#[tokio::test(flavor = "multi_thread")]
async fn leases_that_have_expired_are_not_renewed_on_another_server() {
    let mut cluster = Cluster::start();
    let first = open(&cluster).await.expect("it opens");
    drives(&first, "it has all", |driven| driven == 1_000).await;
    cluster.stop("INT");
    drives(&first, "they have expired", |driven| driven == 0).await;
    cluster.run();
    let ask = async |sql: &str| {
        let (client, link) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls)
            .await
            .expect("it connects");
        let link = tokio::spawn(link);
        let number: i64 = client.query_one(sql, &[]).await.expect("a row").get(0);
        drop(client);
        link.await.expect("no panic").expect("it ends");
        number
    };
    // A take also writes the new server into the row. Before the restart, no lease could last as
    // long as this.
    let renewed = "select count(*) from tidegate.lease
        where until >= pg_postmaster_start_time() + interval '3 s'
          and server <> extract(epoch from pg_postmaster_start_time())::text";
    let rounds = "select beat from tidegate.node";
    let last = ask(rounds).await;
    let until = Instant::now() + Duration::from_secs(20);
    while ask(rounds).await < last + 2 {
        assert!(Instant::now() < until, "the node makes no rounds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(renewed).await, 0);
    drives(&first, "no other node has taken them", |driven| driven == 1_000).await;
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
    assert!(matches!(empty, Err(OpenError::Database(_))), "opening for reading writes nothing");
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
        standing: None,
        snapshot: None,
        priority: AppendPriority::Normal,
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
    // Data that only one of the two stores can store unchanged.
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
        (0, 7),
        "nothing has changed, not even in the inbox"
    );
    let second = SqliteStore::open(&file("second.db")).expect("it opens");
    let back = copy(&between, &second).await.expect("copied");
    assert_eq!(there, back);
    assert_eq!(
        (there.conversations, there.unchanged, there.messages),
        (7, 0, 13),
        "everything that the suite has not pruned"
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
    // The copy knows the events that were accepted before it was made.
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

/// A machine's clocks: uptime since the given instant, and a wall clock that is wrong by more than
/// a year.
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
    // As if the database's clock had been stepped an hour ahead. The living nodes correct the pair
    // with their next update.
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
    // As if another node's clock were a minute ahead: all nodes catch up with it.
    sql("update tidegate.clock set time = time + 60000").await;
    let until = Instant::now() + TAKEOVER;
    let ahead = one.now();
    while [&one, &other, &new]
        .into_iter()
        .any(|clock| clock.now().duration_since(ahead).as_secs() < 55)
    {
        assert!(Instant::now() < until, "all nodes advance to the clock that is ahead");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(apart(&one, &other) < 1_000 && apart(&one, &new) < 1_000);
    for store in [first, second, third] {
        store.close().await;
    }
}
