//! The right to drive a conversation: where several nodes share a store, each drives a part of the conversations.
//!
//! The fence of the journal keeps the order whatever happens here; the right only keeps nodes from working against each
//! other. A store hands it out; whoever drives holds it for as long as something is under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conversation::ConversationId;
use conversation::mutant::{self, Mutant};
use tokio::time::Instant;

use crate::OutboxItem;

/// The conversations are split into so many shards, by the first byte of the hash in their ids.
pub(crate) const SHARDS: usize = 256;

/// The right to drive one conversation. While it is held, the conversation is not handed over to another node; it may be
/// lost all the same when this node is not heard of for too long.
#[derive(Clone, Debug)]
pub struct Drive(Option<Arc<User>>);

/// What another node did, or time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This node may drive conversations that it could not drive before: it has to look what they need.
    Gained,
    /// A conversation that this node drives has something in its inbox.
    Inbox(ConversationId),
}

#[derive(Debug)]
struct User {
    leases: Arc<Leases>,
    shard: usize,
    /// A right that was lost does not come back with the next lease: another may have driven between the two.
    epoch: u64,
}

impl Drive {
    /// The right of a process that has the store for itself.
    pub fn always() -> Self {
        Self(None)
    }

    /// Whether the right is gone for good: one that has only run out comes back where nobody else has had it meanwhile.
    pub fn is_lost(&self) -> bool {
        self.0.as_ref().is_some_and(|user| user.leases.has_lost(user))
    }

    /// Tells this right from those that this node had to the same conversation before: between two terms others may have
    /// driven it, so that what was known in one is worth nothing in the next.
    pub fn term(&self) -> u64 {
        self.0.as_ref().map_or(0, |user| user.epoch)
    }

    /// Whether something new may be begun: the right is there, and is not about to be handed over.
    pub fn may_begin(&self) -> bool {
        mutant::is(Mutant::LeaseUnchecked)
            || self.0.as_ref().is_none_or(|user| user.leases.has(user, false))
    }

    /// Whether the right is there, so that what was begun may go on.
    pub fn holds(&self) -> bool {
        mutant::is(Mutant::LeaseUnchecked)
            || self.0.as_ref().is_none_or(|user| user.leases.has(user, true))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.leases.state().shards[self.shard].users -= 1;
    }
}

/// What this node knows of its leases.
#[derive(Debug)]
pub(crate) struct Leases {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    shards: Vec<Shard>,
    /// Until when they are relied on, unless they are renewed.
    until: Instant,
    /// This node will end, and begins nothing more.
    retiring: bool,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    held: bool,
    /// It is handed over as soon as nothing is under way in it.
    leaving: bool,
    epoch: u64,
    users: usize,
    /// What stands in the outbox up to this place may have been told to Genesys by another, or by this node before the lease ran
    /// out.
    before: u64,
}

/// Until it is learnt what was owed when a lease began anew, all of it is in doubt.
const UNKNOWN: u64 = u64::MAX;

