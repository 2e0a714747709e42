//! The demo's pages in a real browser: the agent's desktop, the customer's chat and the operators'
//! console. Each scene of
//! tests/browser runs on its own demo; its screenshots stay in target/screenshots.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Process, eventually, root, tidegate};

/// After this time a scene counts as hanging. The longest one waits 10 s for a handshake that never
/// ends; most of the rest is the browser's start.
const SCENE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn an_agent_who_answers_too_early_sees_one_tick_and_then_two() {
    plays("too_early.mjs").await;
}

#[tokio::test]
async fn an_agent_reads_why_a_message_failed() {
    plays("failed.mjs").await;
}

#[tokio::test]
async fn the_pages_can_be_used_by_the_keyboard_alone() {
    plays("keyboard.mjs").await;
}

#[tokio::test]
async fn the_pages_are_fit_to_be_seen_by_day() {
    plays_with("looks.mjs", &["--scheme", "light"]).await;
}

#[tokio::test]
async fn the_pages_are_fit_to_be_seen_by_night() {
    plays_with("looks.mjs", &["--scheme", "dark"]).await;
}

#[tokio::test]
async fn a_stranger_finds_what_became_of_a_message_by_day() {
    plays_with("console.mjs", &["--scheme", "light"]).await;
}

#[tokio::test]
async fn a_stranger_finds_what_became_of_a_message_by_night() {
    plays_with("console.mjs", &["--scheme", "dark"]).await;
}

async fn plays(scene: &str) {
    plays_with(scene, &[]).await;
}

/// Starts a demo and plays the scene on its pages.
async fn plays_with(scene: &str, options: &[&str]) {
    let dir = TempDir::new().expect("a folder");
    let mut command = tidegate();
    command.args(["demo", "--store", &format!("sqlite:{}", dir.path().join("demo.db").display())]);
    let demo = Process::start(command, &dir.path().join("demo.log"));
    let address = |log: &str, page: &str| {
        let line = log.lines().find_map(|line| line.trim().strip_prefix(page))?;
        Some(line.trim().to_owned())
    };
    let printed = async || {
        let log = demo.log();
        Some([
            address(&log, "the agent's desktop")?,
            address(&log, "the customer's chat")?,
            address(&log, "the operators' console")?,
        ])
    };
    let [desktop, chat, console] = eventually("the demo prints its pages", printed).await;

    let pages = ["--desktop", &desktop, "--chat", &chat, "--console", &console];
    let pages = pages.into_iter().chain(options.iter().copied());
    run(scene, pages, || demo.log()).await;
}

/// Runs a scene of tests/browser. `log` is shown if it fails.
pub(crate) async fn run(
    scene: &str,
    arguments: impl IntoIterator<Item = &str>,
    log: impl Fn() -> String,
) {
    let folder = root().join("tests/browser");
    assert!(folder.join("node_modules").exists(), "playwright is not installed: ./test does it");
    let mut command = tokio::process::Command::new("node");
    command.arg(folder.join(scene)).args(arguments);
    command.arg("--shots").arg(root().join("target/screenshots"));
    command.arg("--browser").arg(browser());
    let output = tokio::time::timeout(SCENE, command.kill_on_drop(true).output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{scene} takes longer than {SCENE:?}"))
        .expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scene}: {errors}\n{}", log());
}

/// The browser that the machine has.
fn browser() -> PathBuf {
    let set = std::env::var_os("TIDEGATE_BROWSER").map(PathBuf::from);
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .map(PathBuf::from);
    let found = set.into_iter().chain(known).find(|program| program.exists());
    found.expect("there is no Chromium: ./test installs it, or TIDEGATE_BROWSER names one")
}
