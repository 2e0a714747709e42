//! The chat service of `examples/python-chat`, as a process, and its log.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{CONNECTOR_SECRET, Process, client, eventually, free_port, root};

pub(crate) struct PythonChat {
    pub(crate) url: String,
    pub(crate) process: Process,
    log: PathBuf,
    client: reqwest::Client,
}

impl PythonChat {
    pub(crate) async fn start(dir: &Path, events: &str, options: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let log = dir.join("chat.jsonl");
        let mut command = Command::new("python3");
        command.arg(root().join("examples/python-chat/chat_service.py"));
        command.args(["--listen", &listen, "--gateway", events, "--secret", CONNECTOR_SECRET]);
        command.arg("--log").arg(&log).args(options);
        let process = Process::start(command, &dir.join("chat.log"));
        let chat = Self { url: format!("http://{listen}"), process, log, client: client() };
        eventually("the chat service answers", async || chat.thread("nobody").await).await;
        chat
    }

    /// The customer writes.
    pub(crate) async fn says(&self, customer: &str, text: &str) {
        let call = self.client.post(format!("{}/customers/{customer}/say", self.url));
        let answer = call.json(&json!({ "text": text })).send().await.expect("an answer");
        assert!(answer.status().is_success(), "the chat service takes it: {answer:?}");
    }

    /// What the customer's page shows, as the service tells it.
    pub(crate) async fn thread(&self, customer: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}/customers/{customer}", self.url)).send().await.ok()?;
        Some(answer.json().await.unwrap_or_default())
    }

    /// Its own log: one JSON object for everything that happened to it.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a log line is JSON")).collect()
    }
}
