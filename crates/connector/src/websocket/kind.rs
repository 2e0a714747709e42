//! `type = "websocket"`: its keys, and how it is built.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::WebSocketConnector;
use super::limits::{Limits, MAX_CALLS};
use crate::http::{Inbound, Secrets, keys};
use crate::protocol::answer::LONGEST_ANSWER;
use crate::protocol::{MAX_CONTENT, MAX_EVENTS, MAX_ID, MAX_SESSION};
use crate::{
    BuildParts, Built, Capabilities, Description, Keys, Kind, Setting, SettingDefault,
    SettingValue, Settings, capability_keys,
};

/// How long a socket may be silent.
const DEAD_AFTER: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
/// How many sockets a chat service may open to one node.
const MAX_SOCKETS: RangeInclusive<usize> = 1..=256;

const DEFAULT_LIMITS: Limits = Limits { max_sockets: 8, dead_after: Duration::from_secs(45) };

/// The keys, also as in docs/socket.md.
const SETTINGS: &[Setting] = &[
    Setting {
        key: "secret",
        value: SettingValue::Secrets,
        default: None,
        meaning: "The secret with which the service signs its request for a socket: `whsec_` and \
                  at least 24 bytes in base64. `echo whsec_$(openssl rand -base64 32)` creates \
                  one.",
        example: "{ env = \"ACME_CONNECTOR_SECRET\" }",
    },
    keys::TIMEOUT,
    Setting {
        key: "dead_after",
        value: SettingValue::Duration(DEAD_AFTER),
        default: Some(SettingDefault::Is("\"45s\"")),
        meaning: "A socket from which nothing came for this long is closed. The gateway sends \
                  three pings in that time. From `\"100ms\"` to `\"1h\"`.",
        example: "\"45s\"",
    },
    Setting {
        key: "max_sockets",
        value: SettingValue::Count(MAX_SOCKETS),
        default: Some(SettingDefault::Is("8")),
        meaning: "How many sockets the service may have open at once at one node of the gateway. \
                  From 1 to 256.",
        example: "8",
    },
    capability_keys::REPORTS_DELIVERY,
    capability_keys::IDEMPOTENT,
    capability_keys::TYPING,
    capability_keys::LONGEST_TEXT,
    capability_keys::MEDIA,
    capability_keys::CONTENT,
];

/// What `[integration.connector]` says for a chat service that opens sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// The secrets that sign the request for a socket.
    pub secret: Secrets,
    /// How long a request for a session may take.
    pub timeout: Duration,
    /// The limits of its sockets.
    pub limits: Limits,
    /// What the chat service can do.
    pub capabilities: Capabilities,
}

/// The kind `websocket`: any chat service that opens sockets and speaks the connector protocol.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketKind;

impl Kind for WebSocketKind {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn description(&self) -> Description {
        Description {
            summary: "Any chat service that cannot accept connections, and opens a WebSocket.",
            page: "docs/socket.md",
            settings: SETTINGS,
            capabilities: capability_keys::default(),
            limits: vec![
                "A frame of events has up to `server.max_body` bytes.".to_owned(),
                format!("The body of an answer has up to {} KiB.", LONGEST_ANSWER / 1024),
                format!("Up to {MAX_CALLS} calls wait for their answers on one socket."),
                format!("A session has up to {MAX_SESSION} bytes, any other id up to {MAX_ID}."),
                format!("A frame has up to {MAX_EVENTS} events."),
                format!("A customer's message has up to {MAX_CONTENT} content elements."),
                "Each node of the gateway needs sockets of its own.".to_owned(),
            ],
            tested_with: &[
                "examples/typescript-socket, with the WebSocket client of Node",
                "scripted services over tokio-tungstenite that break off, hang, and send garbage",
            ],
        }
    }

    fn settings(&self, keys: &dyn Keys) -> Option<Arc<dyn Settings>> {
        let secret = keys::secret(keys);
        let timeout = keys::timeout(keys);
        let dead_after = keys.duration("dead_after", DEAD_AFTER);
        let max_sockets = keys.count("max_sockets", MAX_SOCKETS);
        let capabilities = capability_keys::read(keys);
        Some(Arc::new(WebSocketConfig {
            secret: secret?,
            timeout,
            limits: Limits {
                max_sockets: max_sockets.unwrap_or(DEFAULT_LIMITS.max_sockets),
                dead_after: dead_after.unwrap_or(DEFAULT_LIMITS.dead_after),
            },
            capabilities,
        }))
    }
}

impl Settings for WebSocketConfig {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn address(&self) -> String {
        "its own WebSocket".to_owned()
    }

    fn build(&self, parts: &BuildParts<'_>) -> Built {
        Built {
            connector: Arc::new(WebSocketConnector::new(self, Arc::clone(&parts.clock))),
            events: Arc::new(Inbound::new(self.secret.clone(), Arc::clone(&parts.clock))),
        }
    }
}
