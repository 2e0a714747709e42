//! The section "Test your connector" of `docs/connectors.md`: its commands run, and its table names
//! every case.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{CONNECTOR_SECRET, PythonChat, free_port, output, root};

/// The section, and its block of this kind.
fn section() -> String {
    let page = fs::read_to_string(root().join("docs/connectors.md")).expect("the page");
    let section = page.split("## Test your connector\n").nth(1).expect("the section");
    section.split("\n## ").next().expect("its end").to_owned()
}

fn block(kind: &str) -> String {
    let section = section();
    let block = section.split(&format!("```sh {kind}\n")).nth(1).expect("the block");
    block.split("```").next().expect("its end").to_owned()
}

/// Runs a block in a folder where the program and the examples are, and returns what it printed.
fn run(dir: &TempDir, block: &str) -> String {
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_tidegate"), bin.join("tidegate")).expect("the program");
    symlink(root().join("examples"), dir.path().join("examples")).expect("the examples");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-euc", block]).current_dir(dir.path());
    command.env("PATH", format!("{}:{path}", bin.display()));
    command.env("CHAT_SECRET", CONNECTOR_SECRET);
    let ended = output(command);
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    told
}

#[test]
fn the_command_for_the_example_passes() {
    let dir = TempDir::new().expect("a folder");
    let block = block("example").replace("127.0.0.1:9000", &format!("127.0.0.1:{}", free_port()));
    let told = run(&dir, &block);
    assert!(told.ends_with("34 passed, 0 failed, 0 not claimed\n"), "{told}");
}

#[tokio::test]
async fn the_command_for_a_running_connector_passes_and_the_table_names_its_cases() {
    let dir = TempDir::new().expect("a folder");
    let gateway = format!("127.0.0.1:{}", free_port());
    let events = format!("http://{gateway}/connectors/acme/events");
    let options = ["--handshake", "0.3", "--delay", "0.3"];
    let chat = PythonChat::start(dir.path(), &events, &options).await;
    let block = block("running");
    let block =
        block.replace("http://127.0.0.1:9000", &chat.url).replace("127.0.0.1:8080", &gateway);
    let told = run(&dir, &block);
    let report: Value = serde_json::from_str(&told).expect("one object");
    let cases = report["cases"].as_array().expect("cases");
    let names: BTreeSet<_> = cases.iter().filter_map(|case| case["name"].as_str()).collect();
    let section = section();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed = rows.flat_map(|row| row.split('|').nth(1).expect("a cell").split('`'));
    let listed: BTreeSet<_> = listed.filter(|name| name.contains('-')).collect();
    assert_eq!(listed, names);
}
