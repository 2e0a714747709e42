//! What Genesys is owed, brought to it: receipts, customers' messages, notes, disconnects.
//!
//! The outbox in the store is the queue; this only looks into it, so that a backlog costs no memory. Whatever is brought
//! is told to its conversation, whose journal takes it out of the outbox. All repetition towards Genesys stands here.

mod post;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connector::Customer;
use conversation::{Clock, ConversationId, Owed};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use genesys::Lane;
use jiff::Timestamp;
use store::{OutboxItem, Store};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::settings::Integration;
use crate::to_genesys;
use post::{Outcome, Post};

/// How much of the outbox is looked at: more than can be under way, so that what waits for its retry does not hide
/// what is behind it.
const WINDOW: usize = 1_000;
/// How many calls that somebody waits for are under way at once; as many others may be.
const UNDER_WAY: usize = 32;
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
    /// What the last process left may have been posted by it.
    started: Timestamp,
    typing: tokio::sync::Semaphore,
    rng: Mutex<fastrand::Rng>,
}

/// What was tried and has to wait.
struct Retry {
    tries: u32,
    at: Instant,
    /// It may have been done.
    doubt: bool,
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
            started,
            typing: tokio::sync::Semaphore::new(MOST_TYPING),
            rng,
        }
    }

    /// Says that the outbox has something new.
    pub(crate) fn look(&self) {
        self.news.notify_one();
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
        let mut under_way: HashMap<u64, (ConversationId, String, bool)> = HashMap::new();
        let mut waiting: HashMap<u64, Retry> = HashMap::new();
        let mut posts = FuturesUnordered::new();
        loop {
            let Ok(window) = self.store.outbox(&self.integration.name, WINDOW).await.inspect_err(|error| {
                tracing::warn!(integration = %self.integration.name, %error, "cannot look into the outbox");
            }) else {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                    () = engine.stop.cancelled() => return,
                }
            };
            waiting.retain(|seq, _| window.iter().any(|item| item.seq == *seq));
            for item in window {
                if may_go(&item, &under_way, &waiting) {
                    let retry = waiting.remove(&item.seq);
                    let tries = retry.as_ref().map_or(0, |retry| retry.tries);
                    // After a crash, or an answer that was lost, Genesys may have it: it is asked before it is told
                    // again.
                    let doubt = retry.map_or(item.since < self.started, |retry| retry.doubt);
                    let mark = (item.conversation.clone(), about(&item.owed), item.owed.is_urgent());
                    under_way.insert(item.seq, mark);
                    posts.push(self.start(&engine, item, tries, doubt));
                }
            }
            let next = waiting.values().map(|retry| retry.at).min();
            tokio::select! {
                () = self.news.notified() => {}
                Some((seq, retry)) = posts.next() => {
                    under_way.remove(&seq);
                    if let Some(retry) = retry {
                        waiting.insert(seq, retry);
                    }
                }
                () = sleep_until(next) => {}
                () = engine.stop.cancelled() => break,
            }
        }
        // What is under way may end; what was told is in the journal or will be looked for by the next process.
        while posts.next().await.is_some() {}
    }

    /// Brings one thing in a task of its own: it must go on while this task waits for the store, since it may hold
    /// what the store's answer waits for.
    fn start(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        item: OutboxItem,
        tries: u32,
        doubt: bool,
    ) -> impl Future<Output = (u64, Option<Retry>)> + use<> {
        let (egress, tasks) = (Arc::clone(self), engine.tasks.clone());
        let (engine, seq) = (Arc::clone(engine), item.seq);
        let task = tasks.spawn(async move { egress.bring(&engine, item, tries, doubt).await });
        async move {
            // A task that broke has told nobody; what it was about may have been done.
            let broken = |_| Some(Retry { tries: tries + 1, at: Instant::now() + Duration::from_secs(5), doubt: true });
            (seq, task.await.unwrap_or_else(broken))
        }
    }

    /// Brings one thing, and waits until the journal knows. Returns when to try again, where that is needed.
    async fn bring(&self, engine: &Arc<Engine>, item: OutboxItem, tries: u32, doubt: bool) -> Option<Retry> {
        let post = Post { integration: &self.integration, store: self.store.as_ref(), doubt };
        let name = self.integration.name.as_str();
        match post.bring(&item).await {
            Outcome::Done(input) => {
                self.metrics.post(name, "done");
                // If the answer never comes the gateway is stopping, or the conversation is read anew.
                let durable = engine.deliver(&item.conversation, *input).await.is_ok();
                let retry = Retry { tries: 0, at: Instant::now() + Duration::from_secs(1), doubt: true };
                (!durable).then_some(retry)
            }
            Outcome::Later { why, after, doubt } => {
                self.metrics.post(name, "retried");
                let pause = after.unwrap_or_default().max(self.pause(tries));
                tracing::warn!(integration = name, conversation = %item.conversation, why, ?pause, "Genesys did not take it");
                Some(Retry { tries: tries + 1, at: Instant::now() + pause, doubt })
            }
        }
    }

    /// Exponential from half a second to half a minute, with full jitter.
    fn pause(&self, tries: u32) -> Duration {
        let ceiling = Duration::from_millis(500).saturating_mul(1 << tries.min(6)).min(Duration::from_secs(30));
        let share = self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64();
        ceiling.mul_f64(share)
    }
}

/// Whether it may be brought now.
fn may_go(
    item: &OutboxItem,
    under_way: &HashMap<u64, (ConversationId, String, bool)>,
    waiting: &HashMap<u64, Retry>,
) -> bool {
    let urgent = item.owed.is_urgent();
    let about = about(&item.owed);
    // Two receipts for one message go one after the other.
    let busy = under_way.iter().any(|(seq, (conversation, other, _))| {
        *seq == item.seq || (*conversation == item.conversation && *other == about)
    });
    let paused = waiting.get(&item.seq).is_some_and(|retry| retry.at > Instant::now());
    let lane = under_way.values().filter(|(_, _, other)| *other == urgent).count();
    !busy && !paused && lane < UNDER_WAY
}

/// What must not be under way twice.
fn about(owed: &Owed) -> String {
    match owed {
        Owed::Receipt { message, .. } => format!("receipt/{message}"),
        Owed::Inbound { message } => format!("inbound/{message}"),
        Owed::Notice { message, notice } => format!("notice/{notice:?}/{message}"),
        Owed::Disconnect { .. } => "disconnect".to_owned(),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
