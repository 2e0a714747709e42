//! What a node knows of its leases, step by step.

use conversation::IntegrationName;

use super::*;
use crate::lease_clock::tests::Laptop;

const SERVER: &str = "one";
const GRACE: Duration = Duration::from_secs(2);

fn all() -> Vec<ShardId> {
    ShardId::all().collect()
}

fn with_all() -> (Arc<HeldLeases>, ConversationId) {
    let leases = HeldLeases::none();
    leases.record_renewal(&[], SERVER, Instant::now() + Duration::from_secs(10));
    leases.activate(&all(), 7);
    (leases, ConversationId::of(&IntegrationName::new("acme"), "noor"))
}

#[tokio::test(start_paused = true)]
async fn a_right_ends_with_its_time_and_comes_back_with_the_next_renewal() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    assert!(guard.admits_new_work() && guard.is_valid());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(
        !guard.is_valid() && leases.acquire(&noor).is_none() && leases.shard_names().is_empty()
    );
    let new = leases.record_renewal(&all(), SERVER, Instant::now() + Duration::from_secs(10));
    assert_eq!(new.len(), SHARDS, "expired leases must be checked again");
    assert!(guard.is_valid(), "no other node had it in between");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_does_not_rely_on_the_lease_that_it_had_before() {
    let (leases, noor) = with_all();
    let laptop = Laptop::new();
    leases.go_by(Arc::<Laptop>::clone(&laptop));
    let guard = leases.acquire(&noor).expect("it is ours");
    laptop.sleeps(Duration::from_secs(9));
    assert!(guard.is_valid() && leases.acquire(&noor).is_some(), "its 10 s are not over");
    laptop.sleeps(Duration::from_secs(1));
    assert!(
        !guard.is_valid() && leases.acquire(&noor).is_none() && leases.shard_names().is_empty()
    );
    guard.until_invalid().await;
    let new = leases.record_renewal(&all(), SERVER, leases.now() + Duration::from_secs(10));
    assert_eq!(
        (new.len(), guard.is_valid()),
        (SHARDS, true),
        "no other node took it, and everything owed is in doubt"
    );
}

