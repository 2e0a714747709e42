//! What operators do about dead letters: a retry goes the way of any customer's message, behind
//! those that wait, and each action has the effect of once.

use std::time::Duration;

use conversation::{
    Conversation, DeadLetterAction, Effect, HandshakeStart, History, Ignored, Input, MessageId,
    Owed, Policy, PostResult, Record, Step, TellOutcome,
};
use jiff::Timestamp;

struct Desk {
    conversation: Conversation,
    policy: Policy,
    journal: Vec<(Timestamp, Record)>,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        let mut policy = Policy::default();
        policy.hold.start = HandshakeStart::FirstOutbound;
        let now = Timestamp::from_second(1_795_165_200).expect("in range");
        Self { conversation: Conversation::default(), policy, journal: Vec::new(), now }
    }

    fn handle(&mut self, input: Input) -> Step {
        self.now = self.now.checked_add(Duration::from_millis(10)).expect("in range");
        let step = self.conversation.handle(&self.policy, self.now, input);
        self.journal.extend(step.records.iter().map(|record| (self.now, record.clone())));
        step
    }

    fn says(&mut self, id: &str) -> Step {
        self.handle(Input::CustomerMessage { message: MessageId::new(id), text: None, tap: None })
    }

    fn posted(&mut self, id: &str) -> Step {
        let result = PostResult::Posted { genesys_id: None };
        let genesys = Some("g".into());
        self.handle(Input::InboundDone { message: MessageId::new(id), result, genesys })
    }

    /// Genesys refuses it. Returns when it became a dead letter, and what the gateway then does.
    fn refused(&mut self, id: &str) -> (Timestamp, Step) {
        let result = PostResult::Refused { why: "400: no".into() };
        let message = MessageId::new(id);
        let step = self.handle(Input::InboundDone { message, result, genesys: None });
        (self.now, step)
    }

    fn acts(&mut self, action: DeadLetterAction, id: &str, died: Timestamp) -> Step {
        let message = MessageId::new(id);
        self.handle(Input::DeadLetter { action, message, died, by: "ops".into() })
    }

    fn retries(&mut self, id: &str, died: Timestamp) -> Step {
        self.acts(DeadLetterAction::Retry, id, died)
    }

    fn told(&mut self, id: &str, outcome: TellOutcome) -> Step {
        self.handle(Input::RefusalTold { message: MessageId::new(id), attempt: 1, outcome })
    }

    /// A restart finds the same state, and an audit finds nothing.
    fn audited(&self) {
        let mut history = History::default();
        for (seq, (at, record)) in (1..).zip(&self.journal) {
            history.read(seq, *at, record);
        }
        assert_eq!(history.breaches(), []);
        assert_eq!(history.untold().count(), self.conversation.untold().count());
        let journal = serde_json::to_string(&self.journal).expect("records are JSON");
        let journal: Vec<_> = serde_json::from_str(&journal).expect("they can be read");
        let replayed = Conversation::replay(Conversation::default(), journal);
        assert_eq!(replayed, self.conversation);
    }
}

/// The customer's messages that a step posts.
fn posts(step: &Step) -> Vec<&str> {
    let post = |effect| match effect {
        &Effect::Post(Owed::Inbound { ref message, .. }) => Some(message.as_str()),
        _ => None,
    };
    step.effects.iter().filter_map(post).collect()
}

fn is_repeated(step: &Step) -> bool {
    step.ignored == Some(Ignored::RepeatedAction) && step.records.is_empty()
}

#[test]
fn a_retry_goes_behind_the_messages_that_wait() {
    let mut desk = Desk::new();
    assert_eq!(posts(&desk.says("dead")), ["dead"]);
    let (died, _) = desk.refused("dead");
    assert_eq!(posts(&desk.says("under way")), ["under way"]);
    desk.says("waits");
    assert_eq!(posts(&desk.retries("dead", died)), Vec::<&str>::new());
    desk.says("later");
    assert_eq!(posts(&desk.posted("under way")), ["waits"]);
    assert_eq!(posts(&desk.posted("waits")), ["dead"]);
    assert_eq!(posts(&desk.posted("dead")), ["later"]);
    desk.audited();
}

#[test]
fn an_action_that_comes_again_has_no_second_effect() {
    let mut desk = Desk::new();
    desk.says("dead");
    let (died, _) = desk.refused("dead");
    assert_eq!(posts(&desk.retries("dead", died)), ["dead"]);
    assert!(is_repeated(&desk.retries("dead", died)), "it is on its way");
    desk.posted("dead");
    assert!(is_repeated(&desk.retries("dead", died)), "Genesys has it");
    assert!(is_repeated(&desk.acts(DeadLetterAction::Discard, "dead", died)));
    desk.audited();
}

