//! Delivers to Genesys what it is owed: receipts, customers' messages, notices, disconnects.
//!
//! The outbox in the store is the source of truth. This module reads it page by page, so that a
//! backlog costs no memory. It reports each result to the conversation, whose journal removes the
//! item from the outbox. All retries towards Genesys happen here.

mod budget_queue;
mod budgeted_calls;
mod file_waits;
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
use store::{LeaseGuard, OutboxItem, OutboxLane, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::engine::{Engine, NoAnswer};
use crate::failed_calls::{self, FailedCall};
use crate::files;
use crate::metrics::Metrics;
use crate::settings::Integration;
use crate::signals::Signals;
use crate::to_genesys;
use budget_queue::{BudgetQueue, BudgetWaiter};
use budgeted_calls::BudgetedCalls;
use file_waits::{FileWaits, NeededFiles, WaitedFor};
use genesys_health::GenesysHealth;
use post::{Later, Outcome, Post};
use queue::{Due, Queue};

/// How often a shared store's outbox is read from the beginning. Another node may have left an item
/// late, at a position that this node has already passed.
const SWEEP: Duration = Duration::from_secs(15);
/// The pause before a read that met damaged data is tried again.
const DAMAGED_PAUSE: Duration = Duration::from_secs(1);
/// How many typing events may wait for the budget, which drops those that wait too long.
const MAX_TYPING: usize = 32;

/// The end of a post.
struct PostEnd {
    item: OutboxItem,
    /// How many attempts there were before this one.
    tries: u32,
    next: AfterPost,
}

/// What follows for an item.
enum AfterPost {
    /// It is done, or another node's.
    Nothing,
    /// It is tried again after this pause.
    Again(Duration, Due),
    /// It waits for files before its first call.
    Files(Box<NeededFiles>, Due),
}

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

    /// Reports to Genesys which customers type, until the gateway stops.
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

    /// Reports to Genesys that the customer types. The event is dropped if too many wait, or if the
    /// budget does not admit it in time.
    fn post_typing(self: &Arc<Self>, engine: &Arc<Engine>, customer: Customer) {
        let (egress, told) = (Arc::clone(self), Arc::clone(engine));
        engine.tasks.spawn(async move {
            let Ok(_few) = egress.typing.try_acquire() else { return };
            let customer = files::inbound::customer(egress.integration.media.as_ref(), customer);
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
                    "the typing event is dropped",
                );
            }
        });
    }

    /// Delivers the outbox, until the gateway stops.
    pub(crate) async fn run(self: Arc<Self>, engine: Arc<Engine>) {
        let mut queue = Queue::default();
        queue.news();
        let mut read_again = None;
        let mut posts = FuturesUnordered::new();
        let mut waits = FileWaits::default();
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if read_again.is_none_or(|at| at <= Instant::now()) {
                read_again = match self.read(&engine, &mut queue).await {
                    Ok(()) => None,
                    Err(NoAnswer::Damaged) => Some(Instant::now() + DAMAGED_PAUSE),
                    Err(NoAnswer::Stopped) => break,
                };
            }
            loop {
                while let Some(due) =
                    queue.next(Instant::now(), |lane| self.budget_queue.has_room(lane))
                {
                    posts.push(self.start(&engine, due));
                }
                // After each round: what the queue drops frees room, too.
                let Some(end) = waits.next_with_room() else { break };
                queue.has_waited(end);
            }
            // Finished posts are handled before news, so that a flood of news does not keep slots
            // occupied.
            tokio::select! {
                biased;
                () = engine.stop.cancelled() => break,
                () = self.signals.ownership_gained.notified() => queue.start_over(),
                _ = sweep.tick(), if self.store.is_clustered() => queue.start_over(),
                Some(end) = posts.next() => self.ended(&mut queue, &mut waits, end),
                Some(end) = waits.next() => queue.has_waited(end),
                () = self.signals.outbox_changed.notified() => queue.news(),
                () = self.budget_queue.left.notified() => {}
                () = sleep_until(queue.wakeup().into_iter().chain(read_again).min()) => {}
            }
            // Every post that has finished meanwhile frees its slot at once, so that one read of
            // the store fills all of them.
            while let Some(Some(end)) = posts.next().now_or_never() {
                self.ended(&mut queue, &mut waits, end);
            }
        }
        // Posts in progress may finish. Their results are either in the journal, or the next
        // process checks them.
        while posts.next().await.is_some() {}
    }

    /// Reads a page of each lane that has room. A lane that cannot be read does not keep the other
    /// from being read.
    async fn read(&self, engine: &Engine, queue: &mut Queue) -> Result<(), NoAnswer> {
        let mut all = Ok(());
        for lane in OutboxLane::ALL {
            let Some((after, limit)) = queue.wants(lane) else { continue };
            let what = match lane {
                OutboxLane::Urgent => "read the outbox",
                OutboxLane::Deferred => "read the deferred outbox",
            };
            let name = &self.integration.name;
            let ask = || self.store.outbox(name, lane, after, limit);
            match engine.read_for_all(what, name.as_str(), ask).await {
                Ok(items) => queue.read(lane, items),
                Err(NoAnswer::Damaged) => all = Err(NoAnswer::Damaged),
                Err(NoAnswer::Stopped) => return Err(NoAnswer::Stopped),
            }
        }
        all
    }

    /// Frees the slot of a post. What is not done is paused.
    fn ended(self: &Arc<Self>, queue: &mut Queue, waits: &mut FileWaits, end: PostEnd) {
        let PostEnd { item, tries, next } = end;
        let again = match next {
            AfterPost::Nothing => None,
            AfterPost::Again(pause, due) => Some((Instant::now() + pause, due)),
            AfterPost::Files(needed, mut due) => {
                Some((waits.begin(self, &item, *needed, due.got.take()), due))
            }
        };
        queue.ended(&item, tries, again);
    }

    /// Delivers one item in a task of its own. The item must make progress while the caller waits
    /// for the store, because it may hold what the store's answer waits for.
    fn start(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        due: Due,
    ) -> impl Future<Output = PostEnd> + use<> {
        let (egress, engine) = (Arc::clone(self), Arc::clone(engine));
        let (item, tries) = (due.item.clone(), due.tries);
        let place = self.budget_queue.take(OutboxLane::of(&item.owed));
        let task =
            engine.tasks.clone().spawn(async move { egress.post(&engine, due, place).await });
        async move {
            let next = task.await.unwrap_or_else(|_| {
                // The task panicked, so it reported nothing. Its call may have been made.
                let due = Due::new(item.clone(), tries + 1, true);
                AfterPost::Again(Duration::from_secs(5), due)
            });
            PostEnd { item, tries, next }
        }
    }

    /// Delivers one item, and waits until the result is in the journal.
    async fn post(&self, engine: &Arc<Engine>, due: Due, place: BudgetWaiter) -> AfterPost {
        let Due { item, tries, doubt, done, before, got } = due;
        let doubt = doubt && !mutant::is(Mutant::DoubtForgotten);
        let (integration, store) = (&*self.integration, self.store.as_ref());
        let calls = BudgetedCalls::new(integration, store, &item, &engine.stop, place);
        // If another node owns the item by now, that node finds it in the outbox. If this node lost
        // and regained the conversation, it reads the item again while it is owed. This only checks
        // the lease: the guard must not be held while the post waits for the budget.
        if calls.guard().is_none() {
            return AfterPost::Nothing;
        }
        let outcome = if let Some(input) = done {
            Outcome::Done(input)
        } else {
            let told = OutboxItem { since: self.as_told(item.since), ..item.clone() };
            let health = &self.health;
            let linked = got.as_ref().and_then(WaitedFor::part);
            Post { integration, store, calls: &calls, doubt, before, health, linked }
                .post(&told)
                .await
        };
        let (guard, mut failed) = calls.end();
        let tell = |failed: &[FailedCall], follows: &str| {
            failed_calls::report_all(engine, integration, failed, follows);
        };
        let Some(guard) = guard else {
            tell(&failed, "another node takes it over");
            return AfterPost::Nothing;
        };
        match outcome {
            Outcome::Done(input) => {
                if matches!(result_of(&input), Some(PostResult::Refused { .. })) {
                    tell(&failed, &format!("{} is refused for good", item.owed.key()));
                }
                if engine.deliver(&item.conversation, guard, (*input).clone()).await.is_ok() {
                    self.count(&item, &input);
                    return AfterPost::Nothing;
                }
                // The gateway stops, or the conversation's turn failed. The result is reported
                // again later, but nothing is posted again.
                let pause = self.pause(tries).max(Duration::from_secs(1));
                let due = Due::new(item, tries + 1, true);
                AfterPost::Again(pause, Due { done: Some(input), before, ..due })
            }
            Outcome::Files(needed) => {
                AfterPost::Files(needed, Due { before, got, ..Due::new(item, tries, doubt) })
            }
            Outcome::Later(Later { why, after, doubt, alone }) => {
                self.metrics.post(integration.name.as_str(), "retried");
                if failed.is_empty() {
                    failed.push(FailedCall::without_call(&why));
                }
                if alone && self.is_given_up(engine, &item, guard, &why).await {
                    tell(&failed, &format!("{} is given up", item.owed.key()));
                    return AfterPost::Nothing;
                }
                let pause = after.unwrap_or_default().max(self.pause(tries));
                tell(
                    &failed,
                    &format!("{} is tried again in {:.1} s", item.owed.key(), pause.as_secs_f64()),
                );
                let before = Some(Instant::now());
                AfterPost::Again(pause, Due { before, ..Due::new(item, tries + 1, doubt) })
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

    /// Tells the conversation that Genesys does not accept this item while it works for others. The
    /// conversation decides whether to give up. Returns whether it has.
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
        // If the state cannot be read, the item is retried: one call too many is better than a lost
        // item.
        let loaded = self.store.load(&item.conversation).await;
        loaded.is_ok_and(|loaded| {
            loaded.is_some_and(|loaded| !loaded.state.owed().contains(&item.owed))
        })
    }

    /// Counts a result. An item that Genesys refuses for good reaches no one, so it is logged for
    /// the operator. The engine logs a refused customer's message, once that decision is durable.
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

    /// The backoff before the next try: a random part of a time that doubles from 0.5 s to 30 s.
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
