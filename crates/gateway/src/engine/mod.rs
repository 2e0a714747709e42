//! Decides who drives which conversation, and when.
//!
//! A conversation has a task only while it has work. `drive` is that task, `timers` wakes it when
//! its time comes, and this file ensures that there is never more than one. Nothing here decides
//! anything about a message.

mod calls;
mod dead_letters;
mod drive;
mod order;
mod straight;
mod tell;
mod terms;
mod timers;
mod turn;
mod under_way;
mod upkeep;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::{Clock, ConversationId, Input, IntegrationName};
use jiff::Timestamp;
use lru::LruCache;
use store::{
    Acceptance, Arrival, Due, LeaseGuard, OwnershipEvent, Store, StoreError, WatchedConversation,
};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::BodyAdmission;
use crate::egress::Egress;
use crate::ends;
use crate::failures::Failures;
use crate::metrics::Metrics;
use crate::operators::Readiness;
use crate::settings::{Integration, Limits};
use straight::{FastPath, PendingAccept};
use turn::LoadedConversation;

/// How many conversations may have a task. Beyond this limit, messages wait in the inbox until
/// there is room (I12).
const MOST_ACTIVE: usize = 8_192;
/// How many finished conversations stay cached, so that their next message need not load them.
const PARKED: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// How many conversations one read of the store returns.
const PAGE: usize = 500;
/// Capacity for bodies, in KiB.
const BODIES: usize = 256 << 10;
/// Capacity for the bodies of messages on the fast path, in KiB.
const STRAIGHTS: usize = 64 << 10;
/// The pause before a write to the store is retried. It doubles up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause before a read that a conversation needs is retried. What is due once the store
/// is back must be in time (I8).
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// How often the inbox is scanned even if there was no hint that something waits there.
const LOOK: Duration = Duration::from_secs(15);
/// The same if other nodes write to the inbox, because their hints may be lost.
const LOOK_SHARED: Duration = Duration::from_millis(500);
/// How long a conversation is left alone after its task panicked.
const BROKEN: Duration = Duration::from_secs(5);
/// How many wake-ups may wait for the timers, which take none while they read a slow store (I12).
const WAKE_UPS: usize = 4_096;
/// How many volatile inputs (typing) may wait for one conversation.
const MOST_VOLATILE: usize = 16;

/// An input, and the channel on which to report that it is durable.
pub(crate) type Delivery = (Input, Option<oneshot::Sender<()>>);

/// What waits for the task of one conversation.
#[derive(Default)]
struct Mailbox {
    state: Mutex<Mail>,
    arrived: Notify,
}

#[derive(Default)]
struct Mail {
    /// The inbox in the store has something new.
    inbox: bool,
    deliveries: VecDeque<Delivery>,
    /// What the task was started for, if that is not in the inbox.
    straight: Option<FastPath>,
}

pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    /// Decides which failed calls are logged.
    pub(crate) failures: Failures,
    pub(crate) limits: Limits,
    /// Once this is cancelled, nothing new is started.
    pub(crate) stop: CancellationToken,
    /// Cancelled when a task panicked without which the gateway cannot keep its guarantees.
    pub(crate) broken: CancellationToken,
    /// Everything that must end before the store is closed.
    pub(crate) tasks: TaskTracker,
    lines: BTreeMap<IntegrationName, IntegrationRuntime>,
    slots: Mutex<Scheduler>,
    /// Capacity for requests, because a caller without authorization uses memory until its
    /// signature is checked.
    pub(crate) bodies: BodyAdmission,
    pub(crate) readiness: Readiness,
    /// Capacity for messages on the fast path. A caller may leave long before a slow store has its
    /// message (I12).
    straights: Arc<Semaphore>,
    /// Notified when the store must be scanned, or when there is room for conversations that were
    /// turned away.
    room: Notify,
    timers: mpsc::Sender<Due>,
    /// Notifies the timers that there is room again for conversations that have work.
    freed: Notify,
    /// Notified when the store has another dead letter, or may have lost some.
    pub(crate) dead_letters: Notify,
    /// Notifies the timers of wake-ups in the store that they have not heard of. Either this node
    /// may now drive more conversations, or too many wake-ups came at once.
    gained: Notify,
}

/// One integration, and the components that serve it.
struct IntegrationRuntime {
    integration: Arc<Integration>,
    egress: Arc<Egress>,
    opened: ends::Opened,
}

