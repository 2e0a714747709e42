//! Messages in both directions, and the status of an outbound one: queued, sent, delivered or
//! failed.

use std::collections::BTreeMap;
use std::time::Duration;

use genesys::Content;
use genesys::inbound::{InboundChannel, InboundMessage, StructuredResponse};
use genesys::receipt::Reason;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::normalized::{general, payload};
use super::org::AGENT;
use super::profiles::{Profile, ProfileKind};
use super::{Address, End, Integration, MessageChannel, NormalizedMessage, Refusal, Said, World};
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
    pub(crate) over: oneshot::Sender<()>,
}

/// How a message's webhook calls ended.
#[derive(Clone, Debug)]
pub(crate) enum WebhookEnd {
    Taken,
    Failed(String),
}

/// A customer's message or structured response.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    channel: InboundChannel,
    text: Option<String>,
    content: Option<Vec<Value>>,
    metadata: Option<BTreeMap<String, String>>,
    structured: bool,
}

impl Inbound {
    /// The id of the customer who writes.
    pub(crate) fn customer(&self) -> &str {
        &self.channel.from.id
    }
}

impl From<InboundMessage> for Inbound {
    fn from(message: InboundMessage) -> Self {
        let content =
            message.content.map(|content| content.into_iter().map(with_content_type).collect());
        let (text, metadata) = (message.text, message.metadata);
        Self { channel: message.channel, text, content, metadata, structured: false }
    }
}

impl From<StructuredResponse> for Inbound {
    fn from(response: StructuredResponse) -> Self {
        let element =
            json!({"contentType": "ButtonResponse", "buttonResponse": response.button_response});
        Self {
            channel: response.channel,
            text: None,
            content: Some(vec![element]),
            metadata: None,
            structured: true,
        }
    }
}

/// The result of an inbound message.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: NormalizedMessage,
    pub(crate) id: String,
    pub(crate) conversation: String,
    /// How many attachments were dropped because of their type.
    pub(crate) dropped: usize,
}

impl World {
    /// Accepts a customer's message or structured response.
    pub(crate) fn receive(
        &mut self,
        integration: &Integration,
        mut inbound: Inbound,
        window: Duration,
        dedupe: bool,
        now: Timestamp,
    ) -> Received {
        self.record.inbound += 1;
        let customer = Address::from(inbound.channel.from);
        let id = ids::message_id(&mut self.rng);
        if let Some(foreign) = &inbound.channel.message_id {
            let key = (integration.id.clone(), foreign.clone());
            let before = self.inbound_ids.entry(key).or_insert_with(|| id.clone());
            if *before != id {
                self.record
                    .inbound_duplicates
                    .push(Named { id: foreign.clone(), at: wire_time(now) });
                let before = before.clone();
                if let Some(first) = self.messages.get(&before).filter(|_| dedupe) {
                    return Received {
                        message: first.normalized.clone(),
                        id: before,
                        conversation: first.conversation.clone(),
                        dropped: 0,
                    };
                }
            }
        }
        let content = self.profile_of(ProfileKind::Content, &integration.id, true);
        let before = inbound.content.as_ref().map_or(0, Vec::len);
        inbound
            .content
            .as_mut()
            .into_iter()
            .for_each(|elements| elements.retain(|each| passes(&content, each, true)));
        let dropped = before - inbound.content.as_ref().map_or(0, Vec::len);
        let conversation = self.join(integration, &customer, window, now);
        let (to, time) = (Address::bare(&integration.id), inbound.channel.time);
        let channel = MessageChannel::new(
            &integration.id,
            inbound.channel.message_id,
            to,
            customer.clone(),
            time,
        );
        let kind = if inbound.structured { "Structured" } else { "Text" };
        let mut normalized = NormalizedMessage::new(Some(id.clone()), kind, channel);
        normalized.text = inbound.text;
        normalized.content = inbound.content;
        normalized.metadata = inbound.metadata;
        normalized.direction = inbound.structured.then_some("Inbound");
        if let Some(found) = self.conversations.get_mut(&conversation) {
            found.customer = customer.clone();
            found.active = now;
            if let Some(participant) = found.present_mut("customer") {
                participant.messages.push(id.clone());
                let metadata = inbound.channel.metadata.unwrap_or_default();
                participant.attributes.extend(metadata.custom_attributes.unwrap_or_default());
            }
        }
        self.messages.insert(
            id.clone(),
            Message {
                id: id.clone(),
                integration: integration.id.clone(),
                conversation: conversation.clone(),
                customer: customer.id,
                outbound: false,
                time: now,
                status: Status::Received,
                normalized: normalized.clone(),
                receipts: Vec::new(),
                closed: true,
                failure: None,
                created_by: None,
            },
        );
        self.desk.said(&conversation, &id, false);
        self.show(&conversation, now);
        Received { message: normalized, id, conversation, dropped }
    }

    /// Sends a message to the customer of `conversation`.
    pub(crate) fn say(
        &mut self,
        conversation: &str,
        said: Said,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Outgoing, Refusal> {
        let id = ids::message_id(&mut self.rng);
        let found = self.conversation(conversation)?;
        if origin != Origin::Agentless && found.ended.is_some() {
            return Err(Refusal::Ended);
        }
        let content = self.profile_of(ProfileKind::Content, &found.integration, true);
        let (text, elements) = said.into_parts();
        if !elements.iter().all(|each| passes(&content, each, false)) {
            return Err(Refusal::MediaNotAllowed);
        }
        let found = self.conversations.get_mut(conversation).ok_or(Refusal::NoConversation)?;
        let time = later(found.last_time, Duration::from_millis(1)).max(now);
        found.last_time = time;
        found.active = now;
        let (to, from) = (
            found.customer.as_recipient(),
            Address::of_integration(&found.integration, &found.integration_name),
        );
        let channel =
            MessageChannel::new(&found.integration, Some(id.clone()), to, from, wire_time(time));
        // At Genesys, templates and attachments have type Text or Structured; only attachments stay
        // Text.
        let structured = elements.iter().any(|each| each["contentType"] != "Attachment");
        let kind = if structured { "Structured" } else { "Text" };
        let mut normalized = NormalizedMessage::new(Some(id.clone()), kind, channel);
        normalized.text = text;
        normalized.direction = Some("Outbound");
        normalized.content =
            Some(elements).filter(|content| origin != Origin::Agentless || !content.is_empty());
        if origin != Origin::Agentless {
            normalized.originating_entity =
                Some(if origin == Origin::Bot { "Bot" } else { "Human" });
            normalized.conversation_id = Some(conversation.to_owned());
            normalized.reasons = Some(Vec::new());
            normalized.related_messages = Some(Vec::new());
        }
        if let Some(speaker) =
            found.present_mut(if origin == Origin::Bot { "workflow" } else { "agent" })
        {
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

fn take_turn(
    last_call: &mut Option<oneshot::Receiver<()>>,
) -> (oneshot::Sender<()>, Option<oneshot::Receiver<()>>) {
    let (over, next) = oneshot::channel();
    (over, last_call.replace(next))
}

/// Whether the supported content allows an element of a message; only attachments have a media
/// type.
fn passes(content: &Profile, element: &Value, inbound: bool) -> bool {
    let Some(attachment) = element.get("attachment") else { return true };
    content.allows(attachment["mime"].as_str().unwrap_or("application/octet-stream"), inbound)
}

/// Callers may omit the type; answers never do.
fn with_content_type(mut element: Content) -> Value {
    element.content_type.get_or_insert_with(|| "Attachment".to_owned());
    json!(element)
}
