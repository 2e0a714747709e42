//! The SQLite store against the suite that every store must pass, and what only a file can suffer.

use store::{OpenError, SqliteStore, Store, conformance};

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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_that_the_file_is_in_use() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&url(&dir)).expect("it opens");
    assert!(matches!(SqliteStore::open(&url(&dir)), Err(OpenError::InUse(_))));
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
    std::fs::write(dir.path().join("tidegate.db"), "this is no database, however long it is").expect("written");
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
