//! The configurations in the documents, against the sandbox: the minimal one and the whole example.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{
    CONNECTOR_SECRET, Process, PythonChat, Sandbox, WEBHOOK_SECRET, client, eventually, free_port,
    output, root, tidegate,
};

/// The webhook of an integration `acme`, as the documents' `public_url` makes it.
const WEBHOOK: &str = "https://gateway.example.com/genesys/acme";

#[tokio::test]
async fn the_least_configuration_passes_the_check() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).expect("the page");
    let least = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a configuration");
    let dir = TempDir::new().expect("a folder");
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let id = sandbox.create_integration(WEBHOOK, WEBHOOK_SECRET).await;
    let chat =
        PythonChat::start(dir.path(), "http://127.0.0.1:9/connectors/acme/events", &[]).await;
    fs::write(dir.path().join("tidegate.toml"), at_the_sandbox(least, &sandbox.url))
        .expect("a file");
    let checked = output(with_variables(dir.path(), "check", &id, &chat.url));
    let told = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && told.contains("checks passed"), "{told}");
}

#[tokio::test]
async fn the_example_configuration_carries_a_message() {
    let example = fs::read_to_string(root().join("tidegate.example.toml")).expect("the example");
    let dir = TempDir::new().expect("a folder");
    let port = free_port();
    let gateway = format!("http://127.0.0.1:{port}");
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let id = sandbox.create_integration(&format!("{gateway}/genesys/acme"), WEBHOOK_SECRET).await;
    let events = format!("{gateway}/connectors/acme/events");
    let chat = PythonChat::start(dir.path(), &events, &["--handshake", "0"]).await;
    fs::write(dir.path().join("tidegate.toml"), at_the_sandbox(&example, &sandbox.url))
        .expect("a file");
    let mut serve = with_variables(dir.path(), "serve", &id, &chat.url);
    serve.env("TIDEGATE_SERVER__LISTEN", format!("127.0.0.1:{port}"));
    let mut process = Process::start(serve, &dir.path().join("gateway.log"));
    let client = client();
    eventually("the gateway answers, or ended", async || {
        assert!(process.runs(), "the gateway ended:\n{}", process.log());
        client
            .get(format!("{gateway}/healthz"))
            .send()
            .await
            .ok()
            .filter(|answer| answer.status().is_success())
    })
    .await;
    chat.says("noor", "Where is my parcel?").await;
    let send = async || sandbox.agent_sends("noor", "It left yesterday.").await;
    let message = eventually("the agent has the conversation", send).await;
    assert_eq!(sandbox.final_receipt(&message).await, ("Delivered".to_owned(), None));
}

/// A configuration with the sandbox instead of a region.
fn at_the_sandbox(configuration: &str, url: &str) -> String {
    let lines = configuration
        .lines()
        .filter(|line| !line.starts_with("# api_url") && !line.starts_with("# login_url"));
    let lines = lines.map(|line| {
        let two = || format!("api_url = \"{url}\"\nlogin_url = \"{url}\"");
        if line.starts_with("region") { two() } else { line.to_owned() }
    });
    let changed = lines.collect::<Vec<_>>().join("\n");
    assert!(changed.contains("api_url"), "it names a region");
    changed
}

/// The command in that folder, with the variables that the documents name; other variables set what
/// differs in a test.
fn with_variables(dir: &Path, what: &str, integration: &str, chat: &str) -> Command {
    let mut command = tidegate();
    command.arg(what).current_dir(dir);
    command.env("ACME_CLIENT_SECRET", "sandbox-secret").env("ACME_WEBHOOK_SECRET", WEBHOOK_SECRET);
    command.env("ACME_CONNECTOR_SECRET", CONNECTOR_SECRET);
    command.env("TIDEGATE_INTEGRATION__0__INTEGRATION_ID", integration);
    command.env("TIDEGATE_INTEGRATION__0__CLIENTS__0__ID", "sandbox-client");
    command.env("TIDEGATE_INTEGRATION__0__CONNECTOR__URL", chat);
    command
}
