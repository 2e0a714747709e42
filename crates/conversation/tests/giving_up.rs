//! A customer's message that Genesys never takes is given up only after enough tries over enough
//! time, also across restarts.

use std::time::Duration;

use conversation::{
    Conversation, Effect, Input, MessageId, Owed, Policy, PostResult, ReasonCode, Record, Step,
};
use jiff::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_165_200 + seconds).expect("in range")
}

/// Three tries in a minute.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.inbound.give_up_after = Duration::from_mins(1);
    policy.inbound.give_up_tries = 3;
    policy
}

struct Customer {
    conversation: Conversation,
    journal: Vec<(Timestamp, Record)>,
}

impl Customer {
    /// A customer who has written `p1` and `p2`.
    fn new() -> Self {
        let mut customer = Self { conversation: Conversation::default(), journal: Vec::new() };
        for id in ["p1", "p2"] {
            customer.handle(
                0,
                Input::CustomerMessage { message: MessageId::new(id), text: None, tap: None },
            );
        }
        customer
    }

    fn handle(&mut self, seconds: i64, input: Input) -> Step {
        let step = self.conversation.handle(&policy(), at(seconds), input);
        self.journal.extend(step.records.iter().map(|record| (at(seconds), record.clone())));
        step
    }

    fn fails(&mut self, seconds: i64, id: &str) -> Step {
        let owed = Owed::Inbound { message: MessageId::new(id), answer: None };
        self.handle(seconds, Input::PostFailed { owed, why: "unavailable (status 500)".into() })
    }

    /// The process ends, and another one reads the journal.
    fn restart(&mut self) {
        let journal = serde_json::to_string(&self.journal).expect("records are JSON");
        let journal: Vec<(Timestamp, Record)> =
            serde_json::from_str(&journal).expect("records can be read");
        assert_eq!(journal, self.journal);
        self.conversation = Conversation::replay(Conversation::default(), journal);
    }
}

fn gives_up(step: &Step) -> bool {
    step.records.iter().any(|record| {
        matches!(record, Record::InboundDone { result: PostResult::Refused { .. }, .. })
    })
}

#[test]
fn both_bounds_must_be_passed_and_then_the_next_one_goes() {
    let mut customer = Customer::new();
    for seconds in [10, 20, 30, 69] {
        assert!(!gives_up(&customer.fails(seconds, "p1")), "not after {seconds} s");
    }
    let step = customer.fails(70, "p1");
    assert!(gives_up(&step), "{step:?}");
    let told = step.effects.iter().find_map(|effect| match effect {
        Effect::TellRefused { message, reason, .. } => Some((message.as_str(), reason)),
        _ => None,
    });
    let (message, reason) = told.expect("the chat service is told");
    assert_eq!((message, reason.code), ("p1", ReasonCode::ServerError));
    assert!(reason.message.contains("3 tries") && reason.message.contains("500"), "{reason}");
    let next = Effect::Post(Owed::Inbound { message: MessageId::new("p2"), answer: None });
    assert!(step.effects.contains(&next), "{step:?}");
}

#[test]
fn time_alone_gives_nothing_up() {
    let mut customer = Customer::new();
    assert!(!gives_up(&customer.fails(10, "p1")));
    assert!(!gives_up(&customer.fails(10_000, "p1")));
    assert!(gives_up(&customer.fails(10_001, "p1")));
}

#[test]
fn a_restart_forgets_neither_the_tries_nor_the_time() {
    let mut customer = Customer::new();
    customer.fails(10, "p1");
    customer.restart();
    customer.fails(20, "p1");
    customer.restart();
    assert!(gives_up(&customer.fails(70, "p1")));
}

#[test]
fn the_next_message_begins_from_nothing() {
    let mut customer = Customer::new();
    for seconds in [10, 20, 70] {
        customer.fails(seconds, "p1");
    }
    for seconds in [80, 90, 100] {
        assert!(!gives_up(&customer.fails(seconds, "p2")), "p2 has failed for {} s", seconds - 80);
    }
    assert!(gives_up(&customer.fails(140, "p2")));
}

#[test]
fn the_journal_does_not_grow_with_each_try() {
    let mut customer = Customer::new();
    customer.fails(10, "p1");
    customer.fails(11, "p1");
    customer.fails(12, "p1");
    for _ in 0..100 {
        assert_eq!(customer.fails(13, "p1").records, []);
    }
}

#[test]
fn a_disconnect_that_never_works_keeps_no_words_back_for_ever() {
    let mut customer = Customer { conversation: Conversation::default(), journal: Vec::new() };
    let (message, genesys) = (MessageId::new("p1"), Some("g".into()));
    customer.handle(0, Input::CustomerMessage { message: message.clone(), text: None, tap: None });
    customer.handle(
        0,
        Input::InboundDone { message, result: PostResult::Posted { genesys_id: None }, genesys },
    );
    customer.handle(1, Input::SessionOpened { session: conversation::SessionId::new("s") });
    customer.handle(2, Input::SessionClosed { session: None, reason: None });
    let owed = Owed::Disconnect { id: "g".into() };
    assert!(customer.conversation.owed().contains(&owed), "{:?}", customer.conversation);
    customer
        .handle(3, Input::CustomerMessage { message: MessageId::new("p2"), text: None, tap: None });
    let next = Effect::Post(Owed::Inbound { message: MessageId::new("p2"), answer: None });
    for seconds in [10, 20, 69] {
        let step =
            customer.handle(seconds, Input::PostFailed { owed: owed.clone(), why: "no".into() });
        assert!(!step.effects.contains(&next));
    }
    let step = customer.handle(70, Input::PostFailed { owed, why: "no".into() });
    assert!(step.effects.contains(&next), "{step:?}");
}

#[test]
fn what_is_not_on_its_way_is_never_given_up() {
    let mut customer = Customer::new();
    for _ in 0..100 {
        let step = customer.fails(20, "p2");
        assert!(step.records.is_empty() && step.ignored.is_some(), "{step:?}");
    }
}
