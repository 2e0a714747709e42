//! What an operator reads about the customer's messages. The state machine makes each history, and
//! the store in memory keeps it.

use std::time::Duration;

use crate::story::{SECRET, Story, opened, posted, refused, shown};
use conversation::{
    Choice, DeadLetterAction, Effect, InboundPolicy, Input, MessageId, Offer, OpenOutcome,
    OptionKind, Policy, TellOutcome,
};
use insta::assert_snapshot;
use store::Direction;
use timeline::Outcome;

#[test]
fn a_message_is_posted() {
    let mut story = Story::new();
    story.customer_writes("in1");
    story.until(300);
    assert_snapshot!(shown(&story.of_customer("in1")));
    story.inbound_ends("in1", posted());
    assert_snapshot!(shown(&story.of_customer("in1")));
}

#[test]
fn a_message_waits_for_the_handshake() {
    let mut policy = Policy::default();
    policy.hold.inbound = InboundPolicy::AfterHandshake;
    let mut story = Story::under(policy);
    story.customer_writes("in1");
    story.until(1_000);
    story.open_ends(OpenOutcome::Pending);
    story.until(2_000);
    story.customer_writes("in2");
    story.until(4_000);
    assert_snapshot!(shown(&story.of_customer("in1")));
    assert_snapshot!(shown(&story.of_customer("in2")));
    story.open_ends(opened("s1"));
    story.until(4_500);
    story.inbound_ends("in1", posted());
    assert_snapshot!(shown(&story.of_customer("in1")));
}

#[test]
fn genesys_refuses_a_message() {
    let mut story = Story::new();
    story.customer_writes("in1");
    story.until(400);
    story.inbound_ends("in1", refused("400 bad request: the text is too long."));
    assert_snapshot!(shown(&story.of_customer("in1")));
    story.until(500);
    let failed = TellOutcome::Failed { why: "503".into() };
    tell_ends(&mut story, "in1", failed);
    assert_snapshot!(shown(&story.of_customer("in1")));
    story.until(2_000);
    tell_ends(&mut story, "in1", TellOutcome::Heard);
    story.until(9_000);
    assert_snapshot!(shown(&story.of_customer("in1")));
}

#[test]
fn a_message_that_genesys_never_takes_becomes_a_dead_letter() {
    let mut policy = Policy::default();
    policy.inbound.give_up_after = Duration::from_mins(5);
    policy.inbound.give_up_tries = 3;
    let mut story = Story::under(policy);
    story.customer_writes("in1");
    story.open_ends(opened("s1"));
    for at in [1_000, 60_000] {
        story.until(at);
        story.post_fails("in1", "500 internal error");
    }
    story.until(90_000);
    assert_snapshot!(shown(&story.of_customer("in1")));
    story.until(400_000);
    story.post_fails("in1", "500 internal error");
    tell_ends(&mut story, "in1", TellOutcome::GivenUp { why: "no URL for events".into() });
    assert_snapshot!(shown(&story.of_customer("in1")));
}

#[test]
fn genesys_refuses_a_message_after_a_try_without_an_answer() {
    let mut story = Story::new();
    story.customer_writes("in1");
    story.until(1_000);
    story.post_fails("in1", "no answer in 10 s");
    assert_eq!(
        story.of_customer("in1").summary,
        "Genesys has not confirmed it: on its way for 1 s. 1 try failed (no answer in 10 s)."
    );
    story.until(2_000);
    story.inbound_ends("in1", refused("400 bad request"));
    tell_ends(&mut story, "in1", TellOutcome::Heard);
    assert_eq!(
        story.of_customer("in1").summary,
        "Dead letter: Genesys will never accept it (InvalidMessageStructure - 400 bad request). 1 \
         try before got no confirmation (no answer in 10 s). The chat service was told at 09:00:02."
    );
}

#[test]
fn an_option_that_genesys_does_not_take_goes_as_text() {
    let mut story = Story::new();
    let choice = |label: &str| Choice {
        kind: OptionKind::QuickReply,
        label: label.into(),
        payload: SECRET.into(),
        numbered: true,
    };
    let offer = Offer { options: vec![choice(SECRET), choice("no")] };
    let input = Input::AgentMessage {
        message: MessageId::new("m1"),
        time: Some(story.now),
        received: story.now,
        unsuited: None,
        genesys: None,
        offer: Some(Box::new(offer)),
    };
    story.arrives(Direction::Outbound, "m1", Some(input));
    story.handle_inbox();
    story.open_ends(opened("s1"));
    story.until(5_000);
    story.customer_writes("in1");
    for at in [6_000, 7_000, 8_000] {
        story.until(at);
        story.post_fails("in1", "500 internal error");
    }
    story.until(9_000);
    story.inbound_ends("in1", posted());
    let told = shown(&story.of_customer("in1"));
    assert!(told.contains("the offer of m1"), "{told}");
    assert_snapshot!(told);
    let told = shown(&story.of_agent("m1"));
    assert!(told.contains("It offers 2 options") && !told.contains(SECRET), "{told}");
}

