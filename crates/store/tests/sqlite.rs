//! The SQLite store passes the suite for every store, and handles failures that only a file can
//! have.

use std::time::Duration;

use conversation::{Conversation, ConversationId, IntegrationName, MessageId, Record};
use jiff::Timestamp;
use store::{
    Acceptance, Append, AppendPriority, Arrival, Chain, ConversationList, Direction, MessageList,
    NewMessage, OpenError, OutboxLane, SqliteStore, Store, StoreError, conformance,
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

#[tokio::test(flavor = "multi_thread")]
async fn it_lists_for_operators() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    conformance::lists(&store).await;
    conformance::keeps_console_sessions(&store).await;
}

/// Pruning finds old records by the column `oldest`, which must agree with the journal.
fn knows_what_is_oldest(dir: &tempfile::TempDir) {
    none_is_wrong(
        dir,
        "select 1 from conversation as c
         where oldest <> coalesce((select min(at) from journal where conversation = c.id), 0)",
    );
}

/// Each message of a conversation names the one before it, and the conversation names the last.
fn finds_every_message(dir: &tempfile::TempDir) {
    none_is_wrong(
        dir,
        "select before is not lag(seq) over (partition by conversation order by seq) as wrong from message
         union all
         select message is not last as wrong from conversation
            left join (select conversation, max(seq) as last from message group by conversation) on conversation = id",
    );
}

/// Asserts that no row of the query's result is true.
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

/// Creates a conversation. Nothing else about it matters.
async fn known(store: &SqliteStore, customer: &str) -> ConversationId {
    kept(store, customer, Timestamp::UNIX_EPOCH).await
}

/// Stores a message without an input. Its id and its body are the customer's name.
async fn kept(store: &SqliteStore, customer: &str, received: Timestamp) -> ConversationId {
    said(store, customer, customer, received).await
}

/// Stores a message without an input. Its body is its id.
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

/// A long log takes long to checkpoint, and a log that grows with each commit is slow.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_folded_back_and_begins_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let beside = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    let not_folded = || {
        // A connection knows the log only after it has read something.
        beside.query_row("select 1 from message", [], |_| Ok(())).expect("it can be read");
        let look = "pragma wal_checkpoint(noop)";
        let pages =
            beside.query_row(look, [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?));
        pages.expect("pages in the log")
    };
    // Each commit writes about five pages, and far fewer than all of them may be in the log at any
    // time. The last hundred commits are too few for a signalled checkpoint.
    for customer in 0..8_100 {
        known(&store, &format!("customer-{customer}")).await;
        if customer % 50 == 0 {
            let pages = not_folded();
            assert!(pages < 8_000, "{pages} pages are not checkpointed at customer {customer}");
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
    assert_eq!(length(), before, "the log is overwritten");
    store.close().await;
}

async fn append(
    store: &SqliteStore,
    conversation: &ConversationId,
    after: u64,
    record: Record,
    snapshot: bool,
) {
    // A wake-up time keeps the conversation from being removed.
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
        standing: None,
        snapshot: snapshot.then_some(state),
        priority: AppendPriority::Normal,
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
    // The customer comes back, with a new conversation.
    known(&store, "noor").await;
    let loaded = store.load(&old).await.expect("a read").expect("it is there");
    assert_eq!((loaded.seq, loaded.snapshot_seq), (0, 0));
    store.close().await;
    drop(store);
    // `vacuum` renumbers rows without an explicit number.
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
    // This message gets the number that `four` had.
    said(&store, "piet", "another", later).await;
    let noor = said(&store, "noor", "five", later).await;
    let dossier = store.dossier(&noor).await.expect("a read").expect("it is there");
    let ids: Vec<_> = dossier.messages.into_iter().map(|message| message.id.to_string()).collect();
    assert_eq!(ids, ["one", "three", "five"]);
    finds_every_message(&dir);
    let much_later = later + Duration::from_secs(1);
    assert_eq!(store.prune(much_later).await.expect("a prune"), 4, "all messages are found");
    store.close().await;
}

/// Messages beyond the gap may be open. A prune must not remove them, and a copy must not skip them
/// silently.
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
    let Err(error @ StoreError::Corrupt(_)) = &copied else { panic!("{copied:?}") };
    assert!(Chain(error).to_string().ends_with(": it is missing"), "{error:?}");
}

