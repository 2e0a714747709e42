//! Messages and their status, and what happens to an outbound one: it is queued, sent, delivered or
//! failed.

use std::time::Duration;

use genesys::receipt::Reason;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::normalized::{general, payload};
use super::org::AGENT;
use super::profiles::ProfileKind;
use super::{
    Address, AgentContent, Conversation, End, MessageChannel, NormalizedMessage, Refusal, World,
};
use crate::clock::{later, wire_time};
use crate::ids;
use crate::switches::RefusedWebhook;
use crate::verdict::Named;

/// A message's status, as reads show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It came from the customer.
    Received,
    /// Its webhook call is not answered yet.
    Queued,
    /// Its webhook call was answered with a 2xx, or a receipt says so.
    Sent,
    /// A receipt says that it was delivered.
    DeliverySuccess,
    /// A receipt, or the webhook's refusal, says that it failed.
    DeliveryFailed,
    Read,
    Removed,
    Published,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::DeliverySuccess => "delivery-success",
            Self::DeliveryFailed => "delivery-failed",
            Self::Read => "read",
            Self::Removed => "removed",
            Self::Published => "published",
        }
    }
}

/// A message and its status.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) integration: String,
    pub(crate) conversation: String,
    pub(crate) customer: String,
    pub(crate) outbound: bool,
    pub(crate) time: Timestamp,
    pub(crate) status: Status,
    pub(crate) normalized: NormalizedMessage,
    pub(crate) receipts: Vec<NormalizedMessage>,
    /// Whether the final receipt has come.
    pub(crate) closed: bool,
    pub(crate) failure: Option<Reason>,
    pub(crate) created_by: Option<&'static str>,
}

/// Who an outbound message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Agent,
    /// The flow, for which a bot speaks.
    Bot,
    /// The agentless API; such messages name neither conversation nor origin.
    Agentless,
}

impl Origin {
    /// The purpose of the participant who speaks.
    fn purpose(self) -> &'static str {
        match self {
            Self::Agent | Self::Agentless => "agent",
            Self::Bot => "workflow",
        }
    }

    /// The origin as the webhook names it, if it does.
    fn entity(self) -> Option<&'static str> {
        match self {
            Self::Agent => Some("Human"),
            Self::Bot => Some("Bot"),
            Self::Agentless => None,
        }
    }
}

/// A message on its way to the webhook.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) integration: String,
    pub(crate) conversation: String,
    pub(crate) message: NormalizedMessage,
    pub(crate) id: String,
    /// Set for typing and for receipts of inbound messages, which are sent once and have no
    /// consequences.
    pub(crate) once: bool,
    /// Resolves when the previous call is over.
    pub(crate) turn: Option<oneshot::Receiver<()>>,
    /// Dropped when this message's first call is over.
    pub(crate) over: Option<oneshot::Sender<()>>,
}

/// How a message's webhook calls ended.
#[derive(Clone, Debug)]
pub(crate) enum WebhookEnd {
    Taken,
    Failed(String),
}

