//! What a node has itself observed of other nodes and their leases. This alone decides when it may
//! take a lease that was not released.
//!
//! No expiry time is compared, so only the node's own monotonic clock counts. The argument, for a
//! lease that lasts L:
//!
//! * Each renewal and each take changes the row's stamp, and no stamp repeats. If a node sees the
//!   same stamp twice on one server, without a restart of that server, nothing was renewed or taken
//!   in between.
//! * The holder relies on its lease for less than L, counted from *before* it asked. Another node
//!   takes the lease when L has passed since it *had the answer* with that stamp. By then the
//!   holder's L is over. The take succeeds only if the row is still the same.
//! * A server that replaces another may lack the last renewals, takes and releases. So no
//!   observation on one server counts on the next: a node must observe a whole L there. A node that
//!   got a lease from the old server asked for it before the new one answered any node. (Two
//!   servers that take writes at once break this, as they break every table.)
//! * A row that was last written on this server, since it started, is true, because no later change
//!   can be missing. If it says that the lease was released, the lease is free at once. A row that
//!   was released earlier is observed like any other.
//!
//! A server is identified by the start time of its process, which is compared only for equality. A
//! restarted server counts as another one, because what it had not written to disk may be gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conversation::mutant::{self, Mutant};
use tokio::time::Instant;

use crate::shard::ShardId;

/// A row of the leases as a node reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) shard: ShardId,
    /// Empty if the lease was released.
    pub(crate) holder: Arc<str>,
    /// Changes with each renewal, take and release.
    pub(crate) stamp: Arc<str>,
    /// The row was last written on this server, since that server started.
    pub(crate) written_here: bool,
    /// How long the lease lasts. The holder writes this, because nodes may be configured
    /// differently.
    pub(crate) ttl: Duration,
}

/// A row of the nodes, as a node reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) name: String,
    /// Changes with each of its rounds.
    pub(crate) stamp: Arc<str>,
    /// How long the node counts as alive without another round.
    pub(crate) ttl: Duration,
}

/// What one round reads from the store, after it has renewed its own leases.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterView {
    /// Identifies the server that answered, and its start.
    pub(crate) server: String,
    /// The shards that were renewed.
    pub(crate) renewed: Vec<ShardId>,
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) nodes: Vec<NodeRow>,
}

/// One observed row, and since when it is unchanged.
#[derive(Debug)]
struct Observation {
    /// `None` for a node.
    holder: Option<Arc<str>>,
    stamp: Arc<str>,
    since: Instant,
    ttl: Duration,
}

impl Observation {
    /// When its writer no longer relies on it, if the row stays unchanged.
    fn over(&self) -> Instant {
        self.since + self.ttl
    }
}

/// What one node has observed on one server.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    server: String,
    leases: BTreeMap<ShardId, Observation>,
    nodes: BTreeMap<String, Observation>,
}

impl Observer {
    /// Records what was read; the answer came at `at`.
    pub(crate) fn note(&mut self, view: &ClusterView, at: Instant) {
        if self.server != view.server && !mutant::is(Mutant::ObservationKept) {
            self.leases.clear();
            self.nodes.clear();
        }
        self.server.clone_from(&view.server);
        let leases =
            view.leases.iter().map(|row| (&row.shard, Some(&row.holder), &row.stamp, row.ttl));
        note(&mut self.leases, leases, at);
        note(
            &mut self.nodes,
            view.nodes.iter().map(|row| (&row.name, None, &row.stamp, row.ttl)),
            at,
        );
    }

    /// When `node`, which does not hold this lease, may take it, if it stays unchanged until then.
    /// `None` if the row was never observed.
    pub(crate) fn free_at(&self, node: &str, row: &LeaseRow) -> Option<Instant> {
        let seen = self.leases.get(&row.shard)?;
        // A node finds its own name here if it took or released the lease and the answer was lost.
        let given_up = row.holder.is_empty() || *row.holder == *node;
        let true_here = row.written_here || mutant::is(Mutant::FreeOnAnyServer);
        Some(if given_up && true_here { seen.since } else { seen.over() })
    }

    /// How many nodes are alive, including `node`, and how many of them come before it by name.
    pub(crate) fn living(&self, node: &str, now: Instant) -> (usize, usize) {
        let others = self.nodes.iter().filter(|(name, seen)| *name != node && now < seen.over());
        others.fold((1, 0), |(nodes, before), (name, _)| {
            (nodes + 1, before + usize::from(name.as_str() < node))
        })
    }

