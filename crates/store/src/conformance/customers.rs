//! How a store counts customers' messages that Genesys refuses, or does not have yet.

use conversation::{
    Conversation, ConversationId, DeadLetterAction, HandshakeStart, Input, IntegrationName,
    MessageId, Policy, PostResult, Record, TellOutcome,
};

use super::{at, policy};
use crate::{
    Acceptance, Append, AppendPriority, Arrival, Direction, MessageList, NewMessage, Store,
};

fn poisoned() -> IntegrationName {
    IntegrationName::new("poisoned")
}

/// Genesys refuses one of each customer's two messages. One dead letter remains, for
/// [`super::remembers`].
pub(super) async fn counts_dead_letters(store: &dyn Store) {
    assert_eq!(dead_letters(store).await, 0);
    refuses_one_of_two(store, "noor", 40_000).await;
    refuses_one_of_two(store, "omar", 2_000_000_000).await;
    assert_eq!(dead_letters(store).await, 2);
    store.prune(at(1_000_000_000)).await.expect("a prune");
    assert_eq!(dead_letters(store).await, 1, "a removed dead letter is not counted");
}

/// A retry makes a dead letter an open message again, and a discard keeps it from being one. No
/// dead letter remains.
pub(super) async fn acts_on_dead_letters(store: &dyn Store) {
    let integration = IntegrationName::new("acted on");
    let mut customer = Customer::new(store, &integration, "noor");
    let dead = async || {
        let page = store.list_messages(&integration, MessageList::DeadLetters, None, 9).await;
        let page = page.expect("a list").into_iter();
        page.map(|one| (one.row.id.to_string(), one.row.settled)).collect::<Vec<_>>()
    };
    let state = async |id: &str| {
        let row = store.message(&integration, Direction::Inbound, &MessageId::new(id)).await;
        let row = row.expect("a read").expect("it is there");
        (row.state, row.reason, row.settled)
    };
    let refused = || PostResult::Refused { why: "never".into() };
    let told = |state: &str, reason: Option<&str>, settled: Option<i64>| {
        (state.to_owned(), reason.map(str::to_owned), settled.map(at))
    };
    for (id, millis) in [("a1", 1_000), ("a2", 2_000)] {
        customer.says(id, millis).await;
        customer.hears(id, refused(), millis).await;
    }
    let both = [("a2".to_owned(), Some(at(2_000))), ("a1".to_owned(), Some(at(1_000)))];
    assert_eq!(dead().await, both);
    customer.acts(DeadLetterAction::Retry, "a1", 1_000, 3_000).await;
    customer.acts(DeadLetterAction::Discard, "a2", 2_000, 3_000).await;
    assert_eq!(dead().await, []);
    assert_eq!(state("a1").await, told("accepted", None, None), "it is open again");
    assert_eq!(state("a2").await, told("discarded", Some("never"), Some(3_000)));
    customer.hears("a1", refused(), 4_000).await;
    assert_eq!(dead().await, [("a1".to_owned(), Some(at(4_000)))], "it is refused again");
    customer.acts(DeadLetterAction::Retry, "a1", 4_000, 5_000).await;
    customer.hears("a1", PostResult::Posted { genesys_id: None }, 6_000).await;
    assert_eq!(state("a1").await, told("posted", None, Some(6_000)));
    assert_eq!(dead().await, []);
    for letter in store.dead_letters().await.expect("a count") {
        assert!(letter.0 != integration || letter.1 == 0, "{letter:?}");
    }
    // Nothing of it is left for a prune to keep.
    let told = Input::RefusalTold {
        message: MessageId::new("a2"),
        attempt: 1,
        outcome: TellOutcome::Heard,
    };
    customer.take(told, Vec::new(), 7_000).await;
}

