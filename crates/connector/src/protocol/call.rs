//! The bodies of the calls, and their ids. HTTP requests and WebSocket frames carry the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conversation::{Clock, MessageId, Reason, SessionId};
use serde::Serialize;

use crate::{Customer, Forward, Open, Refusal, Sender, Typing, Unavailable};

/// How long calls for typing, the end of a conversation, refused messages and checks may take.
pub(crate) const BEST_EFFORT: Duration = Duration::from_secs(5);

/// The body of `open`.
#[derive(Serialize)]
pub(crate) struct OpenBody<'a> {
    customer: &'a Customer,
    attempt: u32,
}

impl<'a> From<&'a Open> for OpenBody<'a> {
    fn from(call: &'a Open) -> Self {
        Self { customer: &call.customer, attempt: call.attempt }
    }
}

/// The body of `messages`.
#[derive(Serialize)]
pub(crate) struct MessageBody<'a> {
    id: &'a MessageId,
    time: jiff::Timestamp,
    text: Option<&'a str>,
    content: &'a [serde_json::Value],
    session: &'a SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a Sender>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unavailable: &'a [Unavailable],
}

impl<'a> From<&'a Forward> for MessageBody<'a> {
    fn from(message: &'a Forward) -> Self {
        let Forward { id, time, content, session, unavailable, .. } = message;
        let (text, sender) = (message.text.as_deref(), message.sender.as_ref());
        Self { id, time: *time, text, content, session, sender, unavailable }
    }
}

/// The body of `typing`.
#[derive(Serialize)]
pub(crate) struct TypingBody {
    state: &'static str,
    duration_ms: u128,
}

impl From<Typing> for TypingBody {
    fn from(typing: Typing) -> Self {
        let state = if typing.on { "on" } else { "off" };
        Self { state, duration_ms: typing.duration.as_millis() }
    }
}

/// The body of `close`.
#[derive(Serialize)]
pub(crate) struct CloseBody<'a> {
    pub(crate) reason: &'a str,
}

/// The body of `events`.
#[derive(Serialize)]
pub(crate) struct RefusedBody<'a> {
    r#type: &'static str,
    message_id: &'a str,
    reason: &'a Reason,
}

impl<'a> From<&'a Refusal> for RefusedBody<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        let Refusal { message_id, reason, .. } = refusal;
        Self { r#type: "message.refused", message_id, reason }
    }
}

/// The id of the report that a message was refused. It is the same each time, so that a service
/// that drops repeated ids processes the report once.
pub(crate) fn refusal_id(refusal: &Refusal) -> String {
    let message = MessageId::from_foreign(&refusal.message_id);
    format!("{}.refused.{message}", refusal.conversation)
}

/// Makes the ids of calls.
pub(crate) struct CallIds {
    clock: Arc<dyn Clock>,
    /// Distinguishes calls of one conversation within one tick of the clock.
    calls: AtomicU64,
}

impl CallIds {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, calls: AtomicU64::new(0) }
    }

    /// A new id. No two calls have the same one, even after a restart. So a service that drops
    /// repeated ids drops none of them.
    pub(crate) fn next(&self, conversation: &str, call: &str) -> String {
        let count = self.calls.fetch_add(1, Ordering::Relaxed);
        format!("{conversation}.{call}.{}.{count}", self.clock.now().as_microsecond())
    }
}
