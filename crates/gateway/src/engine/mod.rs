//! Who drives which conversation, and when.
//!
//! A conversation has a task only while it has work: `drive` is that task, `timers` wakes it when its time comes, and
//! this file sees to it that there is never more than one. Nothing here decides anything about a message.

mod calls;
mod drive;
mod straight;
mod timers;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::{Clock, ConversationId, Input, IntegrationName};
use jiff::Timestamp;
use lru::LruCache;
use store::{Arrival, Drive, Due, News, Store, StoreError, Stored, Watched};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Room;
use crate::egress::Egress;
use crate::ends;
use crate::metrics::Metrics;
use crate::settings::{Integration, Limits};
use drive::Live;
use straight::{Arriving, Straight};

/// How many conversations may have a task. Past this, what the inbox holds waits there until there is room (I12).
const MOST_ACTIVE: usize = 8_192;
/// How many finished conversations stay in memory, so that their next message need not load them.
const PARKED: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// How many conversations one look into the store brings.
const PAGE: usize = 500;
/// Room for bodies, in KiB.
const BODIES: usize = 256 << 10;
/// Room for bodies of messages that go straight to their conversation, in KiB.
const STRAIGHTS: usize = 64 << 10;
/// The pause before the store is asked again whether it takes something; it doubles up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// How often the inbox is looked through although nobody has said that something waits there.
const LOOK: Duration = Duration::from_secs(15);
/// The same where other nodes put something there, whose hints may be lost.
const LOOK_SHARED: Duration = Duration::from_millis(500);
/// How often the store is pruned.
const PRUNE: Duration = Duration::from_hours(1);
/// How long a conversation whose task broke is left alone.
const BROKEN: Duration = Duration::from_secs(5);
/// How many inputs without durability (typing) may wait for one conversation.
const MOST_VOLATILE: usize = 16;

/// An input, and who wants to know when it is durable.
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
    /// What the task was begun for, where that is not in the inbox.
    straight: Option<Straight>,
}

pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// Whoever was told to stop starts nothing new.
    pub(crate) stop: CancellationToken,
    /// Everything that must end before the store is closed.
    pub(crate) tasks: TaskTracker,
    lines: BTreeMap<IntegrationName, Line>,
    slots: Mutex<Slots>,
    /// Room for requests: whoever calls without a right to holds memory until its signature is checked.
    pub(crate) bodies: Room,
    /// Room for messages that go straight: who brought one may be gone long before a slow store has it (I12).
    straights: Arc<Semaphore>,
    /// Rung when the store must be looked through, or when there is room for those that had been turned away.
    room: Notify,
    timers: mpsc::UnboundedSender<Due>,
    /// Rung for the timers when there is room again for conversations that have work.
    freed: Notify,
    /// Rung for the timers when this node may drive conversations that it could not drive before.
    gained: Notify,
}

/// One integration, and who works for it.
struct Line {
    integration: Arc<Integration>,
    egress: Arc<Egress>,
    opened: ends::Opened,
}

struct Slots {
    running: HashMap<ConversationId, Arc<Mailbox>>,
    parked: LruCache<ConversationId, Live>,
    /// How many agents' messages are on their way into the store, by conversation: none may overtake them.
    arriving: HashMap<ConversationId, usize>,
    /// How often somebody did not hear what became of a message, and up to which of them the store has been waited for.
    unheard: u64,
    looked_for: u64,
    /// Something may wait in an inbox without anybody knowing: the store must be looked through when there is room.
    turned_away: bool,
}

