//! The switches that can be changed while a sandbox runs.
//!
//! There is one wherever Genesys's behaviour is not established or contradicts itself, and wherever
//! a test needs another value. Each is declared once, with its description and its default. The
//! page `docs/sandbox-switches.md` lists the same, and a test compares the two.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::span::Span;

macro_rules! switches {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $values:literal;)*) => {
        /// What can be changed while the sandbox runs: `GET` and `PUT /sandbox/switches`.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Switches {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl Default for Switches {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The name of each switch, the values that it takes, and what it does.
        const DESCRIPTIONS: &[(&str, &str, &str)] =
            &[$((stringify!($name), $values, concat!($($doc),+)),)*];
    };
}

switches! {
    /// What a webhook that was refused (an answer that is not tried again) takes with it; both were
    /// seen at Genesys.
    refused_webhook: RefusedWebhook = RefusedWebhook::Conversation,
        "\"conversation\" or \"message\"";
    /// The same for a webhook that was tried in vain to the last.
    exhausted_webhook: ExhaustedWebhook = ExhaustedWebhook::AsRefused,
        "\"as_refused\", \"conversation\" or \"message\"";
    /// The answer to a receipt for a message that does not exist: 404, or as to any other.
    unknown_receipt: UnknownReceipt = UnknownReceipt::NotFound, "\"not_found\" or \"accept\"";
    /// The answer to a receipt after the final one; it has no effect either way. Refused is 409.
    second_final_receipt: Late = Late::Accept, "\"accept\" or \"refuse\"";
    /// The answer to a receipt for a message whose conversation has ended. Refused is 409, and
    /// without effect.
    receipt_after_end: Late = Late::Accept, "\"accept\" or \"refuse\"";
    /// How long after its message a receipt is taken; later ones get 409 and have no effect. 0 sets
    /// no limit.
    receipt_window: Span = Span::secs(0), "a duration";
    /// Whether the receipts `Sent`, `Published` and `Removed` change a message's status.
    interim_receipts: bool = true, "true or false";
    /// Requests a minute for each token; 0 sets no limit and sends no `inin-ratelimit-*` headers.
    rate_per_minute: u32 = 300, "a number";
    /// The `code` of a 429.
    limit_code: LimitCode = LimitCode::Plain,
        "\"too.many.requests\" or \"too.many.requests.retry.after\"";
    /// The life of the tokens given from now on.
    token_life: Span = Span::secs(86_400), "a duration";
    /// How long after its end a conversation is taken up again (Genesys: 0 to 72 h).
    threading_window: Span = Span::secs(72 * 3_600), "a duration";
    /// How long a conversation may be silent before it ends with `inactivity`; 0 is never.
    inactivity_timeout: Span = Span::secs(0), "a duration";
    /// How long an integration stays `Initiated`.
    create_delay: Span = Span::secs(1), "a duration";
    /// How many integrations there may be; one more is refused with 400. 0 sets no limit.
    max_integrations: u32 = 0, "a number";
    /// The time limit of one webhook call.
    webhook_timeout: Span = Span::secs(10), "a duration";
    /// How often a webhook call is tried again.
    webhook_retries: u32 = 5, "a number up to 100";
    /// The pause before each of them.
    webhook_pause: Span = Span::secs(5), "a duration";
    /// Whether a webhook's `Retry-After` (in seconds) makes the pause longer.
    webhook_retry_after: bool = false, "true or false";
    /// Whether a webhook's redirects (307 and 308) are followed, up to 5; otherwise they are final,
    /// as any other 3xx.
    webhook_redirects: bool = false, "true or false";
    /// Whether the organisation's own messaging setting passes typing on, both ways (off at
    /// Genesys); others say it themselves.
    typing: bool = true, "true or false";
    /// Whether the webhook is told of each inbound message by a `Published` receipt.
    published_receipts: bool = false, "true or false";
    /// Whether a second inbound message with the same `channel.messageId` is swallowed.
    dedupe_inbound: bool = false, "true or false";
    /// The most characters that an inbound text may have; more are refused with 400. 0 sets no
    /// limit.
    max_inbound_text: u32 = 0, "a number";
    /// The most custom attributes that an inbound message may have; more are refused with 400. 0
    /// sets no limit.
    max_custom_attributes: u32 = 0, "a number";
    /// Whether a customer's event begins a conversation, as the API's texts say; otherwise it has
    /// no effect.
    event_starts_conversation: bool = false, "true or false";
    /// The status of a successful inbound call.
    inbound_status: u16 = 200, "200 or 202";
    /// What becomes of a second socket of a notification channel: it takes over, or gets 409.
    second_socket: SecondSocket = SecondSocket::Replaces, "\"replaces\" or \"refused\"";
    /// Whether a token is needed to read the files that agents attach.
    media_token: bool = false, "true or false";
    /// How long the address of a file that an agent attached works; 0 is for ever.
    media_life: Span = Span::secs(0), "a duration";
    /// Whether an agent's call must have `textBody` even beside a medium or a template, as the SDK
    /// for Node says.
    agent_text_needed: bool = false, "true or false";
    /// To where webhooks may go by plain http: this machine, or anywhere, for example between
    /// containers.
    plain_http: PlainHttp = PlainHttp::Loopback, "\"loopback\" or \"anywhere\"";
}

