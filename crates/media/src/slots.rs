//! Places for fetches: a few in all, and fewer for one conversation, so that the files of one
//! customer do not keep those of all others waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// How many files are fetched at once. Each uses up to 10 MiB while it goes to a bucket.
pub(crate) const MAX_FETCHES: usize = 8;
/// How many of these may belong to one conversation.
pub(crate) const MAX_OF_ONE: usize = 2;

pub(crate) struct Slots {
    all: Semaphore,
    /// The places of each conversation that uses one, or waits for one.
    owners: Mutex<HashMap<Box<str>, OwnPlaces>>,
}

struct OwnPlaces {
    places: Arc<Semaphore>,
    /// How many [`Owner`]s there are.
    users: usize,
}

/// The right to fetch one file, until it is dropped.
pub(crate) struct Slot<'a> {
    _one_of_all: SemaphorePermit<'a>,
    _one_of_owner: OwnedSemaphorePermit,
    _owner: Owner<'a>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { all: Semaphore::new(MAX_FETCHES), owners: Mutex::default() }
    }
}

impl Slots {
    /// Waits for a place for this conversation.
    pub(crate) async fn take(&self, owner: &str) -> Slot<'_> {
        let owner = Owner::new(self, owner);
        let places = Arc::clone(&owner.places);
        // No semaphore is ever closed.
        let one_of_owner = places.acquire_owned().await.expect("an open semaphore");
        let one_of_all = self.all.acquire().await.expect("an open semaphore");
        Slot { _one_of_all: one_of_all, _one_of_owner: one_of_owner, _owner: owner }
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<Box<str>, OwnPlaces>> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation that uses a place, or waits for one. Its entry goes with the last of these.
struct Owner<'a> {
    slots: &'a Slots,
    name: Box<str>,
    places: Arc<Semaphore>,
}

impl<'a> Owner<'a> {
    fn new(slots: &'a Slots, name: &str) -> Self {
        let name: Box<str> = name.into();
        let mut owners = slots.owners();
        let own = owners.entry(name.clone()).or_insert_with(|| OwnPlaces {
            places: Arc::new(Semaphore::new(MAX_OF_ONE)),
            users: 0,
        });
        own.users += 1;
        Self { slots, name, places: Arc::clone(&own.places) }
    }
}

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        let mut owners = self.slots.owners();
        let Some(own) = owners.get_mut(&self.name) else { return };
        own.users -= 1;
        if own.users == 0 {
            owners.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_conversation_leaves_places_to_others() {
        let slots = Slots::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_OF_ONE {
            taken.push(slots.take("acme/c01").now_or_never().expect("a place"));
        }
        assert!(slots.take("acme/c01").now_or_never().is_none(), "it has all of its places");
        for number in 0..MAX_FETCHES - MAX_OF_ONE {
            let place = slots.take(&format!("acme/other{number}")).now_or_never();
            taken.push(place.expect("a place for another"));
        }
        assert!(slots.take("acme/last").now_or_never().is_none(), "there are no more");
        taken.remove(0);
        assert!(slots.take("acme/c01").now_or_never().is_some());
        taken.clear();
        assert!(slots.owners().is_empty(), "nothing is left of conversations that are done");
    }
}
