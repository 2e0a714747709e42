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

use super::places::BudgetWaiter;
use crate::settings::Integration;

/// The calls about one owed item.
pub(super) struct Turn<'a> {
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

/// A call that failed, for a log line.
pub(crate) struct FailedCall {
    /// `POST https://…`; empty if no request was made.
    pub(crate) call: String,
    /// The name of the call, without ids: `message`, `receipt`, `details`, ...
    pub(crate) name: &'static str,
    /// One word of a closed list.
    pub(crate) outcome: &'static str,
    /// A text that is the same for every call that fails in this way.
    pub(crate) kind: String,
    pub(crate) error: String,
}

impl FailedCall {
    pub(crate) fn new(call: &LastCall, error: &CallError) -> Self {
        let kind = match error {
            CallError::NotSent { cause } | CallError::Unknown { cause } => cause.clone(),
            _ => error.status().map(|status| status.as_u16().to_string()).unwrap_or_default(),
        };
        let call = call.text();
        let (name, outcome) = (name_of(&call), error.kind());
        Self { name, outcome, kind: format!("{outcome} {kind}"), error: error.to_string(), call }
    }

    /// A failure without a call.
    pub(crate) fn without_call(why: &str) -> Self {
        Self {
            call: String::new(),
            name: "none",
            outcome: "unread",
            kind: why.to_owned(),
            error: why.to_owned(),
        }
    }
}

/// The name of a request's call: the last word of its path that is not an id.
fn name_of(call: &str) -> &'static str {
    const NAMES: [&str; 8] = [
        "token",
        "message",
        "receipt",
        "event",
        "response",
        "details",
        "subscriptions",
        "channels",
    ];
    let last = call.rsplit('/').next().unwrap_or_default();
    let named = NAMES.into_iter().find(|name| *name == last);
    named.unwrap_or(match call {
        "" => "none",
        _ if call.contains("/participants/") => "participant",
        _ if call.contains("/integrations/open/") => "integration",
        _ => "conversation",
    })
}

impl<'a> Turn<'a> {
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
        let not_sent = |cause: &str| Err(CallError::NotSent { cause: cause.to_owned() });
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

    /// Removes the last call from the failures: it looked like one, but its answer was that
    /// something does not exist.
    pub(super) fn was_answered(&self) {
        self.state().failed.pop();
    }

    /// After all calls: the lease guard of the last one, and the calls that failed.
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
