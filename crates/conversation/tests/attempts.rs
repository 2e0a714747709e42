//! An attempt takes no more time than its message has, and does not hide the reasons of earlier
//! attempts.

use std::time::Duration;

use conversation::{
    AttemptOutcome, Conversation, Effect, Fate, Input, MessageId, OnUnknown, Policy, Reason,
    ReasonCode, Record, Report, SessionId, Step,
};
use jiff::Timestamp;

/// One conversation with a session, and a clock that only moves when told.
struct Scene {
    policy: Policy,
    now: Timestamp,
    conversation: Conversation,
    forwarded: Vec<u32>,
    fates: Vec<(MessageId, Fate)>,
}

impl Scene {
    /// The message `a` is being forwarded.
    fn new(on_unknown: OnUnknown) -> Self {
        let mut policy = Policy::default();
        policy.delivery.give_up_after = Duration::from_secs(10);
        policy.delivery.retry_max = Duration::from_secs(1);
        policy.delivery.on_unknown = on_unknown;
        let now = "2026-11-20T09:00:00Z".parse().expect("a time");
        let conversation = Conversation::default();
        let mut scene =
            Self { policy, now, conversation, forwarded: Vec::new(), fates: Vec::new() };
        scene.take(Input::SessionOpened { session: SessionId::new("s") });
        scene.agent_writes("a");
        assert_eq!(scene.forwarded, [1]);
        scene
    }

    fn take(&mut self, input: Input) -> Step {
        let step = self.conversation.handle(&self.policy, self.now, input);
        for effect in &step.effects {
            if let Effect::Forward { attempt, .. } = effect {
                self.forwarded.push(*attempt);
            }
        }
        for record in &step.records {
            if let Record::Settled { message, fate, .. } = record {
                self.fates.push((message.clone(), fate.clone()));
            }
        }
        step
    }

    fn agent_writes(&mut self, id: &str) {
        self.take(Input::AgentMessage {
            message: MessageId::new(id),
            time: Some(self.now),
            received: self.now,
            unsuited: None,
            genesys: None,
            offer: None,
        });
    }

    /// The last attempt to forward `a` ends.
    fn ends(&mut self, outcome: AttemptOutcome) -> Step {
        let attempt = *self.forwarded.last().expect("an attempt was made");
        self.take(Input::AttemptEnded { message: MessageId::new("a"), attempt, outcome })
    }

    /// Advances the time to the next wake-up.
    fn wakes(&mut self) {
        self.now = self.conversation.next_wakeup(&self.policy).expect("it wants to be woken");
        self.take(Input::Tick);
    }

    fn passed(&self) -> Duration {
        let begin: Timestamp = "2026-11-20T09:00:00Z".parse().expect("a time");
        Duration::try_from(self.now.duration_since(begin)).expect("it goes on")
    }

    /// Why `a` failed.
    fn why(&self) -> String {
        match &self.fates_of("a")[..] {
            [Fate::Failed { reason }] => reason.to_string(),
            other => panic!("not failed once: {other:?}"),
        }
    }

    fn fates_of(&self, id: &str) -> Vec<Fate> {
        self.fates
            .iter()
            .filter(|(message, _)| message.as_str() == id)
            .map(|(_, fate)| fate.clone())
            .collect()
    }
}

fn unknown() -> AttemptOutcome {
    AttemptOutcome::Unknown { reason: Reason::new(ReasonCode::ServerError, "no answer") }
}

fn unreachable() -> AttemptOutcome {
    AttemptOutcome::NotTaken {
        reason: Reason::new(ReasonCode::ServerError, "connection refused"),
        after: None,
    }
}

#[test]
fn an_attempt_whose_answer_never_comes_ends_with_its_messages_time() {
    for on_unknown in [OnUnknown::Retry, OnUnknown::Fail] {
        let mut scene = Scene::new(on_unknown);
        scene.agent_writes("behind");
        while scene.fates_of("a").is_empty() {
            scene.wakes();
        }
        assert!(scene.passed() < Duration::from_secs(11), "settled after {:?}", scene.passed());
        assert_eq!(scene.fates_of("behind").len(), 1, "the one behind it has no time left either");
        assert!(scene.why().contains("may have arrived"), "{}", scene.why());
        assert_eq!(scene.forwarded, [1], "no message is forwarded after its time");
        let late = scene.ends(AttemptOutcome::Delivered { service_id: None });
        assert_eq!((late.records, late.effects), (Vec::new(), Vec::new()), "its fate is decided");
    }
}

#[test]
fn an_answer_that_comes_with_the_end_of_its_time_still_counts() {
    let mut scene = Scene::new(OnUnknown::Retry);
    scene.now = scene.now.checked_add(Duration::from_secs(10)).expect("in range");
    scene.ends(AttemptOutcome::Delivered { service_id: None });
    assert_eq!(scene.fates, [(MessageId::new("a"), Fate::Delivered)]);
}

#[test]
fn a_message_whose_first_attempt_is_unknown_never_fails_as_if_it_had_not_arrived() {
    let mut scene = Scene::new(OnUnknown::Retry);
    scene.ends(unknown());
    while scene.fates.is_empty() {
        scene.wakes();
        scene.ends(unreachable());
    }
    assert!(scene.forwarded.len() > 2, "it was tried again: {:?}", scene.forwarded);
    assert_eq!(scene.why(), "ServerError - it may have arrived: connection refused");
}

#[test]
fn a_message_that_never_left_fails_with_what_kept_it() {
    let mut scene = Scene::new(OnUnknown::Retry);
    scene.ends(unreachable());
    while scene.fates.is_empty() {
        scene.wakes();
        scene.ends(unreachable());
    }
    assert_eq!(scene.why(), "ServerError - connection refused");
}

#[test]
fn what_the_chat_service_reports_is_no_guess() {
    let mut scene = Scene::new(OnUnknown::Retry);
    scene.ends(unknown());
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "she left");
    scene.take(Input::Reported { message: MessageId::new("a"), report: Report::Failed { reason } });
    assert_eq!(scene.why(), "RecipientOptedOut - she left");
}

/// The last attempt may begin with hardly any time left. Then it does not learn what is wrong.
#[test]
fn an_attempt_whose_time_was_over_does_not_hide_what_the_one_before_was_told() {
    let answers = || Reason::new(ReasonCode::ServerError, "the chat service answered 307");
    let endings = [
        (ReasonCode::ServerError, "there was no connection within 0ns"),
        (ReasonCode::MessageExpired, "its time was up before it could be sent"),
    ];
    for (code, ending) in endings {
        let mut scene = Scene::new(OnUnknown::Retry);
        scene.ends(AttemptOutcome::NotTaken { reason: answers(), after: None });
        scene.wakes();
        assert_eq!(scene.forwarded, [1, 2]);
        scene.now = "2026-11-20T09:00:10Z".parse().expect("a time");
        scene.ends(AttemptOutcome::NotTaken { reason: Reason::new(code, ending), after: None });
        let why = scene.why();
        assert!(why.contains("answered 307") && why.contains("ServerError"), "{why}");
    }
}
