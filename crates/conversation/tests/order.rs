//! The order of agents' messages: by Genesys's time, then by arrival, and never by a clock of ours.

use std::time::Duration;

use conversation::{
    AttemptOutcome, Conversation, Effect, Input, MessageId, Policy, Record, SessionId,
};
use jiff::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// An agent's message, accepted by a node whose clock says `received`.
fn message(id: &str, time: Option<&str>, received: &str) -> Input {
    Input::AgentMessage {
        message: MessageId::new(id),
        time: time.map(at),
        received: at(received),
        unsuited: None,
        genesys: None,
        offer: None,
    }
}

/// The order in which messages are forwarded that came while there was no session.
fn order_of(messages: Vec<Input>) -> Vec<String> {
    let (mut policy, now) = (Policy::default(), at("2026-11-20T09:00:10Z"));
    // Longer than any clock is wrong, because this test is not about expiry.
    policy.hold.limit = Duration::from_hours(9);
    policy.delivery.give_up_after = Duration::from_hours(9);
    let mut conversation = Conversation::default();
    for input in messages {
        conversation.handle(&policy, now, input);
    }
    let mut input = Input::SessionOpened { session: SessionId::new("s") };
    let mut order = Vec::new();
    loop {
        let step = conversation.handle(&policy, now, input);
        let next = step.effects.into_iter().find_map(|effect| match effect {
            Effect::Forward { message, attempt, .. } => Some((message, attempt)),
            _ => None,
        });
        let Some((message, attempt)) = next else { return order };
        order.push(message.to_string());
        let outcome = AttemptOutcome::Delivered { service_id: None };
        input = Input::AttemptEnded { message, attempt, outcome };
    }
}

#[test]
fn messages_that_nodes_with_other_clocks_took_in_go_as_genesys_wrote_them() {
    let order = order_of(vec![
        message("first", Some("2026-11-20T09:00:00Z"), "2026-11-20T09:00:00.050Z"),
        // The second node's clock is two minutes behind, the third's two minutes ahead.
        message("second", Some("2026-11-20T09:00:01Z"), "2026-11-20T08:58:01.050Z"),
        message("third", Some("2026-11-20T09:00:02Z"), "2026-11-20T09:02:02.050Z"),
    ]);
    assert_eq!(order, ["first", "second", "third"]);
}

#[test]
fn a_clock_of_genesys_that_is_ahead_of_ours_is_believed() {
    let order = order_of(vec![
        message("later", Some("2026-11-20T10:00:00.000001Z"), "2026-11-20T09:00:01Z"),
        message("sooner", Some("2026-11-20T10:00:00Z"), "2026-11-20T09:00:02Z"),
    ]);
    assert_eq!(order, ["sooner", "later"]);
}

#[test]
fn a_message_without_a_time_goes_behind_all_that_were_accepted_before_it() {
    let order = order_of(vec![
        message("untimed first", None, "2026-11-20T09:00:00Z"),
        message("timed", Some("2026-11-20T09:00:05Z"), "2026-11-20T09:00:05Z"),
        message("untimed second", None, "2026-11-20T08:00:00Z"),
        message("late", Some("2026-11-20T09:00:01Z"), "2026-11-20T09:00:06Z"),
        message("next", Some("2026-11-20T09:00:06Z"), "2026-11-20T09:00:07Z"),
    ]);
    assert_eq!(order, ["untimed first", "late", "timed", "untimed second", "next"]);
}

#[test]
fn a_place_outlives_a_snapshot_of_this_version_and_of_the_one_before() {
    let (policy, now) = (Policy::default(), at("2026-11-20T09:00:10Z"));
    let mut conversation = Conversation::default();
    conversation.handle(&policy, now, message("first", None, "2026-11-20T09:00:00Z"));
    conversation.handle(
        &policy,
        now,
        message("second", Some("2026-11-20T09:00:05Z"), "2026-11-20T09:00:05Z"),
    );
    let mut snapshot = serde_json::to_value(&conversation).expect("it is JSON");
    let whole: Conversation = serde_json::from_value(snapshot.clone()).expect("it is read back");
    assert_eq!(whole, conversation);
    snapshot.as_object_mut().expect("an object").remove("latest").expect("it is there");
    let mut older: Conversation =
        serde_json::from_value(snapshot).expect("an older snapshot is read");
    let step = older.handle(&policy, now, message("third", None, "2026-11-20T01:00:00Z"));
    let Some(Record::Accepted { time, .. }) = step.records.first() else {
        panic!("{:?}", step.records)
    };
    assert_eq!(*time, at("2026-11-20T09:00:05Z"), "behind what waits");
}
