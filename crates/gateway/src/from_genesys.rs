//! Translates a webhook of Genesys for its conversation. Pure: bytes in, an arrival out.

use std::time::Duration;

use axum::body::Bytes;
use connector::{Capabilities, Customer, Fallback, Sender, SenderKind};
use conversation::{ConversationId, Input, IntegrationName, MessageId, Offer, Reason, ReasonCode};
use genesys::message::{MessageType, OriginatingEntity};
use genesys::{Content, Envelope, Party, WebhookMessage};
use jiff::Timestamp;
use serde_json::Value;
use store::{Direction, NewMessage};

/// The chat service that a message is for.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    /// What it can do.
    pub(crate) can: &'a Capabilities,
    /// What becomes of content that it cannot show.
    pub(crate) fallback: Fallback,
}

/// What a webhook contains.
pub(crate) enum Webhook {
    /// A message to store, which usually needs receipts.
    Message(Box<NewMessage>),
    /// Not a message, with the reason. It is stored anyway. If it has an id, it fails.
    NoMessage(Box<NewMessage>, String),
    /// A webhook of another integration, which came to the wrong address. It is stored and fails,
    /// if a receipt can be sent for it.
    Stray { message: Option<Box<NewMessage>>, stray: Stray },
    /// The agent types. Never stored.
    Typing { conversation: ConversationId, on: bool, duration: Duration },
}

/// The integrations involved in a webhook that came to the wrong address.
pub(crate) struct Stray {
    /// The integration that it belongs to.
    pub(crate) of: IntegrationName,
    /// The integration that stores it and sends Genesys the receipt.
    pub(crate) keeper: IntegrationName,
}

/// Finds the other integration that Genesys knows by an id, if there is one.
pub(crate) type FindStray<'a> = &'a dyn Fn(&str) -> Option<Stray>;

/// The customer of messages that do not name one. Such messages fail, but their receipts still need
/// an address.
const UNKNOWN_CUSTOMER: &str = "unknown";
/// How long typing is shown if Genesys does not say.
const TYPING: Duration = Duration::from_secs(5);

/// Reads an authentic body. No body is refused: what cannot be delivered fails with a receipt, if
/// there is an id to send one for.
pub(crate) fn read(
    name: &IntegrationName,
    service: Service<'_>,
    find_stray: FindStray<'_>,
    body: &[u8],
    now: Timestamp,
) -> Webhook {
    let read = WebhookMessage::read(body);
    let channel = read.as_ref().ok().and_then(|message| message.channel.as_ref()?.id.as_deref());
    if let (Ok(message), Some(stray)) = (&read, channel.and_then(find_stray)) {
        let kept = !message.is_typing() && !message.id.is_empty();
        return Webhook::Stray {
            message: kept.then(|| Box::new(strayed(message, &stray, body, now))),
            stray,
        };
    }
    match read {
        Ok(message) if message.is_typing() => typing(name, &message),
        // The store would take two such messages for one, and neither could get a receipt.
        Ok(message) if message.id.is_empty() => {
            no_message(name, "its id is empty".to_owned(), body, now)
        }
        Ok(message) => Webhook::Message(Box::new(understood(name, service, &message, body, now))),
        Err(unreadable) => no_message(name, unreadable.to_string(), body, now),
    }
}

fn understood(
    name: &IntegrationName,
    service: Service<'_>,
    message: &WebhookMessage,
    body: &[u8],
    now: Timestamp,
) -> NewMessage {
    let broken = |what| Err(Reason::new(ReasonCode::InvalidMessageStructure, what));
    let offer = match (&message.r#type, message.to()) {
        // Receipts about inbound messages and events other than typing need no action. They are
        // stored for inspection.
        (Some(MessageType::Receipt | MessageType::Event), _) => Ok(Offer::default()),
        (_, None) => broken("the message names no recipient"),
        (None, _) => broken("the message has no type"),
        (Some(MessageType::Other(kind)), _) => {
            let kind = Reason::quotable(kind).unwrap_or("that it names");
            Err(Reason::new(
                ReasonCode::UnsupportedMessage,
                format!("messages of the type {kind} are not supported"),
            ))
        }
        (Some(_), Some(_)) => service
            .can
            .render(message.text.as_deref(), &content(message.contents()), service.fallback)
            .map(|rendered| rendered.offer),
    };
    agents_message(name, message, offer, body, now)
}

