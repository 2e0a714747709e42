//! What the gateway is told when it starts; the program makes it from the configuration.

use std::sync::Arc;
use std::time::Duration;

use connector::Connector;
use connector::http::Inbound;
use conversation::{IntegrationName, NoticeKind, Policy};
use genesys::{Budget, Secret};

/// One Open Messaging integration and the chat service behind it.
pub struct Integration {
    /// Its name in URLs, logs and metrics.
    pub name: IntegrationName,
    /// Genesys's id of it.
    pub genesys_id: String,
    /// The webhook's secrets; several while one replaces another.
    pub webhook_secrets: Vec<Secret>,
    /// The right to call Genesys.
    pub budget: Budget,
    /// What the operator chose.
    pub policy: Policy,
    /// What the agent is told.
    pub notices: NoticeTexts,
    /// How the end of a conversation at Genesys is learnt.
    pub detect_end: DetectEnd,
    /// The chat service.
    pub connector: Arc<dyn Connector>,
    /// How its events are checked and read.
    pub events: Inbound,
}

/// How the end of a conversation at Genesys is learnt, which no webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectEnd {
    /// From Genesys's notifications, and by asking in case one was lost.
    Notifications {
        /// About each conversation with a session once in this time.
        poll: Duration,
    },
    /// By asking alone.
    Poll {
        /// About each conversation with a session once in this time.
        every: Duration,
    },
    /// Not at all.
    Off,
}

/// What the agent is told inside the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeTexts {
    /// A message waits for the customer's chat session.
    pub held: String,
    /// A message's time ran out.
    pub expired: String,
    /// A message failed for another reason.
    pub failed: String,
}

impl NoticeTexts {
    /// The text for `kind`.
    pub fn of(&self, kind: NoticeKind) -> &str {
        match kind {
            NoticeKind::Held => &self.held,
            NoticeKind::Expired => &self.expired,
            NoticeKind::Failed => &self.failed,
        }
    }
}

impl Default for NoticeTexts {
    fn default() -> Self {
        Self {
            held: "The customer's chat is not open yet. Your message waits and is delivered as soon as it is.".into(),
            expired: "Your message was not delivered: its time ran out.".into(),
            failed: "Your message was not delivered to the customer.".into(),
        }
    }
}

/// Sizes and times that are the same for all integrations.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body of a webhook or an event, in bytes.
    pub max_body: usize,
    /// How many connections there may be from callers; for more, those make room that keep the gateway waiting.
    pub connections: usize,
    /// How long a webhook waits for a store that cannot take it, before it is answered 503.
    pub store_patience: Duration,
    /// How long what is under way may go on after the gateway was told to stop.
    pub shutdown: Duration,
    /// How long finished conversations are kept.
    pub retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1 << 20,
            connections: 16_384,
            store_patience: Duration::from_secs(8),
            shutdown: Duration::from_secs(8),
            retention: Duration::from_hours(30 * 24),
        }
    }
}
