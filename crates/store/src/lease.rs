//! Leases: which conversations this node may drive. If several nodes share a store, each node
//! drives a part of the conversations.
//!
//! The journal's fence keeps the order whatever happens here; leases only keep nodes from working
//! against each other. A driver holds a [`LeaseGuard`] as long as something is under way.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::ConversationId;
use conversation::mutant::{self, Mutant};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::lease_clock::LeaseClock;
use crate::mistake::{self, Mistake};
use crate::shard::{SHARDS, ShardId};
use crate::{Machine, OutboxItem, OwnershipEvent};

/// The right to drive one conversation. While a guard exists, this node delays the handover of its
/// shard, but only for a limited time. The guard can also be revoked if this node cannot renew its
/// leases.
#[derive(Clone, Debug)]
pub struct LeaseGuard(Option<Arc<GuardedShard>>);

#[derive(Debug)]
struct GuardedShard {
    leases: Arc<HeldLeases>,
    shard: ShardId,
    /// A revoked guard does not become valid with the next lease, because another node may have
    /// driven the conversation between the two.
    epoch: u64,
}

impl LeaseGuard {
    /// The guard of a process that is the only user of the store. It is always valid.
    pub fn exclusive() -> Self {
        Self(None)
    }

    /// The shard whose lease decides. `None` if the process is the only user of the store.
    fn shard(&self) -> Option<&GuardedShard> {
        self.0.as_deref().filter(|_| !mutant::is(Mutant::LeaseUnchecked))
    }

    /// Whether the guard will never be valid again. If its lease has only expired, the guard
    /// becomes valid again with a renewal, provided that no other node has held the lease
    /// meanwhile.
    pub fn is_revoked(&self) -> bool {
        self.shard().is_some_and(|user| user.leases.is_revoked(user))
    }

    /// Distinguishes this guard from earlier ones of this node for the same conversation. Another
    /// node may have driven it between two epochs, so a cache from one epoch is stale in the next.
    pub fn epoch(&self) -> u64 {
        self.0.as_ref().map_or(0, |user| user.epoch)
    }

    /// Whether new work may begin: the guard is valid, and its shard is not about to be handed
    /// over.
    pub fn admits_new_work(&self) -> bool {
        self.shard().is_none_or(|user| user.leases.covers(user, false))
    }

    /// Whether this node still relies on the lease, so that work in progress may continue.
    pub fn is_valid(&self) -> bool {
        self.shard().is_none_or(|user| user.leases.covers(user, true))
    }

    /// Waits until [`Self::is_valid`] is false. The caller must then drop the work in progress. It
    /// never returns in a process that is the only user of the store.
    pub fn until_invalid(&self) -> impl Future<Output = ()> + Send + use<> {
        let guard = self.clone();
        async move {
            match guard.shard() {
                None => std::future::pending().await,
                Some(user) => user.leases.until(|| !guard.is_valid()).await,
            }
        }
    }

    /// Waits until [`Self::admits_new_work`] is false. A caller that has begun nothing yet must not
    /// begin it then. It never returns in a process that is the only user of the store.
    pub fn until_leaving(&self) -> impl Future<Output = ()> + Send + use<> {
        let guard = self.clone();
        async move {
            match guard.shard() {
                None => std::future::pending().await,
                Some(user) => user.leases.until(|| !guard.admits_new_work()).await,
            }
        }
    }

    /// Waits until [`Self::is_revoked`]. From then on, no append that was prepared with this guard
    /// can succeed.
    pub fn until_revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let guard = self.clone();
        async move {
            match guard.shard() {
                None => std::future::pending().await,
                Some(user) => user.leases.until_revoked(user).await,
            }
        }
    }
}

impl Drop for GuardedShard {
    fn drop(&mut self) {
        let mut state = self.leases.state();
        let of = &mut state.shards[self.shard.index()];
        // Guards of an earlier epoch were revoked, and are no longer counted.
        if of.epoch == self.epoch {
            of.users -= 1;
            if of.users == 0 && of.leaving.is_some() {
                self.leases.bell.notify_one();
            }
        }
    }
}