    /// Nodes other than `node` whose rows have not changed for at least `long`.
    pub(crate) fn silent(&self, node: &str, long: Duration, now: Instant) -> Vec<String> {
        let silent =
            self.nodes.iter().filter(|(name, seen)| *name != node && now >= seen.since + long);
        silent.map(|(name, _)| name.clone()).collect()
    }
}

/// A row as it was read: its key, who holds it, its stamp, and how long it lasts.
type Read<'a, Key> = (&'a Key, Option<&'a Arc<str>>, &'a Arc<str>, Duration);

fn note<'a, Key: Ord + Clone + 'a>(
    all: &mut BTreeMap<Key, Observation>,
    read: impl Iterator<Item = Read<'a, Key>>,
    at: Instant,
) {
    let mut before = std::mem::take(all);
    for (key, holder, stamp, ttl) in read {
        let unchanged = before
            .remove_entry(key)
            .filter(|(_, seen)| seen.stamp == *stamp && seen.holder.as_ref() == holder);
        let new = || {
            let (holder, stamp) = (holder.cloned(), stamp.clone());
            (key.clone(), Observation { holder, stamp, since: at, ttl })
        };
        let (key, seen) = unchanged.unwrap_or_else(new);
        all.insert(key, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(8);

    fn row(holder: &str, stamp: &str, written_here: bool) -> LeaseRow {
        LeaseRow {
            shard: ShardId::all().next().expect("a shard"),
            holder: holder.into(),
            stamp: stamp.into(),
            written_here,
            ttl: LASTS,
        }
    }

    fn view(server: &str, row: &LeaseRow) -> ClusterView {
        ClusterView { server: server.into(), leases: vec![row.clone()], ..ClusterView::default() }
    }

    /// How long after the last look the lease is free.
    fn wait(observer: &Observer, row: &LeaseRow, now: Instant) -> Duration {
        observer.free_at("me", row).expect("it was seen").saturating_duration_since(now)
    }

    #[test]
    fn a_lease_is_free_when_it_was_seen_unchanged_for_as_long_as_it_lasts() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let held = row("other", "1", true);
        observer.note(&view("a", &held), start);
        observer.note(&view("a", &held), after(5));
        assert_eq!(wait(&observer, &held, after(5)), Duration::from_secs(3));
        let renewed = row("other", "2", true);
        observer.note(&view("a", &renewed), after(7));
        assert_eq!(wait(&observer, &renewed, after(7)), LASTS, "it was renewed");
    }

    #[test]
    fn what_was_seen_on_one_server_counts_nothing_on_the_next() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        let later = start + Duration::from_secs(7);
        let held = row("other", "1", true);
        observer.note(&view("a", &held), start);
        // The new server has the same row, because it lacks a later change.
        observer.note(&view("b", &held), later);
        assert_eq!(wait(&observer, &held, later), LASTS);
    }

    #[test]
    fn a_lease_that_was_given_up_is_free_at_once_where_nothing_can_be_missing_behind_it() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        for holder in ["", "me"] {
            for (here, expected) in [(true, Duration::ZERO), (false, LASTS)] {
                let free = row(holder, "1", here);
                observer.note(&view("a", &row("other", "0", true)), start);
                observer.note(&view("a", &free), start);
                assert_eq!(wait(&observer, &free, start), expected, "{free:?}");
            }
        }
    }

    #[test]
    fn a_lease_lasts_as_long_as_its_holder_says() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        let held = LeaseRow { ttl: LASTS * 5, ..row("other", "1", true) };
        observer.note(&view("a", &held), start);
        assert_eq!(wait(&observer, &held, start), LASTS * 5, "whatever this node is configured to");
    }

    #[test]
    fn a_node_lives_for_as_long_as_it_is_heard_of() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        let nodes = |stamps: [(&str, &str); 3]| ClusterView {
            server: "a".into(),
            nodes: stamps
                .map(|(name, stamp)| NodeRow { name: name.into(), stamp: stamp.into(), ttl: LASTS })
                .into(),
            ..ClusterView::default()
        };
        observer.note(&nodes([("a", "1"), ("me", "1"), ("z", "1")]), start);
        assert_eq!(observer.living("me", start), (3, 1));
        let later = start + LASTS;
        observer.note(&nodes([("a", "1"), ("me", "2"), ("z", "2")]), later);
        assert_eq!(observer.living("me", later), (2, 0));
        assert_eq!(observer.silent("me", LASTS, later), ["a"]);
    }
}