/// Why switches are not set; those that are in force stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The changes are not a JSON object.
    #[error("an object is wanted")]
    NoObject,
    /// There is no switch of this name, or it takes no such value.
    #[error(transparent)]
    Unknown(#[from] serde_json::Error),
    /// `inbound_status` is neither 200 nor 202.
    #[error("inbound_status is 200 or 202")]
    InboundStatus,
    /// `webhook_retries` is over 100.
    #[error("webhook_retries is at most 100")]
    WebhookRetries,
}

/// A switch, described.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The name by which `PUT /sandbox/switches` sets it.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Which values it takes, in words.
    pub values: &'static str,
    /// The value when the sandbox starts.
    pub default: Value,
    /// Its current value.
    pub value: Value,
}

impl Switches {
    /// Every switch, in the order of the documentation page.
    pub fn describe(&self) -> Vec<Description> {
        let of = |switches: &Self, name: &str| {
            // Cannot fail: they are texts and numbers.
            serde_json::to_value(switches)
                .ok()
                .and_then(|all| all.get(name).cloned())
                .unwrap_or_default()
        };
        let start = Self::default();
        let described = DESCRIPTIONS.iter().map(|(name, values, description)| Description {
            name,
            description: description.trim(),
            values,
            default: of(&start, name),
            value: of(self, name),
        });
        described.collect()
    }

    /// These switches with `changes` applied.
    pub(crate) fn with(&self, changes: Map<String, Value>) -> Result<Self, SwitchError> {
        let mut all = serde_json::to_value(self)?;
        if let Some(all) = all.as_object_mut() {
            all.extend(changes);
        }
        let switches: Self = serde_json::from_value(all)?;
        if !matches!(switches.inbound_status, 200 | 202) {
            return Err(SwitchError::InboundStatus);
        }
        if switches.webhook_retries > 100 {
            return Err(SwitchError::WebhookRetries);
        }
        Ok(switches)
    }

    /// What fails together with a webhook whose retries are exhausted.
    pub(crate) fn exhausted(&self) -> RefusedWebhook {
        match self.exhausted_webhook {
            ExhaustedWebhook::AsRefused => self.refused_webhook,
            ExhaustedWebhook::Message => RefusedWebhook::Message,
            ExhaustedWebhook::Conversation => RefusedWebhook::Conversation,
        }
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$choice_doc:meta])* $choice:ident,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub enum $name {
                $($(#[$choice_doc])* $choice,)*
            }
        )*
    };
}

choices! {
    /// What fails together with a webhook that failed for good; both have been seen at Genesys.
    RefusedWebhook {
        /// The message alone.
        Message,
        /// The whole conversation, which ends in error.
        Conversation,
    }
    /// What fails together with a webhook whose retries are exhausted.
    ExhaustedWebhook {
        /// The same as for a refused webhook.
        AsRefused,
        /// The message alone.
        Message,
        /// The whole conversation, which ends in error.
        Conversation,
    }
    /// The answer to a receipt for a message that does not exist.
    UnknownReceipt {
        /// The receipt gets 404.
        NotFound,
        /// The same answer as for any other.
        Accept,
    }
    /// The answer to a receipt that comes when none is expected any more.
    Late {
        /// The same answer as for any other.
        Accept,
        /// It gets 409, and has no effect.
        Refuse,
    }
    /// What happens with a second socket of a notification channel.
    SecondSocket {
        /// It takes over.
        Replaces,
        /// It gets 409.
        Refused,
    }
    /// Where webhooks may go over plain http. Genesys itself requires https.
    PlainHttp {
        /// To this machine.
        Loopback,
        /// Anywhere, for example between containers.
        Anywhere,
    }
}

/// The `code` of a 429; both have been seen at Genesys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitCode {
    /// Without a suffix.
    #[serde(rename = "too.many.requests")]
    Plain,
    /// Refers to the `Retry-After` header.
    #[serde(rename = "too.many.requests.retry.after")]
    RetryAfter,
}

impl LimitCode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "too.many.requests",
            Self::RetryAfter => "too.many.requests.retry.after",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(changes: &serde_json::Value) -> Result<Switches, SwitchError> {
        Switches::default().with(changes.as_object().unwrap().clone())
    }

    #[test]
    fn a_change_leaves_the_others_alone() {
        let changed = with(&json!({"refused_webhook": "message", "token_life": "5m"})).unwrap();
        let wanted = Switches {
            refused_webhook: RefusedWebhook::Message,
            token_life: Span::secs(300),
            ..Switches::default()
        };
        assert_eq!(changed, wanted);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in
            [json!({"refused": 1}), json!({"inbound_status": 500}), json!({"token_life": 5})]
        {
            assert!(with(&wrong).is_err(), "{wrong}");
        }
    }
}
