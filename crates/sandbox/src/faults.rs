//! Faults by rule: what goes wrong on purpose, where, how often, and with what probability.
//!
//! A rule is asked once for each call that it may match. Its randomness comes from the
//! configuration's seed.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::span::Span;

/// The maximum number of rules.
const MAX_RULES: usize = 1_000;

/// Which calls a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `POST /oauth/token`.
    Token,
    /// Every call to `/api/v2/…`.
    Api,
    /// An inbound message or structured response.
    Message,
    /// An inbound receipt.
    Receipt,
    /// An inbound event.
    Event,
    /// A call about integrations.
    Integration,
    /// A call of the agent: send, typing, agentless.
    Agent,
    /// A call that reads or ends a conversation.
    Conversation,
    /// A call about notification channels.
    Channel,
    /// A webhook call of the sandbox.
    Webhook,
    /// A frame on the socket of a notification channel; heartbeats do not count.
    Notification,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// This status is answered and nothing is done. On a webhook, nothing is sent, and this counts
    /// as the answer.
    Status(u16),
    /// The call is handled this much later.
    Delay(Span),
    /// No answer comes, and nothing is done, until the caller gives up.
    Hang(bool),
    /// The call's token is revoked, and the call gets 401.
    RevokeToken,
    /// The call is under this limit of requests per minute, shown in its headers and by a 429.
    Limit(u32),
    /// The call takes effect, then its connection is cut. On a webhook, it is sent, and the answer
    /// counts as lost.
    DropAnswer,
    /// The webhook, or the frame, is sent twice.
    Duplicate,
    /// The frame is lost.
    Lose,
    /// The socket is closed without a close frame, and the frame is lost.
    Close,
    /// The webhook is held back for 2 s, so that the next one overtakes it.
    Reorder,
    /// The webhook is signed with another secret.
    WrongSignature,
    /// The webhook is signed with the integration's previous secret, or with another one if it had
    /// none.
    OldSignature,
    /// The webhook's body has unknown fields.
    UnknownField,
    /// The webhook's message has content of an unknown type.
    UnknownContent,
}

impl Action {
    /// The action as the transcript names it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Status(status) => format!("injected: status {status}"),
            Self::Delay(span) => format!("injected: delay of {} ms", span.0.as_millis()),
            Self::Hang(_) => "injected: hang".to_owned(),
            Self::DropAnswer => "injected: drop_answer".to_owned(),
            Self::Duplicate => "injected: duplicate".to_owned(),
            Self::Lose => "injected: lose".to_owned(),
            Self::Close => "injected: close".to_owned(),
            Self::Reorder => "injected: reorder".to_owned(),
            Self::WrongSignature => "injected: wrong_signature".to_owned(),
            Self::OldSignature => "injected: old_signature".to_owned(),
            Self::RevokeToken => "injected: revoke_token".to_owned(),
            Self::Limit(limit) => format!("injected: limit {limit}"),
            Self::UnknownField => "injected: unknown_field".to_owned(),
            Self::UnknownContent => "injected: unknown_content".to_owned(),
        }
    }
}

/// One rule, as it is posted and listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which calls it matches.
    pub on: Target,
    /// What happens to them.
    pub action: Action,
    /// How many times it still happens; without it, until the rule is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// With what probability, from 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Only calls about this customer, by the id at the other end of the call's `channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Only messages whose text holds this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

fn always() -> f64 {
    1.0
}

/// A rule that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A probability outside 0 to 1.
    #[error("probability is a number from 0 to 1")]
    Probability,
    /// Something that cannot happen to these calls.
    #[error(
        "this action cannot happen there: reorder, *_signature, unknown_* are for webhooks, lose \
         and close for notifications, duplicate for both, hang for calls to the sandbox, \
         revoke_token and limit for those that have a token"
    )]
    Action,
    /// A condition that these calls can never meet.
    #[error(
        "this condition cannot be met there: customer is for messages, receipts, events and api, \
         text for messages and api"
    )]
    Condition,
    /// A status outside the valid range.
    #[error("status is a number from 200 to 599")]
    Status,
    /// Too many rules.
    #[error("there are 1000 rules already")]
    TooMany,
}

impl Rule {
    fn check(&self) -> Result<(), RuleError> {
        let (webhook, frame) = (self.on == Target::Webhook, self.on == Target::Notification);
        let fits = match self.action {
            Action::Status(status) if !(200..600).contains(&status) => {
                return Err(RuleError::Status);
            }
            Action::Delay(_) => true,
            Action::Status(_) | Action::DropAnswer => !frame,
            Action::Hang(hang) => hang && !webhook && !frame,
            Action::RevokeToken | Action::Limit(_) => {
                !webhook && !frame && self.on != Target::Token
            }
            Action::Duplicate => webhook || frame,
            Action::Lose | Action::Close => frame,
            Action::Reorder
            | Action::WrongSignature
            | Action::OldSignature
            | Action::UnknownField
            | Action::UnknownContent => webhook,
        };
        if !fits {
            Err(RuleError::Action)
        } else if !self.can_be_met() {
            Err(RuleError::Condition)
        } else if (0.0..=1.0).contains(&self.probability) {
            Ok(())
        } else {
            Err(RuleError::Probability)
        }
    }
}

impl Rule {
    fn can_be_met(&self) -> bool {
        let words = matches!(self.on, Target::Api | Target::Message);
        let customers = words || matches!(self.on, Target::Receipt | Target::Event);
        (self.text.is_none() || words) && (self.customer.is_none() || customers)
    }

    fn has_condition(&self) -> bool {
        self.customer.is_some() || self.text.is_some()
    }

