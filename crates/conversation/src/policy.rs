//! What an operator may choose for a conversation, as values.
//!
//! The configuration sets these values. The state machine only reads them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Every choice that concerns one conversation. [`Policy::default`] is the documented default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How messages wait for a session.
    pub hold: HoldPolicy,
    /// How a message is forwarded.
    pub delivery: DeliveryPolicy,
    /// What Genesys is told.
    pub receipts: ReceiptPolicy,
    /// What the agent is told inside the conversation.
    pub notices: BTreeSet<NoticeKind>,
    /// When to give up a customer's message that Genesys never takes.
    pub inbound: InboundLimits,
    /// What to do when the customer has left.
    pub on_customer_left: CustomerLeft,
    /// For how long a customer's text may answer what a message offers, from the message's arrival.
    pub answer_within: Duration,
    /// Whether the chat service reports a message's outcome after it accepted it (declared by the
    /// connector).
    pub service_reports: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            hold: HoldPolicy::default(),
            delivery: DeliveryPolicy::default(),
            receipts: ReceiptPolicy::default(),
            notices: BTreeSet::new(),
            inbound: InboundLimits::default(),
            on_customer_left: CustomerLeft::default(),
            answer_within: Duration::from_hours(24),
            service_reports: false,
        }
    }
}

/// How messages wait for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldPolicy {
    /// How long an agent's message may wait for the handshake.
    pub limit: Duration,
    /// How many may wait in one conversation; the next one fails at once.
    pub max_messages: usize,
    /// When the handshake starts.
    pub start: HandshakeStart,
    /// Whether the customer's words wait for the handshake too.
    pub inbound: InboundPolicy,
}

impl Default for HoldPolicy {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(30),
            max_messages: 100,
            start: HandshakeStart::FirstInbound,
            inbound: InboundPolicy::Forward,
        }
    }
}

/// When to give up a customer's message that Genesys never takes, although it takes those of other
/// customers. Otherwise the messages behind it would wait forever. Both limits must be exceeded.
/// Tries that fail while Genesys takes no customer's messages do not count, so an outage loses
/// nothing, however long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundLimits {
    /// How long it must have been tried, from the first try that counts.
    pub give_up_after: Duration,
    /// How many counted tries must have failed.
    pub give_up_tries: u32,
}

impl Default for InboundLimits {
    fn default() -> Self {
        Self { give_up_after: Duration::from_hours(4), give_up_tries: 20 }
    }
}

/// When the handshake starts. An agent's message that finds no session always starts one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandshakeStart {
    /// With the customer's first message, so that it often ends before the agent answers.
    FirstInbound,
    /// Only when an agent's message needs it.
    FirstOutbound,
}

/// When the customer's messages go to Genesys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InboundPolicy {
    /// At once.
    Forward,
    /// When the handshake has ended, successfully or not, so that no agent can answer too early.
    AfterHandshake,
}

/// How a message is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// From acceptance to the last attempt.
    pub give_up_after: Duration,
    /// The shortest pause before a retry.
    pub retry_initial: Duration,
    /// The longest pause before a retry, if the chat service does not ask for a longer one.
    pub retry_max: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// What to do if the outcome of an attempt is unknown.
    pub on_unknown: OnUnknown,
    /// What a failed message does to those behind it.
    pub after_failure: AfterFailure,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_mins(5),
            retry_initial: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            on_unknown: OnUnknown::Retry,
            after_failure: AfterFailure::Continue,
        }
    }
}

/// What to do if the outcome of an attempt is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnknown {
    /// Send it again under the same idempotency key.
    Retry,
    /// Fail it, and say that it may have arrived.
    Fail,
}

/// What a failed message does to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFailure {
    /// Nothing.
    Continue,
    /// They fail too.
    FailRest,
    /// They wait until another session opens, an operator resumes the conversation, or their
    /// deadline passes.
    Pause,
}

/// What Genesys is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptPolicy {
    /// Which receipts are sent.
    pub send: SendReceipts,
    /// What counts as delivered.
    pub delivered_on: DeliveredOn,
    /// How long an accepted message may wait for the chat service's report.
    pub report_timeout: Duration,
}

impl Default for ReceiptPolicy {
    fn default() -> Self {
        Self {
            send: SendReceipts::Final,
            delivered_on: DeliveredOn::Auto,
            report_timeout: Duration::from_hours(1),
        }
    }
}

/// Which receipts are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendReceipts {
    /// One for each message.
    Final,
    /// A `Sent` as well, as soon as the chat service has accepted the message.
    All,
    /// Only those that say Failed.
    Failures,
}

/// What counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveredOn {
    /// The chat service's report if it sends reports, otherwise its acceptance.
    Auto,
    /// Its acceptance.
    Accepted,
    /// Its report.
    Reported,
}

/// The kinds of notices that an agent can get inside the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A message waits for the customer's chat session.
    Held,
    /// A message expired.
    Expired,
    /// A message failed for another reason.
    Failed,
}

/// What to do when the customer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomerLeft {
    /// The customer's participant is disconnected at Genesys.
    #[default]
    Disconnect,
    /// Nothing.
    Ignore,
}

impl DeliveryPolicy {
    /// The pause after `tries` failed tries: exponential with full jitter between the two limits.
    ///
    /// The jitter comes from a hash of `seed`, an id. It spreads like a random value, and each
    /// replay computes the same pause.
    pub(crate) fn pause(&self, seed: &[u8], tries: u32) -> Duration {
        let doubled = self.retry_initial.saturating_mul(1_u32 << tries.min(31));
        let ceiling = doubled.min(self.retry_max).max(self.retry_initial);
        let hash = Sha256::new().chain_update(seed).chain_update(tries.to_be_bytes()).finalize();
        let share = f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX);
        self.retry_initial + ceiling.saturating_sub(self.retry_initial).mul_f64(share)
    }
}

impl Policy {
    /// Whether a message that the chat service has accepted counts as delivered.
    pub(crate) fn acceptance_is_delivery(&self) -> bool {
        match self.receipts.delivered_on {
            DeliveredOn::Accepted => true,
            DeliveredOn::Reported => false,
            DeliveredOn::Auto => !self.service_reports,
        }
    }
}
