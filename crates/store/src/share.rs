//! How nodes share the conversations. In one round, a node announces itself, renews its leases,
//! takes free leases, and hands over its surplus. Every shared store runs this on its own tables;
//! `observe` explains why no two nodes drive the same conversation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Chain;
use crate::lease::HeldLeases;
use crate::observe::{ClusterView, LeaseRow, Observer};
use crate::shard::{SHARDS, ShardId};

/// What a shared store keeps about nodes and leases. Every change is durable, and records the
/// server on which it was made.
pub(crate) trait LeaseTable: Send + Sync {
    /// Why the table could not be queried.
    type Error: std::error::Error + Send;

    /// Records that this node lives or leaves, renews the leases in `held` that still belong to it,
    /// and then reads the state. All of it is one transaction. `confirmed` is the server that last
    /// confirmed these leases to this node. If they have expired, another server does not renew
    /// them: this node could not rely on that, and each renewal makes the other nodes wait again.
    /// An implementation checks this as late as it can, because the node may be paused before.
    fn look(
        &self,
        me: &Member<'_>,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> impl Future<Output = Result<ClusterView, Self::Error>> + Send;

    /// Takes at most `most` of these leases, as far as they are unchanged since they were read from
    /// `server`. Returns the shards that it took.
    fn take(
        &self,
        me: &Member<'_>,
        server: &str,
        free: &[LeaseRow],
        most: usize,
    ) -> impl Future<Output = Result<Vec<ShardId>, Self::Error>> + Send;

    /// The last sequence number that was assigned in the outbox.
    fn last_owed(&self) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Releases the shards that belong to this node on that server.
    fn release(
        &self,
        node: &str,
        server: &str,
        shards: &[ShardId],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes the rows of these nodes, which have been silent for long.
    fn forget(&self, nodes: &[String]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Releases the leases in a node's name, so that the other nodes need not wait, and removes its
    /// row. These are the leases in `held`, if `confirmed` names the server that answers. They also
    /// include leases that the node took or released on that server without receiving the answer.
    fn leave(
        &self,
        node: &str,
        held: &[ShardId],
        confirmed: Option<&str>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The node that makes the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    /// The node will end, and no longer counts as a node.
    pub(crate) stepping_down: bool,
    /// How long its leases last.
    pub(crate) ttl: Duration,
    /// What it knows of its leases, for [`HeldLeases::have_expired`].
    pub(crate) leases: &'a HeldLeases,
}

/// How long a lease lasts if it is not renewed: ¾ of `takeover`.
pub(crate) fn ttl(takeover: Duration) -> Duration {
    takeover * 3 / 4
}

/// How long a node relies on a lease, counted from before it asked for it. It is shorter than the
/// lease, because clocks run at different rates.
fn trusted_for(takeover: Duration) -> Duration {
    ttl(takeover) * 19 / 20
}

/// The time between two rounds.
fn renewal_interval(takeover: Duration) -> Duration {
    takeover / 8
}

/// The same for a node that has too few shards and waits for other nodes to hand over.
fn retry_interval(takeover: Duration) -> Duration {
    takeover / 16
}

/// How long work in progress may delay the handover of its shard. With the pause until the next
/// node checks ([`retry_interval`]), that is three sixteenths of `takeover`. A handover may stop a
/// conversation for a quarter of `takeover`, and loading it takes time too.
fn release_grace(takeover: Duration) -> Duration {
    takeover / 8
}

/// How long a released lease is reserved for nodes that have too few. They look twice in this time
/// ([`retry_interval`]). If none takes it, because they still count dead nodes, this node does. With
/// the lease time and a round before it, that is no more than `takeover`.
fn claim_window(takeover: Duration) -> Duration {
    takeover / 8
}

/// How long a round that was requested waits for further requests.
fn coalesce_for(takeover: Duration) -> Duration {
    takeover / 200
}

/// A silent node's row is removed after this many lease times.
const FORGOTTEN: u32 = 8;

/// How many shards a node should have, given the number of nodes and how many of them come before
/// it by name. The shares of all nodes add up to [`SHARDS`].
fn fair_share(nodes: usize, before: usize) -> usize {
    let nodes = nodes.max(1);
    SHARDS / nodes + usize::from(before < SHARDS % nodes)
}

/// One node's part in the sharing.
pub(crate) struct LeaseKeeper<T> {
    table: T,
    node: Arc<str>,
    leases: Arc<HeldLeases>,
    /// The longest time until other nodes drive a dead node's conversations.
    takeover: Duration,
    observer: Observer,
    /// Until then this node hands nothing over. It took leases that no other node wanted, and so
    /// has more than its share.
    keeps_until: Option<Instant>,
}

/// Releases all leases of a node that ends. Its keeper must no longer run. As soon as this is
/// called, the node relies on none of its leases, even if the store does not receive the release.
pub(crate) async fn leave<T: LeaseTable>(
    table: &T,
    node: &str,
    leases: &HeldLeases,
) -> Result<(), T::Error> {
    let (held, confirmed) = leases.held();
    leases.clear();
    table.leave(node, &held, confirmed.as_deref()).await
}

impl<T: LeaseTable> LeaseKeeper<T> {
    /// The keeper of a node that has not observed the other nodes yet.
    pub(crate) fn new(
        table: T,
        node: Arc<str>,
        leases: Arc<HeldLeases>,
        takeover: Duration,
    ) -> Self {
        Self { table, node, leases, takeover, observer: Observer::default(), keeps_until: None }
    }

    /// Runs rounds until it is dropped. The first comes after `pause`: the caller may already have
    /// run one.
    pub(crate) async fn run(mut self, mut pause: Duration) {
        loop {
            let is_called =
                tokio::time::timeout(pause, self.leases.until_rebalance_needed()).await.is_ok();
            if is_called {
                tokio::time::sleep(coalesce_for(self.takeover)).await;
            }
            pause = renewal_interval(self.takeover);
            match tokio::time::timeout(ttl(self.takeover) / 2, self.round()).await {
                Ok(Ok(next)) => pause = next,
                Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "cannot renew the leases"),
                Err(_) => tracing::warn!("cannot renew the leases: the store does not answer"),
            }
        }
    }

    /// Runs one round. Returns how long to wait until the next.
    pub(crate) async fn round(&mut self) -> Result<Duration, T::Error> {
        let asked = self.leases.now();
        let (takeover, ttl) = (self.takeover, ttl(self.takeover));
        let leases = Arc::clone(&self.leases);
        let stepping_down = leases.is_stepping_down();
        let me = Member { name: &self.node, stepping_down, ttl, leases: &leases };
        let (held, confirmed) = self.leases.held();
        let view = self.table.look(&me, &held, confirmed.as_deref()).await?;
        let answered = Instant::now();
        self.observer.note(&view, answered);
        // From here on, shards that were not renewed are lost. They count as new if this round
        // takes them again.
        let mut new =
            self.leases.record_renewal(&view.renewed, &view.server, asked + trusted_for(takeover));
        let (nodes, before) = self.observer.living(me.name, answered);
        let fair = if me.stepping_down { 0 } else { fair_share(nodes, before) };
        let mut next = renewal_interval(takeover);
        let missing = fair.saturating_sub(self.leases.held().0.len());
        if !me.stepping_down {
            let (taken, unwanted) = self.take(&me, &view, missing).await?;
            if unwanted && taken.len() > missing {
                self.keeps_until = Some(answered + ttl);
            }
            if taken.len() < missing {
                next = retry_interval(takeover).min(self.first_free(&view));
            }
            new.extend(&taken);
        }
        if !new.is_empty() {
            // Read this after taking the leases: everything that the last holder owed has at most
            // this sequence number.
            let before = self.table.last_owed().await?;
            self.leases.activate(&new, before);
            tracing::info!(
                shards = self.leases.count(),
                of = SHARDS,
                nodes,
                "conversations taken over"
            );
            self.leases.ring_gained();
        }
        let keeps = !me.stepping_down && self.keeps_until.is_some_and(|until| answered < until);
        self.hand_over(&me, &view, if keeps { SHARDS } else { fair }).await;
        if let Some(at) = self.leases.next_forced_release(release_grace(takeover)) {
            next = next.min(at.saturating_duration_since(Instant::now()));
        }
        Ok(next)
    }

    /// Takes shards that were just released, up to the number that is missing. It also takes all
    /// shards whose leases have expired, and all that no other node wanted. Returns the taken
    /// shards, and whether some of them were unwanted.
    ///
    /// The expired shards may be more than this node's share; it then hands over the surplus in the
    /// same round. So a node that has not observed a whole lease time yet can get its share at
    /// once. The node keeps unwanted shards for one lease time, because the node that should have
    /// them is dead, and counts until its row expires.
    async fn take(
        &self,
        me: &Member<'_>,
        view: &ClusterView,
        missing: usize,
    ) -> Result<(Vec<ShardId>, bool), T::Error> {
        let (held, _) = self.leases.held();
        let now = Instant::now();
        let (mut free, mut given_up) = (Vec::new(), Vec::new());
        let mut unwanted = BTreeSet::new();
        for row in view.leases.iter().filter(|row| held.binary_search(&row.shard).is_err()) {
            // No node could take the shard before `since`, however long it has been unchanged.
            let since = self.observer.free_at(me.name, row).filter(|since| *since <= now);
            let Some(since) = since else { continue };
            if !row.holder.is_empty() {
                free.push(row.clone());
            } else if now < since + claim_window(self.takeover) {
                given_up.push(row.clone());
            } else {
                unwanted.insert(row.shard);
                free.push(row.clone());
            }
        }
        free.extend(given_up.into_iter().take(missing.saturating_sub(free.len())));
        if free.is_empty() {
            return Ok((Vec::new(), false));
        }
        let taken = self.table.take(me, &view.server, &free, free.len()).await?;
        // Another node may have taken some of them first.
        let unwanted = taken.iter().any(|shard| unwanted.contains(shard));
        Ok((taken, unwanted))
    }

    /// How long until the next lease becomes free, without renewals.
    fn first_free(&self, view: &ClusterView) -> Duration {
        let now = Instant::now();
        let free = view.leases.iter().filter_map(|row| self.observer.free_at(&self.node, row));
        free.filter(|at| *at > now).min().map_or(renewal_interval(self.takeover), |at| at - now)
    }

    /// Releases the surplus, and leases that an earlier round gave up without the store receiving
    /// that.
    async fn hand_over(&self, me: &Member<'_>, view: &ClusterView, fair: usize) {
        let mut free = self.leases.shards_to_release(fair, release_grace(self.takeover));
        let (held, _) = self.leases.held();
        let left = view.leases.iter().filter(|row| *row.holder == *me.name && row.written_here);
        free.extend(left.map(|row| row.shard).filter(|shard| held.binary_search(shard).is_err()));
        free.sort_unstable();
        free.dedup();
        if !free.is_empty() {
            match self.table.release(me.name, &view.server, &free).await {
                Ok(()) => {
                    tracing::info!(shards = free.len(), of = SHARDS, "conversations handed over");
                }
                // The next round releases them: it finds the rows that still name this node.
                Err(error) => {
                    let error = Chain(&error);
                    tracing::warn!(%error, "cannot hand over conversations now; retrying");
                }
            }
        }
        let silent = self.observer.silent(me.name, me.ttl * FORGOTTEN, Instant::now());
        if !silent.is_empty()
            && let Err(error) = self.table.forget(&silent).await
        {
            let error = Chain(&error);
            tracing::debug!(%error, "cannot remove the rows of nodes that are gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Mutex, MutexGuard};

    use super::*;
    use crate::observe::NodeRow;

    const TAKEOVER: Duration = Duration::from_secs(8);
    const LASTS: Duration = Duration::from_secs(6);

    type Asked<T> = Result<T, Infallible>;
    type Taken = Vec<ShardId>;

    /// The tables of two nodes, one of which the test controls.
    #[derive(Default)]
    struct Tables {
        view: Mutex<ClusterView>,
        stamps: Mutex<u64>,
        /// The shards that the other node takes before this node does.
        quicker: Mutex<Vec<ShardId>>,
    }

    impl Tables {
        /// The other node has the second half of the shards; the first half is free.
        fn half_of_the_other() -> Arc<Self> {
            let tables = Arc::new(Self::default());
            tables.view().server = "one".to_owned();
            for shard in ShardId::all() {
                let (holder, stamp, written_here) = ("".into(), "".into(), true);
                let row = LeaseRow { shard, holder, stamp, written_here, ttl: LASTS };
                tables.view().leases.push(row);
            }
            tables.write(SHARDS / 2..SHARDS, "other");
            tables.the_other_lives();
            tables
        }

        fn view(&self) -> MutexGuard<'_, ClusterView> {
            self.view.lock().expect("no test panicked")
        }

        fn stamp(&self) -> Arc<str> {
            let mut stamps = self.stamps.lock().expect("no test panicked");
            *stamps += 1;
            stamps.to_string().into()
        }

        fn write(&self, shards: std::ops::Range<usize>, holder: &str) {
            for row in &mut self.view().leases[shards] {
                (row.holder, row.stamp, row.written_here) = (holder.into(), self.stamp(), true);
            }
        }

        fn the_other_lives(&self) {
            let stamp = self.stamp();
            self.view().nodes = vec![NodeRow { name: "other".to_owned(), stamp, ttl: LASTS }];
        }

        /// Another server replaces the database's server, with all of its data.
        fn start_again(&self) {
            let mut view = self.view();
            view.server = "two".to_owned();
            view.leases.iter_mut().for_each(|row| row.written_here = false);
        }
    }

    impl LeaseTable for Arc<Tables> {
        type Error = Infallible;

        async fn look(
            &self,
            _: &Member<'_>,
            held: &[ShardId],
            _: Option<&str>,
        ) -> Asked<ClusterView> {
            Ok(ClusterView { renewed: held.to_vec(), ..self.view().clone() })
        }

        async fn take(
            &self,
            me: &Member<'_>,
            _: &str,
            free: &[LeaseRow],
            most: usize,
        ) -> Asked<Taken> {
            let quicker = self.quicker.lock().expect("no test panicked");
            let mut view = self.view();
            let is_there = |row: &LeaseRow| free.contains(row) && !quicker.contains(&row.shard);
            let take = |row: &mut LeaseRow| {
                (row.holder, row.stamp) = (me.name.into(), self.stamp());
                row.written_here = true;
                row.shard
            };
            let rows = view.leases.iter_mut().filter(|row| is_there(row));
            Ok(rows.take(most).map(take).collect())
        }

        async fn last_owed(&self) -> Asked<u64> {
            Ok(0)
        }

        async fn release(&self, _: &str, _: &str, shards: &[ShardId]) -> Asked<()> {
            for row in self.view().leases.iter_mut().filter(|row| shards.contains(&row.shard)) {
                (row.holder, row.stamp) = ("".into(), self.stamp());
            }
            Ok(())
        }

        async fn forget(&self, _: &[String]) -> Asked<()> {
            Ok(())
        }

        async fn leave(&self, _: &str, _: &[ShardId], _: Option<&str>) -> Asked<()> {
            Ok(())
        }
    }

    /// A node that has run its first round.
    async fn node(tables: &Arc<Tables>) -> LeaseKeeper<Arc<Tables>> {
        let leases = HeldLeases::none();
        let mut share = LeaseKeeper::new(Arc::clone(tables), "me".into(), leases, TAKEOVER);
        assert_eq!(has_after_a_round(&mut share).await, SHARDS / 2, "its part");
        share
    }

    /// How many shards the node has after a round.
    async fn has_after_a_round(share: &mut LeaseKeeper<Arc<Tables>>) -> usize {
        let Ok(_) = share.round().await;
        share.leases.count()
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_other_node_wanted_is_kept_for_a_lease_and_then_handed_over() {
        let tables = Tables::half_of_the_other();
        let mut me = node(&tables).await;
        tables.write(SHARDS / 2..SHARDS, "");
        assert_eq!(has_after_a_round(&mut me).await, SHARDS / 2, "it was just given up");
        tokio::time::advance(claim_window(TAKEOVER)).await;
        tables.the_other_lives();
        assert_eq!(has_after_a_round(&mut me).await, SHARDS, "the other had time to take it");
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(1)).await;
            tables.the_other_lives();
            assert_eq!(has_after_a_round(&mut me).await, SHARDS);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(has_after_a_round(&mut me).await, SHARDS / 2, "the other lives still");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_keeps_nothing_on_the_strength_of_what_another_took_before_it() {
        let tables = Tables::half_of_the_other();
        let mut me = node(&tables).await;
        let given_up = SHARDS / 2..SHARDS * 3 / 4;
        tables.write(given_up.clone(), "");
        assert_eq!(has_after_a_round(&mut me).await, SHARDS / 2, "it was just given up");
        // Now the other's leases have run out as well. It wakes up, and takes what it gave up.
        tokio::time::advance(LASTS).await;
        tables.the_other_lives();
        let taken = ShardId::all().skip(given_up.start).take(given_up.len());
        *tables.quicker.lock().expect("no test panicked") = taken.collect();
        let has = has_after_a_round(&mut me).await;
        let what = "what has run out is shared out at once";
        assert_eq!((has, me.keeps_until), (SHARDS / 2, None), "{what}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_taken_only_now_is_left_to_those_that_have_too_few_on_a_new_server_too() {
        let tables = Tables::half_of_the_other();
        let mut me = node(&tables).await;
        tables.write(SHARDS / 2..SHARDS, "");
        tables.start_again();
        assert_eq!(has_after_a_round(&mut me).await, SHARDS / 2);
        let wanted = (LASTS, SHARDS / 2, "the other may take it only now, too");
        let unwanted = (claim_window(TAKEOVER), SHARDS, "it has not");
        for (wait, expected, what) in [wanted, unwanted] {
            tokio::time::advance(wait).await;
            tables.the_other_lives();
            assert_eq!(has_after_a_round(&mut me).await, expected, "{what}");
        }
    }

    #[test]
    fn nobody_is_left_without_a_share_and_no_shard_without_a_node() {
        for nodes in [1, 2, 3, 100, SHARDS] {
            let shares: Vec<usize> = (0..nodes).map(|before| fair_share(nodes, before)).collect();
            assert_eq!(shares.iter().sum::<usize>(), SHARDS, "{nodes} nodes");
            let (least, most) = (shares.iter().min(), shares.iter().max());
            assert!(
                most <= least.map(|least| least + 1).as_ref() && least >= Some(&1),
                "{shares:?}"
            );
        }
        assert_eq!(fair_share(0, 0), SHARDS, "the node that asks counts");
    }
}
