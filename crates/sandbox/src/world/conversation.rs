//! Conversations: who takes part, how a customer comes back, and how it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::org::FIRST_AGENT;
use super::{Address, Integration, Refusal, World};
use crate::clock::{later, wire_time};
use crate::ids;
use crate::transcript::{Entry, Kind};

/// How a participant can leave, as reads write it (reference, section 6.3).
pub(crate) const DISCONNECT_TYPES: [&str; 19] = [
    "endpoint",
    "endpoint.donotdisturb",
    "client",
    "system",
    "transfer",
    "transfer.conference",
    "transfer.consult",
    "transfer.donotdisturb",
    "transfer.forward",
    "transfer.noanswer",
    "transfer.notavailable",
    "transport.failure",
    "error",
    "peer",
    "other",
    "spam",
    "inactivity",
    "session.expired",
    "takeover",
];

/// A conversation, in Genesys's sense of the word.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) id: String,
    pub(crate) integration: String,
    pub(crate) integration_name: String,
    pub(crate) customer: Address,
    pub(crate) participants: Vec<Participant>,
    /// The index of this stay's first participant; those before it belong to earlier stays.
    stay: usize,
    pub(crate) ended: Option<Timestamp>,
    /// When someone last wrote, or when this stay began.
    pub(super) active: Timestamp,
    /// The time of the last message, so that no two have the same.
    pub(super) last_time: Timestamp,
    /// Resolves, or is closed, when the first call of the last webhook is over.
    pub(super) last_call: Option<oneshot::Receiver<()>>,
}

/// A person or thing that takes part in a conversation.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) purpose: &'static str,
    pub(crate) start: Timestamp,
    pub(crate) end: Option<Timestamp>,
    pub(crate) disconnect_type: Option<&'static str>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Set if the conversation ended in error.
    pub(crate) error: Option<String>,
    pub(crate) messages: Vec<String>,
    /// Whether the end was announced over notification channels.
    pub(super) told: bool,
}

impl Participant {
    fn new(id: String, purpose: &'static str, name: String, start: Timestamp) -> Self {
        Self {
            id,
            name,
            purpose,
            start,
            end: None,
            disconnect_type: None,
            attributes: BTreeMap::new(),
            error: None,
            messages: Vec::new(),
            told: false,
        }
    }

    fn leave(&mut self, disconnect_type: &'static str, now: Timestamp) {
        if self.end.is_none() {
            self.end = Some(now);
            self.disconnect_type = Some(disconnect_type);
        }
    }
}

/// How a conversation ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// This participant leaves, and the other is left alone.
    Left(String),
    /// The agent ends it.
    Agent,
    /// It never began: an agentless message, which leaves no participant connected.
    Agentless,
    /// Genesys ends it for everybody with this disconnect type, such as `inactivity`.
    By(&'static str),
    /// It fails, with this explanation.
    Error(String),
}

impl Conversation {
    /// The newest participant of this stay with that purpose.
    pub(crate) fn present(&self, purpose: &str) -> Option<&Participant> {
        self.participants[self.stay..].iter().rev().find(|each| each.purpose == purpose)
    }

    pub(super) fn present_mut(&mut self, purpose: &str) -> Option<&mut Participant> {
        self.participants[self.stay..].iter_mut().rev().find(|each| each.purpose == purpose)
    }

    /// Adds customer, flow, queue and agent; flow and queue hand over at once.
    fn gather(&mut self, rng: &mut fastrand::Rng, now: Timestamp) {
        self.stay = self.participants.len();
        self.ended = None;
        self.active = now;
        let mut customer =
            Participant::new(ids::uuid(rng), "customer", self.customer.display_name(), now);
        if let Some(before) = self.participants.iter().rev().find(|each| each.purpose == "customer")
        {
            customer.attributes.clone_from(&before.attributes);
        }
        let mut flow = Participant::new(ids::uuid(rng), "workflow", "Inbound flow".to_owned(), now);
        flow.leave("transfer", now);
        self.participants.extend([customer, flow]);
        self.queue_for_agent(rng, FIRST_AGENT, now);
    }

    /// The queue, and the agent who answers at once.
    fn queue_for_agent(&mut self, rng: &mut fastrand::Rng, agent: &str, now: Timestamp) {
        let mut queue = Participant::new(ids::uuid(rng), "acd", "Queue".to_owned(), now);
        queue.leave("transfer", now);
        let agent = Participant::new(ids::uuid(rng), "agent", agent.to_owned(), now);
        self.participants.extend([queue, agent]);
    }
}

impl World {
    /// The conversation that `customer` writes in now: the open one, the one that ended less than
    /// `window` ago, or a new one.
    pub(crate) fn join(
        &mut self,
        integration: &Integration,
        customer: &Address,
        window: Duration,
        now: Timestamp,
    ) -> String {
        let key = (integration.id.clone(), customer.id.clone());
        let known = self.newest.get(&key).and_then(|id| self.conversations.get_mut(id));
        if let Some(conversation) = known {
            match conversation.ended {
                None => return conversation.id.clone(),
                Some(ended) if now < later(ended, window) => {
                    conversation.gather(&mut self.rng, now);
                    let id = conversation.id.clone();
                    self.tell(&id, "resumed", now);
                    return id;
                }
                Some(_) => {}
            }
        }
        let id = self.open(integration, customer.clone(), now);
        self.newest.insert(key, id.clone());
        self.tell(&id, "started", now);
        id
    }

