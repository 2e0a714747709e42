//! Runs the commands of a page of the documentation.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::{free_port, root};

/// A fenced block of a page: the words after the fence, and its contents.
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Block {
    /// The name of a file is in its first line.
    pub(crate) fn file_name(&self) -> &str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', '/', ' '])
    }
}

/// The blocks of a page in `docs`.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let page = fs::read_to_string(root().join("docs").join(page)).expect("the page");
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some(Block { kind: kind.to_owned(), text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// A shell with all its child processes, which ends with the test.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let mut kill = Command::new("kill");
        kill.args(["-KILL", "--", &format!("-{}", self.0.id())]);
        // It may have ended by itself.
        let _ = kill.stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// Runs a script in a folder with ports of its own. Returns whether it ended with 0 within that
/// time, and what it printed.
pub(crate) async fn bash(dir: &Path, script: &str, limit: Duration) -> (bool, String) {
    let programs = dir.join("bin");
    fs::create_dir(&programs).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_tidegate"), programs.join("tidegate")).expect("the program");
    fs::write(dir.join("page.sh"), format!("set -euo pipefail\n{script}")).expect("a file");
    let out = fs::File::create(dir.join("page.out")).expect("a file");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.arg("page.sh").current_dir(dir).env("PATH", format!("{}:{path}", programs.display()));
    command.env("REPOSITORY", root());
    for server in ["SANDBOX", "GATEWAY", "CHAT"] {
        command.env(server, format!("127.0.0.1:{}", free_port()));
    }
    let errors = out.try_clone().expect("a file");
    command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0);
    let mut shell = Group(command.spawn().expect("bash runs"));
    let told = || fs::read_to_string(dir.join("page.out")).unwrap_or_default();
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = shell.0.try_wait().expect("it can be asked") {
            return (status.success(), told());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (false, format!("it did not end in time:\n{}", told()))
}
