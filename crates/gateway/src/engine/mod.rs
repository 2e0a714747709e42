//! Decides who drives which conversation, and when.
//!
//! A conversation has a task only while it has work. `driver` is that task, `timers` wakes it when
//! its time comes, and `scheduler` ensures that there is never more than one. Nothing here decides
//! anything about a message.

mod calls;
mod calls_in_progress;
mod commit;
mod dead_letters;
mod driver;
mod effects;
mod fast_path;
mod loaded;
mod mailbox;
mod order;
mod report;
mod retry;
mod scheduler;
mod terms;
mod timers;
mod turn;
mod upkeep;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::{Clock, ConversationId, Input, IntegrationName};
use jiff::Timestamp;
use store::{Acceptance, Arrival, Due, LeaseGuard, OwnershipEvent, Store, StoreError};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failures::Failures;
use crate::metrics::Metrics;
use crate::settings::{Integration, Limits};
use crate::signals::Signals;
use driver::Driver;
use fast_path::PendingAccept;
use loaded::LoadedConversation;
use mailbox::{Delivery, Mailbox};
use retry::BrokenReads;
pub(crate) use retry::NoAnswer;
use scheduler::{Scheduler, Spawn};

/// How many conversations may have a task. Beyond this limit, messages wait in the inbox until
/// there is room (I12).
const MAX_ACTIVE: usize = 8_192;
/// How many finished conversations stay cached, so that their next message need not load them.
const MAX_CACHED: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// How many conversations one read of the store returns.
const PAGE: usize = 500;
/// Capacity for the bodies of messages on the fast path, in KiB.
const FAST_PATH_BODIES: usize = 64 << 10;
/// The first pause before an arrival that the store could not take is offered again. It doubles up
/// to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause before any other request to the store is retried. It is short because what is
/// due when the store comes back must still be in time (I8).
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// How often the inbox is scanned if nothing asks for a scan.
const SCAN_INTERVAL: Duration = Duration::from_secs(15);
/// The same if other nodes write to the inbox, because their hints may be lost.
const SCAN_INTERVAL_CLUSTERED: Duration = Duration::from_millis(500);
/// How long a conversation is left alone after its task panicked.
const PANIC_PAUSE: Duration = Duration::from_secs(5);
/// How many wake-ups may wait for the timers, which take none while they read a slow store (I12).
const MAX_WAKE_UPS: usize = 4_096;
/// How many volatile inputs (typing) may wait for one conversation.
const MAX_VOLATILE: usize = 16;

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
    broken_reads: BrokenReads,
    /// Everything that must end before the store is closed.
    pub(crate) tasks: TaskTracker,
    runtimes: BTreeMap<IntegrationName, IntegrationRuntime>,
    scheduler: Mutex<Scheduler<LoadedConversation>>,
    /// Capacity for messages on the fast path, in KiB. A caller may leave long before a slow store
    /// has its message (I12).
    fast_path_room: Arc<Semaphore>,
    /// Notified when the store must be scanned, or when there is room for conversations that were
    /// turned away.
    room: Notify,
    timers: mpsc::Sender<Due>,
    /// Notifies the timers that there is room again for conversations that have work.
    freed: Notify,
    /// Notified when the store has another dead letter, or may have lost some.
    pub(crate) dead_letters: Notify,
    /// Notifies the timers that the store has wake-ups that they do not know. Either this node may
    /// now drive more conversations, or too many wake-ups came at once.
    gained: Notify,
}

/// One integration, and the signals to the components that serve it.
struct IntegrationRuntime {
    integration: Arc<Integration>,
    signals: Arc<Signals>,
}

/// The wake-ups that the engine has set for itself.
pub(crate) struct WakeUps(mpsc::Receiver<Due>);