/// An action that was accepted survives a prune, and one that comes too late is not accepted.
pub(super) async fn keeps_what_an_operator_acts_on(store: &dyn Store) {
    let integration = IntegrationName::new("acted on later");
    let mut customer = Customer::new(store, &integration, "mia");
    customer.says("a1", 1_000).await;
    customer.hears("a1", PostResult::Refused { why: "never".into() }, 1_000).await;
    customer.knows_of_the_refusal("a1", 1_000).await;
    customer.snapshots(1_000).await;
    let retry = || customer.action(DeadLetterAction::Retry, "a1", 1_000, "the first");
    let accepted = async |arrival| store.accept(arrival).await.expect("an answer");
    let new = Acceptance::New(customer.conversation());
    assert_eq!(accepted(retry()).await, new);
    assert_eq!(accepted(retry()).await, Acceptance::Repeated);
    store.prune(at(100_000)).await.expect("a prune");
    let row = store.message(&integration, Direction::Inbound, &MessageId::new("a1")).await;
    assert!(row.expect("a read").is_some(), "an action on it was accepted");
    customer.takes_what_waits(101_000).await;
    let late = |died| customer.action(DeadLetterAction::Discard, "a1", died, "late");
    assert_eq!(accepted(late(1_000)).await, Acceptance::Unknown, "it is on its way to Genesys");
    customer.hears("a1", PostResult::Refused { why: "never".into() }, 102_000).await;
    customer.knows_of_the_refusal("a1", 102_000).await;
    let retry = customer.action(DeadLetterAction::Retry, "a1", 1_000, "the first");
    assert_eq!(accepted(retry).await, Acceptance::Repeated);
    let late = |id, died| customer.action(DeadLetterAction::Discard, id, died, "late");
    assert_eq!(accepted(late("a1", 1_000)).await, Acceptance::Unknown, "that was another death");
    assert_eq!(accepted(late("none", 102_000)).await, Acceptance::Unknown, "it was pruned");
    assert_eq!(accepted(late("a1", 102_000)).await, new, "what was not accepted left no trace");
    customer.takes_what_waits(103_000).await;
    assert!(customer.state.is_idle(), "nothing is left to do: {:?}", customer.state);
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
    assert_eq!(waits("max", 2).await, 2, "it stops counting at 2");
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

/// A customer who writes, with the conversation's state.
pub(super) struct Customer<'a> {
    store: &'a dyn Store,
    integration: IntegrationName,
    name: String,
    state: Conversation,
    seq: u64,
}

impl<'a> Customer<'a> {
    pub(super) fn new(store: &'a dyn Store, integration: &IntegrationName, name: &str) -> Self {
        let state = Conversation::default();
        Self { store, integration: integration.clone(), name: name.to_owned(), state, seq: 0 }
    }

    fn conversation(&self) -> ConversationId {
        ConversationId::of(&self.integration, &self.name)
    }

    pub(super) async fn says(&mut self, id: &str, millis: i64) {
        let message = MessageId::new(id);
        let input = Input::CustomerMessage { message: message.clone(), text: None, tap: None };
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
        self.hears_in(id, result, None, millis).await;
    }

    /// Genesys has answered about a message, and named its conversation.
    pub(super) async fn hears_in(
        &mut self,
        id: &str,
        result: PostResult,
        genesys: Option<Box<str>>,
        millis: i64,
    ) {
        let input = Input::InboundDone { message: MessageId::new(id), result, genesys };
        self.take(input, Vec::new(), millis).await;
    }

    /// An operator acts on a message that became a dead letter at `died`.
    async fn acts(&mut self, action: DeadLetterAction, id: &str, died: i64, millis: i64) {
        let (message, died, by) = (MessageId::new(id), at(died), "ops".into());
        let input = Input::DeadLetter { action, message, died, by };
        self.take(input, Vec::new(), millis).await;
    }

    /// An operator's action on a message that became a dead letter at `died`, as an arrival.
    fn action(&self, action: DeadLetterAction, id: &str, died: i64, event: &str) -> Arrival {
        let (message, died, by) = (MessageId::new(id), at(died), "ops".into());
        Arrival::Event {
            integration: self.integration.clone(),
            id: event.to_owned(),
            received: at(1_000_000_000),
            conversation: self.conversation(),
            input: Input::DeadLetter { action, message, died, by },
        }
    }

    /// The chat service was told that a message is a dead letter.
    async fn knows_of_the_refusal(&mut self, id: &str, millis: i64) {
        let message = MessageId::new(id);
        let told = Input::RefusalTold { message, attempt: 1, outcome: TellOutcome::Heard };
        self.take(told, Vec::new(), millis).await;
    }

    async fn takes_what_waits(&mut self, millis: i64) {
        let waiting = self.store.inbox(&self.conversation(), true, 10).await.expect("a read");
        assert!(!waiting.is_empty(), "something waits");
        for item in waiting {
            self.take(item.input, vec![item.seq], millis).await;
        }
    }

    async fn snapshots(&mut self, millis: i64) {
        let append = self.append(Vec::new(), Vec::new(), millis);
        let append = Append { snapshot: Some(self.state.clone()), ..append };
        self.store.append(append).await.expect("an append");
    }

    fn policy() -> Policy {
        let mut policy = policy();
        policy.hold.start = HandshakeStart::FirstOutbound;
        policy
    }

    fn append(&self, records: Vec<Record>, taken: Vec<u64>, millis: i64) -> Append {
        Append {
            conversation: self.conversation(),
            integration: self.integration.clone(),
            after: self.seq,
            at: at(millis),
            records,
            taken,
            due: self.state.next_wakeup(&Self::policy()),
            watched: None,
            standing: Some(self.state.standing()),
            snapshot: None,
            priority: AppendPriority::Normal,
        }
    }

    async fn take(&mut self, input: Input, taken: Vec<u64>, millis: i64) {
        let records = self.state.handle(&Self::policy(), at(millis), input).records;
        if records.is_empty() {
            return;
        }
        let append = self.append(records, taken, millis);
        self.seq += append.records.len() as u64;
        self.store.append(append).await.expect("an append");
    }
}
