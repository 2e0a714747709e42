//! The SQLite store against the suite that every store must pass, and against failures that only a
//! file can have.

use std::time::Duration;

use conversation::{Conversation, ConversationId, IntegrationName, MessageId, Record};
use jiff::Timestamp;
use store::{
    Acceptance, Append, Arrival, Direction, NewMessage, OpenError, SqliteStore, Store, StoreError,
    conformance,
};

fn url(dir: &tempfile::TempDir) -> String {
    format!("sqlite:{}", dir.path().join("tidegate.db").display())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_word_and_remembers() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    conformance::keeps_its_word(&store).await;
    store.close().await;
    drop(store);
    let store = SqliteStore::open(&url(&dir)).expect("it opens again");
    conformance::remembers(&store).await;
    knows_what_is_oldest(&dir);
    finds_every_message(&dir);
}

/// The search for old records uses a number that must agree with the journal.
fn knows_what_is_oldest(dir: &tempfile::TempDir) {
    none_is_wrong(
        dir,
        "select 1 from conversation as c
         where oldest <> coalesce((select min(at) from journal where conversation = c.id), 0)",
    );
}

/// The messages of a conversation are found from the last to the first, each named by the one after
/// it.
fn finds_every_message(dir: &tempfile::TempDir) {
    none_is_wrong(
        dir,
        "select before is not lag(seq) over (partition by conversation order by seq) as wrong from message
         union all
         select message is not last as wrong from conversation
            left join (select conversation, max(seq) as last from message group by conversation) on conversation = id",
    );
}

/// No row of the query's result is true.
fn none_is_wrong(dir: &tempfile::TempDir, query: &str) {
    let file = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    let mut rows = file.prepare(query).expect("SQL");
    let wrong = rows
        .query_map([], |row| row.get(0))
        .expect("rows")
        .collect::<Result<Vec<bool>, _>>()
        .expect("truths");
    assert!(
        !wrong.contains(&true),
        "{} of {}",
        wrong.iter().filter(|wrong| **wrong).count(),
        wrong.len()
    );
}

/// A conversation that only has to exist.
async fn known(store: &SqliteStore, customer: &str) -> ConversationId {
    kept(store, customer, Timestamp::UNIX_EPOCH).await
}

/// A conversation with a message that asks for nothing: its id and its body are the customer's
/// name.
async fn kept(store: &SqliteStore, customer: &str, received: Timestamp) -> ConversationId {
    said(store, customer, customer, received).await
}

/// A message that asks for nothing: its body is its id.
async fn said(
    store: &SqliteStore,
    customer: &str,
    id: &str,
    received: Timestamp,
) -> ConversationId {
    let integration = IntegrationName::new("acme");
    let conversation = ConversationId::of(&integration, customer);
    let message = Arrival::Message(NewMessage {
        conversation: conversation.clone(),
        integration,
        direction: Direction::Outbound,
        id: MessageId::new(id),
        foreign_id: id.to_owned(),
        customer: "{}".to_owned(),
        received,
        body: id.as_bytes().to_vec().into(),
        input: None,
    });
    assert_eq!(store.accept(message).await.expect("accepted"), Acceptance::Kept);
    conversation
}

/// Under load a long log takes long to checkpoint, and a file that grows with each commit is slow.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_folded_back_and_begins_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let beside = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    let not_folded = || {
        // A connection that has not read anything yet knows nothing about the log.
        beside.query_row("select 1 from message", [], |_| Ok(())).expect("it can be read");
        let look = "pragma wal_checkpoint(noop)";
        let pages =
            beside.query_row(look, [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?));
        pages.expect("pages in the log")
    };
    // About five pages each: far fewer than all of them may ever be left. The last hundred are too
    // few for a checkpoint to be worthwhile.
    for customer in 0..8_100 {
        known(&store, &format!("customer-{customer}")).await;
        if customer % 50 == 0 {
            let pages = not_folded();
            assert!(pages < 8_000, "{pages} pages are to be folded back at customer {customer}");
        }
    }
    let all_of_it = async {
        while not_folded() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_of_it).await.expect("all is in the file");
    let length = || std::fs::metadata(dir.path().join("tidegate.db-wal")).expect("a log").len();
    let before = length();
    for customer in 0..40 {
        known(&store, &format!("one-more-{customer}")).await;
    }
    assert_eq!(length(), before, "the log is written over");
    store.close().await;
}

async fn append(
    store: &SqliteStore,
    conversation: &ConversationId,
    after: u64,
    record: Record,
    snapshot: bool,
) {
    // The conversation is not removed.
    let due = Some(Timestamp::MAX);
    let append = Append { due, ..one_step(conversation, after, record, snapshot) };
    store.append(append).await.expect("an append");
}

