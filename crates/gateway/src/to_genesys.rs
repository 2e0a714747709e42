//! What Genesys is told, in its own words. Pure.

use connector::Customer;
use conversation::{Fate, NoticeKind};
use genesys::inbound::{
    ButtonResponse, InboundChannel, InboundEvent, InboundMessage, InboundReceipt,
    StructuredResponse,
};
use genesys::message::IdType;
use genesys::receipt::{self, ReceiptStatus};
use genesys::{Content, Envelope, Party};
use jiff::Timestamp;
use serde_json::Value;

/// A receipt about the message with this body; `fate` is none for a `Sent` that is not final.
pub(crate) fn receipt(
    foreign_id: &str,
    body: &[u8],
    fate: Option<&Fate>,
    at: Timestamp,
) -> InboundReceipt {
    let to = recipient(body);
    match fate {
        None => InboundReceipt::new(foreign_id, to, at, ReceiptStatus::Sent, false),
        Some(Fate::Sent) => InboundReceipt::new(foreign_id, to, at, ReceiptStatus::Sent, true),
        Some(Fate::Delivered) => {
            InboundReceipt::new(foreign_id, to, at, ReceiptStatus::Delivered, true)
        }
        Some(Fate::Failed { reason }) => {
            let code = receipt::ReasonCode::from(reason.code.as_str());
            InboundReceipt::failed(foreign_id, to, at, receipt::Reason::new(code, &reason.message))
        }
    }
}

/// To whom the message went: the webhook's `channel.to`, as far as it could be read. Only what a receipt needs: an odd
/// field that came with a webhook would make Genesys refuse the receipt, and nobody would learn the message's fate.
fn recipient(body: &[u8]) -> Party {
    let Envelope { to_id, to_id_type, .. } = Envelope::read(body).unwrap_or_default();
    let Some(id) = to_id else { return Party::new("unknown", IdType::Opaque) };
    let kind = to_id_type.as_deref().map_or(IdType::Opaque, IdType::from);
    Party::new(id, if matches!(kind, IdType::Other(_)) { IdType::Opaque } else { kind })
}

/// What a customer wrote: a message, or the answer to a button.
pub(crate) enum Inbound {
    Message(Box<InboundMessage>),
    Response(Box<StructuredResponse>),
}

/// A customer's message. `id` is the chat service's: Genesys's dedupe handle and ours.
pub(crate) fn inbound(
    id: &str,
    customer: &Customer,
    text: Option<String>,
    content: &[Value],
    at: Timestamp,
) -> Inbound {
    let mut channel = InboundChannel::new(party(customer), at);
    channel.message_id = Some(id.to_owned());
    if let Some(response) = content.iter().find_map(button_response) {
        let (button_response, originating_message_id) = response;
        return Inbound::Response(Box::new(StructuredResponse {
            channel,
            button_response,
            originating_message_id,
            ..StructuredResponse::default()
        }));
    }
    let content: Vec<Content> =
        content.iter().filter_map(|one| serde_json::from_value(one.clone()).ok()).collect();
    Inbound::Message(Box::new(InboundMessage {
        channel,
        text,
        content: (!content.is_empty()).then_some(content),
        ..InboundMessage::default()
    }))
}

/// A tap on a button, if the element is one: what was tapped, and on which message.
fn button_response(content: &Value) -> Option<(ButtonResponse, String)> {
    if content.get("contentType")? != "ButtonResponse" {
        return None;
    }
    let response = content.get("buttonResponse")?;
    let originating =
        content.get("originatingMessageId").or_else(|| response.get("originatingMessageId"))?;
    Some((serde_json::from_value(response.clone()).ok()?, originating.as_str()?.to_owned()))
}

/// A note to the agent. It looks like the customer's words, so its metadata says that it is not.
pub(crate) fn notice(
    message: &str,
    kind: NoticeKind,
    text: &str,
    customer: &Customer,
    at: Timestamp,
) -> InboundMessage {
    let word = match kind {
        NoticeKind::Held => "held",
        NoticeKind::Expired => "expired",
        NoticeKind::Failed => "failed",
    };
    let mut channel = InboundChannel::new(party(customer), at);
    channel.message_id = Some(format!("notice-{word}-{message}"));
    let metadata = [("tidegate.notice", word), ("tidegate.message", message)];
    InboundMessage {
        channel,
        text: Some(text.to_owned()),
        metadata: Some(
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        ),
        ..InboundMessage::default()
    }
}

/// The customer types.
pub(crate) fn typing(customer: &Customer, at: Timestamp) -> InboundEvent {
    InboundEvent::typing(party(customer), at)
}

fn party(customer: &Customer) -> Party {
    let id_type = customer.id_type.as_deref().map_or(IdType::Opaque, IdType::from);
    Party {
        nickname: customer.nickname.clone(),
        first_name: customer.first_name.clone(),
        last_name: customer.last_name.clone(),
        image: customer.image.clone(),
        email: customer.email.clone(),
        ..Party::new(&customer.id, id_type)
    }
}

#[cfg(test)]
mod tests {
    use conversation::ReasonCode;

    use super::*;

    #[test]
    fn every_reason_code_of_ours_is_one_of_genesys() {
        for code in ReasonCode::ALL {
            let theirs = receipt::ReasonCode::from(code.as_str());
            assert!(!matches!(theirs, receipt::ReasonCode::Other(_)), "{code}");
        }
    }
}
