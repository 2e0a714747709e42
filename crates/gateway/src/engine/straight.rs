//! The short way of an agent's message: where its conversation is in memory and has nothing to do, the message and what is
//! decided about it become durable in one commit, and it is never in the inbox. All others take the way through the inbox.
//!
//! It ends in the same turn and the same append (`drive`). Where it comes to nothing (it was here before, the store is away,
//! the gateway stops), nothing has happened, and whoever brought the message goes the other way.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use conversation::mutant::{self, Mutant};
use conversation::{ConversationId, Input};
use store::{Append, Arrival, Direction, Drive, Handled, NewMessage, Stored};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::drive::Lost;
use super::{Engine, MOST_ACTIVE, Slots};

/// An agent's message that is not durable yet, and who wants to know when it is.
pub(super) struct Straight {
    message: NewMessage,
    input: Input,
    durable: oneshot::Sender<Stored>,
    _room: OwnedSemaphorePermit,
}

/// How an arrival goes.
pub(super) enum Way<'a> {
    /// It has gone straight: this became of it.
    Taken(Stored),
    /// It has to go through the inbox, and until it is there no other goes straight.
    Inbox(Option<Arriving<'a>>),
}

impl Engine {
    /// Lets an arrival go straight to its conversation, where it can.
    pub(super) async fn go_straight(self: &Arc<Self>, arrival: &Arrival) -> Way<'_> {
        let Arrival::Message(message) = arrival else { return Way::Inbox(None) };
        let (Direction::Outbound, Some(input @ Input::AgentMessage { .. })) = (message.direction, &message.input)
        else {
            return Way::Inbox(None);
        };
        if !self.store.accepts_with_step() {
            return Way::Inbox(None);
        }
        let conversation = &message.conversation;
        let Some(drive) = self.store.drive(conversation) else { return Way::Inbox(None) };
        let kib = u32::try_from(message.body.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.straights).try_acquire_many_owned(kib);
        let (durable, taken) = oneshot::channel();
        {
            let mut slots = self.slots();
            let room = room.ok().filter(|_| {
                slots.parked.contains(conversation)
                    && slots.running.len() < MOST_ACTIVE
                    && !slots.arriving.contains_key(conversation)
            });
            let Some(room) = room else {
                return Way::Inbox(Some(Arriving::new(self, &mut slots, conversation)));
            };
            let (message, input) = (message.clone(), input.clone());
            let straight = Straight { message, input, durable, _room: room };
            self.begin(&mut slots, conversation, drive, |mail| {
                // What was left in the inbox goes before it.
                mail.inbox = !mutant::is(Mutant::StraightOvertakes);
                mail.straight = Some(straight);
            });
        }
        match taken.await {
            Ok(stored) => Way::Taken(stored),
            Err(_) => Way::Inbox(Some(Arriving::new(self, &mut self.slots(), conversation))),
        }
    }
}

impl Straight {
    /// What it means to the conversation.
    pub(super) fn input(&self) -> Input {
        self.input.clone()
    }

    /// Makes it durable together with what was decided about it, and tells whoever brought it, who may have gone. It is tried
    /// once: whoever brought it asks again, for as long as there is sense in it. Returns whether the inbox got something by it.
    pub(super) async fn append(self, engine: &Engine, drive: &Drive, append: &Append) -> Result<bool, Lost> {
        if drive.is_lost() {
            return Err(Lost::Fenced);
        }
        if !drive.holds() {
            return Err(Lost::Straight);
        }
        let conversation = self.message.conversation.clone();
        match engine.store.accept_with_step(self.message, append.clone()).await {
            Ok(Handled::Whole { early }) => {
                let _ = self.durable.send(Stored::New(conversation));
                Ok(early)
            }
            Ok(Handled::Repeated) => {
                let _ = self.durable.send(Stored::Repeated);
                Err(Lost::Straight)
            }
            Ok(Handled::Fenced) => Err(Lost::Fenced),
            Err(error) => {
                tracing::warn!(%conversation, %error, "cannot accept a message");
                Err(Lost::Straight)
            }
        }
    }
}

/// An agent's message on its way into the inbox of a conversation.
pub(super) struct Arriving<'a> {
    engine: &'a Engine,
    conversation: ConversationId,
}

impl<'a> Arriving<'a> {
    fn new(engine: &'a Engine, slots: &mut Slots, conversation: &ConversationId) -> Self {
        *slots.arriving.entry(conversation.clone()).or_default() += 1;
        Self { engine, conversation: conversation.clone() }
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let mut slots = self.engine.slots();
        if let Entry::Occupied(mut entry) = slots.arriving.entry(self.conversation.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}
