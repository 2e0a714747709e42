//! A child process that never outlives its test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::root;

/// The built program.
pub(crate) fn tidegate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
}

pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, and appends its output to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log");
        let errors = file.try_clone().expect("a log");
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().expect("the program starts");
        Self { child, log: log.to_owned() }
    }

    /// `kill -9`: the process gets no chance to do anything more.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits. Returns whether it ended with 0, in time.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> bool {
        self.ends(patience).await == Some(0)
    }

    /// Asks it to end (SIGTERM) and waits. Returns its exit code, if it ended by itself and in
    /// time.
    pub(crate) async fn ends(&mut self, patience: Duration) -> Option<i32> {
        self.signal("TERM");
        self.ends_by_itself(patience).await
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it the signal of this name.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()
            .expect("kill can be run");
        assert!(sent.success(), "the process is there");
    }

    /// Waits until it has ended. Returns its exit code, if it ended in time.
    pub(crate) async fn ends_by_itself(&mut self, patience: Duration) -> Option<i32> {
        let end = tokio::time::Instant::now() + patience;
        while tokio::time::Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// How much memory it has now, and the most that it ever had, in bytes.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            let kilobytes = line.trim().trim_end_matches("kB").trim_end();
            kilobytes.parse::<usize>().expect("a number") * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of {}", self.log.display());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Runs a command to its end.
pub(crate) fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the command runs")
}

/// Builds an example that is written in TypeScript. Returns the program's path.
pub(crate) fn build_typescript(example: &str) -> PathBuf {
    let folder = root().join("examples").join(example);
    assert!(
        folder.join("node_modules").exists(),
        "the TypeScript compiler is not installed: ./test does it"
    );
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", "build"]).current_dir(&folder);
    let built = output(npm);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stdout));
    folder.join("build/chat_service.js")
}
