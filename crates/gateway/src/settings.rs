//! The gateway's settings; the program creates them from the configuration.

use std::sync::Arc;
use std::time::Duration;

use connector::{Connector, EventSource, Fallback};
use conversation::{IntegrationName, NoticeKind, Policy};
use genesys::{Budget, Secret};
use media::Media;

/// One Open Messaging integration and the chat service behind it.
pub struct Integration {
    /// Its name in URLs, logs and metrics.
    pub name: IntegrationName,
    /// Its id at Genesys.
    pub genesys_id: String,
    /// The webhook's secrets; several while one replaces another.
    pub webhook_secrets: Vec<Secret>,
    /// The rate budget for calls to Genesys.
    pub budget: Budget,
    /// The operator's choices.
    pub policy: Policy,
    /// What becomes of content that the chat service cannot show.
    pub fallback: Fallback,
    /// The texts of notices to the agent.
    pub notices: NoticeTexts,
    /// How the end of a conversation at Genesys is detected.
    pub detect_end: DetectEnd,
    /// The chat service.
    pub connector: Arc<dyn Connector>,
    /// Verifies and reads its events.
    pub events: Arc<dyn EventSource>,
    /// Where the files of its messages are kept. All integrations share it. Without it, links to
    /// files pass unchanged.
    pub media: Option<Media>,
    /// The text that stands for a file that cannot be had. It contains `{name}`.
    pub lost_file: String,
}

/// Who may use the operators' API and the console.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// The tokens of the API. If there are none, it serves this machine only.
    pub tokens: Vec<OperatorToken>,
    /// The users of the console. If there are none, it serves this machine only.
    pub users: Vec<ConsoleUser>,
}

/// A user of the console.
#[derive(Clone, Debug)]
pub struct ConsoleUser {
    /// The name.
    pub name: String,
    /// The hash of the password, as a PHC string of Argon2.
    pub password_hash: Secret,
    /// What the user may do.
    pub role: Role,
}

/// A token of the operators' API.
#[derive(Clone, Debug)]
pub struct OperatorToken {
    /// Whose token it is. The journal names it with each action.
    pub name: String,
    /// The token.
    pub token: Secret,
    /// What it allows.
    pub role: Role,
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// See everything, and nothing else.
    Viewer,
    /// See everything, and act: retry and discard messages.
    Operator,
}

/// How the end of a conversation at Genesys is detected, since no webhook reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectEnd {
    /// By Genesys's notifications, and by polling in case one was lost.
    Notifications {
        /// How often each conversation with a session is polled.
        poll: Duration,
    },
    /// By polling alone.
    Poll {
        /// How often each conversation with a session is polled.
        every: Duration,
    },
    /// Not at all.
    Off,
}

/// The texts of the notices that the agent gets in the conversation.
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
            held: "The customer's chat is not open yet. Your message waits and is delivered as \
                soon as it is."
                .into(),
            expired: "Your message was not delivered: its time ran out.".into(),
            failed: "Your message was not delivered to the customer.".into(),
        }
    }
}

/// The default of [`Integration::lost_file`].
pub const LOST_FILE: &str = "[File not available: {name}]";

/// Sizes and times that apply to all integrations.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body of a webhook or an event, in bytes.
    pub max_body: usize,
    /// How many connections callers may have. If more come, callers who keep the gateway waiting
    /// lose theirs.
    pub connections: usize,
    /// How long a webhook waits for an unavailable store before it is answered 503.
    pub store_patience: Duration,
    /// How long work in progress may continue after the gateway was told to stop.
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
