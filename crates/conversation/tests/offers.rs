//! A customer's text answers the newest offer that they could have read, and nothing else.

use std::time::Duration;

use conversation::{
    Answer, AttemptOutcome, Choice, Conversation, Effect, Input, MessageId, Offer, OptionKind,
    Owed, Policy, Reason, ReasonCode, Record, SessionId, Step,
};
use jiff::Timestamp;

/// One conversation with a session, and a clock that only moves when told.
struct Scene {
    policy: Policy,
    now: Timestamp,
    conversation: Conversation,
}

impl Scene {
    fn new() -> Self {
        let now = "2026-11-20T09:00:00Z".parse().expect("a time");
        let mut scene =
            Self { policy: Policy::default(), now, conversation: Conversation::default() };
        scene.take(Input::SessionOpened { session: SessionId::new("s") });
        scene
    }

    fn take(&mut self, input: Input) -> Step {
        self.conversation.handle(&self.policy, self.now, input)
    }

    /// The agent's message `id` offers these labels. Its attempt stays open.
    fn offers(&mut self, id: &str, labels: &[&str]) {
        let offer = Some(Box::new(offer(id, labels))).filter(|offer| !offer.options.is_empty());
        self.agent_writes(id, self.now, None, offer);
    }

    fn agent_writes(
        &mut self,
        id: &str,
        written: Timestamp,
        genesys: Option<&str>,
        offer: Option<Box<Offer>>,
    ) {
        let (message, received) = (MessageId::new(id), self.now);
        let (time, genesys) = (Some(written), genesys.map(Into::into));
        let unsuited = None;
        self.take(Input::AgentMessage { message, time, received, unsuited, genesys, offer });
    }

    fn ends(&mut self, id: &str, outcome: AttemptOutcome) {
        self.take(Input::AttemptEnded { message: MessageId::new(id), attempt: 1, outcome });
    }

    /// The chat service takes the message at its next attempt, which comes after a second.
    fn retried(&mut self, id: &str, attempt: u32) {
        self.now += Duration::from_mins(1);
        self.take(Input::Tick);
        let outcome = AttemptOutcome::Delivered { service_id: None };
        self.take(Input::AttemptEnded { message: MessageId::new(id), attempt, outcome });
    }

    fn delivered(&mut self, id: &str) {
        self.ends(id, AttemptOutcome::Delivered { service_id: None });
    }

    /// The customer writes `text`. Returns the payload that Genesys is owed for it.
    fn says(&mut self, id: &str, text: &str) -> Option<String> {
        let message = MessageId::new(id);
        let step = self.take(Input::CustomerMessage {
            message: message.clone(),
            text: Some(text.into()),
            tap: None,
        });
        let answer = step.effects.iter().find_map(|effect| match effect {
            Effect::Post(Owed::Inbound { message: of, answer }) if *of == message => {
                Some(answer.clone())
            }
            _ => None,
        });
        let result = conversation::PostResult::Posted { genesys_id: None };
        self.take(Input::InboundDone { message, result, genesys: None });
        answer.expect("Genesys is owed the message").map(|answer| answer.choice.payload.into())
    }
}

/// The payload of an option is the message's id and the label.
fn offer(id: &str, labels: &[&str]) -> Offer {
    let option = |label: &&str| Choice {
        kind: OptionKind::QuickReply,
        label: (*label).into(),
        payload: format!("{id}/{label}").into(),
        numbered: true,
    };
    Offer { options: labels.iter().map(option).collect() }
}

#[test]
fn an_offer_is_answered_once_by_a_number_or_a_label() {
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    assert_eq!(scene.says("1", "what do you mean?"), None);
    assert_eq!(scene.says("2", "no").as_deref(), Some("a/No"), "other words do not close it");
    assert_eq!(scene.says("3", "no"), None, "it is answered");
}

#[test]
fn the_newest_question_takes_the_number() {
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    scene.offers("b", &["Red", "Blue"]);
    scene.delivered("b");
    assert_eq!(scene.says("1", "yes"), None, "the older question is closed");
    assert_eq!(scene.says("2", "2").as_deref(), Some("b/Blue"));
    assert_eq!(scene.says("3", "1"), None, "the older question is not opened again");
}

fn not_taken() -> AttemptOutcome {
    let reason = Reason::new(ReasonCode::ServerError, "busy");
    AttemptOutcome::NotTaken { reason, after: None }
}

fn unknown() -> AttemptOutcome {
    AttemptOutcome::Unknown { reason: Reason::new(ReasonCode::ServerError, "no answer") }
}

#[test]
fn a_question_that_the_chat_service_did_not_take_is_not_answered() {
    for outcome in [not_taken(), AttemptOutcome::SessionGone] {
        let mut scene = Scene::new();
        scene.offers("a", &["Small", "Large"]);
        scene.delivered("a");
        scene.offers("b", &["Confirm", "Cancel"]);
        scene.ends("b", outcome.clone());
        assert_eq!(scene.says("1", "1").as_deref(), Some("a/Small"), "{outcome:?}");
        if outcome == AttemptOutcome::SessionGone {
            scene.take(Input::SessionOpened { session: SessionId::new("s2") });
        }
        scene.retried("b", 2);
        assert_eq!(scene.says("2", "1").as_deref(), Some("b/Confirm"), "{outcome:?}");
    }
}

