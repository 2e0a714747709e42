//! What a failed message does to the others: `fail-rest` and `pause` concern only those behind it
//! in the order, whichever came first.

use std::time::Duration;

use conversation::{
    AfterFailure, AttemptOutcome, Conversation, Effect, Input, MessageId, Policy, Reason,
    ReasonCode, Record, Report, SessionId,
};
use jiff::Timestamp;

/// One conversation with a session.
struct Scene {
    policy: Policy,
    now: Timestamp,
    conversation: Conversation,
    /// The attempt that is open.
    open: Option<(MessageId, u32)>,
    forwarded: Vec<String>,
    failed: Vec<String>,
    journal: Vec<(Timestamp, Record)>,
}

impl Scene {
    fn new(after_failure: AfterFailure) -> Self {
        let mut policy = Policy::default();
        policy.delivery.after_failure = after_failure;
        policy.service_reports = true;
        let mut scene = Self {
            policy,
            now: "2026-11-20T09:00:00Z".parse().expect("a time"),
            conversation: Conversation::default(),
            open: None,
            forwarded: Vec::new(),
            failed: Vec::new(),
            journal: Vec::new(),
        };
        scene.take(Input::SessionOpened { session: SessionId::new("s") });
        scene
    }

    fn take(&mut self, input: Input) {
        let step = self.conversation.handle(&self.policy, self.now, input);
        for effect in step.effects {
            if let Effect::Forward { message, attempt, .. } = effect {
                self.forwarded.push(message.to_string());
                self.open = Some((message, attempt));
            }
        }
        for record in step.records {
            if let Record::Settled { message, fate, .. } = &record
                && fate.is_failed()
            {
                self.failed.push(message.to_string());
            }
            self.journal.push((self.now, record));
        }
        let replayed = Conversation::replay(Conversation::default(), self.journal.clone());
        assert_eq!(replayed, self.conversation, "the records alone lead to the same state");
    }

    /// An agent's message that Genesys wrote at this second arrives.
    fn arrives(&mut self, id: &str, second: u64, unsuited: Option<Reason>) {
        let time = "2026-11-20T09:00:00Z".parse::<Timestamp>().expect("a time");
        self.take(Input::AgentMessage {
            message: MessageId::new(id),
            time: Some(time + Duration::from_secs(second)),
            received: self.now,
            unsuited,
            genesys: None,
            offer: None,
        });
    }

    fn ends(&mut self, outcome: AttemptOutcome) {
        let (message, attempt) = self.open.take().expect("an open attempt");
        self.take(Input::AttemptEnded { message, attempt, outcome });
    }

    /// The retry of the first message is due.
    fn a_minute_passes(&mut self) {
        self.now += Duration::from_mins(1);
        self.take(Input::Tick);
    }
}

fn reason() -> Reason {
    Reason::new(ReasonCode::GeneralError, "it fails on arrival")
}

fn not_taken() -> AttemptOutcome {
    AttemptOutcome::NotTaken { reason: reason(), after: None }
}

const TAKEN: AttemptOutcome = AttemptOutcome::Accepted { service_id: None };
const POLICIES: [AfterFailure; 2] = [AfterFailure::FailRest, AfterFailure::Pause];

#[test]
fn a_message_that_fails_on_arrival_does_not_stop_those_ahead_of_it() {
    for policy in POLICIES {
        let mut scene = Scene::new(policy);
        scene.arrives("first", 1, None);
        scene.ends(not_taken());
        scene.arrives("bad", 2, Some(reason()));
        scene.a_minute_passes();
        assert_eq!(scene.forwarded, ["first", "first"], "{policy:?}");
        assert_eq!(scene.failed, ["bad"], "{policy:?}");
        scene.ends(TAKEN);
        scene.arrives("last", 3, None);
        assert_eq!(scene.forwarded, ["first", "first", "last"], "{policy:?}");
    }
}

#[test]
fn a_pause_holds_only_what_is_behind_the_failed_message() {
    let mut scene = Scene::new(AfterFailure::Pause);
    scene.arrives("first", 1, None);
    scene.ends(not_taken());
    scene.arrives("third", 3, None);
    scene.arrives("bad", 2, Some(reason()));
    scene.a_minute_passes();
    assert_eq!(scene.forwarded, ["first", "first"]);
    scene.ends(TAKEN);
    scene.arrives("late", 1, None);
    assert_eq!(scene.forwarded, ["first", "first", "late"], "it is ahead of the failed one");
    scene.ends(TAKEN);
    assert_eq!(scene.forwarded.len(), 3, "the third waits");
    scene.take(Input::SessionOpened { session: SessionId::new("s2") });
    assert_eq!(scene.forwarded[3..], ["third"]);
    assert_eq!(scene.failed, ["bad"]);
}

/// Lists of conversations with a held message have this one.
#[test]
fn a_pause_that_begins_behind_the_first_message_counts_as_held() {
    let mut scene = Scene::new(AfterFailure::Pause);
    scene.arrives("first", 1, None);
    scene.ends(not_taken());
    scene.arrives("third", 3, None);
    assert!(!scene.conversation.standing().held, "they wait for a retry, and for their turn");
    scene.arrives("bad", 2, Some(reason()));
    assert!(scene.conversation.standing().held, "the third waits for the end of the pause");
    scene.take(Input::Resume);
    assert!(!scene.conversation.standing().held);
}

#[test]
fn a_second_failure_ahead_of_a_pause_holds_more() {
    let mut scene = Scene::new(AfterFailure::Pause);
    scene.arrives("first", 1, None);
    scene.ends(not_taken());
    for (id, second) in [("third", 3), ("fifth", 5)] {
        scene.arrives(id, second, None);
    }
    scene.arrives("fourth", 4, Some(reason()));
    scene.arrives("second", 2, Some(reason()));
    scene.a_minute_passes();
    scene.ends(TAKEN);
    assert_eq!(scene.forwarded, ["first", "first"], "the third waits, too");
    scene.take(Input::Resume);
    assert_eq!(scene.forwarded[2..], ["third"]);
}

/// Genesys wrote `late` before `taken`, and it came after it.
#[test]
fn a_message_that_fails_by_a_report_stops_only_what_is_behind_it() {
    for policy in POLICIES {
        let mut scene = Scene::new(policy);
        scene.arrives("taken", 2, None);
        scene.ends(TAKEN);
        scene.arrives("late", 1, None);
        scene.ends(not_taken());
        let report = Report::Failed { reason: reason() };
        scene.take(Input::Reported { message: MessageId::new("taken"), report });
        scene.a_minute_passes();
        assert_eq!(scene.forwarded, ["taken", "late", "late"], "{policy:?}");
        assert_eq!(scene.failed, ["taken"], "{policy:?}");
    }
}
