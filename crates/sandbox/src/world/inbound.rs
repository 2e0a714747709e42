//! What a customer sends: a message or a structured response becomes part of their conversation.

use std::collections::BTreeMap;

use genesys::Content;
use genesys::inbound::{InboundChannel, InboundMessage, StructuredResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::profiles::{Profile, ProfileKind};
use super::{Address, Integration, Message, MessageChannel, NormalizedMessage, Status, World};
use crate::clock::wire_time;
use crate::ids;
use crate::switches::Switches;
use crate::verdict::Named;

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

    /// Drops the attachments that the supported content does not allow; returns how many.
    fn drop_attachments(&mut self, allowed: &Profile) -> usize {
        let Some(elements) = &mut self.content else { return 0 };
        let before = elements.len();
        elements.retain(|each| allowed.allows_element(each, true));
        before - elements.len()
    }

    /// The message as Genesys answers it.
    fn normalized(self, id: &str, integration: &Integration) -> NormalizedMessage {
        let InboundChannel { from, time, message_id, .. } = self.channel;
        let (to, from) = (Address::bare(&integration.id), Address::from(from));
        let channel = MessageChannel::new(&integration.id, message_id, to, from, time);
        let kind = if self.structured { "Structured" } else { "Text" };
        let mut normalized = NormalizedMessage::new(Some(id.to_owned()), kind, channel);
        normalized.text = self.text;
        normalized.content = self.content;
        normalized.metadata = self.metadata;
        normalized.direction = self.structured.then_some("Inbound");
        normalized
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
        switches: &Switches,
        now: Timestamp,
    ) -> Received {
        self.record.inbound += 1;
        let id = ids::message_id(&mut self.rng);
        let earlier = self.earlier(&integration.id, &inbound.channel, &id, now);
        if let Some(first) = earlier.filter(|_| switches.dedupe_inbound) {
            return first;
        }
        let allowed = self.profile_of(ProfileKind::Content, &integration.id, true);
        let dropped = inbound.drop_attachments(&allowed);
        let attributes = inbound
            .channel
            .metadata
            .as_mut()
            .and_then(|metadata| metadata.custom_attributes.take())
            .unwrap_or_default();
        let normalized = inbound.normalized(&id, integration);
        let customer = &normalized.channel.from;
        let conversation = self.join(integration, customer, switches.threading_window.0, now);
        self.customer_wrote(&conversation, customer, &id, attributes, now);
        self.messages.insert(
            id.clone(),
            Message {
                id: id.clone(),
                integration: integration.id.clone(),
                conversation: conversation.clone(),
                customer: customer.id.clone(),
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

    /// The result of the first message with the same `channel.messageId`, if there was one; the
    /// verdict records the repetition. `id` is the id of the message that comes now.
    fn earlier(
        &mut self,
        integration: &str,
        channel: &InboundChannel,
        id: &str,
        now: Timestamp,
    ) -> Option<Received> {
        let foreign = channel.message_id.as_ref()?;
        let key = (integration.to_owned(), foreign.clone());
        let first = self.inbound_ids.entry(key).or_insert_with(|| id.to_owned());
        if *first == id {
            return None;
        }
        let repeated = Named { id: foreign.clone(), at: wire_time(now) };
        self.record.inbound_duplicates.push(repeated);
        self.messages.get(first).map(|first| Received {
            message: first.normalized.clone(),
            id: first.id.clone(),
            conversation: first.conversation.clone(),
            dropped: 0,
        })
    }

    /// Notes in the conversation that its customer wrote the message `id`. The attributes become
    /// participant data.
    fn customer_wrote(
        &mut self,
        conversation: &str,
        customer: &Address,
        id: &str,
        attributes: BTreeMap<String, String>,
        now: Timestamp,
    ) {
        let Some(found) = self.conversations.get_mut(conversation) else { return };
        found.customer = customer.clone();
        found.active = now;
        if let Some(participant) = found.present_mut("customer") {
            participant.messages.push(id.to_owned());
            participant.attributes.extend(attributes);
        }
    }
}

/// Callers may omit the type; answers never do.
fn with_content_type(mut element: Content) -> Value {
    element.content_type.get_or_insert_with(|| "Attachment".to_owned());
    json!(element)
}
