//! If a part of the program panics, the process ends with 1 and says why, instead of answering 503
//! forever, and the next process continues.

use std::fs;
use std::path::PathBuf;

use crate::postgres_cluster::Cluster;
use crate::support::{Loop, PATIENCE, eventually, tidegate, webhook};

const QUICK: &[&str] = &["--handshake", "0", "--deliver", "immediately"];

/// Delivers a message. Then the code that reaches `point` panics, at the latest when the next
/// message comes.
async fn ends_and_goes_on(mut all: Loop, point: &str, says: &str) {
    all.gateway.stop().await;
    let file: PathBuf = all.dir.path().join("failpoint");
    let mut command = tidegate();
    command.env("STORE_FAILPOINT", &file);
    all.gateway.restart_as(command).await;
    assert_eq!(
        all.gateway.webhook(webhook("m1", "noor", "before").to_string().as_bytes()).await,
        200
    );
    eventually("the first is delivered", async || {
        all.chat.taken().contains(&"before".to_owned()).then_some(())
    })
    .await;

    fs::write(&file, point).expect("the failpoint");
    // It may or may not be answered before the end; what is answered 200 stays.
    let answered =
        all.gateway.webhook(webhook("m2", "noor", "meanwhile").to_string().as_bytes()).await;
    let code = all.gateway.process.ends_by_itself(PATIENCE).await;
    let log = all.gateway.process.log();
    assert_eq!(code, Some(1), "{point}: {log}");
    for part in [
        format!("failpoint {point} was reached"),
        "ERROR".to_owned(),
        says.to_owned(),
        "Restart=always".into(),
    ] {
        assert!(log.contains(&part), "{part}: {log}");
    }

    fs::remove_file(&file).expect("no failpoint");
    all.gateway.restart().await;
    if answered != 200 {
        assert_eq!(
            all.gateway.webhook(webhook("m2", "noor", "meanwhile").to_string().as_bytes()).await,
            200
        );
    }
    eventually("the second is delivered", async || {
        all.chat.taken().contains(&"meanwhile".to_owned()).then_some(())
    })
    .await;
    assert_eq!(all.chat.taken(), ["before", "meanwhile"]);
    all.sandbox.receipt("m1").await;
    all.sandbox.receipt("m2").await;
}

async fn on_sqlite() -> Loop {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    all
}

#[tokio::test]
async fn a_panic_of_the_thread_that_writes_ends_the_process() {
    let all = on_sqlite().await;
    ends_and_goes_on(all, "sqlite-commit", "a thread of the store panicked").await;
}

#[tokio::test]
async fn a_panic_of_what_posts_to_genesys_ends_the_process() {
    let all = on_sqlite().await;
    ends_and_goes_on(all, "outbox", "posting to Genesys panicked").await;
}

#[tokio::test]
async fn a_panic_of_a_lane_to_the_database_ends_the_process() {
    for point in ["arrivals", "steps"] {
        let cluster = Cluster::start();
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("store.url"), cluster.url()).expect("the store's URL");
        let all = Loop::start_in(dir, "", QUICK).await;
        all.sandbox.accept_unknown_receipts().await;
        ends_and_goes_on(all, point, "a task of the store panicked").await;
    }
}
