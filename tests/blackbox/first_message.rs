//! The page `docs/first-message.md`, run as it is: from nothing to the first message in both
//! directions.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{PATIENCE, free_port, root};

#[tokio::test]
async fn a_newcomer_gets_the_first_message_both_ways_with_python() {
    runs("python").await;
}

#[tokio::test]
async fn a_newcomer_gets_the_first_message_both_ways_with_node() {
    runs("node").await;
}

/// A fenced block of the page: the words after the fence, and its contents.
struct Block {
    kind: String,
    text: String,
}

/// Runs the page's commands with the connector in that language.
async fn runs(language: &str) {
    let page = fs::read_to_string(root().join("docs/first-message.md")).expect("the page");
    let dir = TempDir::new().expect("a folder");
    let mut script = String::from("set -euo pipefail\n");
    let blocks = blocks(&page);
    for block in &blocks {
        match block.kind.split_once(' ').unwrap_or((&block.kind, language)) {
            ("sh", of) if of == language => script.push_str(&block.text),
            ("python" | "js", _) => {
                fs::write(dir.path().join(name(block)), &block.text).expect("a file");
            }
            _ => {}
        }
    }
    assert!(
        blocks.iter().filter(|block| block.kind.starts_with("sh")).count() > 10,
        "the page has its commands"
    );
    let (ended, told) = bash(dir.path(), &script).await;
    let log = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let logs = ["gateway.log", "connector.errors", "sandbox.log"].map(log).join("\n");
    assert!(ended, "{told}\n{logs}");
    for line in [
        "all 7 checks passed",
        r#"{"accepted":1}"#,
        "agent: It left yesterday.",
        "delivery-success",
        "True",
    ] {
        assert!(told.contains(line), "no {line} in:\n{told}\n{logs}");
    }
    assert!(told.contains("'status': 'Delivered'"), "{told}");
}

fn blocks(page: &str) -> Vec<Block> {
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

/// The name of a file is in its first line.
fn name(block: &Block) -> &str {
    let first = block.text.lines().next().unwrap_or_default();
    first.trim_start_matches(['#', '/', ' '])
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

/// Runs a script in a folder with ports of its own. Returns whether it ended with 0, and what it
/// printed.
async fn bash(dir: &Path, script: &str) -> (bool, String) {
    let programs = dir.join("bin");
    fs::create_dir(&programs).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_tidegate"), programs.join("tidegate")).expect("the program");
    fs::write(dir.join("page.sh"), script).expect("a file");
    let out = fs::File::create(dir.join("page.out")).expect("a file");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.arg("page.sh").current_dir(dir).env("PATH", format!("{}:{path}", programs.display()));
    for server in ["SANDBOX", "GATEWAY", "CHAT"] {
        command.env(server, format!("127.0.0.1:{}", free_port()));
    }
    let errors = out.try_clone().expect("a file");
    command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0);
    let mut shell = Group(command.spawn().expect("bash runs"));
    let told = || fs::read_to_string(dir.join("page.out")).unwrap_or_default();
    let end = Instant::now() + 2 * PATIENCE;
    while Instant::now() < end {
        if let Some(status) = shell.0.try_wait().expect("it can be asked") {
            return (status.success(), told());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    (false, format!("it did not end in time:\n{}", told()))
}
