//! Fast path: accepts an agent's message and appends the decision about it in one commit. This
//! requires that its conversation is cached and idle, and that the store supports it. The message
//! is then never in the inbox. All other messages go through the inbox.
//!
//! The fast path uses the same turn and the same append (`commit`), and is tried once. If the
//! message does not become durable (the store is down, the gateway stops), the decided state is
//! discarded. The caller then puts the message into the inbox.

use std::sync::Arc;

use conversation::mutant::{self, Mutant};
use conversation::{ConversationId, Input};
use jiff::Timestamp;
use store::{
    Acceptance, Append, Arrival, AtomicOutcome, Chain, Direction, LeaseGuard, NewMessage,
    StoreError,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Engine;
use super::loaded::TurnError;

/// An agent's message that is not durable yet, and the channel on which to report its result.
pub(super) struct FastPath {
    message: NewMessage,
    input: Input,
    received: Timestamp,
    durable: oneshot::Sender<Result<Acceptance, StoreError>>,
    _room: OwnedSemaphorePermit,
}

impl Engine {
    /// Starts the conversation's task with an agent's message, if the message may take the fast
    /// path. The receiver gets an error if the task ends or discards the message before the store
    /// has answered.
    pub(super) fn try_fast_path(
        self: &Arc<Self>,
        arrival: &Arrival,
        accepting: &mut PendingAccept<'_>,
    ) -> Option<oneshot::Receiver<Result<Acceptance, StoreError>>> {
        let Arrival::Message(message @ NewMessage { direction: Direction::Outbound, .. }) = arrival
        else {
            return None;
        };
        let Some(input @ Input::AgentMessage { received, .. }) = &message.input else {
            return None;
        };
        self.store.atomic()?;
        let guard = self.store.acquire(&message.conversation)?;
        let bytes = message.body.len() + message.foreign_id.len() + message.customer.len();
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.fast_path_room).try_acquire_many_owned(kib);
        let (durable, taken) = oneshot::channel();
        let mut scheduler = self.scheduler();
        let may_take_it = scheduler.begin_accept(&message.conversation);
        accepting.conversation = Some(message.conversation.clone());
        let room = room.ok().filter(|_| may_take_it)?;
        let fast_path = FastPath {
            message: message.clone(),
            input: input.clone(),
            received: *received,
            durable,
            _room: room,
        };
        let spawn = scheduler.spawn(&message.conversation, |mail| {
            // Messages that are in the inbox go first.
            mail.inbox = !mutant::is(Mutant::FastPathOvertakes);
            mail.fast_path = Some(fast_path);
        });
        drop(scheduler);
        self.spawn_driver(&message.conversation, guard, Some(spawn));
        Some(taken)
    }
}

impl FastPath {
    /// Inserts the message behind what was in the inbox before it arrived. If the turn has much to
    /// do, `inputs` also has messages that arrived later, possibly in the same millisecond. An
    /// equal time means later: had such a message arrived earlier, this one would not be on the
    /// fast path. Nodes that share a store have different clocks, so there the message goes behind
    /// all of `inputs`.
    pub(super) fn join(&self, inputs: &mut Vec<Input>, one_clock: bool) {
        let later = |input: &Input| matches!(input, Input::AgentMessage { received, .. } if *received >= self.received);
        let place =
            inputs.iter().position(|input| one_clock && later(input)).unwrap_or(inputs.len());
        inputs.insert(place, self.input.clone());
    }

    /// Makes the message durable together with the decision about it, and reports to the caller,
    /// who may have left. It is tried once: the caller retries through the inbox. Returns whether
    /// the append put something into the conversation's inbox.
    pub(super) async fn append(
        self,
        engine: &Engine,
        guard: &LeaseGuard,
        append: &Append,
    ) -> Result<bool, TurnError> {
        if guard.is_revoked() {
            return Err(TurnError::Fenced);
        }
        if !guard.is_valid() {
            return Err(TurnError::FastPath);
        }
        let conversation = self.message.conversation.clone();
        let atomic = engine.store.atomic().ok_or(TurnError::FastPath)?;
        match atomic.accept_with_step(self.message, append.clone()).await {
            Ok(AtomicOutcome::Whole { early }) => {
                let _ = self.durable.send(Ok(Acceptance::New(conversation)));
                Ok(early)
            }
            Ok(AtomicOutcome::Repeated) => {
                let _ = self.durable.send(Ok(Acceptance::Repeated));
                Err(TurnError::FastPath)
            }
            Ok(AtomicOutcome::Fenced) => Err(TurnError::Fenced),
            Err(error) => {
                tracing::warn!(%conversation, error = %Chain(&error), "cannot accept a message");
                let _ = self.durable.send(Err(error));
                Err(TurnError::FastPath)
            }
        }
    }
}

/// An arrival that is being stored, until its result is known.
pub(super) struct PendingAccept<'a> {
    engine: &'a Engine,
    /// The conversation of the message. Until the result is known, no message of it takes the fast
    /// path, because it would overtake this one.
    conversation: Option<ConversationId>,
    /// True until the caller has its answer. If the caller leaves or times out while the commit is
    /// in progress, the message may become durable, and no task knows of it. The inbox must then be
    /// scanned, and until then no message takes the fast path.
    pub(super) is_unanswered: bool,
}

impl<'a> PendingAccept<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        Self { engine, conversation: None, is_unanswered: true }
    }
}

impl Drop for PendingAccept<'_> {
    fn drop(&mut self) {
        let mut scheduler = self.engine.scheduler();
        if self.is_unanswered {
            scheduler.abandon_accept();
            self.engine.room.notify_one();
        }
        if let Some(conversation) = self.conversation.take() {
            scheduler.end_accept(conversation);
        }
    }
}