/// A receipt may have been on its way when the lease expired. It is read again after that.
#[tokio::test(start_paused = true)]
async fn after_a_late_renewal_all_that_is_owed_is_in_doubt_until_it_is_known() {
    let (leases, noor) = with_all();
    assert!(leases.is_in_doubt(&noor, 7) && !leases.is_in_doubt(&noor, 8));
    let renew = || leases.record_renewal(&all(), SERVER, Instant::now() + Duration::from_secs(10));
    assert!(renew().is_empty() && !leases.is_in_doubt(&noor, 8), "it had not expired");
    tokio::time::advance(Duration::from_secs(10)).await;
    renew();
    assert!(leases.is_in_doubt(&noor, 8) && leases.acquire(&noor).is_some());
    let new = renew();
    assert_eq!(
        new.len(),
        SHARDS,
        "a shard that could not be activated the last time is returned again"
    );
    leases.activate(&new, 9);
    assert!(leases.is_in_doubt(&noor, 9) && !leases.is_in_doubt(&noor, 10));
    assert!(renew().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_another_had_between_is_not_ours_again() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    let until = Instant::now() + Duration::from_secs(10);
    assert!(leases.record_renewal(&[], SERVER, until).is_empty());
    assert!(!guard.is_valid() && leases.acquire(&noor).is_none());
    let new = leases.record_renewal(&all(), SERVER, until);
    leases.activate(&new, 9);
    assert!(!guard.is_valid(), "another node may have driven it meanwhile");
    assert!(leases.acquire(&noor).is_some());
    assert!(leases.is_in_doubt(&noor, 9) && !leases.is_in_doubt(&noor, 10));
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_handed_over_when_nothing_is_under_way_in_it() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    let free = leases.shards_to_release(0, GRACE);
    assert_eq!(free.len(), SHARDS - 1, "one shard has a guard");
    assert!(!guard.admits_new_work() && guard.is_valid(), "work in progress may finish");
    assert!(leases.acquire(&noor).is_none(), "no new work may begin");
    assert!(leases.shards_to_release(0, GRACE).is_empty());
    let of = ShardId::of(&noor);
    drop(guard);
    assert_eq!(leases.shards_to_release(0, GRACE), of.into_iter().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_loss_of_a_right_hears_of_it() {
    let (leases, noor) = with_all();
    let begun = Instant::now();
    let guard = leases.acquire(&noor).expect("it is ours");
    let mut lost = Box::pin(guard.until_invalid());
    tokio::time::timeout(Duration::from_secs(9), &mut lost)
        .await
        .expect_err("the lease is still valid");
    leases.record_renewal(&all(), SERVER, Instant::now() + Duration::from_secs(10));
    lost.await;
    assert_eq!(begun.elapsed().as_secs(), 19, "it was renewed once");
    leases.record_renewal(&all(), SERVER, Instant::now() + Duration::from_secs(10));
    let (lost, _) = tokio::join!(guard.until_invalid(), async {
        leases.record_renewal(&[], SERVER, Instant::now())
    });
    assert_eq!((lost, begun.elapsed().as_secs()), ((), 19), "another has it");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_has_begun_nothing_hears_of_a_hand_over_at_once() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    let mut leaving = Box::pin(guard.until_leaving());
    tokio::time::timeout(Duration::from_secs(5), &mut leaving)
        .await
        .expect_err("nothing is handed over");
    let begun = Instant::now();
    tokio::join!(leaving, async { leases.shards_to_release(0, GRACE) });
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(guard.is_valid(), "work in progress may finish");
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_no_longer_than_its_grace() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    assert_eq!(leases.shards_to_release(0, GRACE).len(), SHARDS - 1);
    assert_eq!(leases.next_forced_release(GRACE), Some(Instant::now() + GRACE));
    let mut lost = Box::pin(guard.until_invalid());
    tokio::time::timeout(GRACE, &mut lost).await.expect_err("the grace is not over");
    assert!(guard.is_valid());
    assert_eq!(leases.shards_to_release(0, GRACE).len(), 1);
    lost.await;
    assert!(!guard.is_valid() && guard.is_revoked() && leases.next_forced_release(GRACE).is_none());
    // A remaining guard of the old epoch does not delay a later handover.
    leases.activate(&all(), 7);
    let next = leases.acquire(&noor).expect("it is ours again");
    drop(guard);
    assert_eq!(leases.shards_to_release(0, GRACE).len(), SHARDS - 1, "the new guard counts");
    drop(next);
    leases.until_rebalance_needed().await;
    assert_eq!(leases.shards_to_release(0, GRACE).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn shards_with_something_under_way_stay_where_others_can_go() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    assert_eq!(leases.shards_to_release(1, GRACE).len(), SHARDS - 1);
    assert!(guard.admits_new_work());
}

#[tokio::test(start_paused = true)]
async fn another_server_is_believed_only_while_the_lease_has_not_run_out() {
    let (leases, noor) = with_all();
    let guard = leases.acquire(&noor).expect("it is ours");
    let until = || Instant::now() + Duration::from_secs(10);
    leases.record_renewal(&all(), "two", until());
    assert!(guard.is_valid(), "no other node could take it");
    tokio::time::advance(Duration::from_secs(10)).await;
    leases.record_renewal(&all(), "three", until());
    assert!(
        guard.is_revoked() && leases.acquire(&noor).is_none(),
        "the third server may not know that another node took it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fair_share_stays() {
    let (leases, _) = with_all();
    assert_eq!(leases.shards_to_release(128, GRACE).len(), 128);
    assert_eq!((leases.count(), leases.shard_names().len()), (128, 128));
}
