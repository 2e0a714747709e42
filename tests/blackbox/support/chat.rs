//! The chat service of `examples/python-chat` as a process, as `tests/chat/scripted_chat.py` runs it,
//! and its log.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{CONNECTOR_SECRET, Process, client, eventually, free_port, root};

pub(crate) struct PythonChat {
    pub(crate) url: String,
    process: Process,
    dir: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    client: reqwest::Client,
}

impl PythonChat {
    pub(crate) async fn start(dir: &Path, events: &str, options: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let log = dir.join("chat.jsonl");
        let arguments =
            ["--listen", &listen, "--gateway", events, "--secret", CONNECTOR_SECRET, "--log"];
        let arguments = arguments.into_iter().map(str::to_owned).chain([log.display().to_string()]);
        let arguments: Vec<_> =
            arguments.chain(options.iter().map(|&option| option.to_owned())).collect();
        let process = Self::launch(dir, &arguments);
        let url = format!("http://{listen}");
        let chat = Self { url, process, dir: dir.to_owned(), arguments, log, client: client() };
        chat.answers().await;
        chat
    }

    fn launch(dir: &Path, arguments: &[String]) -> Process {
        let mut command = Command::new("python3");
        command.arg(root().join("tests/chat/scripted_chat.py")).args(arguments);
        Process::start(command, &dir.join("chat.log"))
    }

    async fn answers(&self) {
        eventually("the chat service answers", async || self.thread("nobody").await).await;
    }

    /// Kills it, and with it every session.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts it without any sessions.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = Self::launch(&self.dir, &self.arguments);
        self.answers().await;
    }

    /// The customer writes.
    pub(crate) async fn says(&self, customer: &str, text: &str) {
        let call = self.client.post(format!("{}/customers/{customer}/say", self.url));
        let answer = call.json(&json!({ "text": text })).send().await.expect("an answer");
        assert!(answer.status().is_success(), "the chat service takes it: {answer:?}");
    }

    /// What the customer's page shows, as the service tells it.
    pub(crate) async fn thread(&self, customer: &str) -> Option<Value> {
        let answer =
            self.client.get(format!("{}/customers/{customer}", self.url)).send().await.ok()?;
        Some(answer.json().await.unwrap_or_default())
    }

    /// Its own log: one JSON object per event.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a log line is JSON")).collect()
    }
}
