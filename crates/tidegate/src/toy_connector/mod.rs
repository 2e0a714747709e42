//! A connector that appends messages to a file, and accepts events with a plain token. It does not
//! make the HTTP calls of the connector protocol.
//!
//! It shows that a new connector needs one folder and one line of the registry: only its `mod` line
//! and the list in `tests.rs` name it.

mod tests;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use connector::protocol::{self, BadEvent, NotEvents};
use connector::{
    BuildParts, Built, Capabilities, CheckError, Connector, ContentKinds, Description, EventSource,
    EventsRefused, Forward, IncomingEvent, Keys, Kind, Open, Setting, SettingValue, Settings,
    Typing,
};
use conversation::{AttemptOutcome, ConversationId, OpenOutcome, SessionId};

const CAPABILITIES: Capabilities = Capabilities {
    reports_delivery: false,
    idempotent: false,
    typing: false,
    max_text: None,
    media: Vec::new(),
    content: ContentKinds::Only(BTreeSet::new()),
};

/// The kind `file`.
struct FileKind;

/// The settings in `[integration.connector]`.
#[derive(Clone)]
struct FileSettings {
    path: PathBuf,
    token: String,
}

struct FileConnector {
    path: PathBuf,
    capabilities: Capabilities,
}

struct TokenEvents {
    token: String,
}

impl Kind for FileKind {
    fn name(&self) -> &'static str {
        "file"
    }

    fn description(&self) -> Description {
        Description {
            summary: "A file, to which each message is appended.",
            page: "crates/tidegate/src/toy_connector/mod.rs",
            settings: &[
                Setting {
                    key: "path",
                    value: SettingValue::Text,
                    default: None,
                    meaning: "The file.",
                    example: "\"/var/lib/chat/lines\"",
                },
                Setting {
                    key: "token",
                    value: SettingValue::Secrets,
                    default: None,
                    meaning: "What the chat service sends as its bearer token.",
                    example: "{ env = \"NAME\" }",
                },
            ],
            capabilities: CAPABILITIES,
            limits: vec!["The file is only written.".to_owned()],
            tested_with: &["a file"],
        }
    }

    fn settings(&self, keys: &dyn Keys) -> Option<Arc<dyn Settings>> {
        keys.require("path", "path = \"/var/lib/chat/lines\"");
        let path = keys.parsed("path", |path| Ok(PathBuf::from(path)));
        keys.require("token", "token = { env = \"NAME\" }");
        let token = keys.secrets("token", |token| Ok(token.to_owned()));
        Some(Arc::new(FileSettings { path: path?, token: token?.remove(0) }))
    }
}

impl std::fmt::Debug for FileSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSettings").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Settings for FileSettings {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn address(&self) -> String {
        self.path.display().to_string()
    }

    fn build(&self, _: &BuildParts<'_>) -> Built {
        let Self { path, token } = self.clone();
        Built {
            connector: Arc::new(FileConnector { path, capabilities: self.capabilities() }),
            events: Arc::new(TokenEvents { token }),
        }
    }
}

#[async_trait]
impl Connector for FileConnector {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new(&call.customer.id))
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        let not_taken = |reason: String| AttemptOutcome::NotTaken {
            reason: conversation::Reason::new(conversation::ReasonCode::GeneralError, &reason),
            after: None,
        };
        if let Err(obstacle) = message.departure.leave() {
            return not_taken(obstacle.to_string());
        }
        let line = format!("{}: {}\n", message.session, message.text.as_deref().unwrap_or(""));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        match file.and_then(|mut file| file.write_all(line.as_bytes())) {
            Ok(()) => AttemptOutcome::Delivered { service_id: None },
            Err(error) => not_taken(error.to_string()),
        }
    }

    async fn typing(&self, _: &ConversationId, _: Typing) -> Result<(), String> {
        Ok(())
    }

    async fn close(&self, _: &ConversationId, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn check(&self) -> Result<String, CheckError> {
        Ok("is a file".to_owned())
    }
}

impl EventSource for TokenEvents {
    fn verify(&self, headers: &HeaderMap, _: &[u8]) -> Result<(), EventsRefused> {
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        if given == Some(format!("Bearer {}", self.token).as_bytes()) {
            Ok(())
        } else {
            Err(EventsRefused::new("the token is missing or wrong"))
        }
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Result<IncomingEvent, BadEvent>>, NotEvents> {
        protocol::parse(body)
    }
}