impl Engine {
    /// An engine that does nothing until [`Self::run`].
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limits: Limits,
        integrations: impl IntoIterator<Item = (Arc<Integration>, Arc<Signals>)>,
        stop: CancellationToken,
    ) -> (Arc<Self>, WakeUps) {
        let (timers, set) = mpsc::channel(MAX_WAKE_UPS);
        let runtimes = integrations.into_iter().map(|(integration, signals)| {
            (integration.name.clone(), IntegrationRuntime { integration, signals })
        });
        let runtimes = runtimes.collect();
        let engine = Arc::new(Self {
            store,
            clock,
            metrics,
            failures: Failures::default(),
            limits,
            stop,
            broken: CancellationToken::new(),
            broken_reads: BrokenReads::default(),
            tasks: TaskTracker::new(),
            runtimes,
            scheduler: Mutex::new(Scheduler::new(MAX_ACTIVE, MAX_CACHED)),
            fast_path_room: Arc::new(Semaphore::new(FAST_PATH_BODIES)),
            room: Notify::new(),
            timers,
            freed: Notify::new(),
            dead_letters: Notify::new(),
            gained: Notify::new(),
        });
        (engine, WakeUps(set))
    }

    /// Starts to drive conversations. The first are those that the last process left with work.
    pub(crate) fn run(self: &Arc<Self>, WakeUps(set): WakeUps) {
        self.keep_up("keeping deadlines", timers::run(Arc::clone(self), set));
        self.keep_up("scanning the inbox", Arc::clone(self).look_through_inbox());
        self.keep_up("listening to other nodes", Arc::clone(self).hear_events());
        self.keep_up("pruning", Arc::clone(self).prune());
        self.keep_up("counting dead letters", dead_letters::count(Arc::clone(self)));
        self.room.notify_one();
    }

    pub(crate) fn integration(&self, name: &IntegrationName) -> Option<&Arc<Integration>> {
        self.runtimes.get(name).map(|runtime| &runtime.integration)
    }

    /// The integration with this id at Genesys.
    pub(crate) fn integration_of_genesys(&self, genesys_id: &str) -> Option<&Arc<Integration>> {
        self.runtimes
            .values()
            .map(|runtime| &runtime.integration)
            .find(|integration| integration.genesys_id == genesys_id)
    }

    /// The names of all integrations.
    pub(crate) fn integrations(&self) -> impl Iterator<Item = &IntegrationName> {
        self.runtimes.keys()
    }

    fn signals(&self, name: &IntegrationName) -> Option<&Signals> {
        self.runtimes.get(name).map(|runtime| &*runtime.signals)
    }

    /// Makes an arrival durable, and ensures that it is processed. While the store is unavailable,
    /// the write is retried, for at most [`Limits::store_patience`].
    pub(crate) async fn accept(
        self: &Arc<Self>,
        arrival: Arrival,
    ) -> Result<Acceptance, StoreError> {
        let mut accepting = PendingAccept::new(self);
        let mut pause = FIRST_PAUSE;
        let mut last = StoreError::Unavailable("it does not answer".into());
        let patient = async {
            match self.try_fast_path(&arrival, &mut accepting) {
                None => {}
                Some(taken) => match taken.await {
                    Ok(Ok(stored)) => {
                        accepting.is_unanswered = false;
                        return Ok(stored);
                    }
                    Ok(Err(error)) => last = error,
                    Err(_) => {}
                },
            }
            loop {
                match self.store.accept(arrival.clone()).await {
                    Ok(stored) => {
                        // After a retry, "repeated" may refer to our own earlier try, whose answer
                        // was lost. Nothing has woken the conversation then, so the inbox must be
                        // scanned.
                        accepting.is_unanswered =
                            pause > FIRST_PAUSE && stored == Acceptance::Repeated;
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
        let Some(guard) = self.store.acquire(conversation) else {
            return self.store.notify_owner(conversation);
        };
        let spawn = self.scheduler().wake(conversation);
        self.spawn_driver(conversation, guard, spawn);
    }

    /// Hands an input to a conversation, whether it is active or not. The receiver resolves when
    /// everything that follows from the input is durable. It gets an error if that did not happen:
    /// the gateway stops, the conversation cannot be read, its turn failed, or another node drives
    /// it.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        conversation: &ConversationId,
        guard: LeaseGuard,
        input: Input,
    ) -> oneshot::Receiver<()> {
        let (done, durable) = oneshot::channel();
        self.enqueue(conversation, guard, (input, Some(done)));
        durable
    }

    /// Hands over an input that may be lost: typing. It is dropped if too many wait, if the
    /// conversation has no task and there is no room for another, or if another node drives it.
    pub(crate) fn deliver_volatile(self: &Arc<Self>, conversation: &ConversationId, input: Input) {
        if self.scheduler().admits_volatile(conversation, MAX_VOLATILE)
            && let Some(guard) = self.store.acquire(conversation)
        {
            self.enqueue(conversation, guard, (input, None));
        }
    }

    fn enqueue(
        self: &Arc<Self>,
        conversation: &ConversationId,
        guard: LeaseGuard,
        delivery: Delivery,
    ) {
        let spawn = self.scheduler().deliver(conversation, delivery);
        self.spawn_driver(conversation, guard, spawn);
    }

    fn spawn_driver(
        self: &Arc<Self>,
        conversation: &ConversationId,
        guard: LeaseGuard,
        spawn: Option<Spawn<LoadedConversation>>,
    ) {
        let Some(Spawn { mailbox, cached }) = spawn else { return };
        self.metrics.active.inc();
        let driver = Driver { engine: Arc::clone(self), id: conversation.clone(), guard, mailbox };
        self.tasks.spawn(driver.run(cached));
    }

    /// Ends a task that has nothing left to do and must be woken at `wakeup`. Returns false if
    /// something has arrived meanwhile, so that the task must continue.
    fn finish(
        &self,
        conversation: &ConversationId,
        guard: &LeaseGuard,
        mailbox: &Mailbox,
        live: &mut Option<LoadedConversation>,
        wakeup: Option<Timestamp>,
    ) -> bool {
        let mut scheduler = self.scheduler();
        let mail = mailbox.mail();
        // Messages in the inbox can wait for the next process or node. Inputs that were handed over
        // cannot.
        if !mail.deliveries.is_empty() || (mail.inbox && self.admits_new_work(guard)) {
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
        if scheduler.remove(conversation, live.take()) == Some(true) {
            self.freed.notify_one();
        }
        self.metrics.active.dec();
        if scheduler.rescan_needed() {
            self.room.notify_one();
        }
        true
    }

    /// Frees the place of a task that panicked, and wakes its conversation after a pause.
    fn restart_after_panic(self: &Arc<Self>, conversation: &ConversationId) {
        if let Some(made_room) = self.scheduler().remove(conversation, None) {
            if made_room {
                self.freed.notify_one();
            }
            self.metrics.active.dec();
        }
        let (engine, conversation) = (Arc::clone(self), conversation.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = engine.stop.cancelled() => {}
                () = tokio::time::sleep(PANIC_PAUSE) => engine.wake(&conversation),
            }
        });
    }

    /// Whether new work may start in a conversation.
    fn admits_new_work(&self, guard: &LeaseGuard) -> bool {
        !self.stop.is_cancelled() && guard.admits_new_work()
    }

    /// Wakes the conversations that other nodes give hints about, and starts the work of new
    /// leases.
    async fn hear_events(self: Arc<Self>) {
        loop {
            let event = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                event = self.store.next_event() => event,
            };
            match event {
                OwnershipEvent::ShardsGained => {
                    self.gained.notify_one();
                    for IntegrationRuntime { signals, .. } in self.runtimes.values() {
                        signals.ownership_gained.notify_one();
                    }
                    self.scheduler().request_rescan();
                    self.room.notify_one();
                }
                // A node whose lease has expired may get a hint for a conversation that it cannot
                // drive. Hinting again would come back here, without end. The next driver finds the
                // message by scanning the inbox.
                OwnershipEvent::PendingInput(conversation)
                    if self.store.acquire(&conversation).is_some() =>
                {
                    self.wake(&conversation);
                }
                OwnershipEvent::PendingInput(_) => {}
            }
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.scheduler().has_room()
    }

    /// Wakes every conversation that has something in its inbox. A scan runs at intervals, at the
    /// start, and after each of these: a conversation found no room for a task, a caller did not
    /// wait for the store's answer, this node gained shards.
    async fn look_through_inbox(self: Arc<Self>) {
        let mut look = tokio::time::interval(if self.store.is_clustered() {
            SCAN_INTERVAL_CLUSTERED
        } else {
            SCAN_INTERVAL
        });
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
            let (rescan_needed, abandoned) = self.scheduler().begin_scan();
            if asked && !rescan_needed {
                continue;
            }
            if self.scan(rescan_needed, abandoned).await == Err(NoAnswer::Damaged) {
                // Nothing is settled, so the next scan is needed too, and comes soon.
                self.scheduler().request_rescan();
                look.reset_after(LAST_PAUSE);
            }
        }
    }

    /// Scans the inbox once. If the scan is needed, it first waits for the store, and so settles
    /// which messages of callers that have left are in the inbox.
    async fn scan(self: &Arc<Self>, is_needed: bool, abandoned: u64) -> Result<(), NoAnswer> {
        let mut settled = Ok(());
        if is_needed {
            // Waits until all earlier requests to the store have ended. After that, each of their
            // messages is in the inbox, or never will be.
            settled = self.read_for_all("wait for the store", "", || self.store.ready()).await;
            if settled.is_ok() {
                self.scheduler().settle(abandoned);
            }
        }
        let mut after = None;
        while !self.stop.is_cancelled() {
            let ask = || self.store.with_pending_input(after.as_ref(), PAGE);
            let page = self.read_for_all("scan the inbox", "", ask).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            for conversation in &page {
                self.wake(conversation);
            }
            // Conversations that found no room have set `rescan_needed` again. The next round
            // handles the rest.
            if self.scheduler().rescan_needed() {
                break;
            }
        }
        settled
    }

    fn scheduler(&self) -> MutexGuard<'_, Scheduler<LoadedConversation>> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