/// The lists from which the gateway works for all conversations have all rows but the damaged ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_hides_only_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let mut all = Vec::new();
    for customer in ["noor", "piet", "rosa"] {
        let id = known(&store, customer).await;
        let receipt = Record::SentDue { message: MessageId::new(customer) };
        let mut step = one_step(&id, 0, receipt, false);
        step.due = Some(Timestamp::UNIX_EPOCH);
        step.watched = Some("g".into());
        store.append(step).await.expect("an append");
        all.push(id);
    }
    all.sort();
    let (first, whole) = (all.remove(0), all);
    let file = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    for damage in [
        "update conversation set due = -9223372036854775808, watched = x'00' where id = ?1",
        "update outbox set owed = '{' where conversation = ?1",
    ] {
        assert_eq!(file.execute(damage, [first.as_str()]).expect("damage"), 1);
    }
    file.execute("insert into inbox (conversation, customers, input) values (x'ff', 0, '')", [])
        .expect("damage");

    let acme = IntegrationName::new("acme");
    for limit in [1, 2, 10] {
        let wanted = &whole[..whole.len().min(limit)];
        let due = store.due(None, Timestamp::UNIX_EPOCH, limit).await.expect("a page");
        let due: Vec<_> = due.into_iter().map(|due| due.conversation).collect();
        assert_eq!(due, wanted);
        let watched = store.watched(&acme, None, limit).await.expect("a page");
        let watched: Vec<_> = watched.into_iter().map(|watched| watched.conversation).collect();
        assert_eq!(watched, wanted);
        let owed = store.outbox(&acme, OutboxLane::Deferred, 0, limit).await.expect("a page");
        assert_eq!(owed.len(), wanted.len());
        assert!(owed.iter().all(|item| item.conversation != first));
    }
    let waiting = store.with_pending_input(None, 10).await.expect("a page");
    assert_eq!(waiting, Vec::<ConversationId>::new());
    store.close().await;
}

/// A damaged row costs a list for operators nothing else either.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_leaves_damaged_rows_out() {
    const ROWS: &str = "
        with recursive n (n) as (select 1 union all select n + 1 from n where n < 3)
        insert into conversation (id, integration, customer, created)
            select 'c' || n, 'hurt', '{}', iif(n = 3, 9000000000000000000, n) from n;
        with recursive n (n) as (select 1 union all select n + 1 from n where n < 3)
        insert into message (integration, direction, id, foreign_id, conversation, received, state)
            select 'hurt', 'outbound', 'm' || n, '', 'c1', iif(n = 3, 9000000000000000000, n),
                   'failed' from n;";
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let file = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    file.execute_batch(ROWS).expect("rows");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_cut_as_a_whole_does_not_go_on_with_anothers() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    let first = known(&store, "noor").await;
    append(&store, &first, 0, Record::Paused, true).await;
    let later = Timestamp::UNIX_EPOCH + Duration::from_secs(1);
    store.prune(later).await.expect("a prune");
    // The second conversation's step gets the number that the first's had at the end of the file.
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
    assert_eq!(
        records(&second).await,
        [(1, Record::Paused)],
        "no other conversation's journal is cut"
    );
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
    SqliteStore::open(&url(&dir)).expect("closing releases it");
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

/// Makes the file as it was before the lists and the table of Genesys's conversations existed.
const OLDER: &str = "drop table console_session;
    drop table genesys_conversation;
    drop index message_failed;
    drop index conversation_created;
    drop index conversation_open;
    drop index conversation_held;
    drop index conversation_failing;
    alter table conversation drop column created;
    alter table conversation drop column standing;";

/// A store that was written before the table of Genesys's conversations existed. Steps of
/// other conversations are damaged.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_finds_genesys_conversations_after_its_migration() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    conformance::keeps_its_word(&store).await;
    let known = store.find("chat-three", 10).await.expect("a search");
    assert_eq!(known.len(), 1);
    store.close().await;
    drop(store);
    let file = rusqlite::Connection::open(dir.path().join("tidegate.db")).expect("a file");
    file.execute_batch(OLDER).expect("SQL");
    // The first is no JSON, and the second is JSON but no record.
    for damage in [
        r#"{"kind":"genesys_conversation""#,
        r#""x"
{"kind":"genesys_conversation"}"#,
    ] {
        let sql = "update journal set records = ?1 where step = (select min(step) from journal \
                   where records not like '%genesys_conversation%')";
        let changed = file.execute(sql, [damage.replace("\\n", "\n")]).expect("SQL");
        assert_eq!(changed, 1, "{damage}");
    }
    let sql = "update conversation set watched = 'chat-watched' where id = ?1";
    let watched = file.execute(sql, [known[0].conversation.as_str()]).expect("SQL");
    assert_eq!(watched, 1);
    file.pragma_update(None, "user_version", 3).expect("set");
    drop(file);
    let store = SqliteStore::open(&url(&dir)).expect("it opens again");
    assert_eq!(store.find("chat-three", 10).await.expect("a search"), known);
    assert_eq!(store.find("chat-watched", 10).await.expect("a search"), known);
    assert_eq!(store.find("chat-four", 10).await.expect("a search"), []);
    let of = &known[0].integration;
    let open = store.list_conversations(of, ConversationList::Open, None, 9).await.expect("a list");
    assert_eq!(open.len(), 1, "it is watched");
    assert_eq!(open[0].place.conversation, known[0].conversation);
    let created = open[0].place.created;
    assert!(created > Timestamp::UNIX_EPOCH, "its first message gives the time: {created}");
}