/// A message that came to the address of another integration. It fails, so that the customers of
/// two integrations are never mixed.
fn strayed(message: &WebhookMessage, stray: &Stray, body: &[u8], now: Timestamp) -> NewMessage {
    let why = "the webhook came to the address of another integration";
    let unsuited = Err(Reason::new(ReasonCode::InvalidDestination, why));
    agents_message(&stray.keeper, message, unsuited, body, now)
}

/// A message to forward, with what it offers, or to fail at once for a reason.
fn agents_message(
    name: &IntegrationName,
    message: &WebhookMessage,
    offer: Result<Offer, Reason>,
    body: &[u8],
    now: Timestamp,
) -> NewMessage {
    let customer = message.to().map_or_else(|| customer_of(UNKNOWN_CUSTOMER), customer);
    let id = MessageId::from_foreign(&message.id);
    let (offered, unsuited) = match offer {
        Ok(offer) => (Some(offer).filter(|offer| !offer.options.is_empty()), None),
        Err(reason) => (None, Some(reason)),
    };
    let input = match message.r#type {
        Some(MessageType::Receipt | MessageType::Event) => None,
        _ => Some(Input::AgentMessage {
            message: id.clone(),
            time: message.timestamp(),
            received: now,
            genesys: message.conversation_id.clone().map(String::into_boxed_str),
            offer: offered.map(|offer| Box::new(offer.bounded())),
            unsuited,
        }),
    };
    new_message(name, id, &message.id, &customer, body, now, input)
}

fn no_message(name: &IntegrationName, why: String, body: &[u8], now: Timestamp) -> Webhook {
    Webhook::NoMessage(Box::new(not_understood(name, &why, body, now)), why)
}

/// A body that is not a message. It is stored whole. If it has an id, Genesys is told.
fn not_understood(name: &IntegrationName, why: &str, body: &[u8], now: Timestamp) -> NewMessage {
    let Envelope { id, to_id, to_id_type, .. } = Envelope::read(body).unwrap_or_default();
    let customer = to_id.map_or_else(
        || customer_of(UNKNOWN_CUSTOMER),
        |id| Customer { id, id_type: to_id_type, ..Customer::default() },
    );
    let Some(foreign) = id.filter(|id| !id.is_empty()) else {
        // No receipt is possible, but signed bytes are never discarded. The id is derived from the
        // whole body, with each byte as one character, so that different bodies get different ids.
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
        offer: None,
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
        // A copy, because the request's bytes are part of a larger allocation.
        body: Bytes::copy_from_slice(body),
        input,
    }
}

fn typing(name: &IntegrationName, message: &WebhookMessage) -> Webhook {
    let customer = message.to().map_or(UNKNOWN_CUSTOMER, |to| &to.id);
    let typing = message.events.iter().flatten().find_map(|event| event.typing.as_ref());
    let on = typing
        .and_then(|typing| typing.r#type.as_deref())
        .is_none_or(|kind| kind.eq_ignore_ascii_case("on"));
    let duration = typing.and_then(|typing| typing.duration).map_or(TYPING, Duration::from_millis);
    Webhook::Typing { conversation: ConversationId::of(name, customer), on, duration }
}

/// Who wrote a message, if it says so.
pub(crate) fn sender(message: &WebhookMessage) -> Option<Sender> {
    let kind = match message.originating_entity.as_ref()? {
        OriginatingEntity::Human => SenderKind::Human,
        OriginatingEntity::Bot => SenderKind::Bot,
        OriginatingEntity::Other(_) => return None,
    };
    let from = message.channel.as_ref().and_then(|channel| channel.from.as_ref());
    Some(Sender { kind, name: from.and_then(|from| from.nickname.clone()) })
}

/// The customer, as the connector gets it.
fn customer(party: &Party) -> Customer {
    Customer {
        id: party.id.clone(),
        id_type: party.id_type.as_ref().map(|kind| kind.as_str().to_owned()),
        nickname: party.nickname.clone(),
        first_name: party.first_name.clone(),
        last_name: party.last_name.clone(),
        image: party.image.clone(),
        email: party.email.clone(),
        ..Customer::default()
    }
}

fn customer_of(id: &str) -> Customer {
    Customer { id: id.to_owned(), ..Customer::default() }
}

/// The customer, as the store keeps it.
pub(crate) fn json(customer: &Customer) -> String {
    // A struct of strings is always JSON.
    serde_json::to_string(customer).expect("a customer is JSON")
}

/// The content in the form in which connectors get it: Genesys's own, unchanged.
pub(crate) fn content(contents: &[Content]) -> Vec<Value> {
    contents.iter().map(|content| serde_json::to_value(content).unwrap_or_default()).collect()
}