#[test]
fn while_a_question_is_being_sent_a_number_of_both_means_neither() {
    let mut scene = Scene::new();
    scene.offers("a", &["Small", "Large"]);
    scene.delivered("a");
    scene.offers("b", &["Confirm", "Cancel"]);
    assert_eq!(scene.says("1", "1"), None);
    assert_eq!(scene.says("2", "large").as_deref(), Some("a/Large"), "a label of one of them");
    assert_eq!(scene.says("3", "1").as_deref(), Some("b/Confirm"));
}

#[test]
fn after_an_answer_to_the_question_that_is_being_sent_none_is_open() {
    let mut scene = Scene::new();
    scene.offers("a", &["Small", "Large"]);
    scene.delivered("a");
    scene.offers("b", &["Confirm", "Cancel"]);
    assert_eq!(scene.says("1", "cancel").as_deref(), Some("b/Cancel"));
    assert_eq!(scene.says("2", "1"), None, "they have read the newer one");
    scene.delivered("b");
    assert_eq!(scene.says("3", "1"), None);
}

/// The customer reads the numbers of an offer that is too large to keep.
#[test]
fn a_question_that_is_not_kept_still_replaces_the_one_before() {
    let mut scene = Scene::new();
    scene.offers("a", &["Small", "Large"]);
    scene.delivered("a");
    scene.offers("b", &["x"; 101]);
    scene.delivered("b");
    assert_eq!(scene.says("1", "2"), None);
}

/// Only so many offers of waiting messages are kept (I12).
#[test]
fn a_flood_of_questions_leaves_only_the_newest_to_answer() {
    let mut scene = Scene::new();
    scene.offers("0", &["Small", "Large"]);
    for id in 1..=20 {
        scene.offers(&id.to_string(), &["Small", "Large"]);
    }
    let json = serde_json::to_string(&scene.conversation).expect("a snapshot");
    assert!(json.matches("payload").count() <= 2 * 6, "{json}");
    for id in 0..20 {
        scene.delivered(&id.to_string());
    }
    assert_eq!(scene.says("said", "2"), None, "the last one was not kept, and is being sent");
}

#[test]
fn a_late_report_about_a_question_leaves_the_newer_one_open_too() {
    let mut scene = Scene::new();
    scene.policy.service_reports = true;
    scene.offers("a", &["Small", "Large"]);
    scene.ends("a", AttemptOutcome::Accepted { service_id: None });
    scene.offers("b", &["Confirm", "Cancel"]);
    let (message, report) = (MessageId::new("a"), conversation::Report::Delivered);
    scene.take(Input::Reported { message, report });
    assert_eq!(scene.says("1", "small").as_deref(), Some("a/Small"));
    assert_eq!(scene.says("2", "2").as_deref(), Some("b/Cancel"));
}

#[test]
fn a_tap_on_the_button_is_an_answer() {
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    let (message, tap) = (MessageId::new("tap"), Some(MessageId::new("a")));
    scene.take(Input::CustomerMessage { message: message.clone(), text: None, tap });
    let result = conversation::PostResult::Posted { genesys_id: None };
    scene.take(Input::InboundDone { message, result, genesys: None });
    assert_eq!(scene.says("1", "no"), None);
}

#[test]
fn a_question_of_the_conversation_before_is_not_answered() {
    let mut scene = Scene::new();
    let hello = |scene: &mut Scene, id: &str, genesys: &str| {
        let message = MessageId::new(id);
        scene.take(Input::CustomerMessage { message: message.clone(), text: None, tap: None });
        let result = conversation::PostResult::Posted { genesys_id: None };
        scene.take(Input::InboundDone { message, result, genesys: Some(genesys.into()) });
    };
    hello(&mut scene, "h1", "g1");
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    hello(&mut scene, "h2", "g1");
    hello(&mut scene, "h3", "g2");
    assert_eq!(scene.says("1", "1"), None);
}

#[test]
fn an_option_that_genesys_never_takes_is_told_in_the_customers_words() {
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    let (message, text) = (MessageId::new("1"), Some("2".into()));
    let step = scene.take(Input::CustomerMessage { message: message.clone(), text, tap: None });
    let mut owed = step.effects.into_iter().find_map(|effect| match effect {
        Effect::Post(owed) => Some(owed),
        _ => None,
    });
    for tries in 1..=3 {
        let tap = owed.clone().expect("it is owed");
        assert!(matches!(tap, Owed::Inbound { answer: Some(_), .. }), "try {tries}");
        let step = scene.take(Input::PostFailed { owed: tap, why: "answered 500".into() });
        owed = step.effects.into_iter().find_map(|effect| match effect {
            Effect::Post(owed) => Some(owed),
            _ => None,
        });
        if tries < 3 {
            let is_inbound = |owed: &&Owed| matches!(owed, Owed::Inbound { .. });
            owed = scene.conversation.owed().iter().find(is_inbound).cloned();
        }
    }
    assert_eq!(owed, Some(Owed::Inbound { message: message.clone(), answer: None }));
    let words = Owed::Inbound { message, answer: None };
    assert_eq!(scene.conversation.owed().iter().filter(|owed| **owed == words).count(), 1);
}

