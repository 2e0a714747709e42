//! Translates receipts, messages, notices and typing into Genesys's format. Pure.

use connector::Customer;
use conversation::{Fate, NoticeKind};
use genesys::Party;
use genesys::inbound::{
    ChannelMetadata, InboundChannel, InboundEvent, InboundMessage, InboundReceipt,
    StructuredResponse,
};
use genesys::message::IdType;
use genesys::receipt::{self, ReceiptStatus};
use jiff::Timestamp;

use crate::customer_message::Part;

/// A receipt for a message to `customer`. `fate` is `None` for a `Sent` that is not final.
pub(crate) fn receipt(
    foreign_id: &str,
    customer: Option<&Customer>,
    fate: Option<&Fate>,
    at: Timestamp,
) -> InboundReceipt {
    let to = customer.map_or_else(|| Party::new("unknown", IdType::Opaque), recipient);
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

/// The recipient, with only the fields that a receipt needs. An unusual field could make Genesys
/// refuse the receipt, and no one would learn the message's fate.
fn recipient(customer: &Customer) -> Party {
    Party::new(&customer.id, id_type(customer).unwrap_or(IdType::Opaque))
}

/// What a customer wrote: a message, or the answer to a button.
pub(crate) enum Inbound {
    Message(Box<InboundMessage>),
    Response(Box<StructuredResponse>),
}

/// One part of a customer's message. `id` is the chat service's id, by which Genesys and we
/// recognize repetitions.
pub(crate) fn inbound(id: &str, customer: &Customer, part: Part, at: Timestamp) -> Inbound {
    let mut channel = InboundChannel::new(party(customer), at);
    channel.message_id = Some(id.to_owned());
    if !customer.attributes.is_empty() {
        channel.metadata = Some(ChannelMetadata {
            custom_attributes: Some(customer.attributes.clone()),
            ..ChannelMetadata::default()
        });
    }
    match part {
        Part::Words { text, content } => Inbound::Message(Box::new(InboundMessage {
            channel,
            text,
            content: (!content.is_empty()).then_some(content),
            ..InboundMessage::default()
        })),
        Part::Tap { response, origin } => Inbound::Response(Box::new(StructuredResponse {
            channel,
            button_response: response,
            originating_message_id: origin,
            ..StructuredResponse::default()
        })),
    }
}

/// A notice to the agent. It looks like the customer's words, so its metadata says that it is not.
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

/// A message without a customer, to check whether Genesys reads messages at all. It must go to an
/// integration that does not exist.
pub(crate) fn probe(at: Timestamp) -> InboundMessage {
    let mut channel = InboundChannel::new(Party::new("tidegate-probe", IdType::Opaque), at);
    channel.message_id = Some("tidegate-probe".to_owned());
    let text = "Tidegate asks whether messages are read. No person gets this.";
    InboundMessage { channel, text: Some(text.to_owned()), ..InboundMessage::default() }
}

/// The customer types.
pub(crate) fn typing(customer: &Customer, at: Timestamp) -> InboundEvent {
    InboundEvent::typing(party(customer), at)
}

/// The customer in a form that Genesys accepts. Fields for which it would refuse the whole message
/// are dropped, or replaced by a value that is always valid.
fn party(customer: &Customer) -> Party {
    Party {
        nickname: customer.nickname.clone(),
        first_name: customer.first_name.clone(),
        last_name: customer.last_name.clone(),
        image: customer.image.clone().filter(|image| is_address(image)),
        email: customer.email.clone().filter(|email| is_email(email)),
        ..recipient(customer)
    }
}

/// What is dropped or changed in a customer's fields, for the author of the connector.
pub(crate) fn left_out(customer: &Customer) -> Vec<String> {
    let mut notes = Vec::new();
    if id_type(customer).is_none()
        && customer.id_type.as_deref().is_some_and(|word| !word.trim().is_empty())
    {
        notes.push(
            "`customer.id_type` is not Email, Phone or Opaque: it goes to Genesys as Opaque"
                .to_owned(),
        );
    }
    if customer.image.as_deref().is_some_and(|image| !is_address(image)) {
        notes.push(
            "`customer.image` is not an absolute http or https URL and was left out".to_owned(),
        );
    }
    if customer.email.as_deref().is_some_and(|email| !is_email(email)) {
        notes.push("`customer.email` is not an e-mail address and was left out".to_owned());
    }
    notes
}

/// The type of the customer's id, if it is one of the three that Genesys knows, in any case.
fn id_type(customer: &Customer) -> Option<IdType> {
    let word = customer.id_type.as_deref()?.trim();
    IdType::KNOWN.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word)).cloned()
}

fn is_address(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use conversation::ReasonCode;

    use super::*;

    #[test]
    fn a_customer_is_completed_and_ornaments_that_genesys_refuses_are_left_out() {
        for (word, expected, told) in [
            (None, "Opaque", false),
            (Some(""), "Opaque", false),
            (Some(" "), "Opaque", false),
            (Some("email"), "Email", false),
            (Some("PHONE"), "Phone", false),
            (Some(" opaque "), "Opaque", false),
            (Some("WhatsApp"), "Opaque", true),
        ] {
            let id_type = word.map(str::to_owned);
            let customer = Customer { id: "noor".to_owned(), id_type, ..Customer::default() };
            assert_eq!(party(&customer).id_type.unwrap().as_str(), expected, "{word:?}");
            assert_eq!(!left_out(&customer).is_empty(), told, "{word:?}");
        }
        let customer = |image: &str, email: &str| Customer {
            id: "noor".to_owned(),
            image: Some(image.to_owned()),
            email: Some(email.to_owned()),
            ..Customer::default()
        };
        let good = customer("https://f.example/noor.png", "noor@mail.example");
        let kept = party(&good);
        assert!(kept.image.is_some() && kept.email.is_some() && left_out(&good).is_empty());
        for (image, email) in
            [("noor.png", "noor"), ("data:image/png,x", "@"), ("", "a b@c"), ("//x", "a@b@c")]
        {
            let bad = customer(image, email);
            let kept = party(&bad);
            assert_eq!(
                (kept.image, kept.email, left_out(&bad).len()),
                (None, None, 2),
                "{image} {email}"
            );
        }
    }

    #[test]
    fn a_receipt_names_only_the_customers_id_and_its_type() {
        let customer = Customer {
            id: "noor@mail.example".to_owned(),
            id_type: Some("email".to_owned()),
            nickname: Some("Noor".to_owned()),
            ..Customer::default()
        };
        let to = |customer| {
            let receipt = receipt("m1", customer, None, Timestamp::UNIX_EPOCH);
            serde_json::to_value(receipt.channel.to).unwrap()
        };
        let expected = serde_json::json!({ "id": "noor@mail.example", "idType": "Email" });
        assert_eq!(to(Some(&customer)), expected);
        assert_eq!(to(None), serde_json::json!({ "id": "unknown", "idType": "Opaque" }));
    }

    #[test]
    fn every_reason_code_of_ours_is_one_of_genesys() {
        for code in ReasonCode::ALL {
            let theirs = receipt::ReasonCode::from(code.as_str());
            assert!(!matches!(theirs, receipt::ReasonCode::Other(_)), "{code}");
        }
    }
}
