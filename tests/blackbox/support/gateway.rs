//! `tidegate serve`, and what Genesys and chat services send to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{CONNECTOR_SECRET, Process, Sandbox, client, eventually, free_port, tidegate};

/// Signs the webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "blackbox-webhook-secret-0123456789";

pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) process: Process,
    config: PathBuf,
    port: u16,
    client: reqwest::Client,
}

impl Gateway {
    /// Writes a configuration and returns where it is.
    pub(crate) fn configure(
        dir: &Path,
        port: u16,
        genesys: &str,
        integration_id: &str,
        chat: &str,
        integration: &str,
    ) -> PathBuf {
        let store = store_in(dir);
        // A test may configure how the end of a chat is detected.
        let end = if integration.contains("[integration.end]") {
            ""
        } else {
            r#"end = { detect = "poll", poll = "1s" }"#
        };
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[store]
url = "{store}"

[[integration]]
name = "acme"
api_url = "{genesys}"
login_url = "{genesys}"
integration_id = "{integration_id}"
clients = [{{ id = "sandbox-client", secret = "sandbox-secret" }}]
webhook_secret = "{WEBHOOK_SECRET}"
{end}

[integration.connector]
type = "http"
url = "{chat}"
secret = "{CONNECTOR_SECRET}"
reports_delivery = true

{integration}
"#
        );
        let config = dir.join("tidegate.toml");
        std::fs::write(&config, text).expect("a configuration");
        config
    }

    /// Starts a gateway for a new integration of this sandbox, with its store in `dir`.
    pub(crate) async fn beside(
        sandbox: &Sandbox,
        dir: &Path,
        chat: &str,
        integration: &str,
    ) -> Self {
        let port = free_port();
        let webhook = format!("http://127.0.0.1:{port}/genesys/acme");
        let id = sandbox.create_integration(&webhook, WEBHOOK_SECRET).await;
        let config = Self::configure(dir, port, &sandbox.url, &id, chat, integration);
        Self::start(&config, port).await
    }

    /// Starts the gateway, and waits until it is ready.
    pub(crate) async fn start(config: &Path, port: u16) -> Self {
        Self::start_as(tidegate(), config, port).await
    }

    /// The same with a command of the test that runs the program.
    pub(crate) async fn start_as(command: Command, config: &Path, port: u16) -> Self {
        let mut gateway = Self::launch(command, config, port, &[]);
        gateway.ready().await;
        gateway
    }

    fn launch(mut command: Command, config: &Path, port: u16, options: &[&str]) -> Self {
        let log = config.with_file_name("gateway.log");
        command.args(["serve", "--config"]).arg(config).args(options);
        let process = Process::start(command, &log);
        let (config, url) = (config.to_owned(), format!("http://127.0.0.1:{port}"));
        Self { url, process, config, port, client: client() }
    }

    pub(crate) async fn ready(&mut self) {
        let url = format!("{}/readyz", self.url);
        let client = self.client.clone();
        let answered = eventually("the gateway is ready, or ended", async || {
            let answer = client.get(&url).send().await;
            let ready = answer.is_ok_and(|answer| answer.status().is_success());
            (ready || !self.process.runs()).then_some(ready)
        });
        let answered = answered.await;
        assert!(answered, "the gateway ended:\n{}", self.process.log());
    }

    /// Starts it again after it was killed or stopped, on the same store.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// The same, with options for `tidegate serve`.
    pub(crate) async fn restart_with(&mut self, options: &[&str]) {
        self.process = Self::launch(tidegate(), &self.config, self.port, options).process;
        self.ready().await;
    }

    /// The same with a command of the test that runs the program.
    pub(crate) async fn restart_as(&mut self, command: Command) {
        self.process = Self::launch(command, &self.config, self.port, &[]).process;
        self.ready().await;
    }

    /// Posts a webhook with the right signature. Returns the status.
    pub(crate) async fn webhook(&self, body: &[u8]) -> u16 {
        let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), body);
        self.webhook_signed(body, Some(&signature)).await
    }

    /// Posts a webhook with any signature, or none.
    pub(crate) async fn webhook_signed(&self, body: &[u8], signature: Option<&str>) -> u16 {
        let mut call = self.client.post(format!("{}/genesys/acme", self.url)).body(body.to_vec());
        if let Some(signature) = signature {
            call = call.header(genesys::signature::HEADER, signature);
        }
        call.send().await.map_or(0, |answer| answer.status().as_u16())
    }

    /// Posts events with the right signature. Returns status and answer.
    pub(crate) async fn events(&self, body: &[u8]) -> (u16, Value) {
        self.events_signed(body, CONNECTOR_SECRET, SignedDuration::ZERO).await
    }

    /// Posts events, signed with any secret by a clock that differs from ours.
    pub(crate) async fn events_signed(
        &self,
        body: &[u8],
        secret: &str,
        off: SignedDuration,
    ) -> (u16, Value) {
        let id = signature_id(body);
        let at = now() + off;
        let secret: connector::http::Secret = secret.parse().expect("a secret");
        let signature = connector::http::Secrets::from(secret).sign(&id, at, body);
        let call =
            self.client.post(format!("{}/connectors/acme/events", self.url)).body(body.to_vec());
        let call =
            call.header("webhook-id", id).header("webhook-timestamp", at.as_second().to_string());
        let answer = call.header("webhook-signature", signature).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// The value of a metric, which is named with its labels as in `/metrics`; `None` if it is not
    /// there.
    pub(crate) async fn metric(&self, name: &str) -> Option<u64> {
        let (_, text) = self.get("/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim().parse().expect("a number"))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer =
            self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// Sends SIGTERM, and checks that it ends within 10 s.
    pub(crate) async fn stop(&mut self) {
        assert!(
            self.process.terminate(Duration::from_secs(10)).await,
            "the gateway ends with 0 within 10 s"
        );
    }
}

/// The URL of a test's store: a file, unless `store.url` names a database.
pub(crate) fn store_in(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("store.url"))
        .unwrap_or_else(|_| format!("sqlite:{}", dir.join("tidegate.db").display()))
}

/// The time by the clock of Genesys or of a chat service.
pub(crate) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is outside of the gateway has its own clock"
    )]
    Timestamp::now()
}

/// The id with which a body is signed: the same for the same body.
fn signature_id(body: &[u8]) -> String {
    let hash = conversation::MessageId::from_foreign(&String::from_utf8_lossy(body)).to_string();
    format!("evt-{}", hash.chars().take(40).collect::<String>())
}
