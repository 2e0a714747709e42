//! The short way of an agent's message: where its conversation is in memory and has nothing to do, the message and what is
//! decided about it become durable in one commit, and it is never in the inbox. All others take the way through the inbox.
//!
//! It ends in the same turn and the same append (`drive`), and is tried once. Where it did not become durable (the store is away,
//! the gateway stops), the state that was decided is thrown away, and whoever brought the message puts it into the inbox.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use conversation::mutant::{self, Mutant};
use conversation::{ConversationId, Input};
use jiff::Timestamp;
use store::{Append, Arrival, Direction, Drive, Handled, NewMessage, StoreError, Stored};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::drive::Lost;
use super::{Engine, MOST_ACTIVE};

/// An agent's message that is not durable yet, and who wants to know when it is.
pub(super) struct Straight {
    message: NewMessage,
    input: Input,
    received: Timestamp,
    durable: oneshot::Sender<Result<Stored, StoreError>>,
    _room: OwnedSemaphorePermit,
}

impl Engine {
    /// Begins the task of a conversation with an agent's message, where it is in memory, nothing of it is under way, and no other
    /// message is on its way into its inbox. Whoever brought it hears nothing if it comes to nothing.
    pub(super) fn go_straight(
        self: &Arc<Self>,
        arrival: &Arrival,
        arriving: &mut Arriving<'_>,
    ) -> Option<oneshot::Receiver<Result<Stored, StoreError>>> {
        let Arrival::Message(message @ NewMessage { direction: Direction::Outbound, .. }) = arrival
        else {
            return None;
        };
        let Some(input @ Input::AgentMessage { received, .. }) = &message.input else {
            return None;
        };
        if !self.store.accepts_with_step() {
            return None;
        }
        let drive = self.store.drive(&message.conversation)?;
        let bytes = message.body.len() + message.foreign_id.len() + message.customer.len();
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.straights).try_acquire_many_owned(kib);
        let (durable, taken) = oneshot::channel();
        let mut slots = self.slots();
        let idle = slots.parked.contains(&message.conversation)
            && slots.running.len() < MOST_ACTIVE
            && !slots.arriving.contains_key(&message.conversation)
            && slots.unheard == slots.looked_for;
        *slots.arriving.entry(message.conversation.clone()).or_default() += 1;
        arriving.conversation = Some(message.conversation.clone());
        let room = room.ok().filter(|_| idle)?;
        let straight = Straight {
            message: message.clone(),
            input: input.clone(),
            received: *received,
            durable,
            _room: room,
        };
        self.begin(&mut slots, &message.conversation, drive, |mail| {
            // What was left in the inbox goes before it.
            mail.inbox = !mutant::is(Mutant::StraightOvertakes);
            mail.straight = Some(straight);
        });
        Some(taken)
    }
}

impl Straight {
    /// Takes its place: behind what the inbox held before it came. What has come since then is there too where much is to be done,
    /// also what came in the same millisecond: before that, it would not have gone straight. Nodes that share a store have clocks
    /// of their own, so there it comes behind all of it.
    pub(super) fn join(&self, inputs: &mut Vec<Input>, one_clock: bool) {
        let later = |input: &Input| matches!(input, Input::AgentMessage { received, .. } if *received >= self.received);
        let place =
            inputs.iter().position(|input| one_clock && later(input)).unwrap_or(inputs.len());
        inputs.insert(place, self.input.clone());
    }

    /// Makes it durable together with what was decided about it, and tells whoever brought it, who may have gone. It is tried
    /// once: whoever brought it asks again, for as long as there is sense in it. Returns whether the inbox got something by it.
    pub(super) async fn append(
        self,
        engine: &Engine,
        drive: &Drive,
        append: &Append,
    ) -> Result<bool, Lost> {
        if drive.is_lost() {
            return Err(Lost::Fenced);
        }
        if !drive.holds() {
            return Err(Lost::Straight);
        }
        let conversation = self.message.conversation.clone();
        match engine.store.accept_with_step(self.message, append.clone()).await {
            Ok(Handled::Whole { early }) => {
                let _ = self.durable.send(Ok(Stored::New(conversation)));
                Ok(early)
            }
            Ok(Handled::Repeated) => {
                let _ = self.durable.send(Ok(Stored::Repeated));
                Err(Lost::Straight)
            }
            Ok(Handled::Fenced) => Err(Lost::Fenced),
            Err(error) => {
                tracing::warn!(%conversation, %error, "cannot accept a message");
                let _ = self.durable.send(Err(error));
                Err(Lost::Straight)
            }
        }
    }
}

/// Something on its way into the store, until its end is known.
pub(super) struct Arriving<'a> {
    engine: &'a Engine,
    /// Whose message it is: until its end is known, none goes straight, which would overtake it.
    conversation: Option<ConversationId>,
    /// Whoever hangs up or loses patience while the commit is on its way leaves a durable message behind that nobody was told of:
    /// the inbox has to be looked through, and until then none goes straight.
    pub(super) unheard: bool,
}

impl<'a> Arriving<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        Self { engine, conversation: None, unheard: true }
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let mut slots = self.engine.slots();
        if self.unheard {
            slots.turned_away = true;
            slots.unheard += 1;
            self.engine.room.notify_one();
        }
        if let Some(conversation) = self.conversation.take()
            && let Entry::Occupied(mut entry) = slots.arriving.entry(conversation)
        {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}
