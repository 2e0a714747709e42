//! Knows which conversations have a task, and which are cached. It is plain data: it says when a
//! task must be spawned, and the engine spawns it. A conversation never has more than one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::sync::Arc;

use conversation::ConversationId;
use lru::LruCache;

use super::mailbox::{Delivery, Mail, Mailbox};

/// `C` is what the cache keeps of a conversation without a task.
pub(super) struct Scheduler<C> {
    max_active: usize,
    active: HashMap<ConversationId, Arc<Mailbox>>,
    idle_cache: LruCache<ConversationId, C>,
    /// How many agents' messages are being stored, by conversation. No message on the fast path may
    /// overtake them.
    accepting: HashMap<ConversationId, usize>,
    /// How many callers left before they learned whether their message was stored.
    abandoned: u64,
    /// The value of `abandoned` up to which no message is in doubt any more. If the two are equal,
    /// the fast path is open.
    settled_through: u64,
    /// Something may wait in an inbox, and no task knows of it. The store must be scanned when
    /// there is room.
    rescan_needed: bool,
}

/// A task that must be spawned. The scheduler counts it already.
pub(super) struct Spawn<C> {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) cached: Option<C>,
}

impl<C> Scheduler<C> {
    /// Creates a scheduler without tasks, which asks for a scan of the store.
    pub(super) fn new(max_active: usize, max_cached: NonZeroUsize) -> Self {
        Self {
            max_active,
            active: HashMap::new(),
            idle_cache: LruCache::new(max_cached),
            accepting: HashMap::new(),
            abandoned: 0,
            settled_through: 0,
            rescan_needed: true,
        }
    }

    /// A conversation's inbox has something new. If there is no room for a task, the next scan of
    /// the store finds it.
    #[must_use = "the task is counted already"]
    pub(super) fn wake(&mut self, id: &ConversationId) -> Option<Spawn<C>> {
        if let Some(mailbox) = self.active.get(id) {
            mailbox.wake();
            None
        } else if self.has_room() {
            Some(self.spawn(id, |mail| mail.inbox = true))
        } else {
            self.rescan_needed = true;
            None
        }
    }

    /// A conversation gets an input. It gets a task even if there is no room, because the input is
    /// not in the store.
    #[must_use = "the task is counted already"]
    pub(super) fn deliver(&mut self, id: &ConversationId, delivery: Delivery) -> Option<Spawn<C>> {
        if let Some(mailbox) = self.active.get(id) {
            mailbox.deliver(delivery);
            return None;
        }
        Some(self.spawn(id, |mail| mail.deliveries.push_back(delivery)))
    }

    /// Creates the task of a conversation that has none. `first` fills its mailbox.
    #[must_use = "the task is counted already"]
    pub(super) fn spawn(&mut self, id: &ConversationId, first: impl FnOnce(&mut Mail)) -> Spawn<C> {
        debug_assert!(!self.active.contains_key(id), "{id} has a task");
        let mailbox = Arc::new(Mailbox::default());
        first(&mut mailbox.mail());
        mailbox.arrived.notify_one();
        self.active.insert(id.clone(), Arc::clone(&mailbox));
        Spawn { mailbox, cached: self.idle_cache.pop(id) }
    }

    /// Whether a conversation may get an input that may be lost: fewer than `most` inputs wait for
    /// its task. If it has no task, there must be room for one.
    pub(super) fn admits_volatile(&self, id: &ConversationId, most: usize) -> bool {
        match self.active.get(id) {
            Some(mailbox) => mailbox.mail().deliveries.len() < most,
            None => self.has_room(),
        }
    }

    /// Whether there is room for another task.
    pub(super) fn has_room(&self) -> bool {
        self.active.len() < self.max_active
    }

    /// A task has ended. `kept` goes into the cache. Returns whether this made room for a task when
    /// there was none, or `None` if there was no such task.
    pub(super) fn remove(&mut self, id: &ConversationId, kept: Option<C>) -> Option<bool> {
        self.active.remove(id)?;
        if let Some(kept) = kept {
            self.idle_cache.put(id.clone(), kept);
        }
        Some(self.active.len() + 1 == self.max_active)
    }

    /// An agent's message is about to be stored. Returns whether it may take the fast path instead:
    /// its conversation is cached and idle, there is room for a task, and no earlier message can be
    /// on its way.
    pub(super) fn begin_accept(&mut self, id: &ConversationId) -> bool {
        let idle = self.idle_cache.contains(id)
            && self.has_room()
            && !self.accepting.contains_key(id)
            && self.abandoned == self.settled_through;
        *self.accepting.entry(id.clone()).or_default() += 1;
        idle
    }

