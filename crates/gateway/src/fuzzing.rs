//! What the fuzz targets in `fuzz/` reach of this crate, which is nobody else's business.

use std::time::Duration;

use connector::Capabilities;
use conversation::{ConversationId, IntegrationName};
use jiff::Timestamp;
use store::NewMessage;

use crate::from_genesys::{self, Webhook};

/// What a webhook brings.
#[derive(Debug)]
pub enum Read {
    /// Something to keep; and why it is no message, where it is none.
    Kept(Box<NewMessage>, Option<String>),
    /// The agent types.
    Typing(ConversationId, bool, Duration),
}

/// What ingress makes of an authentic body.
pub fn webhook(name: &IntegrationName, can: &Capabilities, body: &[u8], now: Timestamp) -> Read {
    match from_genesys::read(name, can, body, now) {
        Webhook::Message(message) => Read::Kept(message, None),
        Webhook::NoMessage(message, why) => Read::Kept(message, Some(why)),
        Webhook::Typing { conversation, on, duration } => Read::Typing(conversation, on, duration),
    }
}
