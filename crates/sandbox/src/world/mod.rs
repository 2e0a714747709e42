//! Everything that the sandbox knows: tokens, integrations, conversations, messages, and the
//! transcript of it all.
//!
//! It is a plain data structure behind one lock, without I/O and without a clock. Every look-up
//! uses a hash, so that a request costs the same for ten messages as for a hundred thousand.

mod agent_content;
pub(crate) mod channels;
mod clients;
mod conversation;
mod desk;
mod events;
mod inbound;
mod integration;
mod message;
mod normalized;
mod org;
mod profiles;
mod receipt;
mod render;
mod responses;
mod tokens;
mod whole;

use std::collections::{BTreeMap, HashMap, HashSet};

use fastrand::Rng;
use jiff::Timestamp;

pub(crate) use agent_content::AgentContent;
pub(crate) use clients::{Client, Clients, is_permission};
pub(crate) use conversation::{Conversation, DISCONNECT_TYPES, End, Participant};
pub(crate) use desk::{Desk, News};
pub(crate) use inbound::Inbound;
pub(crate) use integration::{Integration, Integrations};
pub(crate) use message::{Message, Origin, Outgoing, Status, WebhookEnd};
pub(crate) use normalized::{Address, MessageChannel, NormalizedMessage};
pub(crate) use org::FIRST_AGENT;
pub(crate) use profiles::{Profile, ProfileKind};
pub(crate) use responses::{Parameter, Response};
pub(crate) use tokens::{Admission, Tokens};

use channels::Channels;
use profiles::Profiles;
use responses::Responses;

use crate::clock::wire_time;
use crate::transcript::{Entry, Kind, Transcript};
use crate::verdict::{Named, Record, Verdict};

/// Why the world refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such integration.
    #[error("there is no such integration")]
    NoIntegration,
    /// There is no such conversation.
    #[error("there is no such conversation")]
    NoConversation,
    /// There is no such participant in the conversation.
    #[error("there is no such participant in the conversation")]
    NoParticipant,
    /// There is no such message.
    #[error("there is no such message")]
    NoMessage,
    /// The conversation has ended.
    #[error("the conversation has ended")]
    Ended,
    /// There is no such messaging setting or supported content profile.
    #[error("there is no such messaging setting or supported content profile")]
    NoProfile,
    /// The organisation's own messaging setting or supported content profile cannot be changed.
    #[error(
        "the organisation's own profile cannot be changed: make another, and make it the default"
    )]
    OwnProfile,
    /// The integration's supported content does not allow this type of media.
    #[error(
        "the integration's supported content does not allow this type of media: give it one that \
         does"
    )]
    MediaNotAllowed,
    /// There is no such canned response.
    #[error("there is no such canned response: PUT /sandbox/responses/{{id}} makes one")]
    NoResponse,
    /// There is no such medium.
    #[error("there is no such medium")]
    NoMedium,
}

/// The state of the sandbox.
#[derive(Debug)]
pub(crate) struct World {
    rng: Rng,
    pub(crate) clients: Clients,
    pub(crate) tokens: Tokens,
    settings: Profiles,
    content: Profiles,
    pub(crate) responses: Responses,
    /// The threading windows of the messengers other than Open, in minutes.
    pub(crate) threading: BTreeMap<String, u32>,
    pub(crate) integrations: Integrations,
    pub(crate) channels: Channels,
    conversations: HashMap<String, Conversation>,
    /// The newest conversation of a customer of an integration.
    newest: HashMap<(String, String), String>,
    messages: HashMap<String, Message>,
    /// Messages for which the middleware owes a final receipt.
    outstanding: HashSet<String>,
    /// The ids of inbound messages, by integration and `channel.messageId`.
    inbound_ids: HashMap<(String, String), String>,
    pub(crate) desk: Desk,
    pub(crate) record: Record,
    pub(crate) transcript: Transcript,
}

impl World {
    /// An empty world whose ids are drawn from `rng`.
    pub(crate) fn new(rng: Rng, transcript: Transcript) -> Self {
        Self {
            rng,
            clients: Clients::default(),
            tokens: Tokens::default(),
            settings: Profiles::default(),
            content: Profiles::default(),
            responses: Responses::default(),
            threading: BTreeMap::new(),
            integrations: Integrations::default(),
            channels: Channels::default(),
            conversations: HashMap::new(),
            newest: HashMap::new(),
            messages: HashMap::new(),
            outstanding: HashSet::new(),
            inbound_ids: HashMap::new(),
            desk: Desk::default(),
            record: Record::default(),
            transcript,
        }
    }

    /// The random generator that ids are drawn from.
    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// What the middleware did so far.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut outstanding: Vec<&Message> =
            self.outstanding.iter().filter_map(|id| self.messages.get(id)).collect();
        outstanding.sort_by_key(|message| (message.time, &message.id));
        let named =
            |message: &Message| Named { id: message.id.clone(), at: wire_time(message.time) };
        self.record.verdict(outstanding.into_iter().map(named).collect())
    }

    /// Clears the verdict, including the messages that still need a receipt. Nothing else changes.
    pub(crate) fn reset_verdict(&mut self) {
        self.record = Record::default();
        self.outstanding.clear();
    }

    /// The newest conversation of `customer` at `integration`.
    pub(crate) fn conversation_of(
        &self,
        integration: &str,
        customer: &str,
    ) -> Option<&Conversation> {
        let id = self.newest.get(&(integration.to_owned(), customer.to_owned()))?;
        self.conversations.get(id)
    }

    /// The conversation, by its id.
    pub(crate) fn conversation(&self, id: &str) -> Result<&Conversation, Refusal> {
        self.conversations.get(id).ok_or(Refusal::NoConversation)
    }

    /// The message, by its id.
    pub(crate) fn message(&self, id: &str) -> Result<&Message, Refusal> {
        self.messages.get(id).ok_or(Refusal::NoMessage)
    }

    /// Changes a message's status and records it in the transcript.
    fn set_status(&mut self, id: &str, status: Status, now: Timestamp) {
        let Some(message) = self.messages.get_mut(id) else { return };
        if message.status == status {
            return;
        }
        self.desk.turned(&message.conversation, message.status, status);
        message.status = status;
        let conversation = message.conversation.clone();
        self.transcript.write(Entry {
            at: wire_time(now),
            kind: Kind::Message,
            integration: Some(message.integration.clone()),
            conversation: Some(conversation.clone()),
            message: Some(id.to_owned()),
            state: Some(status.as_str().to_owned()),
            ..Entry::default()
        });
        self.show(&conversation, now);
    }
}