#[test]
fn a_retry_that_fails_is_a_dead_letter_again_and_can_be_retried() {
    let mut desk = Desk::new();
    desk.says("dead");
    let (first, _) = desk.refused("dead");
    desk.retries("dead", first);
    let (second, step) = desk.refused("dead");
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::TellRefused { .. })));
    assert!(is_repeated(&desk.retries("dead", first)), "that was about the first time");
    assert_eq!(posts(&desk.retries("dead", second)), ["dead"]);
    desk.posted("dead");
    desk.audited();
}

#[test]
fn what_is_discarded_is_never_posted_again() {
    let mut desk = Desk::new();
    desk.says("dead");
    let (died, _) = desk.refused("dead");
    let step = desk.acts(DeadLetterAction::Discard, "dead", died);
    assert!(matches!(&step.records[..], [Record::InboundDiscarded { by, .. }] if &**by == "ops"));
    assert!(is_repeated(&desk.retries("dead", died)));
    assert_eq!(desk.conversation.untold().count(), 1, "the customer still has to hear of it");
    desk.audited();
}

/// The chat service is not told that a message is lost that is on its way again.
#[test]
fn a_retry_takes_back_what_the_chat_service_was_to_be_told() {
    let mut desk = Desk::new();
    desk.says("dead");
    let (died, step) = desk.refused("dead");
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::TellRefused { .. })));
    desk.retries("dead", died);
    let message = MessageId::new("dead");
    assert_eq!(desk.conversation.tell_until(&message, 1), None, "the open call is called off");
    assert_eq!(desk.told("dead", TellOutcome::Heard).ignored, Some(Ignored::StaleAnswer));
    desk.posted("dead");
    assert!(desk.conversation.is_idle());
    desk.audited();
}

#[test]
fn a_customer_who_left_is_disconnected_behind_the_retry() {
    let mut desk = Desk::new();
    desk.says("first");
    desk.posted("first");
    desk.says("dead");
    let (died, _) = desk.refused("dead");
    desk.says("last");
    desk.retries("dead", died);
    desk.handle(Input::SessionClosed { session: None, reason: None });
    assert_eq!(posts(&desk.posted("last")), ["dead"]);
    let step = desk.posted("dead");
    let disconnects = |effect: &Effect| matches!(effect, Effect::Post(Owed::Disconnect { .. }));
    assert!(step.effects.iter().any(disconnects), "{step:?}");
    desk.audited();
}

/// The checks of an audit find an action that the state machine must not take.
#[test]
fn an_audit_finds_a_retry_of_a_message_that_is_no_dead_letter() {
    let mut history = History::default();
    let (message, at) = (MessageId::new("m"), Timestamp::UNIX_EPOCH);
    let (hold_until, answer, tap) = (at, None, None);
    let accepted = Record::InboundAccepted { message: message.clone(), hold_until, answer, tap };
    history.read(1, at, &accepted);
    history.read(2, at, &Record::InboundRetried { message, died: at, by: "ops".into() });
    let breaches: Vec<_> = history.breaches().iter().map(ToString::to_string).collect();
    assert_eq!(breaches, ["I5 at seq 2, message m: is posted again, and was no dead letter"]);
}

/// An action that comes again after the message died once more is about the earlier death.
#[test]
fn an_audit_finds_an_action_on_an_earlier_death() {
    let mut history = History::default();
    let message = MessageId::new("m");
    let at = |second| Timestamp::from_second(second).expect("a time");
    let (hold_until, tap) = (at(1), None);
    let result = PostResult::Refused { why: "400".into() };
    let retried =
        || Record::InboundRetried { message: message.clone(), died: at(3), by: "ops".into() };
    let released = || Record::InboundReleased { message: message.clone(), answer: None };
    let done = || Record::InboundDone { message: message.clone(), result: result.clone() };
    let accepted =
        Record::InboundAccepted { message: message.clone(), hold_until, answer: None, tap };
    let records = [accepted, released(), done(), retried(), released(), done(), retried()];
    for (seq, record) in (1..).zip(&records) {
        history.read(seq, at(i64::try_from(seq).expect("in range")), record);
    }
    let breaches: Vec<_> = history.breaches().iter().map(ToString::to_string).collect();
    let expected = "I5 at seq 7, message m: is posted again, because of an action on an earlier \
                    dead letter";
    assert_eq!(breaches, [expected]);
}

/// The memory for actions is bounded, and so is what a conversation takes from its inbox.
#[test]
fn only_the_last_actions_are_remembered() {
    let mut desk = Desk::new();
    let mut dead = Vec::new();
    for number in 0..150 {
        let id = format!("m{number}");
        desk.says(&id);
        dead.push((desk.refused(&id).0, id));
    }
    for (died, id) in &dead {
        desk.acts(DeadLetterAction::Discard, id, *died);
    }
    let snapshot = serde_json::to_value(&desk.conversation).expect("JSON");
    assert_eq!(snapshot["handled"].as_array().map(Vec::len), Some(100));
    let (died, id) = &dead[149];
    assert!(is_repeated(&desk.retries(id, *died)));
}
