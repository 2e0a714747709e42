//! The memory store passes the suite for every store, alone and shared.

use std::sync::Arc;
use std::time::Duration;

use conversation::{
    ConversationId, Input, IntegrationName, Invariant, MessageId, Record, SessionId,
};
use jiff::Timestamp;
use store::memory::{Database, Direct, MemoryStore, SimulatedLink};
use store::{
    Append, AppendPriority, Arrival, Direction, NewMessage, Ownership, OwnershipEvent, Store,
    StoreError, audit, conformance,
};

#[tokio::test]
async fn it_lists_for_operators() {
    let database = Database::new(None);
    let store = MemoryStore::alone(&database, Arc::new(Direct));
    conformance::lists(&store).await;
    conformance::keeps_console_sessions(&store).await;
}

#[tokio::test]
async fn it_keeps_its_word_and_remembers() {
    let database = Database::new(None);
    conformance::keeps_its_word(&MemoryStore::alone(&database, Arc::new(Direct))).await;
    // The node is gone without a close. The database has everything that it acknowledged.
    conformance::remembers(&MemoryStore::alone(&database, Arc::new(Direct))).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_several_nodes_keeps_it_too() {
    let database = Database::new(None);
    let takeover = Duration::from_secs(4);
    let store = MemoryStore::shared(&database, Arc::new(Direct), "a", takeover);
    store.next_event().await;
    conformance::keeps_its_word(&store).await;
    drop(store);
    let other = MemoryStore::shared(&database, Arc::new(Direct), "b", takeover);
    other.next_event().await;
    conformance::remembers(&other).await;
}

/// Work that never ends is cancelled, and the node ends before the store receives the release of
/// its shard.
#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_keeps_nothing_that_it_was_just_about_to_hand_over() {
    let (database, takeover) = (Database::new(None), Duration::from_secs(8));
    let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
    let leaves = MemoryStore::shared(&database, Arc::new(Slow), "leaves", takeover);
    leaves.next_event().await;
    let guard = leaves.acquire(&noor).expect("it has all of them");
    let stays = MemoryStore::shared(&database, Arc::new(Direct), "stays", takeover);
    leaves.step_down();
    guard.until_revoked().await;
    leaves.close().await;
    let closed = tokio::time::Instant::now();
    while stays.acquire(&noor).is_none() {
        assert!(
            closed.elapsed() < takeover / 4,
            "no node drives it {:?} after its node was gone",
            closed.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A link on which everything takes a moment.
struct Slow;

#[async_trait::async_trait]
impl SimulatedLink for Slow {
    async fn ask(&self, _: &'static str) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }
}

/// A state machine that orders messages by its node's clock instead of Genesys's time writes a
/// journal that looks correct. So the audit reads what Genesys wrote.
#[tokio::test]
async fn the_audit_judges_the_order_by_what_genesys_wrote_and_not_by_the_journal() {
    let (swapped, gone) = (audited(true).await, audited(false).await);
    let breaches = swapped.breaches.get(&Invariant::InOrder).expect("a breach of I3");
    assert!(breaches[0].contains("message second overtakes first"), "{breaches:?}");
    assert_eq!((gone.breaches.len(), gone.unjudged), (0, 2), "{gone}");
}

/// Audits a store in which the message that Genesys wrote later is forwarded first. Only `readable`
/// bodies show this.
async fn audited(readable: bool) -> store::Audit {
    let store = MemoryStore::alone(&Database::new(None), Arc::new(Direct));
    let (acme, at) =
        (IntegrationName::new("acme"), |time: &str| time.parse::<Timestamp>().expect("a time"));
    let (conversation, now) = (ConversationId::of(&acme, "noor"), at("2026-11-20T09:00:10Z"));
    let mut records = Vec::new();
    for (id, written, forged) in [("first", 1, 2), ("second", 2, 1)] {
        let time = format!("2026-11-20T09:00:0{written}Z");
        let body = if readable {
            format!(r#"{{"channel":{{"time":"{time}"}}}}"#)
        } else {
            "not JSON".to_owned()
        };
        let message = NewMessage {
            integration: acme.clone(),
            direction: Direction::Outbound,
            id: MessageId::new(id),
            foreign_id: id.to_owned(),
            conversation: conversation.clone(),
            customer: "{}".to_owned(),
            received: now,
            body: body.into_bytes().into(),
            input: Some(Input::Tick),
        };
        store.accept(Arrival::Message(message)).await.expect("taken");
        records.push(Record::Accepted {
            message: MessageId::new(id),
            time: at(&format!("2026-11-20T09:00:0{forged}Z")),
            received: now,
            hold_until: at("2026-11-20T09:01:00Z"),
            give_up: at("2026-11-20T09:01:00Z"),
        });
    }
    let session = SessionId::new("s");
    records.push(Record::SessionOpened { session: session.clone() });
    records.push(Record::AttemptStarted { message: MessageId::new("second"), attempt: 1, session });
    let taken = store
        .inbox(&conversation, true, 10)
        .await
        .expect("an inbox")
        .into_iter()
        .map(|item| item.seq)
        .collect();
    let append = Append {
        conversation,
        integration: acme,
        after: 0,
        at: now,
        records,
        taken,
        due: None,
        watched: None,
        standing: None,
        snapshot: None,
        priority: AppendPriority::Normal,
    };
    store.append(append).await.expect("appended");
    audit(&store).await.expect("an audit")
}

/// Hints are best effort and may fill their queue. A gain of shards must not get lost with them:
/// otherwise the deadlines of their conversations would wait for the next poll.
#[tokio::test(start_paused = true)]
async fn a_flood_of_hints_does_not_hide_that_shards_were_gained() {
    let takeover = Duration::from_secs(8);
    let database = Database::new(None);
    let node = |name| MemoryStore::shared(&database, Arc::new(Direct), name, takeover);
    let one = node("one");
    let has = async |shards| {
        while database.shards("one") != shards {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let gains = async || while one.next_event().await != OwnershipEvent::ShardsGained {};
    let customer = |n: usize| ConversationId::of(&IntegrationName::new("acme"), &n.to_string());
    tokio::time::timeout(takeover, gains()).await.expect("it gains all shards");
    let two = node("two");
    tokio::time::timeout(takeover, has(128)).await.expect("the other gets its part");
    for n in 0..10_000 {
        two.notify_owner(&customer(n));
    }
    two.step_down();
    tokio::time::timeout(takeover, has(256)).await.expect("it has all shards again");
    tokio::time::timeout(takeover, gains()).await.expect("it hears of that");
}
