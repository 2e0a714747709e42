//! How a sandbox is started, and the switches that can be turned while it runs.
//!
//! A switch exists wherever Genesys's behaviour is not established, or where a test wants another figure.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The seed of the chance that faults depend on.
    pub seed: u64,
    /// How many seconds of sandbox time pass in a real second.
    pub clock_scale: f64,
    /// The OAuth clients: id and secret.
    pub clients: Vec<(String, String)>,
    /// Requests a minute for each token (Genesys's default is 300); 0 sets no limit.
    pub rate_per_minute: u32,
    /// The most entries that the transcript keeps; the oldest go first.
    pub transcript_entries: usize,
    /// The most bytes of bodies that the transcript keeps; the oldest go first.
    pub transcript_bytes: usize,
    /// The most webhook calls that are under way at once for one integration.
    pub webhook_connections: usize,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            clock_scale: 1.0,
            clients: vec![("sandbox-client".to_owned(), "sandbox-secret".to_owned())],
            rate_per_minute: 300,
            transcript_entries: 200_000,
            transcript_bytes: 256 * 1024 * 1024,
            webhook_connections: 64,
        }
    }
}

/// What can be turned while the sandbox runs: `GET` and `PUT /sandbox/switches`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// What a webhook that failed for good takes with it.
    pub refused_webhook: RefusedWebhook,
    /// The answer to a receipt for a message that does not exist.
    pub unknown_receipt: UnknownReceipt,
    /// Requests a minute for each token; 0 sets no limit.
    pub rate_per_minute: u32,
    /// The life of the tokens given from now on.
    pub token_life: Span,
    /// How long after its end a conversation is taken up again (Genesys: 0 to 72 h).
    pub threading_window: Span,
    /// How long an integration stays `Initiated`.
    pub create_delay: Span,
    /// The time limit of one webhook call.
    pub webhook_timeout: Span,
    /// How often a webhook call is tried again.
    pub webhook_retries: u32,
    /// The pause before each of them.
    pub webhook_pause: Span,
    /// Whether an agent's typing reaches the webhook (off at Genesys until a platform configuration turns it on).
    pub typing: bool,
    /// Whether a second inbound message with the same `channel.messageId` is swallowed.
    pub dedupe_inbound: bool,
    /// The status of a successful inbound call: 200 or 202.
    pub inbound_status: u16,
    /// To where webhooks may go by plain http.
    pub plain_http: PlainHttp,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            refused_webhook: RefusedWebhook::Conversation,
            unknown_receipt: UnknownReceipt::NotFound,
            rate_per_minute: 300,
            token_life: Span::secs(86_400),
            threading_window: Span::secs(72 * 3_600),
            create_delay: Span::secs(1),
            webhook_timeout: Span::secs(10),
            webhook_retries: 5,
            webhook_pause: Span::secs(5),
            typing: true,
            dedupe_inbound: false,
            inbound_status: 200,
            plain_http: PlainHttp::Loopback,
        }
    }
}

impl Switches {
    /// These switches with those that `changes` names set anew; the error names what is wrong.
    pub(crate) fn with(&self, changes: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let Some(all) = all.as_object_mut() {
            all.extend(changes);
        }
        let switches: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        if !matches!(switches.inbound_status, 200 | 202) {
            return Err("inbound_status is 200 or 202".to_owned());
        }
        if switches.webhook_retries > 100 {
            return Err("webhook_retries is at most 100".to_owned());
        }
        Ok(switches)
    }
}

/// What a webhook that failed for good takes with it; both have been seen at Genesys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedWebhook {
    /// The message alone.
    Message,
    /// The whole conversation, which ends in error.
    Conversation,
}

/// The answer to a receipt for a message that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReceipt {
    /// 404.
    NotFound,
    /// The same answer as for any other.
    Accept,
}

/// To where webhooks may go by plain http. Genesys itself insists on https.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlainHttp {
    /// To this machine.
    Loopback,
    /// Anywhere, for example between containers.
    Anywhere,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(changes: &serde_json::Value) -> Result<Switches, String> {
        Switches::default().with(changes.as_object().unwrap().clone())
    }

    #[test]
    fn a_change_leaves_the_others_alone() {
        let changed = with(&json!({"refused_webhook": "message", "token_life": "5m"})).unwrap();
        let wanted =
            Switches { refused_webhook: RefusedWebhook::Message, token_life: Span::secs(300), ..Switches::default() };
        assert_eq!(changed, wanted);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [json!({"refused": 1}), json!({"inbound_status": 500}), json!({"token_life": 5})] {
            assert!(with(&wrong).is_err(), "{wrong}");
        }
    }
}
