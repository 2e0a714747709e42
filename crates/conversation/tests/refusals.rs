//! The chat service is told about each customer's message that Genesys will never accept. The calls
//! are repeated until it answers, for at most a day, also across restarts.

use std::time::Duration;

use conversation::{
    Conversation, Effect, HandshakeStart, History, Input, MessageId, Policy, PostResult,
    ReasonCode, Record, Step, TellOutcome,
};
use jiff::Timestamp;

/// With this policy, a customer's message starts no handshake.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.hold.start = HandshakeStart::FirstOutbound;
    policy
}

struct Customer {
    conversation: Conversation,
    journal: Vec<(Timestamp, Record)>,
    now: Timestamp,
}

impl Customer {
    fn new() -> Self {
        let now = Timestamp::from_second(1_795_165_200).expect("in range");
        Self { conversation: Conversation::default(), journal: Vec::new(), now }
    }

    fn handle(&mut self, input: Input) -> Step {
        let step = self.conversation.handle(&policy(), self.now, input);
        self.journal.extend(step.records.iter().map(|record| (self.now, record.clone())));
        step
    }

    /// Genesys refuses a message of the customer permanently. Returns what the chat service is then
    /// told.
    fn refused(&mut self, id: &str) -> Option<(String, u32)> {
        let message = MessageId::new(id);
        self.handle(Input::CustomerMessage { message: message.clone(), text: None, tap: None });
        let result = PostResult::Refused { why: "400: no".into() };
        told(&self.handle(Input::InboundDone { message, result, genesys: None }))
    }

    fn ends(&mut self, id: &str, attempt: u32, outcome: TellOutcome) -> Step {
        self.handle(Input::RefusalTold { message: MessageId::new(id), attempt, outcome })
    }

    fn fails(&mut self, id: &str, attempt: u32) -> Step {
        self.ends(id, attempt, TellOutcome::Failed { why: "503".into() })
    }

    /// Advances the time to the next wake-up. Returns how long that was, and what the chat service
    /// is then told.
    fn wakes(&mut self) -> (Duration, Option<(String, u32)>) {
        let until = self.conversation.next_wakeup(&policy()).expect("it wants to be woken");
        let passed = Duration::try_from(until.duration_since(self.now)).expect("not in the past");
        self.now = until;
        (passed, told(&self.handle(Input::Tick)))
    }

    /// The process ends, and another one reads the journal.
    fn restart(&mut self) -> Step {
        let journal = serde_json::to_string(&self.journal).expect("records are JSON");
        let journal: Vec<(Timestamp, Record)> =
            serde_json::from_str(&journal).expect("records can be read");
        assert_eq!(journal, self.journal);
        let replayed = Conversation::replay(Conversation::default(), journal);
        assert_eq!(replayed, self.conversation);
        let snapshot = serde_json::to_string(&replayed).expect("a snapshot is JSON");
        self.conversation = serde_json::from_str(&snapshot).expect("it can be read");
        if self.conversation.is_calling() { self.handle(Input::Recovered) } else { Step::default() }
    }

    fn untold(&self) -> Vec<&str> {
        self.conversation.untold().map(MessageId::as_str).collect()
    }

    fn audited(&self) {
        let mut history = History::default();
        for (seq, (at, record)) in (1..).zip(&self.journal) {
            history.read(seq, *at, record);
        }
        assert_eq!(history.breaches(), []);
        assert_eq!(history.untold().count(), self.conversation.untold().count());
    }
}

/// The message that the chat service is told about, and the number of the call.
fn told(step: &Step) -> Option<(String, u32)> {
    let mut told = step.effects.iter().filter_map(|effect| match effect {
        Effect::TellRefused { message, reason, attempt } => {
            assert_eq!(reason.code, ReasonCode::InvalidMessageStructure);
            Some((message.to_string(), *attempt))
        }
        _ => None,
    });
    let first = told.next();
    assert_eq!(told.next(), None, "one at a time");
    first
}

fn about(id: &str, attempt: u32) -> (String, u32) {
    (id.to_owned(), attempt)
}

#[test]
fn it_is_told_at_once_and_once() {
    let mut customer = Customer::new();
    assert_eq!(customer.refused("p1"), Some(about("p1", 1)));
    assert!(!customer.conversation.is_idle() && customer.conversation.is_calling());
    assert_eq!(told(&customer.handle(Input::Tick)), None, "the call is under way");
    customer.ends("p1", 1, TellOutcome::Heard);
    assert!(customer.untold().is_empty() && !customer.conversation.is_calling());
    assert!(customer.ends("p1", 1, TellOutcome::Heard).ignored.is_some());
    customer.audited();
}