/// What this node knows of its leases.
#[derive(Debug)]
pub(crate) struct HeldLeases {
    clock: LeaseClock,
    state: Mutex<State>,
    /// Notified when shards were lost, or are to be handed over.
    lost: Notify,
    /// Notified when shards were gained, or the clock was behind. It keeps the notification until
    /// someone receives it, however many hints wait.
    gained: Notify,
    /// Notified when there is something to hand over, so that the other nodes need not wait for the
    /// next round.
    bell: Notify,
}

#[derive(Debug)]
struct State {
    shards: Vec<Shard>,
    /// Until when this node relies on the leases, unless they are renewed.
    until: Instant,
    /// The server that last confirmed them.
    server: Option<String>,
    /// This node will end. It begins no new work.
    stepping_down: bool,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    held: bool,
    /// Since when the shard is to be handed over, which happens once no guard of it exists.
    leaving: Option<Instant>,
    epoch: u64,
    /// How many guards of this epoch there are.
    users: usize,
    /// Another node may have posted outbox items up to this sequence number, or this node may have
    /// done so before its lease expired.
    in_doubt_through: u64,
}

/// Until this node has read the last sequence number of the outbox, every item is in doubt.
const UNKNOWN: u64 = u64::MAX;

impl HeldLeases {
    pub(crate) fn none() -> Arc<Self> {
        let shards = vec![Shard::default(); SHARDS];
        let state = State { shards, until: Instant::now(), server: None, stepping_down: false };
        Arc::new(Self {
            clock: LeaseClock::default(),
            state: Mutex::new(state),
            lost: Notify::new(),
            gained: Notify::new(),
            bell: Notify::new(),
        })
    }

    /// Reports that conversations must be checked: [`Self::next_event`] then returns a gain.
    pub(crate) fn ring_gained(&self) {
        self.gained.notify_one();
    }

    /// The next event of this node. A gain comes before the hints, which are read from `hints`.
    pub(crate) async fn next_event(
        &self,
        hints: &tokio::sync::Mutex<mpsc::Receiver<ConversationId>>,
    ) -> OwnershipEvent {
        tokio::select! {
            biased;
            () = self.gained.notified() => OwnershipEvent::ShardsGained,
            Some(conversation) = async { hints.lock().await.recv().await } => {
                OwnershipEvent::PendingInput(conversation)
            }
        }
    }

    /// From now on, leases also expire while this machine sleeps.
    pub(crate) fn go_by(&self, machine: Arc<dyn Machine>) {
        self.clock.go_by(machine);
    }

    /// The time that expiries are compared with.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A guard for a conversation, if this node may drive it now.
    pub(crate) fn acquire(self: &Arc<Self>, conversation: &ConversationId) -> Option<LeaseGuard> {
        self.guard(conversation, false)
    }

    /// The same, even if the shard is to be handed over.
    pub(crate) fn acquire_to_finish(
        self: &Arc<Self>,
        conversation: &ConversationId,
    ) -> Option<LeaseGuard> {
        self.guard(conversation, true)
    }

    fn guard(
        self: &Arc<Self>,
        conversation: &ConversationId,
        leaving_too: bool,
    ) -> Option<LeaseGuard> {
        let shard = ShardId::of(conversation)?;
        let mut state = self.state();
        let in_time = self.now() < state.until;
        let of = &mut state.shards[shard.index()];
        if (!of.held || (of.leaving.is_some() && !leaving_too) || !in_time)
            && !mutant::is(Mutant::LeaseUnchecked)
        {
            return None;
        }
        of.users += 1;
        let epoch = of.epoch;
        Some(LeaseGuard(Some(Arc::new(GuardedShard { leases: Arc::clone(self), shard, epoch }))))
    }

    fn covers(&self, user: &GuardedShard, leaving_too: bool) -> bool {
        let state = self.state();
        let of = &state.shards[user.shard.index()];
        of.held
            && of.epoch == user.epoch
            && (leaving_too || of.leaving.is_none())
            && self.now() < state.until
    }