#[test]
fn a_message_without_an_offer_leaves_the_question_open() {
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    scene.offers("b", &[]);
    scene.delivered("b");
    assert_eq!(scene.says("1", "1").as_deref(), Some("a/Yes"));
}

#[test]
fn what_the_customer_cannot_have_read_is_not_answered() {
    let mut scene = Scene::new();
    scene.take(Input::SessionClosed { session: None, reason: None });
    assert_eq!(scene.says("back", "hello"), None);
    scene.offers("a", &["Yes", "No"]);
    assert_eq!(scene.says("1", "1"), None, "it waits for a session");
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "blocked");
    scene.ends("a", AttemptOutcome::Rejected { reason });
    assert_eq!(scene.says("1", "1"), None, "it has failed");
}

#[test]
fn the_question_closes_with_its_time_and_with_the_chat() {
    let mut scene = Scene::new();
    scene.policy.answer_within = Duration::from_mins(10);
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    scene.now += Duration::from_mins(10);
    assert_eq!(scene.says("1", "1").as_deref(), Some("a/Yes"), "the last moment");
    scene.offers("b", &["Yes", "No"]);
    scene.delivered("b");
    scene.now += Duration::from_secs(601);
    assert_eq!(scene.says("2", "1"), None);
    scene.offers("c", &["Yes", "No"]);
    scene.delivered("c");
    scene.take(Input::SessionClosed { session: None, reason: None });
    assert_eq!(scene.says("3", "1"), None);
}

/// The agent ended the chat while a question waited. It is sent after one that came later.
#[test]
fn a_question_that_is_still_sent_after_the_end_takes_the_number() {
    let mut scene = Scene::new();
    scene.take(Input::GenesysEnded { id: "none".into() });
    scene.offers("a", &["Yes", "No"]);
    let before = scene.now - Duration::from_secs(5);
    let red_or_blue = Some(Box::new(offer("b", &["Red", "Blue"])));
    scene.agent_writes("b", before, Some("g"), red_or_blue);
    scene.ends("a", not_taken());
    scene.take(Input::GenesysEnded { id: "g".into() });
    scene.retried("b", 1);
    assert_eq!(scene.says("1", "1").as_deref(), Some("a/Yes"), "its second attempt is open");
}

/// The agent ended the chat while the attempt to send the question was open. It is sent again after
/// one that came later.
#[test]
fn a_question_that_was_tried_before_the_end_takes_the_number() {
    let mut scene = Scene::new();
    scene.agent_writes("a", scene.now, Some("g"), Some(Box::new(offer("a", &["Yes", "No"]))));
    scene.take(Input::GenesysEnded { id: "g".into() });
    let before = scene.now - Duration::from_secs(5);
    let red_or_blue = Some(Box::new(offer("b", &["Red", "Blue"])));
    scene.agent_writes("b", before, Some("g"), red_or_blue);
    scene.ends("a", unknown());
    scene.retried("b", 1);
    scene.take(Input::AttemptEnded {
        message: MessageId::new("a"),
        attempt: 2,
        outcome: unknown(),
    });
    assert_eq!(scene.says("1", "1").as_deref(), Some("a/Yes"), "it may have arrived");
}

#[test]
fn a_restart_changes_nothing() {
    let mut scene = Scene::new();
    scene.offers("a", &["Yes", "No"]);
    scene.delivered("a");
    let json = serde_json::to_string(&scene.conversation).expect("a snapshot");
    scene.conversation = serde_json::from_str(&json).expect("a snapshot");
    assert_eq!(scene.says("1", "2").as_deref(), Some("a/No"));
}

/// Records of versions without offers are read, and those with one say so in the same words.
#[test]
fn the_records_keep_their_form() {
    let old = r#"{"kind":"inbound_accepted","message":"m","hold_until":"2026-11-20T09:00:00Z"}"#;
    let record: Record = serde_json::from_str(old).expect("a record");
    assert_eq!(serde_json::to_string(&record).expect("JSON"), old);
    let (label, payload) = ("Yes".into(), "existing-yes".into());
    let choice = Choice { kind: OptionKind::Button, label, payload, numbered: true };
    let answer = Some(Box::new(Answer { to: MessageId::new("a"), choice }));
    let record = Record::InboundReleased { message: MessageId::new("m"), answer };
    let json = serde_json::to_string(&record).expect("JSON");
    let expected = concat!(
        r#"{"kind":"inbound_released","message":"m","answer":{"to":"a","kind":"button","#,
        r#""label":"Yes","payload":"existing-yes","numbered":true}}"#
    );
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Record>(&json).expect("a record"), record);
}