#[test]
fn it_is_told_again_with_growing_pauses_and_for_a_day() {
    let mut customer = Customer::new();
    customer.refused("p1");
    let (mut attempt, mut pauses, began) = (1, Vec::new(), customer.now);
    customer.fails("p1", attempt);
    while !customer.untold().is_empty() {
        let (pause, told) = customer.wakes();
        attempt += 1;
        assert_eq!(told, Some(about("p1", attempt)));
        pauses.push(pause.as_secs());
        customer.fails("p1", attempt);
    }
    assert_eq!(pauses[..5], [1, 10, 60, 600, 3_600]);
    let day = customer.now.duration_since(began).as_secs_f64() / 3_600.0;
    assert!((23.0..=24.0).contains(&day) && pauses.len() < 30, "{day} h, {pauses:?}");
    let last = customer.journal.last().map(|(_, record)| record.clone());
    assert!(matches!(
        last,
        Some(Record::RefusalTold { retry_at: None, outcome: TellOutcome::Failed { .. }, .. })
    ));
    customer.audited();
}

#[test]
fn a_restart_forgets_nothing() {
    let mut customer = Customer::new();
    customer.refused("p1");
    // The outcome of the call is unknown.
    assert_eq!(told(&customer.restart()), Some(about("p1", 2)));
    customer.fails("p1", 2);
    assert_eq!(customer.wakes(), (Duration::from_secs(1), Some(about("p1", 3))));
    customer.fails("p1", 3);
    assert_eq!(told(&customer.restart()), None, "the pause goes on");
    assert_eq!(customer.wakes(), (Duration::from_secs(10), Some(about("p1", 4))));
    customer.ends("p1", 4, TellOutcome::Heard);
    customer.restart();
    assert!(customer.untold().is_empty() && customer.conversation.next_wakeup(&policy()).is_none());
    customer.audited();
}

#[test]
fn the_answer_to_an_older_call_says_nothing() {
    let mut customer = Customer::new();
    customer.refused("p1");
    customer.restart();
    assert!(customer.ends("p1", 1, TellOutcome::Heard).ignored.is_some());
    assert_eq!(customer.untold(), ["p1"]);
}

#[test]
fn one_that_is_never_heard_keeps_no_other_from_being_told() {
    let mut customer = Customer::new();
    customer.refused("p1");
    assert_eq!(customer.refused("p2"), None, "one at a time");
    assert_eq!(told(&customer.fails("p1", 1)), Some(about("p2", 1)));
    customer.ends("p2", 1, TellOutcome::Heard);
    assert_eq!(customer.untold(), ["p1"]);
    customer.audited();
}

#[test]
fn a_call_that_was_not_made_is_made_soon() {
    let mut customer = Customer::new();
    customer.refused("p1");
    for attempt in 1..10 {
        customer.ends("p1", attempt, TellOutcome::NotMade);
        assert_eq!(customer.wakes(), (Duration::from_secs(1), Some(about("p1", attempt + 1))));
    }
    customer.fails("p1", 10);
    assert_eq!(
        customer.wakes().0,
        Duration::from_secs(1),
        "only calls that failed lengthen the pause"
    );
    customer.audited();
}

#[test]
fn a_call_that_can_never_be_made_is_not_repeated() {
    let mut customer = Customer::new();
    customer.refused("p1");
    customer.ends("p1", 1, TellOutcome::GivenUp { why: "the message's row is gone".into() });
    assert!(customer.untold().is_empty() && customer.conversation.next_wakeup(&policy()).is_none());
    customer.audited();
}

#[test]
fn those_that_wait_are_bounded() {
    let mut customer = Customer::new();
    for number in 0..1_000 {
        customer.refused(&format!("p{number}"));
    }
    assert_eq!(customer.untold().len(), 100);
    let never = customer.journal.iter().filter(|(_, record)| {
        matches!(
            record,
            Record::RefusalTold { outcome: TellOutcome::GivenUp { .. }, retry_at: None, .. }
        )
    });
    assert_eq!(never.count(), 900, "each is in the journal");
    customer.audited();
}
