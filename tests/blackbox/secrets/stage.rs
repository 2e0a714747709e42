//! A loop full of secrets, with a listener between the gateway and Genesys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tempfile::TempDir;

use super::Told;
use crate::support::{
    CONNECTOR_SECRET, Gateway, PythonChat, Sandbox, Tap, WEBHOOK_SECRET, free_port, tidegate,
};

const OAUTH_SECRET: &str = "planted-oauth-secret-7f3a9c";
const URL_PASSWORD: &str = "planted-connector-password-51bd";

const SHORT: &str = r#"
[integration.delivery]
give_up_after = "3s"
timeout = "1s"

[integration.agent_notice]
on = ["held", "failed"]

[integration.end]
detect = "notifications"
poll = "1s"
"#;

pub(super) struct Stage {
    pub(super) sandbox: Sandbox,
    pub(super) chat: PythonChat,
    pub(super) gateway: Gateway,
    pub(super) tap: Tap,
    pub(super) dir: TempDir,
}

impl Stage {
    /// `store` is the store's URL if it is not a file; `level` is the log level if it is not the
    /// default.
    pub(super) async fn set(store: Option<&str>, level: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        if let Some(store) = store {
            std::fs::write(dir.path().join("store.url"), store).expect("written");
        }
        let port = free_port();
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        sandbox.accept_unknown_receipts().await;
        sandbox.put("/sandbox/clients/planted", &json!({ "secret": OAUTH_SECRET })).await;
        sandbox
            .put("/sandbox/switches", &json!({ "webhook_pause": "250ms", "webhook_retries": 60 }))
            .await;
        let id = sandbox
            .create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET)
            .await;
        let events = format!("http://127.0.0.1:{port}/connectors/acme/events");
        let chat = PythonChat::start(dir.path(), &events, &["--handshake", "0.3"]).await;
        let tap = Tap::to(&sandbox.url).await;
        let address = chat.url.replacen("http://", &format!("http://tidegate:{URL_PASSWORD}@"), 1);
        let config = Gateway::configure(dir.path(), port, &tap.url, &id, &address, SHORT);
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let text = text
            .replace("\"sandbox-client\"", "\"planted\"")
            .replace("\"sandbox-secret\"", &format!("{OAUTH_SECRET:?}"));
        std::fs::write(&config, text).expect("a configuration");
        let mut command = tidegate();
        if let Some(level) = level {
            command.env("TIDEGATE_LOG", level);
        }
        let gateway = Gateway::start_as(command, &config, port).await;
        Self { sandbox, chat, gateway, tap, dir }
    }

    /// The secrets, in every form in which they are stored or go over the wire.
    pub(super) fn secrets(&self) -> Vec<String> {
        let key = CONNECTOR_SECRET.strip_prefix("whsec_").expect("a connector's secret");
        let decoded =
            String::from_utf8(BASE64.decode(key).expect("base64")).expect("ours is a text");
        let basic = |user: &str, password: &str| BASE64.encode(format!("{user}:{password}"));
        let mut all = vec![
            WEBHOOK_SECRET.to_owned(),
            OAUTH_SECRET.to_owned(),
            URL_PASSWORD.to_owned(),
            key.to_owned(),
            decoded,
            basic("planted", OAUTH_SECRET),
            basic("tidegate", URL_PASSWORD),
        ];
        let tokens = self.tap.after("authorization: Bearer ");
        assert!(tokens.len() >= 2, "tokens were minted, and one replaced another: {tokens:?}");
        // The address of a channel is a secret, since anyone who has it may listen.
        let channels = self.tap.after("/channels/");
        assert!(!channels.is_empty(), "a channel was made");
        all.extend(tokens);
        all.extend(
            channels
                .into_iter()
                .map(|rest| rest.split([' ', '/']).next().unwrap_or_default().to_owned()),
        );
        all
    }

    /// Collects the process's output, its answers to anyone, and the output of its commands.
    pub(super) async fn collect(&self, told: &mut Told) {
        for path in ["/healthz", "/readyz", "/metrics", "/", "/genesys/acme", "/nowhere"] {
            told.add(format!("the answer to GET {path}"), self.gateway.get(path).await.1);
        }
        let config = self.dir.path().join("tidegate.toml");
        let store = crate::support::store_in(self.dir.path());
        for level in ["info", super::LOUDEST] {
            let code = told.command(&["check", "--config"], Some(&config), level);
            assert!(code.is_some(), "it ended by itself");
            told.command(&["audit", "--store", &store], None, level);
            told.command(&["serve", "--config"], Some(&config), level);
        }
        told.add("the log", self.gateway.process.log());
    }
}