struct Scheduler {
    running: HashMap<ConversationId, Arc<Mailbox>>,
    parked: LruCache<ConversationId, LoadedConversation>,
    /// How many agents' messages are being stored, by conversation. No message on the fast path may
    /// overtake them.
    arriving: HashMap<ConversationId, usize>,
    /// How often a caller did not hear what became of its message, and up to which of them the
    /// store has been waited for.
    unheard: u64,
    looked_for: u64,
    /// Something may wait in an inbox without a task that knows of it. The store must be scanned
    /// when there is room.
    turned_away: bool,
}

impl Engine {
    /// Starts driving, first of all what the last process left.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limits: Limits,
        integrations: Vec<Arc<Integration>>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (timers, set) = mpsc::channel(WAKE_UPS);
        let mut watching = Vec::new();
        let lines = integrations.into_iter().map(|integration| {
            let egress = Egress::new(
                Arc::clone(&integration),
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&metrics),
            );
            let (opened, named) = ends::opened();
            watching.push((Arc::clone(&integration), named));
            (
                integration.name.clone(),
                IntegrationRuntime { integration, egress: Arc::new(egress), opened },
            )
        });
        let lines = lines.collect();
        let engine = Arc::new(Self {
            store,
            clock,
            metrics,
            failures: Failures::default(),
            limits,
            stop,
            broken: CancellationToken::new(),
            tasks: TaskTracker::new(),
            lines,
            slots: Mutex::new(Scheduler {
                running: HashMap::new(),
                parked: LruCache::new(PARKED),
                arriving: HashMap::new(),
                unheard: 0,
                looked_for: 0,
                turned_away: true,
            }),
            bodies: BodyAdmission::new(BODIES),
            readiness: Readiness::default(),
            straights: Arc::new(Semaphore::new(STRAIGHTS)),
            room: Notify::new(),
            timers,
            freed: Notify::new(),
            dead_letters: Notify::new(),
            gained: Notify::new(),
        });
        for IntegrationRuntime { egress, .. } in engine.lines.values() {
            engine.keep_up("posting to Genesys", Arc::clone(egress).run(Arc::clone(&engine)));
        }
        for (integration, opened) in watching {
            ends::start(&engine, &integration, opened);
        }
        engine.keep_up("keeping deadlines", timers::run(Arc::clone(&engine), set));
        engine.keep_up("looking through the inbox", Arc::clone(&engine).look_through_inbox());
        engine.keep_up("hearing of other nodes", Arc::clone(&engine).hear_news());
        engine.keep_up("pruning", Arc::clone(&engine).prune());
        engine.keep_up("counting dead letters", dead_letters::count(Arc::clone(&engine)));
        engine.room.notify_one();
        engine
    }

    pub(crate) fn integration(&self, name: &IntegrationName) -> Option<&Arc<Integration>> {
        self.lines.get(name).map(|line| &line.integration)
    }

    /// The integration with this id at Genesys.
    pub(crate) fn integration_of_genesys(&self, genesys_id: &str) -> Option<&Arc<Integration>> {
        self.lines
            .values()
            .map(|line| &line.integration)
            .find(|integration| integration.genesys_id == genesys_id)
    }

    /// The names of all integrations.
    pub(crate) fn integrations(&self) -> impl Iterator<Item = &IntegrationName> {
        self.lines.keys()
    }

    pub(crate) fn egress(&self, name: &IntegrationName) -> Option<&Arc<Egress>> {
        self.lines.get(name).map(|line| &line.egress)
    }

    /// Announces that a conversation has got a session, so that its end must be detected.
    pub(crate) fn opened(&self, name: &IntegrationName, watched: WatchedConversation) {
        if let Some(line) = self.lines.get(name) {
            // If there is no room, or no listener, polling finds it.
            let _ = line.opened.try_send(watched);
        }
    }

    /// Makes an arrival durable, and ensures that it is processed. While the store cannot take it,
    /// the write is retried for as long as [`Limits::store_patience`] says.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        arrival: Arrival,
    ) -> Result<Acceptance, StoreError> {
        let mut arriving = PendingAccept::new(self);
        let mut pause = FIRST_PAUSE;
        let mut last = StoreError::Unavailable("it does not answer".into());
        let patient = async {
            match self.go_straight(&arrival, &mut arriving) {
                None => {}
                Some(taken) => match taken.await {
                    Ok(Ok(stored)) => {
                        arriving.unheard = false;
                        return Ok(stored);
                    }
                    Ok(Err(error)) => last = error,
                    Err(_) => {}
                },
            }
            loop {
                match self.store.accept(arrival.clone()).await {
                    Ok(stored) => {
                        // After a retry, "repeated" may refer to our own first try, whose answer
                        // was lost.
                        arriving.unheard = pause > FIRST_PAUSE && stored == Acceptance::Repeated;
                        if let Acceptance::New(conversation) = &stored {
                            self.wake(conversation);
                        }
                        return Ok(stored);
                    }
                    Err(error @ StoreError::Corrupt(_)) => return Err(error),
                    Err(error @ StoreError::Unavailable(_)) => last = error,
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        };
        let stored = tokio::time::timeout(self.limits.store_patience, patient).await;
        stored.unwrap_or(Err(last))
    }

    /// Signals that a conversation's inbox has something new. If another node drives the
    /// conversation, that node gets a hint.
    pub(crate) fn wake(self: &Arc<Self>, conversation: &ConversationId) {
        let Some(drive) = self.store.drive(conversation) else {
            return self.store.hint(conversation);
        };
        let mut slots = self.slots();
        if let Some(mailbox) = slots.running.get(conversation) {
            mailbox.mail().inbox = true;
            mailbox.arrived.notify_one();
        } else if slots.running.len() >= MOST_ACTIVE {
            slots.turned_away = true;
        } else {
            self.begin(&mut slots, conversation, drive, |mail| mail.inbox = true);
        }
    }

    /// Hands an input to a conversation, whether it is active or not. The receiver resolves when
    /// everything that follows from the input is durable. It never does if the gateway stops first,
    /// or if another node drives the conversation.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        conversation: &ConversationId,
        drive: LeaseGuard,
        input: Input,
    ) -> oneshot::Receiver<()> {
        let (done, durable) = oneshot::channel();
        self.put(conversation, drive, (input, Some(done)));
        durable
    }

    /// Hands over an input that may be lost: typing. It is dropped if too many wait.
    pub(crate) fn mention(self: &Arc<Self>, conversation: &ConversationId, input: Input) {
        let crowded = self
            .slots()
            .running
            .get(conversation)
            .is_some_and(|mailbox| mailbox.mail().deliveries.len() >= MOST_VOLATILE);
        if !crowded
            && self.has_room()
            && let Some(drive) = self.store.drive(conversation)
        {
            self.put(conversation, drive, (input, None));
        }
    }

    fn put(self: &Arc<Self>, conversation: &ConversationId, drive: LeaseGuard, delivery: Delivery) {
        let mut slots = self.slots();
        if let Some(mailbox) = slots.running.get(conversation) {
            mailbox.mail().deliveries.push_back(delivery);
            mailbox.arrived.notify_one();
        } else {
            self.begin(&mut slots, conversation, drive, |mail| mail.deliveries.push_back(delivery));
        }
    }

    fn begin(
        self: &Arc<Self>,
        slots: &mut Scheduler,
        conversation: &ConversationId,
        drive: LeaseGuard,
        first: impl FnOnce(&mut Mail),
    ) {
        let mailbox = Arc::new(Mailbox::default());
        first(&mut mailbox.mail());
        mailbox.arrived.notify_one();
        let parked = slots.parked.pop(conversation);
        slots.running.insert(conversation.clone(), Arc::clone(&mailbox));
        self.metrics.active.inc();
        self.tasks.spawn(drive::run(
            Arc::clone(self),
            conversation.clone(),
            drive,
            mailbox,
            parked,
        ));
    }

    /// Ends a task that has nothing left to do and wants to be woken at `wakeup`. Returns false if
    /// something has arrived meanwhile, so that the task must continue.
    fn finish(
        &self,
        conversation: &ConversationId,
        drive: &LeaseGuard,
        mailbox: &Mailbox,
        live: &mut Option<LoadedConversation>,
        wakeup: Option<Timestamp>,
    ) -> bool {
        let mut slots = self.slots();
        let mail = mailbox.mail();
        // Messages in the inbox can wait for the next process or node. Inputs that were handed over
        // cannot.
        if !mail.deliveries.is_empty() || (mail.inbox && self.may_begin(drive)) {
            return false;
        }
        // Set before another task can drive the conversation. Otherwise this wake-up would
        // overwrite that of a later state.
        if let Some(at) = wakeup {
            // The store has the wake-up too: if there is no room, the timers read the store from
            // the beginning.
            if self.timers.try_send(Due { at, conversation: conversation.clone() }).is_err() {
                self.gained.notify_one();
            }
        }
        slots.running.remove(conversation);
        self.made_room(&slots);
        if let Some(live) = live.take() {
            slots.parked.put(conversation.clone(), live);
        }
        self.metrics.active.dec();
        if slots.turned_away {
            self.room.notify_one();
        }
        true
    }

    /// Cleans up after a conversation's task that panicked.
    fn broke(self: &Arc<Self>, conversation: &ConversationId) {
        let mut slots = self.slots();
        if slots.running.remove(conversation).is_some() {
            self.made_room(&slots);
            self.metrics.active.dec();
        }
        drop(slots);
        let (engine, conversation) = (Arc::clone(self), conversation.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = engine.stop.cancelled() => {}
                () = tokio::time::sleep(BROKEN) => engine.wake(&conversation),
            }
        });
    }

    /// Whether new work may start in a conversation.
    fn may_begin(&self, drive: &LeaseGuard) -> bool {
        !self.stop.is_cancelled() && drive.may_begin()
    }

    /// Passes on hints from other nodes, and the effects of a new lease.
    async fn hear_news(self: Arc<Self>) {
        loop {
            let news = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                news = self.store.news() => news,
            };
            match news {
                OwnershipEvent::Gained => {
                    self.gained.notify_one();
                    for IntegrationRuntime { egress, .. } in self.lines.values() {
                        egress.look_anew();
                    }
                    self.slots().turned_away = true;
                    self.room.notify_one();
                }
                // A node whose lease has expired may get a hint for a conversation that it cannot
                // drive. Hinting again would come back here, without end. The next driver finds the
                // message by scanning the inbox.
                OwnershipEvent::Inbox(conversation)
                    if self.store.drive(&conversation).is_some() =>
                {
                    self.wake(&conversation);
                }
                OwnershipEvent::Inbox(_) => {}
            }
        }
    }

    /// Records that a conversation has no more work.
    fn made_room(&self, slots: &Scheduler) {
        if slots.running.len() + 1 == MOST_ACTIVE {
            self.freed.notify_one();
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.slots().running.len() < MOST_ACTIVE
    }

    /// Wakes every conversation that has something in its inbox. Runs at the start, after a
    /// conversation was turned away, and after a caller did not wait for the store's answer.
    async fn look_through_inbox(self: Arc<Self>) {
        let mut look =
            tokio::time::interval(if self.store.is_shared() { LOOK_SHARED } else { LOOK });
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // The regular scan also finds messages whose commit succeeded after every caller had
            // given up.
            let asked = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = look.tick() => false,
                () = self.room.notified() => true,
            };
            let (turned_away, unheard) = {
                let mut slots = self.slots();
                (std::mem::take(&mut slots.turned_away), slots.unheard)
            };
            if asked && !turned_away {
                continue;
            }
            // Waits for all earlier requests to the store. After that, each of their messages is in
            // the inbox, or never will be.
            if turned_away
                && self.patiently("wait for the store", || self.store.ready()).await.is_none()
            {
                continue;
            }
            if turned_away {
                self.slots().looked_for = unheard;
            }
            let mut after = None;
            while !self.stop.is_cancelled() {
                let page = self
                    .patiently("look through the inbox", || {
                        self.store.waiting(after.as_ref(), PAGE)
                    })
                    .await;
                let Some(page) = page else { return };
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                for conversation in &page {
                    self.wake(conversation);
                }
                // Conversations that found no room have set `turned_away` again. The next round
                // handles the rest.
                if self.slots().turned_away {
                    break;
                }
            }
        }
    }

    /// Retries a request until the store answers. Returns `None` if the gateway is told to stop
    /// first, or if the store's data is corrupt.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &'static str,
        mut ask: impl FnMut() -> F,
    ) -> Option<T> {
        let mut pause = Duration::from_millis(50);
        loop {
            match ask().await {
                Ok(answer) => return Some(answer),
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(%error, "cannot {what}");
                    return None;
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    if let Some(more) = self.failures.admit("", what, &error.to_string()) {
                        tracing::warn!(%error, more, "cannot {what}; trying again");
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Scheduler> {
        // A panic while the lock is held leaves nothing half done: each change is one statement.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
