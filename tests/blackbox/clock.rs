//! The machine's clock is set a day ahead and a day back under the running gateway (`libfaketime`): what waits ends when it
//! should, and nothing is lost.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Nodes, delivered, eventually, failed};

/// The gateway's clock, which the test sets.
struct WallClock {
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl WallClock {
    fn set(&self, by: &str) {
        // In one step: a reader must not see half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, by).expect("written");
        std::fs::rename(&new, &self.file).expect("it changes");
    }
}

/// Where Debian's package puts it; the folder is named after the processor.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a system").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found
        .find(|path| path.exists())
        .expect("libfaketime: run ./test --set-up, or apt-get install faketime")
}

/// The whole loop with a gateway whose wall clock can be set. What the chat service reports would be refused for its time
/// while the clock is wrong, so its acceptance has to do.
async fn start(integration: &str, chat: &[&str]) -> (Nodes, WallClock) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", dir.path().join("tidegate.db").display());
    let clock = WallClock { file: dir.path().join("clock"), _dir: dir };
    clock.set("+0");
    let variables = vec![
        ("LD_PRELOAD".to_owned(), library().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), clock.file.display().to_string()),
        ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
    ];
    let integration =
        format!("{integration}\n[integration.receipts]\ndelivered_on = \"accepted\"\n");
    let all = Nodes::start_with(&store, 1, &integration, chat, variables).await;
    all.chat.says("noor", "Where is my parcel?").await;
    (all, clock)
}

#[tokio::test]
async fn a_clock_that_is_set_back_a_day_lengthens_no_deadline() {
    // The handshake is asked for by the message, before the clock is wrong: later the chat service would not believe it.
    let policy = "[integration.hold]\nfor = \"4s\"\nstart = \"first-outbound\"\n";
    let (all, clock) = start(policy, &["--handshake", "60"]).await;
    let held = all.agent_types("noor", "Good morning.").await;
    clock.set("-1d");
    let since = Instant::now();
    assert_eq!(all.sandbox.final_receipt(&held).await, failed("MessageExpired"));
    let took = since.elapsed();
    assert!(took < Duration::from_secs(8), "its 4 s were over after {took:?}");
    clock.set("+0");
    all.all_is_well().await;
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_a_day_shortens_no_deadline() {
    let (all, clock) = start("", &["--handshake", "4"]).await;
    let held = all.agent_types("noor", "Good morning.").await;
    clock.set("+1d");
    // It takes what comes meanwhile.
    let meanwhile = all.agent_types("noor", "I am looking.").await;
    clock.set("+0");
    assert_eq!(all.sandbox.final_receipt(&held).await, delivered());
    assert_eq!(all.sandbox.final_receipt(&meanwhile).await, delivered());
    assert_eq!(all.chat.taken(), ["Good morning.", "I am looking."]);
    all.all_is_well().await;
}

#[tokio::test]
async fn after_a_day_ahead_and_a_day_back_everything_goes_on() {
    let (all, clock) = start("", &["--handshake", "0"]).await;
    let mut messages = vec![all.agent_types("noor", "One.").await];
    for (number, by) in ["+1d", "+0", "-1d", "+0"].into_iter().enumerate() {
        clock.set(by);
        // The chat service does not believe a gateway whose clock is a day off; then the message fails, and that is said.
        messages.push(all.agent_types("noor", &format!("Jump {number}.")).await);
        eventually("it has its final receipt", async || {
            let last = messages.last().expect("just typed");
            (!all.sandbox.receipts(last).await.is_empty()).then_some(())
        })
        .await;
    }
    let last = all.agent_types("noor", "Last.").await;
    assert_eq!(all.sandbox.final_receipt(&last).await, delivered());
    let verdict = all.sandbox.verdict().await;
    assert_eq!(
        (&verdict["without_final_receipt"], &verdict["receipts_after_final"]),
        (&json!([]), &json!([]))
    );
    all.all_is_well().await;
}
