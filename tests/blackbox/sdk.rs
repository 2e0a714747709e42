//! Genesys's own SDKs, unchanged except for their host, on one side, the Python chat service on the
//! other, and the gateway between them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Loop, Sandbox, WEBHOOK_SECRET, free_port, root};

#[tokio::test]
async fn the_python_sdk_finds_the_receipts_that_tidegate_sent() {
    let program = python();
    goes_round(&|| {
        let mut command = Command::new(&program);
        command.arg(root().join("tests/sdk/python/loop.py"));
        command
    })
    .await;
}

#[tokio::test]
async fn the_node_sdk_finds_the_receipts_that_tidegate_sent() {
    let folder = root().join("tests/sdk/node");
    assert!(
        folder.join("node_modules").exists(),
        "the SDK for Node is not installed: ./test does it"
    );
    goes_round(&|| {
        let mut command = Command::new("node");
        command.arg(folder.join("loop.mjs"));
        command
    })
    .await;
}

/// Creates an integration with the SDK. Then the customer writes, the agent answers during the
/// handshake, and the final receipt is read back: once Delivered, once Failed.
async fn goes_round(sdk: &(dyn Fn() -> Command + Sync)) {
    let dir = TempDir::new().expect("a folder");
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let port = free_port();
    let webhook = format!("http://127.0.0.1:{port}/genesys/acme");
    let api = sandbox.url.clone();
    let create =
        ["--mode", "create", "--integration-webhook", &webhook, "--webhook-secret", WEBHOOK_SECRET];
    let made = run(sdk(), &api, &create).await;
    let integration = made["integration"].as_str().expect("an id").to_owned();

    let hold = "[integration.hold]\nfor = \"4s\"";
    let chat = &["--handshake", "2", "--delay", "0.2"];
    let all = Loop::start_on(dir, sandbox, &integration, port, hold, chat).await;
    let text = "The agent's words by the SDK.";
    let goes = async |customer: &str, expect: &str| {
        let who = ["--mode", "loop", "--integration", &integration, "--customer", customer];
        run(sdk(), &api, &[&who[..], &["--text", text, "--expect", expect]].concat()).await
    };
    let delivered = goes("noor", "Delivered").await;
    assert_eq!(delivered["status"], "delivery-success");
    assert_eq!(all.chat.taken(), [text]);
    let failed = goes("never-ready", "Failed").await;
    assert_eq!(failed["receipts"][0]["reasons"][0]["code"], "MessageExpired");
    assert!(
        failed["errorInfo"].as_str().is_some_and(|info| info.contains("MessageExpired")),
        "{failed}"
    );
    assert_eq!(all.chat.taken(), [text], "what failed was never forwarded");

    // The SDK found exactly the receipts that went over the wire.
    for seen in [delivered, failed] {
        let message = seen["message"].as_str().expect("an id");
        let posted = all.sandbox.receipts(message).await;
        assert_eq!(posted.len(), 1, "{posted:?}");
        assert_eq!(posted[0]["status"], seen["receipts"][0]["status"]);
    }
    let verdict = all.sandbox.verdict().await;
    assert_eq!(verdict["holds"], true, "{verdict}");
    all.audited();
}

/// The Python interpreter with the SDK, as the test set-up installs it.
pub(crate) fn python() -> PathBuf {
    let set = std::env::var_os("TIDEGATE_SDK_PYTHON").map(PathBuf::from);
    let program = set.unwrap_or_else(|| root().join("target/test-tools/python/bin/python3"));
    assert!(program.exists(), "the SDK for Python is not installed: ./test does it");
    program
}

/// Runs one of the SDK's programs. Returns what it printed.
async fn run(mut command: Command, api: &str, arguments: &[&str]) -> Value {
    command.args(["--api", api]).args(arguments);
    let output =
        tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("it runs");
    let (told, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{errors}");
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}
