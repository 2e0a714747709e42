//! Genesys's own SDKs against every path of the sandbox: their methods, their models, their errors.
//!
//! The tests themselves are in `tests/sdk`, in the SDKs' languages. This file gives them a sandbox,
//! and checks that they left out no operation of its document.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::sdk::python;
use crate::support::{Sandbox, root};

#[tokio::test]
async fn the_python_sdk_calls_every_path_and_understands_every_answer() {
    let mut command = Command::new(python());
    command.arg(root().join("tests/sdk/python/conformance.py"));
    conforms(command).await;
}

#[tokio::test]
async fn the_node_sdk_calls_every_path_and_understands_every_answer() {
    let folder = root().join("tests/sdk/node");
    assert!(
        folder.join("node_modules").exists(),
        "the SDK for Node is not installed: ./test does it"
    );
    let mut command = Command::new("node");
    command.arg(folder.join("conformance.mjs"));
    conforms(command).await;
}

/// Runs the SDK's tests on a sandbox of their own.
async fn conforms(mut command: Command) {
    let dir = TempDir::new().expect("a folder");
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    command.args(["--api", &sandbox.url]);
    let output =
        tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("it runs");
    let (told, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}\n{told}");

    let result: Value =
        serde_json::from_str(told.lines().last().unwrap_or_default()).expect("the result as JSON");
    assert!(
        result["passed"].as_u64().is_some_and(|passed| passed > 100),
        "hardly a test ran: {result}"
    );
    let called = result["operations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let called: BTreeSet<&str> = called.collect();
    let document = sandbox.try_get("/sandbox/openapi.json").await.expect("the document");
    let paths = document["paths"].as_object().expect("paths").values();
    let calls = paths.flat_map(|path| path.as_object().expect("calls").values());
    let described: BTreeSet<&str> =
        calls.map(|call| call["operationId"].as_str().expect("a name")).collect();
    assert_eq!(called, described);

    // A 500 that was not injected would be a bug in the sandbox, however the SDK handled it.
    let broken = |entry: &Value| {
        let asked_for = entry["faults"].to_string().contains("injected: ");
        entry["kind"] == "request" && entry["status"] == 500 && !asked_for
    };
    let broken: Vec<Value> = sandbox.transcript().await.into_iter().filter(broken).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
