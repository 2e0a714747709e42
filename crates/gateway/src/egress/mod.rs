//! Delivers to Genesys what it is owed: receipts, customers' messages, notices, disconnects.
//!
//! The outbox in the store is the source of truth. This module reads it page by page, so that a
//! backlog costs no memory. It reports each result to the conversation, whose journal removes the
//! item from the outbox. All retries towards Genesys happen here.

mod budget_queue;
mod budgeted_calls;
mod genesys_health;
mod poisoned;
mod post;
mod queue;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connector::Customer;
use conversation::mutant::{self, Mutant};
use conversation::{Clock, Input, PostResult};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use genesys::{Lane, LastCall};
use jiff::{SignedDuration, Timestamp};
use store::{LeaseGuard, OutboxItem, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::failed_calls::{self, FailedCall};
use crate::metrics::Metrics;
use crate::settings::Integration;
use crate::signals::Signals;
use crate::to_genesys;
use budget_queue::{BudgetQueue, BudgetWaiter};
use budgeted_calls::BudgetedCalls;
use genesys_health::GenesysHealth;
use post::{Later, Outcome, Post};
use queue::{Due, LANES, Queue};

/// How often a shared store's outbox is read from the beginning. Another node may have left an item
/// late, at a position that this node has already passed.
const SWEEP: Duration = Duration::from_secs(15);
/// How many typing events may wait. How long each stays useful is up to the budget.
const MAX_TYPING: usize = 32;

/// The delivery of one integration's outbox to Genesys.
pub(crate) struct Egress {
    integration: Arc<Integration>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    signals: Arc<Signals>,
    typing: Semaphore,
    budget_queue: Arc<BudgetQueue>,
    health: Mutex<GenesysHealth>,
    rng: Mutex<fastrand::Rng>,
}

impl Egress {
    pub(crate) fn new(
        integration: Arc<Integration>,
        signals: Arc<Signals>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let started = clock.now();
        // Jitter needs to differ between nodes, not to be secret.
        let rng = Mutex::new(fastrand::Rng::with_seed(started.as_microsecond().unsigned_abs()));
        Self {
            integration,
            store,
            clock,
            metrics,
            signals,
            typing: Semaphore::new(MAX_TYPING),
            budget_queue: Arc::default(),
            health: Mutex::default(),
            rng,
        }
    }

    /// Tells Genesys of the customers who type, until the gateway stops.
    pub(crate) async fn run_typing(
        self: Arc<Self>,
        engine: Arc<Engine>,
        mut typing: mpsc::Receiver<Customer>,
    ) {
        loop {
            tokio::select! {
                biased;
                () = engine.stop.cancelled() => return,
                Some(customer) = typing.recv() => self.post_typing(&engine, customer),
                else => return,
            }
        }
    }

    /// Tells Genesys that the customer types. The event is dropped if it would arrive too late.
    fn post_typing(self: &Arc<Self>, engine: &Arc<Engine>, customer: Customer) {
        let (egress, told) = (Arc::clone(self), Arc::clone(engine));
        engine.tasks.spawn(async move {
            let Ok(_few) = egress.typing.try_acquire() else { return };
            let event = to_genesys::typing(&customer, egress.clock.wall());
            let (id, last_call, stop) =
                (&egress.integration.genesys_id, LastCall::default(), told.stop.clone());
            let post = async |client: genesys::Client| {
                let client = client.noting(&last_call).only_while(move || !stop.is_cancelled());
                client.post_event(id, &event).await
            };
            if let Err(error) = egress.integration.budget.call(Lane::Typing, post).await {
                failed_calls::report(
                    &told,
                    &egress.integration,
                    &FailedCall::new(&last_call, &error),
                    "it is not told",
                );
            }
        });
    }

    /// Delivers the outbox, until the gateway stops.
    pub(crate) async fn run(self: Arc<Self>, engine: Arc<Engine>) {
        let mut queue = Queue::default();
        queue.news();
        let mut posts = FuturesUnordered::new();
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if !self.read(&mut queue).await {
                tokio::select! {
                    biased;
                    () = engine.stop.cancelled() => break,
                    () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                }
            }
            while let Some(due) =
                queue.next(Instant::now(), |urgent| self.budget_queue.has_room(urgent))
            {
                posts.push(self.start(&engine, due));
            }
            // Finished posts are handled before news, so that a flood of news does not keep slots
            // occupied.
            tokio::select! {
                biased;
                () = engine.stop.cancelled() => break,
                () = self.signals.ownership_gained.notified() => queue.start_over(),
                _ = sweep.tick(), if self.store.is_clustered() => queue.start_over(),
                Some((item, tries, again)) = posts.next() => queue.ended(&item, tries, again),
                () = self.signals.outbox_changed.notified() => queue.news(),
                () = self.budget_queue.left.notified() => {}
                () = sleep_until(queue.wakeup()) => {}
            }
            // Every post that has finished meanwhile frees its slot at once, so that one read of
            // the store fills all of them.
            while let Some(Some((item, tries, again))) = posts.next().now_or_never() {
                queue.ended(&item, tries, again);
            }
        }
        // Posts in progress may finish. Their results are either in the journal, or the next
        // process checks them.
        while posts.next().await.is_some() {}
    }

    /// Reads as many items as there is room for. Returns whether the store could be read.
    async fn read(&self, queue: &mut Queue) -> bool {
        for urgent in LANES {
            let Some((after, limit)) = queue.wants(urgent) else { continue };
            match self.store.outbox(&self.integration.name, urgent, after, limit).await {
                Ok(items) => queue.read(urgent, items),
                Err(error) => {
                    tracing::warn!(integration = %self.integration.name, %error, "cannot look into the outbox");
                    return false;
                }
            }
        }
        true
    }

    /// Delivers one item in a task of its own. The item must make progress while this task waits
    /// for the store, because it may hold what the store's answer waits for.
    fn start(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        due: Due,
    ) -> impl Future<Output = (OutboxItem, u32, Option<(Instant, Due)>)> + use<> {
        let (egress, engine) = (Arc::clone(self), Arc::clone(engine));
        let (item, tries) = (due.item.clone(), due.tries);
        let place = self.budget_queue.take(item.owed.is_urgent());
        let task =
            engine.tasks.clone().spawn(async move { egress.post(&engine, due, place).await });
        async move {
            let again = task.await.unwrap_or_else(|_| {
                // A task that panicked reported nothing, but its call may have been made.
                let due = Due {
                    item: item.clone(),
                    tries: tries + 1,
                    doubt: true,
                    done: None,
                    before: None,
                };
                Some((Duration::from_secs(5), due))
            });
            (item, tries, again.map(|(pause, due)| (Instant::now() + pause, due)))
        }
    }

    /// Delivers one item, and waits until the result is in the journal. If the item must be
    /// retried, returns what to do, and after what delay.
    async fn post(
        &self,
        engine: &Arc<Engine>,
        due: Due,
        place: BudgetWaiter,
    ) -> Option<(Duration, Due)> {
        let Due { item, tries, doubt, done, before } = due;
        let doubt = doubt && !mutant::is(Mutant::DoubtForgotten);
        let (integration, store) = (&*self.integration, self.store.as_ref());
        let calls = BudgetedCalls::new(integration, store, &item, &engine.stop, place);
        // If another node owns the item by now, that node finds it in the outbox. If this node lost
        // and regained the conversation, it reads the item again if it is still owed. The lease is
        // only checked here: its guard must not be held while the post waits for the budget.
        calls.guard()?;
        let outcome = if let Some(input) = done {
            Outcome::Done(input)
        } else {
            let told = OutboxItem { since: self.as_told(item.since), ..item.clone() };
            Post { integration, store, calls: &calls, doubt, before, health: &self.health }
                .post(&told)
                .await
        };
        let (guard, mut failed) = calls.end();
        let tell = |failed: &[FailedCall], follows: &str| {
            failed_calls::report_all(engine, integration, failed, follows);
        };
        let Some(guard) = guard else {
            tell(&failed, "another node goes on with it");
            return None;
        };
        match outcome {
            Outcome::Done(input) => {
                if matches!(result_of(&input), Some(PostResult::Refused { .. })) {
                    tell(&failed, &format!("{} is refused for good", item.owed.key()));
                }
                if engine.deliver(&item.conversation, guard, (*input).clone()).await.is_ok() {
                    self.count(&item, &input);
                    return None;
                }
                // The gateway stops, or the conversation is being reloaded. The result is reported
                // again later, and nothing is posted again.
                let pause = self.pause(tries).max(Duration::from_secs(1));
                Some((
                    pause,
                    Due { item, tries: tries + 1, doubt: true, done: Some(input), before },
                ))
            }
            Outcome::Later(Later { why, after, doubt, alone }) => {
                self.metrics.post(integration.name.as_str(), "retried");
                if failed.is_empty() {
                    failed.push(FailedCall::without_call(&why));
                }
                if alone && self.is_given_up(engine, &item, guard, &why).await {
                    tell(&failed, &format!("{} is given up", item.owed.key()));
                    return None;
                }
                let pause = after.unwrap_or_default().max(self.pause(tries));
                tell(
                    &failed,
                    &format!("{} is tried again in {:.1} s", item.owed.key(), pause.as_secs_f64()),
                );
                let before = Some(Instant::now());
                Some((pause, Due { item, tries: tries + 1, doubt, done: None, before }))
            }
        }
    }

    /// A store time as it is reported to Genesys: converted to the wall clock if the two clocks
    /// differ by a second or more.
    fn as_told(&self, at: Timestamp) -> Timestamp {
        let off = self.clock.wall().duration_since(self.clock.now());
        if off.abs() < SignedDuration::from_secs(1) {
            at
        } else {
            at.checked_add(off).unwrap_or(at)
        }
    }

    /// Tells the conversation that Genesys does not take this item while it takes what others are
    /// owed. The conversation decides whether that has lasted long enough to give up.
    async fn is_given_up(
        &self,
        engine: &Arc<Engine>,
        item: &OutboxItem,
        guard: LeaseGuard,
        why: &str,
    ) -> bool {
        let failed = Input::PostFailed { owed: item.owed.clone(), why: why.into() };
        if engine.deliver(&item.conversation, guard, failed).await.is_err() {
            return false;
        }
        // If the state cannot be read, the item is retried: one call too many is better than none.
        let loaded = self.store.load(&item.conversation).await;
        loaded.is_ok_and(|loaded| {
            loaded.is_some_and(|loaded| !loaded.state.owed().contains(&item.owed))
        })
    }

    /// What Genesys refuses for good never reaches people, so an operator must look at it. A
    /// refused customer's message is logged later, when its conversation has decided about it.
    fn count(&self, item: &OutboxItem, done: &Input) {
        let name = self.integration.name.as_str();
        let Some(result) = result_of(done) else { return };
        match result {
            PostResult::Posted { .. } => self.metrics.post(name, "done"),
            PostResult::Refused { .. } if matches!(done, Input::InboundDone { .. }) => {
                self.metrics.post(name, "refused");
            }
            PostResult::Refused { why } => {
                self.metrics.post(name, "refused");
                let owed = item.owed.key();
                tracing::error!(integration = name, conversation = %item.conversation, owed, %why, "Genesys refuses it for good");
            }
        }
    }

    /// Exponential from half a second to half a minute, with full jitter.
    fn pause(&self, tries: u32) -> Duration {
        let ceiling = Duration::from_millis(500)
            .saturating_mul(1 << tries.min(6))
            .min(Duration::from_secs(30));
        let share = self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64();
        ceiling.mul_f64(share)
    }
}

/// What became of a post, if that is what the input reports.
fn result_of(done: &Input) -> Option<&PostResult> {
    match done {
        Input::ReceiptDone { result, .. }
        | Input::InboundDone { result, .. }
        | Input::NoticeDone { result, .. }
        | Input::DisconnectDone { result } => Some(result),
        _ => None,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
