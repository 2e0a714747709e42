//! What Genesys is owed, brought to it: receipts, customers' messages, notes, disconnects.
//!
//! The outbox in the store is the truth; this reads it page by page, so that a backlog costs no memory. Whatever is
//! brought is told to its conversation, whose journal takes it out of the outbox. All repetition towards Genesys stands
//! here.

mod places;
mod post;
mod queue;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connector::Customer;
use conversation::mutant::{self, Mutant};
use conversation::{Clock, Input, PostResult};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use genesys::Lane;
use store::{OutboxItem, Store};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::settings::Integration;
use crate::to_genesys;
use places::{Place, Places};
use post::{Outcome, Post};
use queue::{Due, LANES, Queue};

/// How often a store that others work on too is read from the beginning: what another node left late stands at a place
/// that was passed already.
const SWEEP: Duration = Duration::from_secs(15);
/// How long typing stays worth telling is the budget's matter; how much of it may wait is this.
const MOST_TYPING: usize = 32;

/// One integration's way to Genesys.
pub(crate) struct Egress {
    integration: Arc<Integration>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Rung when the outbox has something new.
    news: Notify,
    /// Rung when this node may drive conversations that it could not drive before.
    gained: Notify,
    typing: tokio::sync::Semaphore,
    places: Arc<Places>,
    rng: Mutex<fastrand::Rng>,
}

impl Egress {
    pub(crate) fn new(
        integration: Arc<Integration>,
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
            news: Notify::new(),
            gained: Notify::new(),
            typing: tokio::sync::Semaphore::new(MOST_TYPING),
            places: Arc::default(),
            rng,
        }
    }

    /// Says that the outbox has something new.
    pub(crate) fn look(&self) {
        self.news.notify_one();
    }

    /// Says that what was read before may be this node's matter now.
    pub(crate) fn look_anew(&self) {
        self.gained.notify_one();
    }

    /// Tells Genesys that the customer types; dropped where that would come too late.
    pub(crate) fn typing(self: &Arc<Self>, engine: &Engine, customer: Customer) {
        let egress = Arc::clone(self);
        engine.tasks.spawn(async move {
            let Ok(_few) = egress.typing.try_acquire() else { return };
            let event = to_genesys::typing(&customer, egress.clock.now());
            let id = &egress.integration.genesys_id;
            let post = async |client: genesys::Client| client.post_event(id, &event).await;
            if let Err(error) = egress.integration.budget.call(Lane::Typing, post).await {
                tracing::debug!(integration = %egress.integration.name, %error, "typing was not told");
            }
        });
    }

    /// Brings what is owed, until the gateway stops.
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
            while let Some(due) = queue.next(Instant::now(), |urgent| self.places.has_room(urgent))
            {
                posts.push(self.start(&engine, due));
            }
            // What ends comes before what begins, so that a flood of news keeps no slot taken.
            tokio::select! {
                biased;
                () = engine.stop.cancelled() => break,
                () = self.gained.notified() => queue.start_over(),
                _ = sweep.tick(), if self.store.is_shared() => queue.start_over(),
                Some((item, tries, again)) = posts.next() => queue.ended(&item, tries, again),
                () = self.news.notified() => queue.news(),
                () = self.places.left.notified() => {}
                () = sleep_until(queue.wakeup()) => {}
            }
            // All that has ended meanwhile makes room at once, so that one look into the store serves it all.
            while let Some(Some((item, tries, again))) = posts.next().now_or_never() {
                queue.ended(&item, tries, again);
            }
        }
        // What is under way may end; what was told is in the journal or will be looked for by the next process.
        while posts.next().await.is_some() {}
    }

    /// Reads what there is room for. Returns whether the store could be read.
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

    /// Brings one thing in a task of its own: it must go on while this task waits for the store, since it may hold
    /// what the store's answer waits for.
    fn start(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        due: Due,
    ) -> impl Future<Output = (OutboxItem, u32, Option<(Instant, Due)>)> + use<> {
        let (egress, engine) = (Arc::clone(self), Arc::clone(engine));
        let (item, tries) = (due.item.clone(), due.tries);
        let place = self.places.take(item.owed.is_urgent());
        let task =
            engine.tasks.clone().spawn(async move { egress.bring(&engine, due, place).await });
        async move {
            let again = task.await.unwrap_or_else(|_| {
                // A task that broke has told nobody; what it was about may have been done.
                let due = Due { item: item.clone(), tries: tries + 1, doubt: true, done: None };
                Some((Duration::from_secs(5), due))
            });
            (item, tries, again.map(|(pause, due)| (Instant::now() + pause, due)))
        }
    }

    /// Brings one thing, and waits until the journal knows. Where that is needed, returns what to do later, and when.
    async fn bring(&self, engine: &Arc<Engine>, due: Due, place: Place) -> Option<(Duration, Due)> {
        let Due { item, tries, doubt, done } = due;
        let doubt = doubt && !mutant::is(Mutant::DoubtForgotten);
        // Another node's by now: that one finds it in the outbox. Another's meanwhile: it is read again, if it is still owed.
        let drive =
            self.store.drive(&item.conversation).filter(|drive| drive.term() == item.term)?;
        let name = self.integration.name.as_str();
        let outcome = if let Some(input) = done {
            drop(place);
            Outcome::Done(input)
        } else {
            let (integration, store, place) =
                (&self.integration, self.store.as_ref(), Mutex::new(Some(place)));
            Post { integration, store, drive: &drive, doubt, stop: &engine.stop, place }
                .bring(&item)
                .await
        };
        match outcome {
            Outcome::Done(input) => {
                if engine.deliver(&item.conversation, drive, (*input).clone()).await.is_ok() {
                    self.count(&item, &input);
                    return None;
                }
                // The gateway stops, or the conversation is read anew: it is told again, and nothing is posted again.
                let pause = self.pause(tries).max(Duration::from_secs(1));
                Some((pause, Due { item, tries: tries + 1, doubt: true, done: Some(input) }))
            }
            Outcome::Later { why, after, doubt } => {
                self.metrics.post(name, "retried");
                let pause = after.unwrap_or_default().max(self.pause(tries));
                tracing::warn!(integration = name, conversation = %item.conversation, why, ?pause, "Genesys did not take it");
                Some((pause, Due { item, tries: tries + 1, doubt, done: None }))
            }
        }
    }

    /// What Genesys refuses for good is lost for people, so somebody has to look at it.
    fn count(&self, item: &OutboxItem, done: &Input) {
        let name = self.integration.name.as_str();
        let (Input::ReceiptDone { result, .. }
        | Input::InboundDone { result, .. }
        | Input::NoticeDone { result, .. }
        | Input::DisconnectDone { result }) = done
        else {
            return;
        };
        match result {
            PostResult::Posted { .. } => self.metrics.post(name, "done"),
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

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