    /// A new conversation, not yet the customer's newest.
    fn open(&mut self, integration: &Integration, customer: Address, now: Timestamp) -> String {
        let id = ids::uuid(&mut self.rng);
        let mut conversation = Conversation {
            id: id.clone(),
            integration: integration.id.clone(),
            integration_name: integration.name.clone(),
            customer,
            participants: Vec::new(),
            stay: 0,
            ended: None,
            active: now,
            last_time: Timestamp::MIN,
            last_call: None,
        };
        conversation.gather(&mut self.rng, now);
        self.conversations.insert(id.clone(), conversation);
        id
    }

    /// The conversation of an agentless message: the open one if `use_existing` is set, otherwise a
    /// new one, which ends at once.
    pub(crate) fn open_agentless(
        &mut self,
        integration: &Integration,
        customer: &str,
        use_existing: bool,
        now: Timestamp,
    ) -> String {
        let open =
            self.conversation_of(&integration.id, customer).filter(|each| each.ended.is_none());
        let was_open = open.is_some();
        if let Some(open) = open.filter(|_| use_existing) {
            return open.id.clone();
        }
        let address = Address { id_type: Some("Opaque".to_owned()), ..Address::bare(customer) };
        let id = self.open(integration, address, now);
        self.tell(&id, "started", now);
        self.disconnect(&id, &End::Agentless, now);
        if !was_open {
            self.newest.insert((integration.id.clone(), customer.to_owned()), id.clone());
        }
        id
    }

    /// Ends the conversation for everybody who is still in it. Repeating this changes nothing.
    pub(crate) fn end(&mut self, id: &str, how: &End, now: Timestamp) -> Result<(), Refusal> {
        let conversation = self.conversations.get(id).ok_or(Refusal::NoConversation)?;
        if let End::Left(participant) = how
            && !conversation.participants.iter().any(|each| &each.id == participant)
        {
            return Err(Refusal::NoParticipant);
        }
        let gone = |who: &str| {
            let participant = conversation.participants.iter().find(|each| each.id == who);
            participant.is_some_and(|participant| participant.end.is_some())
        };
        let over = match how {
            End::Left(participant) => gone(participant),
            _ => conversation.ended.is_some(),
        };
        if !over {
            self.disconnect(id, how, now);
        }
        Ok(())
    }

    /// The agent hands the conversation over to the agent named `to`, by way of the queue.
    pub(crate) fn hand_over(
        &mut self,
        id: &str,
        how: &'static str,
        to: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let conversation = self.conversations.get_mut(id).ok_or(Refusal::NoConversation)?;
        if conversation.ended.is_some() {
            return Err(Refusal::Ended);
        }
        if let Some(agent) = conversation.present_mut("agent") {
            agent.leave(how, now);
        }
        conversation.queue_for_agent(&mut self.rng, to, now);
        self.tell(id, "transferred", now);
        Ok(())
    }

    /// Ends the conversations in which no one wrote for `timeout`. Returns the earliest time to
    /// look again.
    pub(crate) fn end_idle(&mut self, timeout: Duration, now: Timestamp) -> Timestamp {
        let open = self.conversations.values().filter(|each| each.ended.is_none());
        let due: Vec<(String, Timestamp)> =
            open.map(|each| (each.id.clone(), later(each.active, timeout))).collect();
        let mut next = later(now, timeout);
        for (id, at) in due {
            if at <= now {
                self.disconnect(&id, &End::By("inactivity"), now);
            } else {
                next = next.min(at);
            }
        }
        next
    }

    fn disconnect(&mut self, id: &str, how: &End, now: Timestamp) {
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        conversation.ended = Some(now);
        let stay = conversation.stay;
        for each in conversation.participants[stay..].iter_mut().filter(|each| each.end.is_none()) {
            let disconnect_type = match how {
                End::Left(who) if *who == each.id => "client",
                End::Agent | End::Agentless if each.purpose == "agent" => "client",
                End::Left(_) | End::Agent | End::Agentless => "peer",
                End::By(disconnect_type) => disconnect_type,
                End::Error(_) => "error",
            };
            each.leave(disconnect_type, now);
            if let End::Error(explanation) = how {
                each.error = Some(explanation.clone());
            }
        }
        self.tell(id, if matches!(how, End::Error(_)) { "failed" } else { "ended" }, now);
    }

    fn tell(&mut self, conversation: &str, state: &str, now: Timestamp) {
        self.desk.changed(conversation);
        self.transcript.write(Entry {
            at: wire_time(now),
            kind: Kind::Conversation,
            integration: self.conversations.get(conversation).map(|each| each.integration.clone()),
            conversation: Some(conversation.to_owned()),
            state: Some(state.to_owned()),
            ..Entry::default()
        });
        self.announce(conversation, now);
    }
}
