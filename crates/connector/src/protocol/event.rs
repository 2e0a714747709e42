//! Parses one event from its JSON.
//!
//! The field names are those of the connector protocol, version 1 (docs/connectors.md). Unknown
//! fields are ignored, so that a newer chat service can talk to an older gateway.

use std::collections::BTreeMap;

use conversation::{ConversationId, MessageId, MessageRef, Reason, ReasonCode, Report, SessionId};
use serde_json::Value;

use super::fields::{Fields, MAX_ORNAMENT, Why};
use super::reason;
use super::{MAX_CONTENT, MAX_DEPTH, MAX_ID, MAX_SESSION};
use crate::{Customer, EarlierMessage, Event, ServiceState};

/// What is wrong with an event, and the event's id if it can be read.
pub(super) struct Fault {
    pub(super) id: Option<String>,
    pub(super) why: Why,
}

pub(super) fn read(json: &str) -> Result<(Event, Vec<String>), Fault> {
    let unnamed = |why: Why| Fault { id: None, why };
    if depth(json) > MAX_DEPTH {
        return Err(unnamed(format!("it is nested deeper than {MAX_DEPTH} levels")));
    }
    let Some(fields) = Fields::read(json) else {
        return Err(unnamed("it is not an object".to_owned()));
    };
    let id = fields.peek_id();
    let event = read_fields(&fields).map_err(|why| Fault { id, why })?;
    let left_out = if matches!(event, Event::Message { .. } | Event::History { .. }) {
        left_out(&fields)
    } else {
        Vec::new()
    };
    Ok((event, left_out))
}

fn read_fields(fields: &Fields) -> Result<Event, Why> {
    let kind = fields.text("type")?.ok_or("`type` is missing")?;
    match kind.as_str() {
        "message.created" => message(fields),
        "history" => history(fields),
        "state" => state(fields),
        "message.edited" => Ok(Event::Changed {
            id: fields.id("id", MAX_ID)?,
            message_id: fields.id("message_id", MAX_ID)?,
            text: Some(
                fields.text("text")?.filter(|text| !text.is_empty()).ok_or("`text` is missing")?,
            ),
        }),
        "message.deleted" => Ok(Event::Changed {
            id: fields.id("id", MAX_ID)?,
            message_id: fields.id("message_id", MAX_ID)?,
            text: None,
        }),
        "message.delivered" => report(fields, |_| Report::Delivered),
        "message.read" => report(fields, |_| Report::Read),
        "message.failed" => report(fields, |fields| Report::Failed {
            reason: given_reason(fields, ReasonCode::GeneralError),
        }),
        "session.opened" => Ok(Event::SessionOpened {
            id: fields.id("id", MAX_ID)?,
            conversation: conversation(fields)?,
            session: SessionId::new(fields.id("session", MAX_SESSION)?),
        }),
        "session.refused" => Ok(Event::SessionRefused {
            id: fields.id("id", MAX_ID)?,
            conversation: conversation(fields)?,
            reason: given_reason(fields, ReasonCode::InvalidDestination),
        }),
        "session.closed" => Ok(Event::SessionClosed {
            id: fields.id("id", MAX_ID)?,
            conversation: conversation(fields)?,
            session: fields.maybe_id("session", MAX_SESSION)?.map(SessionId::new),
            reason: reason::in_event(fields, ReasonCode::InvalidDestination),
        }),
        "session.lost" => Ok(Event::SessionLost {
            id: fields.id("id", MAX_ID)?,
            conversation: fields.maybe_id("conversation", MAX_ID)?.map(ConversationId::new),
            session: fields.maybe_id("session", MAX_SESSION)?.map(SessionId::new),
        }),
        "typing" => typing(fields),
        _ => Err("its `type` is not known".to_owned()),
    }
}

