//! A disk that is full or cannot be written: nothing that was answered is lost, the gateway answers
//! 503 meanwhile, and it recovers by itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Loop, delivered, eventually, webhook};

/// A small file system of the test, which is removed with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir(&at).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "tidegate-test"]).arg(&at);
        let mounted = mount.status().expect("mount runs");
        assert!(mounted.success(), "a small file system cannot be mounted: run the tests as root");
        Self(at)
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let mut filler =
            std::fs::File::options().create(true).append(true).open(self.filler()).expect("a file");
        for size in [1 << 16, 1 << 10, 1] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it goes");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The gateway may still have its files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Makes system calls of a process fail until it is dropped.
struct Failing(Child);

impl Failing {
    async fn calls(process: u32, inject: &[&str], log: &Path) -> Self {
        Self::calls_with(&[], process, inject, log).await
    }

    /// The same with strace options that select the calls.
    async fn calls_with(options: &[&str], process: u32, inject: &[&str], log: &Path) -> Self {
        let mut strace = Command::new("strace");
        strace.args(options);
        strace
            .args(["-f", "-p", &process.to_string(), "-o"])
            .arg(log)
            .args(["-e", "trace=fdatasync,fsync,pwrite64"]);
        for rule in inject {
            strace.args(["-e", &format!("inject={rule}")]);
        }
        let started = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let failing =
            Self(started.expect("strace runs: ./test --set-up, or apt-get install strace"));
        eventually("a call has failed", async || {
            std::fs::read_to_string(log).is_ok_and(|log| log.contains("(INJECTED)")).then_some(())
        })
        .await;
        failing
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        // strace detaches from the process when it is told to end.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Makes Genesys retry sooner and more often than in production, so that the disk may stay away for
/// a while.
async fn hurry(all: &Loop) {
    all.sandbox
        .put("/sandbox/switches", &json!({ "webhook_pause": "250ms", "webhook_retries": 60 }))
        .await;
}

/// Checks that, while the disk is away, the gateway is not ready and refuses a webhook in time.
async fn refuses(all: &Loop, id: &str, text: &str) {
    eventually("the gateway says that it is not ready", async || {
        (all.gateway.get("/readyz").await.0 == 503).then_some(())
    })
    .await;
    let asked = Instant::now();
    let body = webhook(id, "noor", text).to_string();
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 503);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(12), "it was refused after {took:?}");
}

async fn all_is_well(all: &mut Loop, messages: &[String], texts: &[&str]) {
    for message in messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    assert_eq!(all.chat.taken(), texts);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
    assert!(all.gateway.process.runs(), "the same process goes on");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_it_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = SmallDisk::mount(dir.path().join("disk"));
    std::fs::write(
        dir.path().join("store.url"),
        format!("sqlite:{}/tidegate.db", disk.0.display()),
    )
    .expect("written");
    let mut all = Loop::start_in(dir, "", &["--handshake", "0.3"]).await;
    hurry(&all).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow.", "At nine."];
    let mut messages = all.agent_types("noor", &texts[..2]).await;
    disk.fill();
    // The log file has some reusable room, but not enough for this message.
    refuses(&all, "refused-for-want-of-room", &"long ".repeat(190_000)).await;
    // What the agent types meanwhile waits at Genesys.
    let send = async || all.sandbox.agent_sends("noor", texts[2]).await;
    messages.push(eventually("the agent has the conversation", send).await);
    disk.free();
    all.taken(&messages[2]).await;
    messages.extend(all.agent_types("noor", &texts[3..]).await);
    all_is_well(&mut all, &messages, &texts).await;
}

/// `away` means that nothing can be written at all.
async fn failing_calls(inject: &[&str], away: bool) {
    let mut all = Loop::start("", &["--handshake", "0.3"]).await;
    hurry(&all).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow.", "At nine."];
    let mut messages = all.agent_types("noor", &texts[..2]).await;
    let log = all.dir.path().join("strace.log");
    let failing = Failing::calls(all.gateway.process.id(), inject, &log);
    // Something must be written, or nothing can fail.
    let (failing, _) = tokio::join!(failing, all.gateway.get("/readyz"));
    if away {
        refuses(&all, "refused-by-the-disk", "Nobody takes this.").await;
    }
    let send = async || all.sandbox.agent_sends("noor", texts[2]).await;
    messages.push(eventually("the agent has the conversation", send).await);
    drop(failing);
    all.taken(&messages[2]).await;
    messages.extend(all.agent_types("noor", &texts[3..]).await);
    all_is_well(&mut all, &messages, &texts).await;
    // After a crash, only what is on the disk remains.
    all.gateway.process.kill();
    all.gateway.restart().await;
    all_is_well(&mut all, &messages, &texts).await;
}

#[tokio::test]
async fn a_disk_that_cannot_sync_loses_nothing() {
    failing_calls(&["fdatasync:error=EIO", "fsync:error=EIO"], true).await;
}

#[tokio::test]
async fn a_disk_that_cannot_write_loses_nothing() {
    failing_calls(&["pwrite64:error=EIO"], true).await;
}

#[tokio::test]
async fn a_disk_that_says_it_is_full_in_the_middle_of_a_commit_loses_nothing() {
    // Every third write fails, so some of a commit's pages are written and some are not.
    failing_calls(&["pwrite64:error=ENOSPC:when=3+3", "fdatasync:error=ENOSPC:when=2+2"], false)
        .await;
}

/// The value of a metric without labels.
async fn metric(all: &Loop, name: &str) -> Option<u64> {
    let text = all.gateway.get("/metrics").await.1;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn a_log_that_cannot_be_folded_back_is_counted_and_told_and_nothing_is_lost() {
    let mut all = Loop::start("", &["--handshake", "0.3"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow.", "At nine."];
    let mut messages = all.agent_types("noor", &texts[..2]).await;
    assert_eq!(metric(&all, "tidegate_store_checkpoint_failures_total").await, Some(0));
    // Only the database file cannot be written; the log can, so every commit works.
    let log = all.dir.path().join("strace.log");
    let database = all.dir.path().join("tidegate.db");
    let path = format!("--trace-path={}", database.display());
    let failing =
        Failing::calls_with(&[&path], all.gateway.process.id(), &["pwrite64:error=EIO"], &log)
            .await;
    let send = async || all.sandbox.agent_sends("noor", texts[2]).await;
    messages.push(eventually("the agent has the conversation", send).await);
    all.taken(&messages[2]).await;
    eventually("the failures are counted", async || {
        metric(&all, "tidegate_store_checkpoint_failures_total")
            .await
            .filter(|failures| *failures > 1)
    })
    .await;
    assert!(metric(&all, "tidegate_store_log_bytes").await > Some(0));
    let lines = all.gateway.process.log();
    assert_eq!(
        lines.matches("cannot checkpoint the store's log").count(),
        1,
        "once a minute: {lines}"
    );
    drop(failing);
    messages.extend(all.agent_types("noor", &texts[3..]).await);
    all_is_well(&mut all, &messages, &texts).await;
}
