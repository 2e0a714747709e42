//! Customers whose messages Genesys refuses, or does not have yet: how a store counts them.

use conversation::{
    Conversation, ConversationId, HandshakeStart, Input, IntegrationName, MessageId, PostResult,
    TellOutcome,
};

use super::{at, policy};
use crate::{Append, Arrival, Direction, NewMessage, Store};

fn poisoned() -> IntegrationName {
    IntegrationName::new("poisoned")
}

/// Genesys refuses one of a customer's two messages. One dead letter is left behind, for
/// [`remembers`].
pub(super) async fn counts_dead_letters(store: &dyn Store) {
    assert_eq!(dead_letters(store).await, 0);
    refuses_one_of_two(store, "noor", 40_000).await;
    refuses_one_of_two(store, "omar", 2_000_000_000).await;
    assert_eq!(dead_letters(store).await, 2);
    store.prune(at(1_000_000_000)).await.expect("a prune");
    assert_eq!(dead_letters(store).await, 1, "one that is gone is not counted");
}

/// Each customer counts once, and only while Genesys lacks a message.
pub(super) async fn counts_who_waits_for_genesys(store: &dyn Store) {
    let integration = IntegrationName::new("undelivered");
    let waits = async |besides: &str, enough| {
        let besides = ConversationId::of(&integration, besides);
        store.undelivered_besides(&integration, &besides, enough).await.expect("a count")
    };
    let [mut noor, mut omar, mut lea] =
        ["noor", "omar", "lea"].map(|name| Customer::new(store, &integration, name));
    assert_eq!(waits("noor", 9).await, 0);
    for (customer, message) in [(&mut noor, "n1"), (&mut omar, "o1")] {
        customer.says(message, 1_000).await;
    }
    omar.says("o2", 1_000).await;
    lea.says("l1", 1_000).await;
    assert_eq!((waits("noor", 9).await, waits("max", 9).await), (2, 3));
    assert_eq!(waits("max", 2).await, 2, "it counts no further");
    for message in ["o1", "o2"] {
        omar.hears(message, PostResult::Posted { genesys_id: None }, 1_000).await;
    }
    assert_eq!((waits("noor", 9).await, waits("omar", 9).await), (1, 2));
}

pub(super) async fn dead_letters(store: &dyn Store) -> u64 {
    let mut counts = store.dead_letters().await.expect("a count");
    let count = counts.remove(&poisoned()).unwrap_or_default();
    assert!(counts.values().all(|other| *other == 0), "no other integration has any: {counts:?}");
    count
}

async fn refuses_one_of_two(store: &dyn Store, name: &str, millis: i64) {
    let mut customer = Customer::new(store, &poisoned(), name);
    for (id, result) in [
        ("good", PostResult::Posted { genesys_id: None }),
        ("bad", PostResult::Refused { why: "never".into() }),
    ] {
        let id = format!("{name}-{id}");
        customer.says(&id, millis).await;
        customer.hears(&id, result, millis).await;
        let message = MessageId::new(id);
        let told = Input::RefusalTold { message, attempt: 1, outcome: TellOutcome::Heard };
        customer.take(told, Vec::new(), millis).await;
    }
    assert!(customer.state.is_idle(), "nothing is left to do: {:?}", customer.state);
}

/// A customer who writes, and whose conversation is driven.
struct Customer<'a> {
    store: &'a dyn Store,
    integration: IntegrationName,
    name: String,
    state: Conversation,
    seq: u64,
}

impl<'a> Customer<'a> {
    fn new(store: &'a dyn Store, integration: &IntegrationName, name: &str) -> Self {
        let state = Conversation::default();
        Self { store, integration: integration.clone(), name: name.to_owned(), state, seq: 0 }
    }

    fn conversation(&self) -> ConversationId {
        ConversationId::of(&self.integration, &self.name)
    }

    async fn says(&mut self, id: &str, millis: i64) {
        let message = MessageId::new(id);
        let input = Input::CustomerMessage { message: message.clone() };
        let arrival = Arrival::Message(NewMessage {
            integration: self.integration.clone(),
            direction: Direction::Inbound,
            id: message,
            foreign_id: id.to_owned(),
            conversation: self.conversation(),
            customer: format!(r#"{{"id":"{}"}}"#, self.name),
            received: at(millis),
            body: b"{}"[..].into(),
            input: Some(input.clone()),
        });
        self.store.accept(arrival).await.expect("accepted");
        let waiting = self.store.inbox(&self.conversation(), true, 10).await.expect("a read");
        self.take(input, waiting.iter().map(|item| item.seq).collect(), millis).await;
    }

    /// Genesys has answered about a message.
    async fn hears(&mut self, id: &str, result: PostResult, millis: i64) {
        let input = Input::InboundDone { message: MessageId::new(id), result, genesys: None };
        self.take(input, Vec::new(), millis).await;
    }

    async fn take(&mut self, input: Input, taken: Vec<u64>, millis: i64) {
        let mut policy = policy();
        policy.hold.start = HandshakeStart::FirstOutbound;
        let records = self.state.handle(&policy, at(millis), input).records;
        if records.is_empty() {
            return;
        }
        let append = Append {
            conversation: self.conversation(),
            integration: self.integration.clone(),
            after: self.seq,
            at: at(millis),
            records,
            taken,
            due: self.state.next_wakeup(&policy),
            watched: None,
            snapshot: None,
            lazy: false,
        };
        self.seq += append.records.len() as u64;
        self.store.append(append).await.expect("an append");
    }
}