fn one_step(conversation: &ConversationId, after: u64, record: Record, snapshot: bool) -> Append {
    let at = Timestamp::UNIX_EPOCH + Duration::from_millis(1);
    let state = Conversation::replay(Conversation::default(), [(at, record.clone())]);
    Append {
        conversation: conversation.clone(),
        integration: IntegrationName::new("acme"),
        after,
        at,
        records: vec![record],
        taken: vec![],
        due: None,
        watched: None,
        snapshot: snapshot.then_some(state),
        lazy: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_takes_its_body_and_its_snapshot_with_it_and_what_stays_keeps_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let old = known(&store, "noor").await;
    store.append(one_step(&old, 0, Record::Paused, true)).await.expect("an append");
    let later = Timestamp::UNIX_EPOCH + Duration::from_secs(1);
    kept(&store, "piet", later).await;
    assert_eq!(store.prune(later).await.expect("a prune"), 1);
    let file = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    let rows = "select (select count(*) from message), (select count(*) from body), (select \
        count(*) from snapshot)";
    let rows = file
        .query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("numbers");
    assert_eq!(rows, (1, 1, 0));
    drop(file);
    // The customer comes back, and is not mistaken for a customer with a history.
    known(&store, "noor").await;
    let loaded = store.load(&old).await.expect("a read").expect("it is there");
    assert_eq!((loaded.seq, loaded.snapshot_seq), (0, 0));
    store.close().await;
    drop(store);
    // Rows without an explicit number would be renumbered.
    SqliteStore::compact(&url(&dir)).expect("it is compacted");
    let store = SqliteStore::open(&url(&dir)).expect("it opens again");
    for customer in ["piet", "noor"] {
        let (of, id) = (IntegrationName::new("acme"), MessageId::new(customer));
        let body =
            store.body(&of, Direction::Outbound, &id).await.expect("a read").expect("it is there");
        assert_eq!(body.bytes, customer.as_bytes());
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_around_one_that_goes_are_still_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let later = Timestamp::UNIX_EPOCH + Duration::from_secs(1);
    let times = [later, Timestamp::UNIX_EPOCH, later, Timestamp::UNIX_EPOCH];
    for (id, received) in ["one", "two", "three", "four"].into_iter().zip(times) {
        said(&store, "noor", id, received).await;
    }
    assert_eq!(store.prune(later).await.expect("a prune"), 2);
    // It has the number that `four` had.
    said(&store, "piet", "another", later).await;
    let noor = said(&store, "noor", "five", later).await;
    let dossier = store.dossier(&noor).await.expect("a read").expect("it is there");
    let ids: Vec<_> = dossier.messages.into_iter().map(|message| message.id.to_string()).collect();
    assert_eq!(ids, ["one", "three", "five"]);
    finds_every_message(&dir);
    let much_later = later + Duration::from_secs(1);
    assert_eq!(store.prune(much_later).await.expect("a prune"), 4, "nothing is forgotten");
    store.close().await;
}

/// Messages behind the gap may be open: they are neither removed nor skipped silently by a copy.
#[tokio::test(flavor = "multi_thread")]
async fn messages_behind_a_gap_stay_and_a_copy_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    for id in ["one", "two", "three"] {
        said(&store, "noor", id, Timestamp::UNIX_EPOCH).await;
    }
    let gap = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    assert_eq!(gap.execute("delete from message where id = 'two'", []).expect("damage"), 1);
    let later = Timestamp::UNIX_EPOCH + Duration::from_secs(1);
    assert_eq!(store.prune(later).await.expect("a prune"), 0);
    let left: u64 =
        gap.query_row("select count(*) from message", [], |row| row.get(0)).expect("a number");
    assert_eq!(left, 2);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let copied = store::copy(&store, &SqliteStore::open(&url(&elsewhere)).expect("it opens")).await;
    assert!(
        matches!(&copied, Err(StoreError::Corrupt(why)) if why.contains("it is missing")),
        "{copied:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_cut_as_a_whole_does_not_go_on_with_anothers() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let first = known(&store, "noor").await;
    append(&store, &first, 0, Record::Paused, true).await;
    let later = Timestamp::UNIX_EPOCH + Duration::from_secs(1);
    store.prune(later).await.expect("a prune");
    // The second conversation now has the number that the first had at the end of the file.
    let second = known(&store, "piet").await;
    append(&store, &second, 0, Record::Paused, false).await;
    let records = async |of: &ConversationId| {
        let dossier = store.dossier(of).await.expect("a read").expect("it is there");
        dossier
            .journal
            .into_iter()
            .map(|row| (row.seq, row.record.expect("it can be read")))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (records(&first).await, records(&second).await),
        (vec![], vec![(1, Record::Paused)])
    );
    append(&store, &first, 1, Record::Resumed, false).await;
    assert_eq!(records(&first).await, [(2, Record::Resumed)]);
    store.prune(later).await.expect("a prune");
    assert_eq!(records(&second).await, [(1, Record::Paused)], "nobody else's goes");
    let loaded = store.load(&first).await.expect("a read").expect("it is there");
    assert_eq!((loaded.seq, loaded.snapshot_seq), (2, 1));
    knows_what_is_oldest(&dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_that_the_file_is_in_use() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    assert!(matches!(SqliteStore::open(&url(&dir)), Err(OpenError::InUse { .. })));
    SqliteStore::open_read_only(&url(&dir)).expect("an audit may read beside it");
    store.close().await;
    SqliteStore::open(&url(&dir)).expect("closing lets go of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_wrong_with_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(SqliteStore::open("mysql://x"), Err(OpenError::Url)));
    assert!(matches!(SqliteStore::open_read_only(&url(&dir)), Err(OpenError::Missing(_))));
    let nowhere = format!("sqlite:{}", dir.path().join("no/such/folder/x.db").display());
    assert!(matches!(SqliteStore::open(&nowhere), Err(OpenError::Io { .. })));
    std::fs::write(dir.path().join("tidegate.db"), "this is no database, however long it is")
        .expect("written");
    assert!(matches!(SqliteStore::open(&url(&dir)), Err(OpenError::Io { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    SqliteStore::open(&url(&dir)).expect("it opens").close().await;
    let file = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    file.pragma_update(None, "user_version", 99).expect("set");
    drop(file);
    assert!(matches!(SqliteStore::open(&url(&dir)), Err(OpenError::Newer { found: 99, .. })));
}
