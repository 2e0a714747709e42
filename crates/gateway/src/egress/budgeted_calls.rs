//! Makes one call to Genesys when its turn comes: waits for the budget, takes the lease guard, and
//! makes the last check at the first byte.
//!
//! A post that waits for the budget holds no lease guard for the conversation. Otherwise a wait of
//! minutes would keep that conversation, and all others of its shard, from moving to another node.
//! The guard is taken when the turn comes.

use std::sync::{Mutex, PoisonError};

use conversation::ConversationId;
use genesys::{Answer, CallError, Lane, LastCall};
use store::{LeaseGuard, OutboxItem, Store};
use tokio_util::sync::CancellationToken;

use super::budget_queue::BudgetWaiter;
use crate::failed_calls::FailedCall;
use crate::settings::Integration;

/// The calls about one owed item.
pub(super) struct BudgetedCalls<'a> {
    integration: &'a Integration,
    store: &'a dyn Store,
    conversation: &'a ConversationId,
    /// The lease epoch in which the item was read.
    epoch: u64,
    /// Ends all waits for the budget when the gateway stops. The next process or node finds the
    /// item in the outbox.
    stop: &'a CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The place among the posts that wait for the budget. The first call gives it up.
    place: Option<BudgetWaiter>,
    /// The lease guard, from the turn of one call until the next call waits for its own.
    guard: Option<LeaseGuard>,
    /// The calls that failed, in order.
    failed: Vec<FailedCall>,
}

impl<'a> BudgetedCalls<'a> {
    pub(super) fn new(
        integration: &'a Integration,
        store: &'a dyn Store,
        item: &'a OutboxItem,
        stop: &'a CancellationToken,
        place: BudgetWaiter,
    ) -> Self {
        let state = Mutex::new(State { place: Some(place), ..State::default() });
        Self {
            integration,
            store,
            conversation: &item.conversation,
            epoch: item.epoch,
            stop,
            state,
        }
    }

    /// Makes one call when its turn comes, if this node may still make it then.
    pub(super) async fn call<T, F>(
        &self,
        lane: Lane,
        call: impl FnOnce(genesys::Client) -> F,
    ) -> Result<Answer<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, CallError>>,
    {
        self.state().guard = None;
        let permit = tokio::select! {
            biased;
            permit = self.integration.budget.permit(lane) => permit,
            () = self.stop.cancelled() => None,
        };
        self.state().place = None;
        let not_sent = |cause: &'static str| Err(CallError::NotSent { cause: cause.into() });
        let Some(permit) = permit else { return not_sent("the gateway was stopping") };
        let Some(guard) = self.guard() else {
            permit.unused();
            return not_sent("another node drives the conversation");
        };
        self.state().guard = Some(guard.clone());
        let (last_call, stop) = (LastCall::default(), self.stop.clone());
        let may_leave = move || guard.is_valid() && !stop.is_cancelled();
        let client = permit.client().clone().noting(&last_call).only_while(may_leave);
        let outcome = call(client).await;
        self.state()
            .failed
            .extend(outcome.as_ref().err().map(|error| FailedCall::new(&last_call, error)));
        permit.done(&outcome);
        outcome
    }

    /// A lease guard for the conversation, if the lease is still the one under which the item was
    /// read.
    pub(super) fn guard(&self) -> Option<LeaseGuard> {
        self.store.acquire(self.conversation).filter(|guard| guard.epoch() == self.epoch)
    }

    /// Removes the last call from the failures: it was refused, but the refusal is the answer to a
    /// question.
    pub(super) fn was_answered(&self) {
        self.state().failed.pop();
    }

    /// Call this after all calls. Returns the lease guard of the last one, or a new guard if it
    /// holds none, and the calls that failed.
    pub(super) fn end(self) -> (Option<LeaseGuard>, Vec<FailedCall>) {
        let guard = self.guard();
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.guard.or(guard), state.failed)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
