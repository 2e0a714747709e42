//! The file of the embedded store: only one process serves it, whatever name is used, and only its
//! owner may read it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Loop, Process, delivered, eventually, free_port, tidegate, webhook};

const QUICK: &[&str] = &["--handshake", "0"];

/// A second gateway with the first one's configuration, except for the port and the store's name.
fn second(all: &Loop, store: &Path) -> Process {
    let mut command = tidegate();
    command.args(["serve", "--config"]).arg(all.dir.path().join("tidegate.toml"));
    command.env("TIDEGATE_SERVER__LISTEN", format!("127.0.0.1:{}", free_port()));
    command.env("TIDEGATE_STORE__URL", format!("sqlite:{}", store.display()));
    Process::start(command, &all.dir.path().join("second.log"))
}

/// A second gateway on the first one's file, by another name, ends with 2 and says who has the
/// file; the first one goes on.
async fn is_refused(all: &Loop, store: &Path) {
    let mut second = second(all, store);
    let code = second.ends_by_itself(Duration::from_secs(10)).await;
    let log = second.log();
    assert_eq!(code, Some(2), "{}: {log}", store.display());
    let holder = format!("in use by process {} (tidegate)", all.gateway.process.id());
    assert!(log.contains(&holder) && log.contains("stop that process"), "{log}");
    assert_eq!(all.gateway.get("/readyz").await.0, 200);
}

fn link(original: &Path, link: PathBuf) -> PathBuf {
    std::os::unix::fs::symlink(original, &link).expect("a link");
    link
}

#[tokio::test]
async fn a_second_gateway_is_refused_by_whatever_name_it_calls_the_file() {
    let all = Loop::start("", QUICK).await;
    let dir = all.dir.path();
    let file = dir.join("tidegate.db");
    is_refused(&all, &link(&file, dir.join("symlink.db"))).await;
    is_refused(&all, &link(&dir.join("symlink.db"), dir.join("link-to-a-link.db"))).await;
    is_refused(&all, &link(dir, dir.join("folder")).join("tidegate.db")).await;
    std::fs::create_dir(dir.join("below")).expect("a folder");
    is_refused(&all, &dir.join("below/../tidegate.db")).await;
    std::fs::hard_link(&file, dir.join("hard.db")).expect("a link");
    is_refused(&all, &dir.join("hard.db")).await;
}

#[tokio::test]
async fn a_second_gateway_is_refused_although_the_lock_file_was_removed() {
    let all = Loop::start("", QUICK).await;
    std::fs::remove_file(all.dir.path().join("tidegate.db.lock")).expect("it is there");
    is_refused(&all, &all.dir.path().join("tidegate.db")).await;
    // The refused gateway has created a new lock file, which must not let a third one in.
    is_refused(&all, &all.dir.path().join("tidegate.db")).await;
}

/// A file or folder that is mounted in a second place, as in a container. It is unmounted at the
/// end of the test.
struct Mounted(PathBuf);