fn message(fields: &Fields) -> Result<Event, Why> {
    let id = fields.id("id", MAX_ID)?;
    let customer = customer(fields)?;
    let text = fields.text("text")?.filter(|text| !text.is_empty());
    let content = match fields.value("content")? {
        None => Vec::new(),
        Some(Value::Array(content)) if content.len() > MAX_CONTENT => {
            return Err(format!(
                "`content` has {} elements, and at most {MAX_CONTENT} are taken",
                content.len()
            ));
        }
        Some(Value::Array(content)) if content.iter().all(Value::is_object) => content,
        Some(_) => return Err("`content` is not an array of objects".to_owned()),
    };
    if text.is_none() && content.is_empty() {
        return Err("it has neither a `text` nor `content`".to_owned());
    }
    let time = match fields.text("time")? {
        None => None,
        Some(time) => Some(
            time.parse().map_err(|_| "`time` is not a time such as 2026-11-20T09:10:59.120Z")?,
        ),
    };
    Ok(Event::Message { id, customer, text, content, time })
}

fn customer(fields: &Fields) -> Result<Customer, Why> {
    let customer = fields.object("customer", "customer.")?.ok_or("`customer` is missing")?;
    Ok(Customer {
        id: customer.id("id", MAX_ID)?,
        id_type: customer.ornament("id_type", "idType"),
        nickname: customer.name("nickname", "nickname"),
        first_name: customer.name("first_name", "firstName"),
        last_name: customer.name("last_name", "lastName"),
        image: customer.ornament("image", "image"),
        email: customer.ornament("email", "email"),
        attributes: attributes(&customer),
    })
}

/// How many earlier messages an event may hand over.
const MAX_HISTORY: usize = 100;