impl Leases {
    pub(crate) fn none() -> Arc<Self> {
        let state = State {
            shards: vec![Shard::default(); SHARDS],
            until: Instant::now(),
            retiring: false,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// The right to drive a conversation, where this node has it now.
    pub(crate) fn drive(self: &Arc<Self>, conversation: &ConversationId) -> Option<Drive> {
        let shard = shard_of(conversation)?;
        let mut state = self.state();
        let in_time = Instant::now() < state.until;
        let of = &mut state.shards[shard];
        if !of.held || of.leaving || !in_time {
            return None;
        }
        of.users += 1;
        let epoch = of.epoch;
        Some(Drive(Some(Arc::new(User { leases: Arc::clone(self), shard, epoch }))))
    }

    fn has(&self, user: &User, leaving_too: bool) -> bool {
        let state = self.state();
        let of = &state.shards[user.shard];
        of.held
            && of.epoch == user.epoch
            && (leaving_too || !of.leaving)
            && Instant::now() < state.until
    }

    fn has_lost(&self, user: &User) -> bool {
        let of = &self.state().shards[user.shard];
        !of.held || of.epoch != user.epoch
    }

    /// The names of the shards whose conversations this node may begin something in.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.state();
        if Instant::now() >= state.until {
            return Vec::new();
        }
        let names =
            state.shards.iter().enumerate().filter(|(_, shard)| shard.held && !shard.leaving);
        names.map(|(number, _)| name(number)).collect()
    }

    /// The term of each shard, to be asked for before something is read: see [`Self::mark`].
    pub(crate) fn terms(&self) -> Vec<u64> {
        self.state().shards.iter().map(|shard| shard.epoch).collect()
    }

    /// Says of what was read from the outbox whether another may have told Genesys, and in which term it was read.
    pub(crate) fn mark(&self, items: &mut [OutboxItem], terms: &[u64]) {
        for item in items {
            item.doubt = self.is_old(&item.conversation, item.seq);
            item.term = shard_of(&item.conversation)
                .and_then(|shard| terms.get(shard))
                .copied()
                .unwrap_or_default();
        }
    }

    /// Whether what stands at this place of the outbox may have been told to Genesys by another node or process.
    pub(crate) fn is_old(&self, conversation: &ConversationId, place: u64) -> bool {
        shard_of(conversation).is_none_or(|shard| place <= self.state().shards[shard].before)
    }

    /// The database says which shards are still this node's, and for how long it may rely on that. Returns those that have
    /// to be looked at anew: all, where they had run out meanwhile.
    pub(crate) fn renewed(&self, mine: &[String], until: Instant) -> Vec<usize> {
        let mut state = self.state();
        let ran_out = Instant::now() >= state.until;
        state.until = until;
        let mut found = [false; SHARDS];
        for shard in mine.iter().filter_map(|name| number(name)) {
            found[shard] = true;
        }
        let mut new = Vec::new();
        for (number, (shard, found)) in state.shards.iter_mut().zip(found).enumerate() {
            if found && (!shard.held || ran_out) {
                // What was on its way to Genesys when the lease ran out is read again from now on.
                shard.before = UNKNOWN;
            }
            // Also where it could not be learnt the last time.
            if found && shard.before == UNKNOWN {
                new.push(number);
            }
            if !found {
                shard.held = false;
                shard.leaving = false;
            }
        }
        new
    }

    /// Shards that nobody had were taken: they are new, even those that this node had until a moment ago.
    pub(crate) fn taken(shards: &[String]) -> Vec<usize> {
        shards.iter().filter_map(|name| number(name)).collect()
    }

    /// Begins to drive shards; whatever stands in the outbox up to `before` may have been told by another.
    pub(crate) fn gain(&self, shards: &[usize], before: u64) {
        let mut state = self.state();
        for shard in shards {
            let of = &mut state.shards[*shard];
            if !of.held {
                of.epoch += 1;
                of.leaving = false;
            }
            of.held = true;
            of.before = before;
        }
    }

    /// Begins to hand over all but `fair` of the shards. Returns those in which nothing is under way any more: they are not
    /// driven from here on, and are free to go.
    pub(crate) fn spare(&self, fair: usize) -> Vec<String> {
        let mut state = self.state();
        let mut staying = state.shards.iter().filter(|shard| shard.held && !shard.leaving).count();
        for shard in state.shards.iter_mut().rev().filter(|shard| shard.held && !shard.leaving) {
            if staying > fair {
                shard.leaving = true;
                staying -= 1;
            }
        }
        let mut free = Vec::new();
        for (number, shard) in state.shards.iter_mut().enumerate() {
            if shard.held && shard.leaving && shard.users == 0 {
                shard.held = false;
                shard.leaving = false;
                free.push(name(number));
            }
        }
        free
    }

    /// How many shards are this node's, those that it hands over not counted.
    pub(crate) fn count(&self) -> usize {
        self.state().shards.iter().filter(|shard| shard.held && !shard.leaving).count()
    }

    /// This node will end.
    pub(crate) fn retire(&self) {
        self.state().retiring = true;
    }

    pub(crate) fn is_retiring(&self) -> bool {
        self.state().retiring
    }

    /// Gives up all of them.
    pub(crate) fn clear(&self) {
        for shard in &mut self.state().shards {
            shard.held = false;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, so what it guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard as the database names it: the second and third character of a conversation's id.
fn name(shard: usize) -> String {
    format!("{shard:02x}")
}

fn number(name: &str) -> Option<usize> {
    u8::from_str_radix(name, 16).ok().map(usize::from)
}

fn shard_of(conversation: &ConversationId) -> Option<usize> {
    conversation.as_str().get(1..3).and_then(number)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use conversation::IntegrationName;

    use super::*;

    fn all() -> Vec<String> {
        (0..SHARDS).map(name).collect()
    }

    fn with_all() -> (Arc<Leases>, ConversationId) {
        let leases = Leases::none();
        let new = leases.renewed(&all(), Instant::now() + Duration::from_secs(10));
        assert_eq!(new.len(), SHARDS);
        leases.gain(&new, 7);
        (leases, ConversationId::of(&IntegrationName::new("acme"), "noor"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_ends_with_its_time_and_comes_back_with_the_next_renewal() {
        let (leases, noor) = with_all();
        let drive = leases.drive(&noor).expect("it is ours");
        assert!(drive.may_begin() && drive.holds());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!drive.holds() && leases.drive(&noor).is_none() && leases.names().is_empty());
        let new = leases.renewed(&all(), Instant::now() + Duration::from_secs(10));
        assert_eq!(new.len(), SHARDS, "what ran out has to be looked at anew");
        assert!(drive.holds(), "nobody else had it between");
    }

    /// A receipt may have been on its way when the lease ran out, and is read again after that.
    #[tokio::test(start_paused = true)]
    async fn all_that_is_owed_is_in_doubt_from_a_renewal_that_came_late_until_it_is_known_what_was_there()
     {
        let (leases, noor) = with_all();
        assert!(leases.is_old(&noor, 7) && !leases.is_old(&noor, 8));
        let renew = || leases.renewed(&all(), Instant::now() + Duration::from_secs(10));
        assert!(renew().is_empty() && !leases.is_old(&noor, 8), "it had not run out");
        tokio::time::advance(Duration::from_secs(10)).await;
        renew();
        assert!(leases.is_old(&noor, 8) && leases.drive(&noor).is_some());
        let new = renew();
        assert_eq!(
            new.len(),
            SHARDS,
            "what the store did not answer the last time is asked for again"
        );
        leases.gain(&new, 9);
        assert!(leases.is_old(&noor, 9) && !leases.is_old(&noor, 10));
        assert!(renew().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_had_between_is_not_ours_again() {
        let (leases, noor) = with_all();
        let drive = leases.drive(&noor).expect("it is ours");
        let until = Instant::now() + Duration::from_secs(10);
        assert!(leases.renewed(&[], until).is_empty());
        assert!(!drive.holds() && leases.drive(&noor).is_none());
        let new = leases.renewed(&all(), until);
        leases.gain(&new, 9);
        assert!(!drive.holds(), "another may have driven meanwhile");
        assert!(leases.drive(&noor).is_some());
        assert!(leases.is_old(&noor, 9) && !leases.is_old(&noor, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_handed_over_when_nothing_is_under_way_in_it() {
        let (leases, noor) = with_all();
        let drive = leases.drive(&noor).expect("it is ours");
        let free = leases.spare(0);
        assert_eq!(free.len(), SHARDS - 1, "one has something under way");
        assert!(!drive.may_begin() && drive.holds(), "it may end what it began");
        assert!(leases.drive(&noor).is_none(), "nothing new is begun");
        assert!(leases.spare(0).is_empty());
        let of = shard_of(&noor).map(name);
        drop(drive);
        assert_eq!(leases.spare(0), of.into_iter().collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fair_share_stays() {
        let (leases, _) = with_all();
        assert_eq!(leases.spare(128).len(), 128);
        assert_eq!((leases.count(), leases.names().len()), (128, 128));
    }
}