impl Engine {
    /// Starts driving: first of all whatever was left by the last process.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limits: Limits,
        integrations: Vec<Arc<Integration>>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (timers, set) = mpsc::unbounded_channel();
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
            (integration.name.clone(), Line { integration, egress: Arc::new(egress), opened })
        });
        let lines = lines.collect();
        let engine = Arc::new(Self {
            store,
            clock,
            metrics,
            limits,
            stop,
            tasks: TaskTracker::new(),
            lines,
            slots: Mutex::new(Slots {
                running: HashMap::new(),
                parked: LruCache::new(PARKED),
                arriving: HashMap::new(),
                unheard: 0,
                looked_for: 0,
                turned_away: true,
            }),
            bodies: Room::new(BODIES),
            straights: Arc::new(Semaphore::new(STRAIGHTS)),
            room: Notify::new(),
            timers,
            freed: Notify::new(),
            gained: Notify::new(),
        });
        for Line { egress, .. } in engine.lines.values() {
            engine.tasks.spawn(Arc::clone(egress).run(Arc::clone(&engine)));
        }
        for (integration, opened) in watching {
            ends::start(&engine, &integration, opened);
        }
        engine.tasks.spawn(timers::run(Arc::clone(&engine), set));
        engine.tasks.spawn(Arc::clone(&engine).look_through_inbox());
        engine.tasks.spawn(Arc::clone(&engine).hear_news());
        engine.tasks.spawn(Arc::clone(&engine).prune());
        engine.room.notify_one();
        engine
    }

    pub(crate) fn integration(&self, name: &IntegrationName) -> Option<&Arc<Integration>> {
        self.lines.get(name).map(|line| &line.integration)
    }

    pub(crate) fn egress(&self, name: &IntegrationName) -> Option<&Arc<Egress>> {
        self.lines.get(name).map(|line| &line.egress)
    }

    /// A conversation has got a session, so that its end has to be learnt.
    pub(crate) fn opened(&self, name: &IntegrationName, watched: Watched) {
        if let Some(line) = self.lines.get(name) {
            // Where there is no room, or nobody listens, it is found by asking.
            let _ = line.opened.try_send(watched);
        }
    }

    /// Makes an arrival durable, and sees to it that somebody handles it. While the store cannot take it, it is asked
    /// again for as long as [`Limits::store_patience`] says.
    pub(crate) async fn accept(self: &Arc<Self>, arrival: Arrival) -> Result<Stored, StoreError> {
        let mut arriving = Arriving::new(self);
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
                        // Asked twice, "it was here before" may mean the first time, whose answer was lost.
                        arriving.unheard = pause > FIRST_PAUSE && stored == Stored::Repeated;
                        if let Stored::New(conversation) = &stored {
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

    /// Says that a conversation's inbox has something new. Another node's conversation is left to that node.
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

    /// Hands an input to a conversation, whether it is active or not. The answer comes when whatever follows from it
    /// is durable; it never comes if the gateway stops before, or if another node drives the conversation.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        conversation: &ConversationId,
        drive: Drive,
        input: Input,
    ) -> oneshot::Receiver<()> {
        let (done, durable) = oneshot::channel();
        self.put(conversation, drive, (input, Some(done)));
        durable
    }

    /// Hands over an input that may be lost: typing. It is dropped where too many wait.
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

    fn put(self: &Arc<Self>, conversation: &ConversationId, drive: Drive, delivery: Delivery) {
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
        slots: &mut Slots,
        conversation: &ConversationId,
        drive: Drive,
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

    /// A task has nothing left to do, and wants to be woken at `wakeup`. It must go on if something has arrived meanwhile.
    fn finish(
        &self,
        conversation: &ConversationId,
        drive: &Drive,
        mailbox: &Mailbox,
        live: &mut Option<Live>,
        wakeup: Option<Timestamp>,
    ) -> bool {
        let mut slots = self.slots();
        let mail = mailbox.mail();
        // What the inbox holds can wait for the next process or node; what was handed over cannot.
        if !mail.deliveries.is_empty() || (mail.inbox && self.may_begin(drive)) {
            return false;
        }
        // Before anybody else can drive it: the wake-up of a later state would be overwritten by this one.
        if let Some(at) = wakeup {
            // The receiver goes only when the gateway stops.
            let _ = self.timers.send(Due { at, conversation: conversation.clone() });
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

    /// The task of a conversation is gone without a word.
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

    /// Whether something new may be begun in a conversation.
    fn may_begin(&self, drive: &Drive) -> bool {
        !self.stop.is_cancelled() && drive.may_begin()
    }

    /// Passes on what other nodes do, and what comes with a new lease.
    async fn hear_news(self: Arc<Self>) {
        loop {
            let news = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                news = self.store.news() => news,
            };
            match news {
                News::Gained => {
                    self.gained.notify_one();
                    for Line { egress, .. } in self.lines.values() {
                        egress.look_anew();
                    }
                    self.slots().turned_away = true;
                    self.room.notify_one();
                }
                News::Inbox(conversation) => self.wake(&conversation),
            }
        }
    }

    /// A conversation has no work any more.
    fn made_room(&self, slots: &Slots) {
        if slots.running.len() + 1 == MOST_ACTIVE {
            self.freed.notify_one();
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.slots().running.len() < MOST_ACTIVE
    }

    /// Wakes every conversation that has something in its inbox: at the start, after somebody was turned away, and after
    /// somebody did not wait for the store's answer.
    async fn look_through_inbox(self: Arc<Self>) {
        let mut look =
            tokio::time::interval(if self.store.is_shared() { LOOK_SHARED } else { LOOK });
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // What waits there after a while is found also where a commit came true after everybody had given it up.
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
            // Behind everything that was asked of the store before, so that it is in the inbox or never will be.
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
                // Those that found no room have set `turned_away` again: the rest comes with the next round.
                if self.slots().turned_away {
                    break;
                }
            }
        }
    }

    /// Removes what is older than the retention time.
    async fn prune(self: Arc<Self>) {
        let mut hours = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = hours.tick() => {}
            }
            let Ok(before) = self.clock.now().checked_sub(self.limits.retention) else { continue };
            match self.store.prune(before).await {
                Ok(0) => {}
                Ok(messages) => tracing::info!(messages, %before, "pruned"),
                Err(error) => tracing::warn!(%error, "cannot prune; trying again in an hour"),
            }
        }
    }

    /// Asks the store until it answers; none, if the gateway is told to stop before that, or the answer is that what
    /// it holds cannot be read.
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
                    tracing::warn!(%error, "cannot {what}; trying again in {pause:?}");
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // A panic while the lock is held leaves nothing half done: each change is one statement.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