    /// The caller has the answer, or has left. If it has left, [`Self::abandon_accept`] must be
    /// called first.
    pub(super) fn end_accept(&mut self, id: ConversationId) {
        if let Entry::Occupied(mut entry) = self.accepting.entry(id) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// A caller left before it learned whether its message was stored. The message may enter the
    /// inbox at any time, until a scan has waited for the store ([`Self::settle`]).
    pub(super) fn abandon_accept(&mut self) {
        self.rescan_needed = true;
        self.abandoned += 1;
    }

    /// Asks for a scan of the store.
    pub(super) fn request_rescan(&mut self) {
        self.rescan_needed = true;
    }

    /// Whether a scan of the store is needed.
    pub(super) fn rescan_needed(&self) -> bool {
        self.rescan_needed
    }

    /// Begins a scan. Returns whether it was needed, and what to pass to [`Self::settle`] once the
    /// store has answered all earlier requests.
    pub(super) fn begin_scan(&mut self) -> (bool, u64) {
        (std::mem::take(&mut self.rescan_needed), self.abandoned)
    }

    /// The store has answered all requests from before the scan. The messages whose callers had
    /// left by then are in the inbox, or never will be.
    pub(super) fn settle(&mut self, through: u64) {
        self.settled_through = through;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use conversation::Input;
    use proptest::prelude::*;

    use super::*;

    const MAX_ACTIVE: usize = 3;
    const MAX_CACHED: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Wake(u8),
        Deliver(u8),
        /// The task has read its mail.
        Read(u8),
        /// The task ends, and leaves its conversation in the cache or not.
        End(u8, bool),
        Accept(u8),
        /// The answer to the first message that is being stored comes, or its caller leaves.
        Answer(u8, bool),
        BeginScan,
        /// The store answers the scan's wait for earlier requests.
        Settle,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let id = 0_u8..6;
        let step = prop_oneof![
            4 => id.clone().prop_map(Step::Wake),
            2 => id.clone().prop_map(Step::Deliver),
            3 => id.clone().prop_map(Step::Read),
            4 => (id.clone(), any::<bool>()).prop_map(|(id, keeps)| Step::End(id, keeps)),
            3 => id.clone().prop_map(Step::Accept),
            3 => (id, any::<bool>()).prop_map(|(id, heard)| Step::Answer(id, heard)),
            1 => Just(Step::BeginScan),
            2 => Just(Step::Settle),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// What the caller of a scheduler knows by itself.
    #[derive(Default)]
    struct Model {
        /// The mailbox of each task that was spawned, and has not ended.
        tasks: BTreeMap<u8, Arc<Mailbox>>,
        /// Conversations with something in their inbox that no task has read.
        unread: BTreeSet<u8>,
        accepting: BTreeMap<u8, usize>,
        /// A caller has left, and no scan that began later has had the store's answer.
        doubt: bool,
        /// The scan that waits for the store's answer, and whether a caller has left since.
        scan: Option<(u64, bool)>,
        /// What was put into the cache last, by conversation.
        cached: BTreeMap<u8, usize>,
        number: usize,
    }

    impl Model {
        fn spawned(&mut self, id: u8, spawn: Spawn<usize>) {
            assert!(
                self.tasks.insert(id, spawn.mailbox).is_none(),
                "conversation {id} has two tasks"
            );
            let last = self.cached.remove(&id);
            assert!(
                spawn.cached.is_none() || spawn.cached == last,
                "an old state of conversation {id} comes back"
            );
        }
    }

    fn name(id: u8) -> ConversationId {
        ConversationId::new(format!("c{id}"))
    }

    fn run(steps: &[Step]) {
        let mut scheduler = Scheduler::new(MAX_ACTIVE, MAX_CACHED);
        let _ = scheduler.begin_scan();
        let mut model = Model::default();
        for step in steps {
            match *step {
                Step::Wake(id) => {
                    model.unread.insert(id);
                    if let Some(spawn) = scheduler.wake(&name(id)) {
                        assert!(model.tasks.len() < MAX_ACTIVE, "there was no room");
                        model.spawned(id, spawn);
                    }
                }
                Step::Deliver(id) => {
                    let delivered = |scheduler: &Scheduler<_>| {
                        let task = scheduler.active.get(&name(id));
                        task.map_or(0, |mailbox| mailbox.mail().deliveries.len())
                    };
                    let before = delivered(&scheduler);
                    if let Some(spawn) = scheduler.deliver(&name(id), (Input::Tick, None)) {
                        model.spawned(id, spawn);
                    }
                    assert_eq!(delivered(&scheduler), before + 1, "an input is lost");
                }
                Step::Read(id) => {
                    if let Some(mailbox) = model.tasks.get(&id)
                        && std::mem::take(&mut mailbox.mail().inbox)
                    {
                        model.unread.remove(&id);
                    }
                }
                Step::End(id, keeps) => {
                    // A task does not end while something waits in its mailbox.
                    let Some(mailbox) = model.tasks.remove(&id) else {
                        assert_eq!(scheduler.remove(&name(id), None), None);
                        continue;
                    };
                    if std::mem::take(&mut mailbox.mail().inbox) {
                        model.unread.remove(&id);
                    }
                    model.number += 1;
                    let kept = keeps.then_some(model.number);
                    model.cached.extend(kept.map(|number| (id, number)));
                    let made_room = scheduler.remove(&name(id), kept);
                    assert_eq!(made_room, Some(model.tasks.len() + 1 == MAX_ACTIVE));
                }
                Step::Accept(id) => {
                    let overtakes = model.doubt || model.accepting.contains_key(&id);
                    *model.accepting.entry(id).or_default() += 1;
                    if scheduler.begin_accept(&name(id)) {
                        assert!(!overtakes, "it overtakes a message of conversation {id}");
                        assert!(model.cached.contains_key(&id), "it is not in memory");
                        model.spawned(id, scheduler.spawn(&name(id), |mail| mail.inbox = true));
                        model.unread.insert(id);
                    }
                }
                Step::Answer(id, heard) => {
                    let Some(count) = model.accepting.get_mut(&id) else { continue };
                    *count -= 1;
                    if *count == 0 {
                        model.accepting.remove(&id);
                    }
                    if !heard {
                        model.doubt = true;
                        if let Some((_, later)) = &mut model.scan {
                            *later = true;
                        }
                        scheduler.abandon_accept();
                    }
                    scheduler.end_accept(name(id));
                }
                Step::BeginScan => model.scan = Some((scheduler.begin_scan().1, false)),
                Step::Settle => {
                    let Some((through, later)) = model.scan.take() else { continue };
                    scheduler.settle(through);
                    model.doubt = later;
                    for id in model.unread.clone() {
                        if let Some(spawn) = scheduler.wake(&name(id)) {
                            model.spawned(id, spawn);
                        }
                    }
                }
            }
            let known = |id: &u8| model.tasks.get(id).is_some_and(|task| task.mail().inbox);
            let is_asked = scheduler.rescan_needed() || model.scan.is_some();
            assert!(
                is_asked || model.unread.iter().all(known),
                "after {step:?}: an inbox has something, and no task reads it"
            );
            assert!(!model.doubt || is_asked, "no scan waits for the store");
        }
    }

    proptest! {
        #[test]
        fn there_is_one_task_for_each_conversation_and_nothing_is_forgotten(steps in steps()) {
            run(&steps);
        }
    }

    /// The property above is not vacuous: a message does take the fast path.
    #[test]
    fn a_message_takes_the_fast_path_where_its_conversation_is_cached_and_idle() {
        let mut scheduler = Scheduler::new(MAX_ACTIVE, MAX_CACHED);
        let noor = name(0);
        assert!(!scheduler.begin_accept(&noor), "it is not in memory");
        scheduler.end_accept(noor.clone());
        let spawn = scheduler.wake(&noor).expect("there is room");
        assert_eq!(spawn.cached, None);
        assert_eq!(scheduler.remove(&noor, Some(1)), Some(false));
        assert!(scheduler.begin_accept(&noor));
        assert!(!scheduler.begin_accept(&noor), "another is on its way");
        scheduler.end_accept(noor.clone());
        scheduler.end_accept(noor.clone());
        scheduler.abandon_accept();
        assert!(!scheduler.begin_accept(&noor), "one may be on its way");
        scheduler.end_accept(noor.clone());
        let (wanted, through) = scheduler.begin_scan();
        scheduler.settle(through);
        assert!(wanted && scheduler.begin_accept(&noor));
    }
}