impl World {
    /// Sends a message to the customer of `conversation`.
    pub(crate) fn say(
        &mut self,
        conversation: &str,
        said: AgentContent,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Outgoing, Refusal> {
        let id = ids::message_id(&mut self.rng);
        let found = self.conversation(conversation)?;
        if origin != Origin::Agentless && found.ended.is_some() {
            return Err(Refusal::Ended);
        }
        let allowed = self.profile_of(ProfileKind::Content, &found.integration, true);
        if !said.content().iter().all(|each| allowed.allows_element(each, false)) {
            return Err(Refusal::MediaNotAllowed);
        }
        let found = self.conversations.get_mut(conversation).ok_or(Refusal::NoConversation)?;
        let time = later(found.last_time, Duration::from_millis(1)).max(now);
        found.last_time = time;
        found.active = now;
        let normalized = outbound(found, &id, said, origin, time);
        if let Some(speaker) = found.present_mut(origin.purpose()) {
            speaker.messages.push(id.clone());
        }
        let (over, turn) = take_turn(&mut found.last_call);
        let integration = found.integration.clone();
        let message = Message {
            id: id.clone(),
            integration: integration.clone(),
            conversation: conversation.to_owned(),
            customer: found.customer.id.clone(),
            outbound: true,
            time,
            status: Status::Queued,
            normalized: normalized.clone(),
            receipts: Vec::new(),
            closed: false,
            failure: None,
            created_by: Some(AGENT).filter(|_| origin != Origin::Bot),
        };
        self.messages.insert(id.clone(), message);
        self.outstanding.insert(id.clone());
        self.record.messages += 1;
        self.desk.said(conversation, &id, true);
        let conversation = conversation.to_owned();
        self.show(&conversation, now);
        Ok(Outgoing { integration, conversation, message: normalized, id, once: false, turn, over })
    }

    /// Shows the customer of `conversation` that the agent types.
    pub(crate) fn type_on(
        &mut self,
        conversation: &str,
        typing: &Value,
        now: Timestamp,
    ) -> Result<Outgoing, Refusal> {
        let id = ids::message_id(&mut self.rng);
        let found = self.conversations.get_mut(conversation).ok_or(Refusal::NoConversation)?;
        if found.ended.is_some() {
            return Err(Refusal::Ended);
        }
        let from = Address::of_integration(&found.integration, &found.integration_name);
        let to = found.customer.as_recipient();
        let channel =
            MessageChannel::new(&found.integration, Some(id.clone()), to, from, wire_time(now));
        let mut normalized = NormalizedMessage::new(Some(id.clone()), "Event", channel);
        normalized.events = Some(vec![json!({"eventType": "Typing", "typing": typing})]);
        normalized.direction = Some("Outbound");
        let (over, turn) = take_turn(&mut found.last_call);
        let integration = found.integration.clone();
        let conversation = conversation.to_owned();
        Ok(Outgoing { integration, conversation, message: normalized, id, once: true, turn, over })
    }

    /// The receipt that tells the webhook that an inbound message was accepted.
    pub(crate) fn published(
        &mut self,
        conversation: &str,
        inbound: &NormalizedMessage,
        now: Timestamp,
    ) -> Option<Outgoing> {
        let id = inbound.id.clone()?;
        let found = self.conversations.get_mut(conversation)?;
        let from = Address::of_integration(&found.integration, &found.integration_name);
        let to = found.customer.as_recipient();
        let channel = MessageChannel::new(
            &found.integration,
            inbound.channel.message_id.clone(),
            to,
            from,
            wire_time(now),
        );
        let mut receipt = NormalizedMessage::new(Some(id.clone()), "Receipt", channel);
        receipt.status = Some("Published".to_owned());
        receipt.is_final_receipt = Some(true);
        receipt.direction = Some("Inbound");
        let (over, turn) = take_turn(&mut found.last_call);
        let (integration, conversation) = (found.integration.clone(), conversation.to_owned());
        Some(Outgoing { integration, conversation, message: receipt, id, once: true, turn, over })
    }

    /// Records how the webhook calls for a message ended, and applies the consequences.
    pub(crate) fn webhook_ended(
        &mut self,
        id: &str,
        how: WebhookEnd,
        refused: RefusedWebhook,
        now: Timestamp,
    ) {
        let Some(message) = self.messages.get_mut(id) else { return };
        match how {
            // A receipt may have come first, and takes precedence.
            WebhookEnd::Taken if message.status == Status::Queued => {
                self.set_status(id, Status::Sent, now);
            }
            WebhookEnd::Taken => {}
            WebhookEnd::Failed(explanation) => {
                let reason = general(explanation);
                let conversation = message.conversation.clone();
                let payload = payload(&reason);
                if !message.closed {
                    message.failure = Some(reason);
                    self.set_status(id, Status::DeliveryFailed, now);
                }
                // The middleware refused it, or may never have seen it, so no receipt is owed for
                // it.
                self.outstanding.remove(id);
                self.record.failed_webhooks.push(Named { id: id.to_owned(), at: wire_time(now) });
                if refused == RefusedWebhook::Conversation {
                    // The conversation exists, since this message is in it.
                    let _ = self.end(&conversation, &End::Error(payload), now);
                }
            }
        }
    }
}

/// A message to the customer of a conversation, as the webhook gets it.
fn outbound(
    conversation: &Conversation,
    id: &str,
    said: AgentContent,
    origin: Origin,
    time: Timestamp,
) -> NormalizedMessage {
    let Conversation { integration, integration_name, customer, .. } = conversation;
    let (to, from) =
        (customer.as_recipient(), Address::of_integration(integration, integration_name));
    let channel = MessageChannel::new(integration, Some(id.to_owned()), to, from, wire_time(time));
    let (text, content) = said.into_parts();
    // At Genesys, templates and attachments have type Text or Structured; only attachments stay
    // Text.
    let structured = content.iter().any(|each| each["contentType"] != "Attachment");
    let kind = if structured { "Structured" } else { "Text" };
    let mut normalized = NormalizedMessage::new(Some(id.to_owned()), kind, channel);
    normalized.text = text;
    normalized.direction = Some("Outbound");
    normalized.originating_entity = origin.entity();
    if origin == Origin::Agentless {
        normalized.content = Some(content).filter(|content| !content.is_empty());
    } else {
        normalized.content = Some(content);
        normalized.conversation_id = Some(conversation.id.clone());
        normalized.reasons = Some(Vec::new());
        normalized.related_messages = Some(Vec::new());
    }
    normalized
}

fn take_turn(
    last_call: &mut Option<oneshot::Receiver<()>>,
) -> (Option<oneshot::Sender<()>>, Option<oneshot::Receiver<()>>) {
    let (over, next) = oneshot::channel();
    (Some(over), last_call.replace(next))
}