    /// Waits until `ended` is true. Looks again when shards are lost or handed over, and when the
    /// leases expire.
    async fn until(&self, ended: impl Fn() -> bool) {
        loop {
            // Register before checking, so that no loss is missed in between.
            let mut lost = pin!(self.lost.notified());
            lost.as_mut().enable();
            if ended() {
                return;
            }
            let left = self.state().until.saturating_duration_since(self.now());
            tokio::select! {
                biased;
                () = lost => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// Waits until a guard is revoked.
    async fn until_revoked(&self, user: &GuardedShard) {
        loop {
            // Register before checking, so that no loss is missed in between.
            let mut lost = pin!(self.lost.notified());
            lost.as_mut().enable();
            if self.is_revoked(user) {
                return;
            }
            lost.await;
        }
    }

    fn is_revoked(&self, user: &GuardedShard) -> bool {
        let of = &self.state().shards[user.shard.index()];
        !of.held || of.epoch != user.epoch
    }

    /// The names of the shards in which this node may begin work.
    pub(crate) fn shard_names(&self) -> Vec<String> {
        let state = self.state();
        if self.now() >= state.until {
            return Vec::new();
        }
        state
            .by_id()
            .filter(|(_, shard)| shard.is_staying())
            .map(|(id, _)| id.to_string())
            .collect()
    }

    /// The epoch of each shard. Read it before reading the outbox: see [`Self::flag_in_doubt`].
    pub(crate) fn epochs(&self) -> Vec<u64> {
        self.state().shards.iter().map(|shard| shard.epoch).collect()
    }

    /// Marks each item that was read from the outbox: whether Genesys may already have it, and in
    /// which epoch it was read.
    pub(crate) fn flag_in_doubt(&self, items: &mut [OutboxItem], epochs: &[u64]) {
        for item in items {
            item.doubt = self.is_in_doubt(&item.conversation, item.seq);
            item.epoch = ShardId::of(&item.conversation)
                .and_then(|shard| epochs.get(shard.index()))
                .copied()
                .unwrap_or_default();
        }
    }

    /// Whether another node or process may have posted the outbox item with this sequence number.
    pub(crate) fn is_in_doubt(&self, conversation: &ConversationId, place: u64) -> bool {
        ShardId::of(conversation)
            .is_none_or(|shard| place <= self.state().shards[shard.index()].in_doubt_through)
    }

    /// The shards that this node holds, sorted, including those whose lease has expired, and the
    /// server that last confirmed them.
    pub(crate) fn held(&self) -> (Vec<ShardId>, Option<String>) {
        let state = self.state();
        let held = state.by_id().filter(|(_, shard)| shard.held);
        (held.map(|(id, _)| id).collect(), state.server.clone())
    }

    /// Whether this node no longer relies on the leases that it held, because it could not renew
    /// them in time.
    pub(crate) fn have_expired(&self) -> bool {
        self.now() >= self.state().until
    }

    /// Applies a server's answer: which of this node's shards it confirms, and until when the node
    /// may rely on that. Returns the shards for which the caller must read the last outbox number
    /// and call [`Self::activate`]: all of them, if they had expired meanwhile.
    ///
    /// A different server than before may not know that another node has held them since. Its
    /// answer counts only if this node's own leases had not expired, because no other node could
    /// take the shards until then.
    pub(crate) fn record_renewal(
        &self,
        mine: &[ShardId],
        server: &str,
        until: Instant,
    ) -> Vec<ShardId> {
        let mut state = self.state();
        let ran_out = self.now() >= state.until;
        let same = state.server.as_deref() == Some(server);
        let trusted = same || !ran_out;
        state.until = until;
        state.server = Some(server.to_owned());
        let mut found = [false; SHARDS];
        for shard in mine.iter().filter(|_| trusted) {
            found[shard.index()] = true;
        }
        let mut new = Vec::new();
        let mut lost = false;
        for ((id, shard), found) in state.by_id_mut().zip(found) {
            if found && (!shard.held || ran_out) {
                // Items that were on their way to Genesys when the lease expired are now read
                // again.
                shard.in_doubt_through = UNKNOWN;
            }
            // This includes shards for which the last outbox number could not be read the last
            // time.
            if found && shard.in_doubt_through == UNKNOWN {
                new.push(id);
            }
            if !found {
                lost |= shard.held;
                shard.let_go();
            }
        }
        drop(state);
        if lost {
            self.lost.notify_waiters();
        }
        new
    }

    /// Begins to drive shards. Another node may have posted any outbox item up to
    /// `in_doubt_through`.
    pub(crate) fn activate(&self, shards: &[ShardId], in_doubt_through: u64) {
        let mut state = self.state();
        for shard in shards {
            let of = &mut state.shards[shard.index()];
            if !of.held {
                of.epoch += 1;
                of.users = 0;
            }
            of.held = true;
            of.in_doubt_through = in_doubt_through;
        }
    }

    /// Begins to hand over all but `fair` of the shards, idle ones first. Returns the shards to
    /// release, which this node no longer drives. These are the shards without a guard, and those
    /// whose handover began `grace` ago. The guards of the latter are revoked.
    pub(crate) fn shards_to_release(&self, fair: usize, grace: Duration) -> Vec<ShardId> {
        let now = Instant::now();
        let mut state = self.state();
        let mut staying: Vec<&mut Shard> =
            state.shards.iter_mut().filter(|shard| shard.is_staying()).collect();
        // The sort is stable, so that few shards move when nodes join and leave.
        staying.sort_by_key(|shard| std::cmp::Reverse(shard.users > 0));
        let mut used = false;
        for shard in staying.into_iter().skip(fair) {
            shard.leaving = Some(now);
            used |= shard.users > 0;
        }
        let mut free = Vec::new();
        let mut called_off = 0;
        for (id, shard) in state.by_id_mut() {
            let Some(since) = shard.leaving.filter(|_| shard.held) else { continue };
            let patience_is_over =
                now >= since + grace && !mistake::is_made(Mistake::HandOverWaits);
            if shard.users == 0 || patience_is_over {
                called_off += shard.users;
                shard.let_go();
                free.push(id);
            }
        }
        drop(state);
        if called_off > 0 {
            tracing::info!(
                called_off,
                "cancelled work in progress, so that its conversations can be handed over"
            );
        }
        if used || called_off > 0 {
            self.lost.notify_waiters();
        }
        free
    }

    /// When the next handover no longer waits for its guards; see [`Self::shards_to_release`].
    pub(crate) fn next_forced_release(&self, grace: Duration) -> Option<Instant> {
        self.state()
            .shards
            .iter()
            .filter(|shard| shard.held)
            .filter_map(|shard| shard.leaving)
            .min()
            .map(|at| at + grace)
    }

    /// The shards whose leases are valid now by this node's own clock, including those that are to
    /// be handed over.
    #[cfg(feature = "memory")]
    pub(crate) fn valid_shards(&self) -> Vec<ShardId> {
        let state = self.state();
        let in_time = self.now() < state.until;
        state.by_id().filter(|(_, shard)| in_time && shard.held).map(|(id, _)| id).collect()
    }

    /// Whether the lease for a conversation is valid now by this node's own clock.
    #[cfg(feature = "memory")]
    pub(crate) fn has_valid_lease(&self, conversation: &ConversationId) -> bool {
        let state = self.state();
        self.now() < state.until
            && ShardId::of(conversation).is_some_and(|shard| state.shards[shard.index()].held)
    }

    /// How many shards this node holds, without those that are to be handed over.
    pub(crate) fn count(&self) -> usize {
        self.state().shards.iter().filter(|shard| shard.is_staying()).count()
    }

    /// Begins to hand over everything, because this node will end.
    pub(crate) fn step_down(&self) {
        self.state().stepping_down = true;
        self.bell.notify_one();
    }

    /// Waits until there is something to hand over; one caller at a time.
    pub(crate) async fn until_rebalance_needed(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn is_stepping_down(&self) -> bool {
        self.state().stepping_down
    }

    /// Gives up all shards.
    pub(crate) fn clear(&self) {
        self.state().shards.iter_mut().for_each(Shard::let_go);
        self.lost.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while holding the lock, so the guarded state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn by_id(&self) -> impl Iterator<Item = (ShardId, &Shard)> {
        ShardId::all().zip(&self.shards)
    }

    fn by_id_mut(&mut self) -> impl Iterator<Item = (ShardId, &mut Shard)> {
        ShardId::all().zip(&mut self.shards)
    }
}

impl Shard {
    fn is_staying(&self) -> bool {
        self.held && self.leaving.is_none()
    }

    fn let_go(&mut self) {
        self.held = false;
        self.leaving = None;
    }
}

#[cfg(test)]
mod tests;
