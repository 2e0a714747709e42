//! What a webhook of Genesys means to a conversation. Pure: bytes in, an arrival out.

use std::time::Duration;

use axum::body::Bytes;
use connector::{Capabilities, Customer};
use conversation::{ConversationId, Input, IntegrationName, MessageId, Reason, ReasonCode};
use genesys::message::MessageType;
use genesys::{Content, Envelope, Party, WebhookMessage};
use jiff::Timestamp;
use serde_json::Value;
use store::{Direction, NewMessage};

/// What a webhook brings.
pub(crate) enum Webhook {
    /// Something to keep, and mostly to answer for.
    Message(Box<NewMessage>),
    /// No message, and why. It is kept all the same; where it has an id, it fails.
    NoMessage(Box<NewMessage>, String),
    /// The agent types. Never stored.
    Typing { conversation: ConversationId, on: bool, duration: Duration },
}

/// The customer of messages that do not name one: they fail, and their receipts need an address all the same.
const NOBODY: &str = "unknown";
/// How long typing is shown where Genesys does not say.
const TYPING: Duration = Duration::from_secs(5);

/// Reads an authentic body. Whatever it is, it is not refused: what cannot be carried fails with a receipt, where there
/// is an id to send one for.
pub(crate) fn read(
    name: &IntegrationName,
    can: &Capabilities,
    body: &[u8],
    now: Timestamp,
) -> Webhook {
    match WebhookMessage::read(body) {
        Ok(message) if message.is_typing() => typing(name, &message),
        // Two such messages would be taken for one, and neither could have a receipt.
        Ok(message) if message.id.is_empty() => {
            no_message(name, "its id is empty".to_owned(), body, now)
        }
        Ok(message) => Webhook::Message(Box::new(understood(name, can, &message, body, now))),
        Err(unreadable) => no_message(name, unreadable.to_string(), body, now),
    }
}

fn understood(
    name: &IntegrationName,
    can: &Capabilities,
    message: &WebhookMessage,
    body: &[u8],
    now: Timestamp,
) -> NewMessage {
    let unsuited = match (&message.r#type, message.to()) {
        // Receipts about inbound messages and events other than typing ask for nothing; they are kept to be looked at.
        (Some(MessageType::Receipt | MessageType::Event), _) => None,
        (_, None) => {
            Some(Reason::new(ReasonCode::InvalidMessageStructure, "the message names no recipient"))
        }
        (None, _) => {
            Some(Reason::new(ReasonCode::InvalidMessageStructure, "the message has no type"))
        }
        (Some(MessageType::Other(kind)), _) => Some(Reason::new(
            ReasonCode::UnsupportedMessage,
            format!("messages of type `{kind:.40}` are not known"),
        )),
        (Some(_), Some(_)) => {
            can.can_carry(message.text.as_deref(), &content(message.contents())).err()
        }
    };
    let customer = message.to().map_or_else(|| customer_of(NOBODY), customer);
    let id = MessageId::from_foreign(&message.id);
    let input = match message.r#type {
        Some(MessageType::Receipt | MessageType::Event) => None,
        _ => Some(Input::AgentMessage {
            message: id.clone(),
            time: message.timestamp(),
            received: now,
            unsuited,
            genesys: message.conversation_id.clone().map(String::into_boxed_str),
        }),
    };
    new_message(name, id, &message.id, &customer, body, now, input)
}

fn no_message(name: &IntegrationName, why: String, body: &[u8], now: Timestamp) -> Webhook {
    Webhook::NoMessage(Box::new(not_understood(name, &why, body, now)), why)
}

/// A body that is no message. It is kept whole; where it has an id, Genesys is told.
fn not_understood(name: &IntegrationName, why: &str, body: &[u8], now: Timestamp) -> NewMessage {
    let envelope = Envelope::read(body).ok();
    let customer =
        envelope.as_ref().and_then(|envelope| envelope.to_id.as_deref()).unwrap_or(NOBODY);
    let customer = customer_of(customer);
    let Some(foreign) = envelope.and_then(|envelope| envelope.id).filter(|id| !id.is_empty())
    else {
        // Nobody can be told about it, but nothing that was signed is thrown away. Its hash tells it from all others,
        // whatever its bytes are: each of them is a character of its own.
        let id = MessageId::from_foreign(&body.iter().copied().map(char::from).collect::<String>());
        let id = MessageId::new(format!("unread-{id}"));
        return new_message(name, id.clone(), id.as_str(), &customer, body, now, None);
    };
    let id = MessageId::from_foreign(&foreign);
    let input = Input::AgentMessage {
        message: id.clone(),
        time: None,
        received: now,
        unsuited: Some(Reason::new(ReasonCode::InvalidMessageStructure, why)),
        genesys: None,
    };
    new_message(name, id, &foreign, &customer, body, now, Some(input))
}

fn new_message(
    name: &IntegrationName,
    id: MessageId,
    foreign: &str,
    customer: &Customer,
    body: &[u8],
    now: Timestamp,
    input: Option<Input>,
) -> NewMessage {
    NewMessage {
        integration: name.clone(),
        direction: Direction::Outbound,
        id,
        foreign_id: foreign.to_owned(),
        conversation: ConversationId::of(name, &customer.id),
        customer: json(customer),
        received: now,
        // A copy of its own: what came with the request is a part of a larger piece of memory.
        body: Bytes::copy_from_slice(body),
        input,
    }
}

fn typing(name: &IntegrationName, message: &WebhookMessage) -> Webhook {
    let customer = message.to().map_or(NOBODY, |to| &to.id);
    let typing = message.events.iter().flatten().find_map(|event| event.typing.as_ref());
    let on = typing
        .and_then(|typing| typing.r#type.as_deref())
        .is_none_or(|kind| kind.eq_ignore_ascii_case("on"));
    let duration = typing.and_then(|typing| typing.duration).map_or(TYPING, Duration::from_millis);
    Webhook::Typing { conversation: ConversationId::of(name, customer), on, duration }
}

/// What a connector is told of the customer.
fn customer(party: &Party) -> Customer {
    Customer {
        id: party.id.clone(),
        id_type: party.id_type.as_ref().map(|kind| kind.as_str().to_owned()),
        nickname: party.nickname.clone(),
        first_name: party.first_name.clone(),
        last_name: party.last_name.clone(),
        image: party.image.clone(),
        email: party.email.clone(),
    }
}

fn customer_of(id: &str) -> Customer {
    Customer {
        id: id.to_owned(),
        id_type: None,
        nickname: None,
        first_name: None,
        last_name: None,
        image: None,
        email: None,
    }
}

/// The customer as the store keeps it.
pub(crate) fn json(customer: &Customer) -> String {
    // A struct of strings is always JSON.
    serde_json::to_string(customer).expect("a customer is JSON")
}

/// The content in the form in which connectors carry it: Genesys's own, untouched.
pub(crate) fn content(contents: &[Content]) -> Vec<Value> {
    contents.iter().map(|content| serde_json::to_value(content).unwrap_or_default()).collect()
}
