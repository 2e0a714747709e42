//! A conversation that is loaded: its state, and the calls that it has begun.

use std::sync::Arc;

use connector::Customer;
use conversation::mutant::{self, Mutant};
use conversation::{Conversation, ConversationId, Effect};
use jiff::Timestamp;
use store::{LeaseGuard, Loaded};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::settings::Integration;

/// A conversation in memory. It is thrown away whenever the store may know better.
pub(super) struct LoadedConversation {
    pub(super) integration: Arc<Integration>,
    pub(super) customer: Customer,
    pub(super) state: Conversation,
    /// The sequence number of the last record in it: the fence.
    pub(super) seq: u64,
    pub(super) snapshot_seq: u64,
    /// The lease's epoch in which it was loaded.
    pub(super) epoch: u64,
    /// An append of this run has shown that the state is current.
    pub(super) fence_confirmed: bool,
    /// The inbox may hold customer's messages that were left there.
    pub(super) has_inbox_backlog: bool,
    /// Genesys's conversation, while its end has to be learnt; as the store has it.
    pub(super) watched: Option<Box<str>>,
    /// The calls that were begun and are open in the state, and how they are called off.
    pub(super) begun: Vec<(Effect, CancellationToken)>,
    /// The close that may be under way, and how it is called off.
    pub(super) closing: Option<CancellationToken>,
    /// When the effects of the last turn were decided.
    pub(super) decided: Timestamp,
}

/// A task that loads the conversation again treats an open attempt as interrupted. The attempt must
/// therefore not begin after that.
impl Drop for LoadedConversation {
    fn drop(&mut self) {
        for (_, call_off) in &self.begun {
            call_off.cancel();
        }
    }
}

/// Why a turn came to nothing.
pub(super) enum TurnError {
    /// Somebody else has appended to the journal.
    Fenced,
    /// The gateway stops while the store is away, or what the store holds cannot be read.
    Store,
    /// The message of the fast path did not become durable with it. The caller of the fast path
    /// gets the error.
    FastPath,
}

/// Reads a conversation from the store, and says whether calls were interrupted by the last
/// process's end.
pub(super) async fn load(
    engine: &Engine,
    id: &ConversationId,
    guard: &LeaseGuard,
) -> Option<(LoadedConversation, bool)> {
    let loaded =
        engine.retry_until_stopped("load a conversation", || engine.store.load(id)).await?;
    let Some(Loaded { integration, customer, state, seq, snapshot_seq }) = loaded else {
        tracing::debug!(conversation = %id, "there is no such conversation");
        return None;
    };
    let Some(integration) = engine.integration(&integration).cloned() else {
        tracing::error!(conversation = %id, %integration, "the conversation's integration is not \
            configured any more");
        return None;
    };
    let customer = match serde_json::from_str(&customer) {
        Ok(customer) => customer,
        Err(error) => {
            tracing::error!(conversation = %id, %error, "the conversation's customer cannot be \
                read");
            return None;
        }
    };
    let interrupted = state.is_calling() && !mutant::is(Mutant::RecoveredForgotten);
    let watched = state.watched().map(Into::into);
    Some((
        LoadedConversation {
            integration,
            customer,
            state,
            seq,
            snapshot_seq,
            epoch: guard.epoch(),
            fence_confirmed: false,
            has_inbox_backlog: false,
            watched,
            begun: Vec::new(),
            closing: None,
            decided: Timestamp::MIN,
        },
        interrupted,
    ))
}

impl LoadedConversation {
    /// Until when a call to the chat service may begin; none, if it is not open (any more).
    pub(super) fn until(&self, effect: &Effect) -> Option<Timestamp> {
        match effect {
            Effect::Forward { message, attempt, .. } => self.state.attempt_until(message, *attempt),
            Effect::Open { attempt, .. } => self.state.open_until(*attempt),
            Effect::TellRefused { message, attempt, .. } => {
                self.state.tell_until(message, *attempt)
            }
            Effect::Typing { .. }
            | Effect::Close { .. }
            | Effect::CustomerTyping
            | Effect::Post(_) => None,
        }
    }

    pub(super) fn latest(&self, effect: &Effect) -> Timestamp {
        self.until(effect).unwrap_or(Timestamp::MIN)
    }

    /// Until the conversation wants to be woken.
    pub(super) fn wait(&self, engine: &Engine) -> impl Future<Output = ()> + use<> {
        let now = engine.clock.now();
        let until = self
            .state
            .next_wakeup(&self.integration.policy)
            .map(|at| super::timers::until(now, at));
        async move {
            match until {
                Some(until) => tokio::time::sleep(until).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Whether it is a call to the chat service that the journal knows of.
pub(super) fn is_call(effect: &Effect) -> bool {
    matches!(effect, Effect::Forward { .. } | Effect::Open { .. } | Effect::TellRefused { .. })
}
