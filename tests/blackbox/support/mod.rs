//! Real programs on loopback: the built `tidegate` as sandbox and as gateway, the Python chat
//! service of the examples.
//!
//! Each is a process of its own, stopped by its process id when the test ends. Nothing here waits
//! without a condition.

mod audit;
mod bodies;
mod chat;
mod gateway;
mod nodes;
mod page;
mod process;
mod recording_chat;
mod sandbox;
mod socket;
mod tap;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) use crate::ports::free_port;
pub(crate) use audit::{audit, settled, stored};
pub(crate) use bodies::{delivered, failed, webhook};
pub(crate) use chat::PythonChat;
pub(crate) use gateway::{Gateway, WEBHOOK_SECRET, now, store_in};
pub(crate) use nodes::{Cable, Nodes};
pub(crate) use page::{bash, blocks};
pub(crate) use process::{Process, build_typescript, output, tidegate};
pub(crate) use recording_chat::{RecordingChat, conversation_of};
pub(crate) use sandbox::Sandbox;
pub(crate) use socket::{Closed, Heard, ServiceSocket, SocketLoop, opens_sockets};
pub(crate) use tap::Tap;
pub(crate) use webhook::Webhook;

/// Signs between the gateway and the chat service.
pub(crate) const CONNECTOR_SECRET: &str = "whsec_dGVzdHMtb2YtdGlkZWdhdGUtYXJlLWhvbmVzdC1vbmVz";

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The whole loop: three connected processes.
pub(crate) struct Loop {
    pub(crate) sandbox: Sandbox,
    pub(crate) chat: PythonChat,
    pub(crate) gateway: Gateway,
    // Last, so that a test that fails can still show the logs in it.
    pub(crate) dir: TempDir,
}

impl Loop {
    /// `integration` is added to the integration's table of the configuration, `chat` to the chat
    /// service's options.
    pub(crate) async fn start(integration: &str, chat: &[&str]) -> Self {
        // Set this to inspect stores and logs afterwards.
        let keep = std::env::var_os("TIDEGATE_KEEP").is_some();
        let dir = tempfile::Builder::new().disable_cleanup(keep).tempdir().expect("a folder");
        Self::start_in(dir, integration, chat).await
    }

    /// The same in a folder that may already name the store.
    pub(crate) async fn start_in(dir: TempDir, integration: &str, chat: &[&str]) -> Self {
        let port = free_port();
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        let webhook = format!("http://127.0.0.1:{port}/genesys/acme");
        let id = sandbox.create_integration(&webhook, WEBHOOK_SECRET).await;
        Self::start_on(dir, sandbox, &id, port, integration, chat).await
    }

    /// The same for an existing integration whose webhook has the gateway's port.
    pub(crate) async fn start_on(
        dir: TempDir,
        sandbox: Sandbox,
        id: &str,
        port: u16,
        integration: &str,
        chat: &[&str],
    ) -> Self {
        let events = format!("http://127.0.0.1:{port}/connectors/acme/events");
        let chat = PythonChat::start(dir.path(), &events, chat).await;
        let config = Gateway::configure(dir.path(), port, &sandbox.url, id, &chat.url, integration);
        let gateway = Gateway::start(&config, port).await;
        Self { sandbox, chat, gateway, dir }
    }

    /// The agent types these texts, one after another. Returns their ids once the gateway has them.
    pub(crate) async fn agent_types(&self, customer: &str, texts: &[&str]) -> Vec<String> {
        let mut messages = Vec::new();
        for text in texts {
            let send = async || self.sandbox.agent_sends(customer, text).await;
            let message = eventually("the agent has the conversation", send).await;
            self.taken(&message).await;
            messages.push(message);
        }
        messages
    }

    /// Waits until the gateway has an agent's message.
    pub(crate) async fn taken(&self, message: &str) {
        eventually("the gateway took it", async || {
            (self.sandbox.details(message).await["status"] != "queued").then_some(())
        })
        .await;
    }

    /// The store's URL, for the audit.
    pub(crate) fn store(&self) -> String {
        gateway::store_in(self.dir.path())
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An HTTP client for tests.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).build().expect("a client")
}

/// Polls `look` until it returns something; panics with `what` if that takes too long.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
