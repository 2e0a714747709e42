//! The part of this crate that the fuzz targets in `fuzz/` use. Other code must not use it.

use std::time::Duration;

use connector::{Capabilities, Fallback};
use conversation::{ConversationId, IntegrationName};
use jiff::Timestamp;
use store::NewMessage;

use crate::from_genesys::{self, Webhook};

/// What a webhook contains.
#[derive(Debug)]
pub enum ParsedWebhook {
    /// A message to store. The text says why it is not a message, if it is not one.
    Kept(Box<NewMessage>, Option<String>),
    /// The agent types.
    Typing(ConversationId, bool, Duration),
}

/// Reads an authentic body as the webhook endpoint does.
pub fn webhook(
    name: &IntegrationName,
    can: &Capabilities,
    body: &[u8],
    now: Timestamp,
) -> ParsedWebhook {
    let service = from_genesys::Service { can, fallback: Fallback::Text };
    match from_genesys::read(name, service, &|_| None, body, now) {
        Webhook::Message(message) => ParsedWebhook::Kept(message, None),
        Webhook::NoMessage(message, why) => ParsedWebhook::Kept(message, Some(why)),
        Webhook::Stray { message, .. } => {
            unreachable!("there is no other integration: {message:?}")
        }
        Webhook::Typing { conversation, on, duration } => {
            ParsedWebhook::Typing(conversation, on, duration)
        }
    }
}
