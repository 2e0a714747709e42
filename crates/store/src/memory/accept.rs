//! Accepting arrivals.

use conversation::{
    Conversation, ConversationId, Input, IntegrationName, MessageRef, Report, Standing,
};
use jiff::Timestamp;

use super::tables::{EarlyReport, MessageEntry, Row, Tables};
use crate::{Acceptance, Arrival, Direction, MessageRow, NewMessage};

/// The key by which arrivals are deduplicated.
pub(super) fn key_of(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Message(new) => {
            format!("{}/{}/{}", new.integration, new.direction.as_str(), new.id)
        }
        Arrival::Event { integration, id, .. }
        | Arrival::Report { integration, id, .. }
        | Arrival::Noted { integration, id, .. } => {
            format!("{integration}/event/{id}")
        }
    }
}

/// The conversation of an agent's message with an input; `None` for any other arrival.
pub(super) fn conversation_of(arrival: &Arrival) -> Option<ConversationId> {
    match arrival {
        Arrival::Message(NewMessage {
            direction: Direction::Outbound,
            conversation,
            input: Some(_),
            ..
        }) => Some(conversation.clone()),
        Arrival::Message(_)
        | Arrival::Event { .. }
        | Arrival::Report { .. }
        | Arrival::Noted { .. } => None,
    }
}

impl Tables {
    pub(super) fn accept(&mut self, arrival: Arrival) -> Acceptance {
        match arrival {
            Arrival::Message(message) if self.has_message(&message) => Acceptance::Repeated,
            Arrival::Message(message) => self.take(message),
            Arrival::Event { integration, id, received, conversation, input } => {
                if self
                    .conversations
                    .get(&conversation)
                    .is_none_or(|row| row.integration != integration)
                {
                    return Acceptance::Unknown;
                }
                if !self.is_still_dead(&integration, &input) {
                    let repeated = self.events.contains_key(&(integration, id));
                    return if repeated { Acceptance::Repeated } else { Acceptance::Unknown };
                }
                if !self.is_new_event(&integration, id, received) {
                    return Acceptance::Repeated;
                }
                self.put_into_inbox(&conversation, input);
                Acceptance::New(conversation)
            }
            Arrival::Report { integration, id, received, of, report } => {
                self.report(&integration, id, received, of, report)
            }
            Arrival::Noted { integration, id, received } => {
                if self.is_new_event(&integration, id, received) {
                    Acceptance::Kept
                } else {
                    Acceptance::Repeated
                }
            }
        }
    }

    /// Accepts an arrival even if it came before, for [`super::Flaw::DedupeInMemory`].
    pub(super) fn accept_anew(&mut self, arrival: Arrival) -> Acceptance {
        match arrival {
            Arrival::Message(message) => self.take(message),
            other => {
                if let Arrival::Event { integration, id, .. }
                | Arrival::Report { integration, id, .. }
                | Arrival::Noted { integration, id, .. } = &other
                {
                    self.events.remove(&(integration.clone(), id.clone()));
                }
                self.accept(other)
            }
        }
    }

    pub(super) fn has_message(&self, new: &NewMessage) -> bool {
        self.messages.contains_key(&(new.integration.clone(), new.direction, new.id.clone()))
    }

    fn take(&mut self, new: NewMessage) -> Acceptance {
        let (conversation, input) = (new.conversation.clone(), new.input.clone());
        self.keep_message(new);
        let Some(input) = input else { return Acceptance::Kept };
        self.put_into_inbox(&conversation, input);
        Acceptance::New(conversation)
    }

    /// Stores a message and its conversation.
    pub(super) fn keep_message(&mut self, new: NewMessage) {
        let NewMessage {
            integration,
            direction,
            id,
            foreign_id,
            conversation,
            customer,
            received,
            body,
            input,
        } = new;
        let state = if input.is_some() { "accepted" } else { "kept" };
        let row = MessageRow {
            id: id.clone(),
            direction,
            conversation: conversation.clone(),
            foreign_id,
            received,
            state: state.to_owned(),
            reason: None,
            receipt: None,
            settled: None,
            body: body.to_vec(),
        };
        let key = (integration.clone(), direction, id);
        self.messages.insert(key.clone(), MessageEntry { row, place: self.stored });
        self.stored += 1;
        let of = self.conversations.entry(conversation).or_insert_with(|| Row {
            integration,
            customer: customer.clone(),
            seq: 0,
            pruned_seq: 0,
            due: None,
            watched: None,
            created: Timestamp::from_millisecond(received.as_millisecond()).unwrap_or(received),
            standing: Standing::default(),
            snapshot: Conversation::default(),
            snapshot_seq: 0,
            journal: Vec::new(),
            messages: Vec::new(),
            genesys: Vec::new(),
        });
        // The customer data of an inbound message is better than Genesys's copy in an outbound one.
        if direction == Direction::Inbound {
            of.customer = customer;
        }
        of.messages.push(key);
    }

    /// Whether the message that an operator acts on is still the dead letter that the operator saw.
    /// A prune may have removed it since. `true` for any other input.
    fn is_still_dead(&self, integration: &IntegrationName, input: &Input) -> bool {
        let Input::DeadLetter { message, died, .. } = input else { return true };
        let key = (integration.clone(), Direction::Inbound, message.clone());
        self.messages.get(&key).is_some_and(|MessageEntry { row, .. }| {
            row.state == "refused" && row.settled.unwrap_or(row.received) == *died
        })
    }

    fn is_new_event(
        &mut self,
        integration: &IntegrationName,
        id: String,
        received: Timestamp,
    ) -> bool {
        self.events.insert((integration.clone(), id), received).is_none()
    }

    fn report(
        &mut self,
        integration: &IntegrationName,
        id: String,
        received: Timestamp,
        of: MessageRef,
        report: Report,
    ) -> Acceptance {
        let message = match &of {
            MessageRef::Ours(id) => Some(id.clone()),
            MessageRef::Service(id) => {
                self.named.get(&(integration.clone(), id.to_string())).cloned()
            }
        };
        let found = message.and_then(|message| {
            let key = (integration.clone(), Direction::Outbound, message.clone());
            self.messages.get(&key).map(|found| (found.row.conversation.clone(), message))
        });
        if found.is_none() && matches!(of, MessageRef::Ours(_)) {
            return Acceptance::Unknown;
        }
        if !self.is_new_event(integration, id, received) {
            return Acceptance::Repeated;
        }
        match (found, of) {
            (Some((conversation, message)), _) => {
                self.put_into_inbox(&conversation, Input::Reported { message, report });
                Acceptance::New(conversation)
            }
            // The report overtook the answer that contains the service's id for the message.
            (None, MessageRef::Service(service_id)) => {
                let (integration, service_id) = (integration.clone(), service_id.into());
                self.early.push(EarlyReport { integration, service_id, received, report });
                Acceptance::Early
            }
            (None, MessageRef::Ours(_)) => Acceptance::Unknown,
        }
    }
}
