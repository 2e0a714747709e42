//! A message in Genesys's normalized form, with its fields in the order in which Genesys sends
//! them.

use std::collections::BTreeMap;

use genesys::Party;
use genesys::message::IdType;
use genesys::receipt::{Reason, ReasonCode};
use serde::Serialize;
use serde_json::Value;

/// The sender or recipient: a customer or the integration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nickname: Option<String>,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
}

impl Address {
    /// Only the id, as Genesys names a recipient.
    pub(crate) fn bare(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// The address of an integration, as it appears in the `from` of a webhook.
    pub(crate) fn of_integration(id: &str, name: &str) -> Self {
        Self {
            nickname: Some(name.to_owned()),
            id_type: Some("Opaque".to_owned()),
            ..Self::bare(id)
        }
    }

    /// Id and type only, as a customer appears in the `to` of a webhook.
    pub(crate) fn as_recipient(&self) -> Self {
        Self {
            id_type: self.id_type.clone().or_else(|| Some("Opaque".to_owned())),
            ..Self::bare(&self.id)
        }
    }

    /// The name of this person on an agent's screen.
    pub(crate) fn display_name(&self) -> String {
        match (&self.first_name, &self.last_name, &self.nickname) {
            (Some(first), Some(last), _) => format!("{first} {last}"),
            (Some(name), ..) | (_, Some(name), _) | (_, _, Some(name)) => name.clone(),
            _ => self.id.clone(),
        }
    }
}

impl From<Party> for Address {
    /// Converts with the type spelled as Genesys answers it; callers may write it in lower case.
    fn from(party: Party) -> Self {
        let spelled = |kind: &IdType| {
            let known = IdType::KNOWN
                .iter()
                .find(|known| known.as_str().eq_ignore_ascii_case(kind.as_str()));
            known.unwrap_or(kind).as_str().to_owned()
        };
        Self {
            nickname: party.nickname,
            id: party.id,
            id_type: party.id_type.as_ref().map(spelled),
            first_name: party.first_name,
            last_name: party.last_name,
            image: party.image,
            email: party.email,
        }
    }
}

/// The two ends of a message, and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageChannel {
    /// The integration's id.
    pub(crate) id: String,
    pub(crate) platform: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
    pub(crate) to: Address,
    pub(crate) from: Address,
    pub(crate) time: String,
}

impl MessageChannel {
    pub(crate) fn new(
        integration: &str,
        message_id: Option<String>,
        to: Address,
        from: Address,
        time: String,
    ) -> Self {
        Self {
            id: integration.to_owned(),
            platform: "Open",
            kind: "Private",
            message_id,
            to,
            from,
            time,
        }
    }
}

/// The reason that Genesys itself records when a webhook call fails for good.
pub(crate) fn general(explanation: String) -> Reason {
    Reason::new(ReasonCode::GeneralError, explanation)
}

/// A reason as it appears in `errorInfo`.
pub(crate) fn payload(reason: &Reason) -> String {
    let code = reason.code.as_ref().unwrap_or(&ReasonCode::GeneralError);
    format!("{code} - {}", reason.message)
}

/// A message as it goes over the wire.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NormalizedMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) channel: MessageChannel,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_final_receipt: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) originating_entity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasons: Option<Vec<Reason>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) related_messages: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// Unknown fields, for the fault of that name.
    #[serde(flatten)]
    pub(crate) unknown: BTreeMap<&'static str, Value>,
}

impl NormalizedMessage {
    /// An empty message.
    pub(crate) fn new(id: Option<String>, kind: &'static str, channel: MessageChannel) -> Self {
        Self {
            id,
            channel,
            kind,
            text: None,
            status: None,
            is_final_receipt: None,
            events: None,
            originating_entity: None,
            direction: None,
            conversation_id: None,
            content: None,
            reasons: None,
            related_messages: None,
            metadata: None,
            unknown: BTreeMap::new(),
        }
    }

    /// Compact JSON, as Genesys sends it.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Cannot fail: every map has string keys, and everything in it can be serialized.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