#[test]
fn an_operator_retries_a_dead_letter() {
    let mut story = Story::new();
    for id in ["in1", "in2"] {
        story.customer_writes(id);
    }
    story.until(400);
    story.inbound_ends("in1", refused("400 bad request"));
    story.until(600_000);
    story.operator_acts(DeadLetterAction::Retry, "in1");
    assert_snapshot!(shown(&story.of_customer("in1")));
    story.until(602_000);
    story.inbound_ends("in2", posted());
    story.until(603_000);
    story.inbound_ends("in1", refused("400 still bad"));
    story.until(603_500);
    tell_ends(&mut story, "in1", TellOutcome::Heard);
    assert_snapshot!(shown(&story.of_customer("in1")));
    story.until(700_000);
    story.operator_acts(DeadLetterAction::Retry, "in1");
    story.until(701_000);
    story.inbound_ends("in1", posted());
    assert_snapshot!(shown(&story.of_customer("in1")));
}

#[test]
fn an_operator_discards_a_dead_letter() {
    let mut story = Story::new();
    story.customer_writes("in1");
    story.until(400);
    story.inbound_ends("in1", refused("400 bad request"));
    tell_ends(&mut story, "in1", TellOutcome::Heard);
    story.until(60_000);
    story.operator_acts(DeadLetterAction::Discard, "in1");
    let told = story.of_customer("in1");
    assert_eq!(told.outcome, Outcome::Discarded);
    assert_snapshot!(shown(&told));
}

/// As long as no node has handled an action, the message is a dead letter, and acting again has no
/// effect.
#[test]
fn an_operators_action_waits_for_a_node() {
    let mut story = Story::new();
    story.customer_writes("in1");
    story.until(400);
    story.inbound_ends("in1", refused("400 bad request"));
    tell_ends(&mut story, "in1", TellOutcome::Heard);
    let next = |story: &Story| story.of_customer("in1").next.map(|next| next.text);
    assert!(next(&story).is_some_and(|text| text.contains("unless an operator acts")));
    story.operator_asks(DeadLetterAction::Retry, "in1");
    let told = story.of_customer("in1");
    assert_eq!(told.outcome, Outcome::Refused);
    let waits = "ops has asked to have it posted again, and no node has handled that yet.";
    assert!(told.summary.ends_with(waits), "{}", told.summary);
    assert!(next(&story).is_some_and(|text| text.starts_with("An operator's action waits")));
    story.handle_inbox();
    let told = story.of_customer("in1");
    assert!(!told.summary.contains("has asked"), "{}", told.summary);
    story.until(60_000);
    story.inbound_ends("in1", refused("400 still bad"));
    tell_ends(&mut story, "in1", TellOutcome::Heard);
    story.operator_asks(DeadLetterAction::Discard, "in1");
    let told = story.of_customer("in1").summary;
    assert!(told.contains("ops has asked to discard it, and no node"), "{told}");
    story.handle_inbox();
    let told = story.of_customer("in1");
    assert!(told.outcome == Outcome::Discarded && !told.summary.contains("has asked"));
}

#[test]
fn a_message_that_is_only_stored() {
    let mut story = Story::new();
    story.customer_writes("in0");
    story.arrives(Direction::Inbound, "in1", None);
    let told = story.of_customer("in1");
    assert_eq!(told.outcome, Outcome::Kept);
    assert_snapshot!(shown(&told));
}

/// The last call ends that tells the chat service about the message.
fn tell_ends(story: &mut Story, id: &str, outcome: TellOutcome) {
    let call = |effect: &Effect| match effect {
        Effect::TellRefused { message, attempt, .. } if message.as_str() == id => Some(*attempt),
        _ => None,
    };
    let attempt = story.effects.iter().rev().find_map(call).expect("a call");
    story.happens(Input::RefusalTold { message: MessageId::new(id), attempt, outcome });
}
