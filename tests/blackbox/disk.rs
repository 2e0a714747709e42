//! A disk that is full, or that cannot write: nothing that was answered is lost, 503 while it lasts, and it goes on by itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Loop, delivered, eventually, webhook};

/// A small file system of the test's own; it goes with the test.
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

    /// Takes all the room that there is, to the last byte.
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

/// Makes system calls of a process fail, until it is dropped.
struct Failing(Child);

impl Failing {
    async fn calls(process: u32, inject: &[&str], log: &Path) -> Self {
        let mut strace = Command::new("strace");
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
        // It lets go of the process when it is told to end.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Genesys tries again sooner and longer than in life, so that the disk may stay away for a while.
async fn hurry(all: &Loop) {
    all.sandbox
        .put("/sandbox/switches", &json!({ "webhook_pause": "250ms", "webhook_retries": 60 }))
        .await;
}

/// While the disk is away: not ready, and a webhook is refused in time.
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
    // The log's file has some room in it that is used again; there is none for this.
    refuses(&all, "refused-for-want-of-room", &"long ".repeat(190_000)).await;
    // What the agent types meanwhile waits at Genesys.
    let send = async || all.sandbox.agent_sends("noor", texts[2]).await;
    messages.push(eventually("the agent has the conversation", send).await);
    disk.free();
    all.taken(&messages[2]).await;
    messages.extend(all.agent_types("noor", &texts[3..]).await);
    all_is_well(&mut all, &messages, &texts).await;
}

/// `away` says that nothing at all can be written.
async fn failing_calls(inject: &[&str], away: bool) {
    let mut all = Loop::start("", &["--handshake", "0.3"]).await;
    hurry(&all).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow.", "At nine."];
    let mut messages = all.agent_types("noor", &texts[..2]).await;
    let log = all.dir.path().join("strace.log");
    let failing = Failing::calls(all.gateway.process.id(), inject, &log);
    // Something has to be written, or nothing can fail.
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
    // What is on the disk is all there is after a crash.
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
    // Each third write: some of a commit's pages are there, and some are not.
    failing_calls(&["pwrite64:error=ENOSPC:when=3+3", "fdatasync:error=ENOSPC:when=2+2"], false)
        .await;
}