impl Mounted {
    fn at(original: &Path, place: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        let mounted = mount.arg("--bind").arg(original).arg(&place).status().expect("mount runs");
        assert!(mounted.success(), "it cannot be mounted: run the tests as root");
        Self(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_second_gateway_is_refused_where_the_file_or_its_folder_is_mounted_elsewhere() {
    let all = Loop::start("", QUICK).await;
    let other = tempfile::tempdir().expect("a folder");
    let place = other.path().join("mounted.db");
    std::fs::write(&place, "").expect("a file");
    let mounted = Mounted::at(&all.dir.path().join("tidegate.db"), place);
    is_refused(&all, &mounted.0).await;
    let place = other.path().join("folder");
    std::fs::create_dir(&place).expect("a folder");
    let mounted = Mounted::at(all.dir.path(), place);
    is_refused(&all, &mounted.0.join("tidegate.db")).await;
}

#[tokio::test]
async fn a_file_with_two_names_is_refused_since_the_log_belongs_to_one_of_them() {
    let mut all = Loop::start("", QUICK).await;
    let body = webhook("before-the-crash", "noor", "Good morning.").to_string();
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
    all.gateway.process.kill();
    let (file, hard) = (all.dir.path().join("tidegate.db"), all.dir.path().join("hard.db"));
    std::fs::hard_link(&file, &hard).expect("a link");
    // What was committed last is in tidegate.db-wal, which hard.db does not find.
    for name in [&hard, &file] {
        let mut second = second(&all, name);
        let code = second.ends_by_itself(Duration::from_secs(10)).await;
        assert_eq!(code, Some(2), "{}: {}", name.display(), second.log());
        assert!(second.log().contains("has a second name"), "{}", second.log());
        let mut audit = tidegate();
        audit.args(["audit", "--store"]).arg(format!("sqlite:{}", name.display()));
        let report = crate::support::output(audit);
        assert!(!report.status.success(), "an audit would miss what is in the log: {report:?}");
    }
    std::fs::remove_file(&hard).expect("it goes");
    all.gateway.restart().await;
    assert!(all.stored("before-the-crash").await.is_some(), "nothing is lost by all this");
}

#[tokio::test]
async fn a_link_that_leads_nowhere_yet_leads_to_the_new_store() {
    let dir = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let link = link(&elsewhere.path().join("real.db"), dir.path().join("tidegate.db"));
    std::fs::write(dir.path().join("store.url"), format!("sqlite:{}", link.display()))
        .expect("written");
    let all = Loop::start_in(dir, "", QUICK).await;
    assert!(elsewhere.path().join("real.db").exists());
    is_refused(&all, &elsewhere.path().join("real.db")).await;
}

/// The permissions of the store's files, such as `600`.
fn rights(dir: &Path) -> Vec<(String, String)> {
    let ours = |name: &String| name.starts_with("tidegate.db") || name.starts_with("copy.db");
    let files = std::fs::read_dir(dir).expect("a folder").map(|file| file.expect("a file"));
    let rights = files.filter_map(|file| {
        let name = file.file_name().into_string().ok().filter(ours)?;
        Some((name, format!("{:o}", file.metadata().ok()?.mode() & 0o7777)))
    });
    let mut rights: Vec<_> = rights.collect();
    rights.sort();
    rights
}

fn own(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), "600".to_owned())).collect()
}

/// The program with this umask.
fn under(umask: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_tidegate"));
    shell
}

#[tokio::test]
async fn only_the_owner_may_read_the_files_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let mut all = Loop::start("", QUICK).await;
        all.gateway.stop().await;
        let dir = all.dir.path().to_owned();
        std::fs::remove_file(dir.join("tidegate.db")).expect("it is there");
        std::fs::remove_file(dir.join("tidegate.db.lock")).expect("it is there");
        all.gateway.restart_as(under(umask)).await;
        all.chat.says("noor", "Where is my parcel?").await;
        let messages = all.agent_types("noor", &["Good morning."]).await;
        assert_eq!(all.sandbox.final_receipt(&messages[0]).await, delivered());
        let all_four = ["tidegate.db", "tidegate.db-shm", "tidegate.db-wal", "tidegate.db.lock"];
        assert_eq!(rights(&dir), own(&all_four), "umask {umask}");
        let mut copy = under(umask);
        let (from, to) = (all.store(), format!("sqlite:{}", dir.join("copy.db").display()));
        copy.args(["store", "copy", "--from", &from, "--to", &to]);
        assert!(crate::support::output(copy).status.success());
        let mut compact = under(umask);
        compact.args(["store", "compact", "--store", &to]);
        assert!(crate::support::output(compact).status.success());
        let copied = rights(&dir).into_iter().filter(|(name, _)| name.starts_with("copy"));
        assert!(
            copied.clone().all(|(_, rights)| rights == "600"),
            "{:?}",
            copied.collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn the_files_of_an_older_version_are_closed_to_others_and_an_open_folder_is_told() {
    let mut all = Loop::start("", QUICK).await;
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    all.gateway.process.kill();
    for name in ["tidegate.db", "tidegate.db-shm", "tidegate.db-wal", "tidegate.db.lock"] {
        open(&all.dir.path().join(name), 0o644);
    }
    assert!(!all.gateway.process.log().contains("can write into the store's folder"));
    open(all.dir.path(), 0o777);
    all.gateway.restart().await;
    let all_four = ["tidegate.db", "tidegate.db-shm", "tidegate.db-wal", "tidegate.db.lock"];
    assert_eq!(rights(all.dir.path()), own(&all_four));
    eventually("the log tells of the folder", async || {
        all.gateway.process.log().contains("can write into the store's folder").then_some(())
    })
    .await;
}