fn history(fields: &Fields) -> Result<Event, Why> {
    let Some(Value::Array(given)) = fields.value("messages")? else {
        return Err("`messages` is not an array".to_owned());
    };
    if given.is_empty() || given.len() > MAX_HISTORY {
        return Err(format!("`messages` has {} elements, not 1 to {MAX_HISTORY}", given.len()));
    }
    let earlier = |(index, message): (usize, &Value)| {
        let text = |key: &str| message.get(key).and_then(Value::as_str).map(str::trim);
        let text_of = |key: &str| text(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let time = text("time").and_then(|time| time.parse().ok());
        let words =
            text_of("text").ok_or_else(|| format!("`messages[{index}].text` is missing"))?;
        Ok(EarlierMessage { from: text_of("from"), text: words, time })
    };
    let messages = given.iter().enumerate().map(earlier).collect::<Result<_, Why>>()?;
    Ok(Event::History { id: fields.id("id", MAX_ID)?, customer: customer(fields)?, messages })
}

fn state(fields: &Fields) -> Result<Event, Why> {
    let state = match fields.text("state")?.as_deref() {
        Some("up") => ServiceState::Up,
        Some("down") => ServiceState::Down,
        Some("refused") => ServiceState::Refused,
        _ => return Err("`state` is none of \"up\", \"down\" and \"refused\"".to_owned()),
    };
    let remedy = fields.ornament("remedy", "remedy");
    Ok(Event::State { state, remedy })
}

/// The most bytes of all names and values of a customer's attributes.
const MAX_ATTRIBUTES: usize = 4_096;

/// The customer's attributes: texts, numbers, and true or false as text. Others are left out. All
/// are left out if they are too large together, so that no flow sees half of them.
fn attributes(customer: &Fields) -> BTreeMap<String, String> {
    let Ok(Some(given)) = customer.object("attributes", "customer.attributes.") else {
        return BTreeMap::new();
    };
    let text = |name: &str| match given.readable(name)? {
        Value::String(text) => Some(text),
        Value::Bool(is) => Some(is.to_string()),
        _ => given.scalar(name),
    };
    let all: BTreeMap<_, _> =
        given.names().filter_map(|name| Some((name.to_owned(), text(name)?))).collect();
    let bytes: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes <= MAX_ATTRIBUTES { all } else { BTreeMap::new() }
}

/// What is left out of the customer's attributes.
fn left_out_attributes(customer: &Fields) -> Option<String> {
    customer.readable("attributes")?;
    let Ok(Some(given)) = customer.object("attributes", "customer.attributes.") else {
        return Some("`customer.attributes` is not an object and was left out".to_owned());
    };
    match (attributes(customer).len(), given.names().count()) {
        (kept, given) if kept == given => None,
        (0, _) => Some(format!(
            "`customer.attributes` has no text, or more than {MAX_ATTRIBUTES} bytes, and was left \
             out"
        )),
        _ => Some("`customer.attributes` has values that are not text; they were left out".into()),
    }
}

/// The customer's text fields, in both spellings.
const CUSTOMER: [&str; 9] = [
    "id_type",
    "idType",
    "nickname",
    "first_name",
    "firstName",
    "last_name",
    "lastName",
    "image",
    "email",
];

/// The customer's fields that are unknown, not text, or too long.
fn left_out(fields: &Fields) -> Vec<String> {
    /// The longest name that is shown, in characters, and how many are shown.
    const LONGEST: usize = 40;
    const MOST: usize = 20;
    let Ok(Some(customer)) = fields.object("customer", "customer.") else { return Vec::new() };
    let others = customer.names().filter(|name| !["id", "attributes"].contains(name));
    let odd = others.filter_map(|name| {
        let shown: String =
            name.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        match customer.scalar(name) {
            _ if !CUSTOMER.contains(&name) => {
                Some(format!("`customer.{shown}` is not known and was left out"))
            }
            None => Some(format!("`customer.{shown}` is no text and was left out")),
            Some(text)
                if text.len() > MAX_ORNAMENT && !name.to_ascii_lowercase().ends_with("name") =>
            {
                Some(format!("`customer.{shown}` is too long and was left out"))
            }
            Some(_) => None,
        }
    });
    left_out_attributes(&customer).into_iter().chain(odd).take(MOST).collect()
}

fn report(fields: &Fields, report: impl FnOnce(&Fields) -> Report) -> Result<Event, Why> {
    let id = fields.id("id", MAX_ID)?;
    let ours = fields.maybe_id("message", MAX_ID)?;
    let theirs = fields.maybe_id("message_id", MAX_ID)?;
    let message = match (ours, theirs) {
        (Some(ours), _) => MessageRef::Ours(MessageId::new(ours)),
        (None, Some(theirs)) => MessageRef::Service(theirs.into()),
        (None, None) => {
            return Err(
                "it names no message: both `message` and `message_id` are missing".to_owned()
            );
        }
    };
    Ok(Event::Report { id, message, report: report(fields) })
}

fn typing(fields: &Fields) -> Result<Event, Why> {
    let customer = match fields.object("customer", "customer.") {
        Ok(customer) => customer.map(|customer| customer.id("id", MAX_ID)).transpose()?,
        Err(_) => fields.maybe_id("customer", MAX_ID)?,
    };
    let conversation = fields.maybe_id("conversation", MAX_ID)?.map(ConversationId::new);
    if customer.is_none() && conversation.is_none() {
        return Err("it says neither `customer` nor `conversation`".to_owned());
    }
    let on = match fields.text("state")?.as_deref() {
        Some("on") => true,
        Some("off") => false,
        _ => return Err("`state` is neither \"on\" nor \"off\"".to_owned()),
    };
    Ok(Event::Typing { customer, conversation, on })
}

fn conversation(fields: &Fields) -> Result<ConversationId, Why> {
    fields.id("conversation", MAX_ID).map(ConversationId::new)
}

fn given_reason(fields: &Fields, fallback: ReasonCode) -> Reason {
    reason::in_event(fields, fallback).unwrap_or_else(|| Reason::from_service(None, None, fallback))
}

/// The nesting depth of valid JSON. Brackets within strings do not count.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