    /// Whether a call with this body meets the rule's conditions.
    fn wants(&self, body: &Value) -> bool {
        let channel = &body["channel"];
        // A receipt goes to the customer; everything else comes from them.
        let is_customer =
            |id: &String| ["from", "to"].iter().any(|end| channel[end]["id"] == id.as_str());
        let has_text =
            |part: &String| body["text"].as_str().is_some_and(|text| text.contains(part.as_str()));
        self.customer.as_ref().is_none_or(is_customer) && self.text.as_ref().is_none_or(has_text)
    }
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    rng: Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), rng: Rng::with_seed(seed) }
    }

    pub(crate) fn add(&mut self, rule: Rule) -> Result<(), RuleError> {
        rule.check()?;
        if rule.times == Some(0) {
            return Ok(());
        }
        if self.rules.len() >= MAX_RULES {
            return Err(RuleError::TooMany);
        }
        self.rules.push(rule);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The rules that may still take effect.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The action for a call that matches any of `targets`: that of the first rule that matches and
    /// whose chance hits. `body` is read only if a rule has a condition on it.
    pub(crate) fn strike(&mut self, targets: &[Target], body: &[u8]) -> Option<Action> {
        let (rules, rng) = (&mut self.rules, &mut self.rng);
        let asked = rules.iter().any(|rule| targets.contains(&rule.on) && rule.has_condition());
        let body =
            if asked { serde_json::from_slice(body).unwrap_or_default() } else { Value::Null };
        let meets = |rule: &Rule| {
            targets.contains(&rule.on) && (!rule.has_condition() || rule.wants(&body))
        };
        let rule = rules.iter_mut().find(|rule| {
            meets(rule) && (rule.probability >= 1.0 || rng.f64() < rule.probability)
        })?;
        let action = rule.action.clone();
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
        }
        rules.retain(|rule| rule.times != Some(0));
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: serde_json::Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rules_are_written_as_people_would() {
        for (value, action) in [
            (json!({"on": "receipt", "action": {"status": 500}, "times": 3}), Action::Status(500)),
            (json!({"on": "api", "action": {"delay": "2s"}}), Action::Delay(Span::secs(2))),
            (json!({"on": "token", "action": {"hang": true}}), Action::Hang(true)),
            (json!({"on": "message", "action": "drop_answer"}), Action::DropAnswer),
            (json!({"on": "webhook", "action": "reorder", "probability": 0.1}), Action::Reorder),
        ] {
            let rule = rule(value);
            assert_eq!(rule.action, action);
            Faults::new(1).add(rule).unwrap();
        }
    }

    #[test]
    fn a_rule_wears_off_and_meets_only_its_calls() {
        let mut faults = Faults::new(1);
        faults.add(rule(json!({"on": "receipt", "action": {"status": 500}, "times": 2}))).unwrap();
        assert_eq!(faults.strike(&[Target::Api, Target::Message], b""), None);
        assert!(faults.strike(&[Target::Api, Target::Receipt], b"").is_some());
        assert!(faults.strike(&[Target::Api, Target::Receipt], b"").is_some());
        assert_eq!(faults.strike(&[Target::Api, Target::Receipt], b""), None);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn a_rule_may_want_one_customer_or_one_text() {
        let said = |from: &str, text: &str| {
            json!({"channel": {"from": {"id": from}}, "text": text}).to_string()
        };
        let strikes = |condition: serde_json::Value, body: &str| {
            let mut value = json!({"on": "message", "action": {"status": 500}});
            value.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
            let mut faults = Faults::new(1);
            faults.add(rule(value)).unwrap();
            faults.strike(&[Target::Api, Target::Message], body.as_bytes()).is_some()
        };
        for (condition, noor, omar) in [
            (json!({"customer": "noor"}), true, false),
            (json!({"text": "bad"}), true, true),
            (json!({"customer": "omar", "text": "bad"}), false, true),
            (json!({"text": "worse"}), false, false),
        ] {
            assert_eq!(strikes(condition.clone(), &said("noor", "so bad")), noor, "{condition}");
            assert_eq!(strikes(condition.clone(), &said("omar", "bad")), omar, "{condition}");
            assert!(!strikes(condition.clone(), "no JSON"), "{condition}");
        }
        assert!(!strikes(json!({"customer": "noor"}), "{}"));
    }

    #[test]
    fn chance_follows_the_seed() {
        let struck = |seed| {
            let mut faults = Faults::new(seed);
            faults
                .add(rule(json!({"on": "api", "action": {"status": 500}, "probability": 0.5})))
                .unwrap();
            (0..200).map(|_| faults.strike(&[Target::Api], b"").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(struck(7), struck(7));
        assert_ne!(struck(7), struck(8));
        assert!((60..140).contains(&struck(7).iter().filter(|struck| **struck).count()));
    }

    #[test]
    fn nonsense_is_refused() {
        for (value, error) in [
            (json!({"on": "receipt", "action": "duplicate"}), RuleError::Action),
            (json!({"on": "webhook", "action": {"hang": true}}), RuleError::Action),
            (json!({"on": "api", "action": {"status": 1000}}), RuleError::Status),
            (
                json!({"on": "api", "action": "drop_answer", "probability": 2}),
                RuleError::Probability,
            ),
            (
                json!({"on": "token", "action": {"status": 500}, "customer": "noor"}),
                RuleError::Condition,
            ),
            (
                json!({"on": "receipt", "action": {"status": 500}, "text": "bad"}),
                RuleError::Condition,
            ),
        ] {
            assert_eq!(Faults::new(1).add(rule(value)), Err(error));
        }
    }
}
