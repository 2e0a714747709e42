//! A conversation in memory: its state, and the calls that it has started.

use std::sync::Arc;

use connector::Customer;
use conversation::mutant::{self, Mutant};
use conversation::{Conversation, ConversationId, Effect, Standing};
use jiff::Timestamp;
use store::{LeaseGuard, Loaded};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::settings::Integration;

/// A conversation in memory. It is discarded whenever the store may have a newer state.
pub(super) struct LoadedConversation {
    pub(super) integration: Arc<Integration>,
    pub(super) customer: Customer,
    pub(super) state: Conversation,
    /// The sequence number of the last record in it. The fence checks it at each append.
    pub(super) seq: u64,
    pub(super) snapshot_seq: u64,
    /// The epoch of the lease under which it was loaded.
    pub(super) epoch: u64,
    /// An append of the current task has shown that the state is current.
    pub(super) fence_confirmed: bool,
    /// The inbox may have customers' messages that were left there because too many are in memory.
    pub(super) has_inbox_backlog: bool,
    /// The id of Genesys's conversation, as the store has it, while its end must be detected.
    pub(super) watched: Option<Box<str>>,
    /// How it stands, as the store has it; `None` until this process has written it.
    pub(super) standing: Option<Standing>,
    /// The calls that were started and are open in the state, with the tokens that cancel them.
    pub(super) begun: Vec<(Effect, CancellationToken)>,
    /// The token that cancels the last close of a session, which may be in progress.
    pub(super) closing: Option<CancellationToken>,
    /// When the effects of the last turn were decided.
    pub(super) decided: Timestamp,
}

/// Cancels the open calls. The task that loads the conversation next treats them as interrupted, so
/// they must not leave after that.
impl Drop for LoadedConversation {
    fn drop(&mut self) {
        for (_, call_off) in &self.begun {
            call_off.cancel();
        }
    }
}

/// Why a turn did not become durable.
pub(super) enum TurnError {
    /// Another writer has appended to the journal, or the lease was lost.
    Fenced,
    /// The gateway stops while the store is unavailable, or the store's data is corrupt.
    Store,
    /// The message on the fast path did not become durable. Its caller gets the error, and retries
    /// through the inbox.
    FastPath,
}

/// Loads a conversation, and says whether a call is open in its state. Such a call was interrupted:
/// the task that started it has ended, or has discarded its state. Returns `None` if the gateway
/// stops first, or if the conversation does not exist or cannot be read.
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
        tracing::error!(conversation = %id, %integration, "the conversation's integration is no \
            longer configured");
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
            standing: None,
            begun: Vec::new(),
            closing: None,
            decided: Timestamp::MIN,
        },
        interrupted,
    ))
}

impl LoadedConversation {
    /// The deadline for the first byte of a call to the chat service. `None` if the call is not, or
    /// no longer, open in the state.
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

    /// Waits until the conversation must be woken; forever, if it needs no wake-up.
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

/// Whether the effect is a call to the chat service that has records in the journal.
pub(super) fn is_call(effect: &Effect) -> bool {
    matches!(effect, Effect::Forward { .. } | Effect::Open { .. } | Effect::TellRefused { .. })
}
