//! What an operator reads about a whole conversation, and about one whose beginning is gone or
//! whose records cannot be read.

use std::time::Duration;

use conversation::{
    AfterFailure, AttemptOutcome, Input, MessageId, Owed, Policy, Reason, ReasonCode, Record,
};
use insta::assert_snapshot;
use jiff::Timestamp;
use store::{Direction, Dossier};
use timeline::{ConversationTimeline, MAX_MESSAGES, MAX_STEPS, Outcome, SessionState, StepKind};

use crate::story::{
    SECRET, Story, lines, not_now, not_taken, opened, posted, refused, shown, taken,
};

#[test]
fn a_conversation_in_the_middle_of_the_night() {
    let mut story = Story::new();
    story.customer_writes("in1");
    story.until(400);
    story.open_ends(opened("s1"));
    story.inbound_ends("in1", posted());
    story.until(5_000);
    story.agent_writes("m1");
    story.attempt_ends("m1", taken());
    story.until(6_000);
    story.receipt_ends("m1", posted());
    story.until(7_000);
    story.customer_writes("in2");
    story.until(8_000);
    story.inbound_ends("in2", refused("400 bad request"));
    story.agent_writes("m2");
    story.until(9_000);
    story.attempt_ends("m2", not_taken(None));
    story.until(12_000);
    story.happens(Input::SessionLost { session: None });
    story.until(14_000);
    story.open_ends(not_now());
    story.until(14_300);
    assert_snapshot!(overview(&story.overview()));
}

#[test]
fn a_paused_conversation_waits_for_another_session() {
    let mut policy = Policy::default();
    policy.delivery.after_failure = AfterFailure::Pause;
    let mut story = Story::in_session(policy);
    story.agent_writes("m2");
    story.until(1_000);
    let reason = Reason::new(ReasonCode::MessageNotAllowed, "not now");
    story.attempt_ends("m1", AttemptOutcome::Rejected { reason });
    story.until(20_000);
    let told = story.overview();
    assert!(told.paused);
    assert_snapshot!(overview(&told));
    story.happens(Input::Resume);
    assert!(!story.overview().paused);
    assert_eq!(story.of_agent("m2").outcome, Outcome::InFlight);
}

#[test]
fn an_ended_conversation_has_nothing_left_to_do() {
    let mut story = Story::in_session(Policy::default());
    story.attempt_ends("m1", taken());
    story.until(500);
    story.receipt_ends("m1", posted());
    story.until(90_000);
    story.happens(Input::GenesysEnded { id: "genesys-1".into() });
    story.until(100_000);
    let told = story.overview();
    assert_eq!((told.next.clone(), told.session.state), (None, SessionState::Closed));
    assert_snapshot!(overview(&told));
}

#[test]
fn the_gateway_gives_the_disconnect_up() {
    let mut policy = Policy::default();
    policy.inbound.give_up_tries = 1;
    policy.inbound.give_up_after = Duration::ZERO;
    let mut story = Story::under(policy);
    story.customer_writes("in1");
    story.inbound_ends("in1", posted());
    story.happens(Input::SessionClosed { session: None, reason: None });
    let owed = Owed::Disconnect { id: "genesys-1".into() };
    story.happens(Input::PostFailed { owed, why: "no answer in 10 s".into() });
    let told = story.overview();
    let disconnect = told.steps.iter().find(|step| step.kind == StepKind::Disconnect);
    assert_eq!(
        disconnect.map(|step| step.text.as_str()),
        Some(
            "Genesys did not confirm that it disconnected the customer: given up after 1 tries, \
             the last: no answer in 10 s."
        )
    );
}

#[test]
fn no_node_handles_what_came() {
    let mut story = Story::new();
    story.store_agent_message("m1");
    story.down_until(45_000);
    assert_snapshot!(overview(&story.overview()));
}

#[test]
fn another_day_is_named() {
    let mut story = Story::in_session(Policy::default());
    story.attempt_ends("m1", taken());
    story.receipt_ends("m1", posted());
    story.until(16 * 3_600_000);
    assert_eq!(
        story.of_agent("m1").summary,
        "Delivered at 2026-11-20 09:00:00. Genesys has the Delivered receipt since 2026-11-20 \
         09:00:00."
    );
}

#[test]
fn the_beginning_was_pruned() {
    let mut story = Story::in_session(Policy::default());
    story.attempt_ends("m1", taken());
    story.receipt_ends("m1", posted());
    story.until(3_600_000);
    story.agent_writes("m2");
    story.attempt_ends("m2", not_taken(Some(120)));
    story.until(3_700_000);
    story.prune();
    let dossier = story.dossier();
    assert!(dossier.pruned_seq > 0 && dossier.messages.len() == 1, "{dossier:#?}");
    let told = story.of_agent("m2");
    assert!(told.pruned && told.steps.iter().all(|step| step.kind != StepKind::Gap));
    assert_snapshot!(shown(&told));
    assert_snapshot!(overview(&story.overview()));
}

#[test]
fn only_the_row_of_a_message_is_left() {
    let mut story = Story::new();
    story.agent_writes("m1");
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "stopped");
    story.open_ends(conversation::OpenOutcome::Refused(reason));
    story.receipt_ends("m1", posted());
    let mut dossier = story.dossier();
    dossier.pruned_seq = dossier.seq;
    dossier.journal.clear();
    assert_snapshot!(shown(&of_agent(&dossier, "m1", story.now)));
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_not_quoted() {
    let mut story = Story::in_session(Policy::default());
    story.until(1_000);
    story.attempt_ends("m1", taken());
    story.until(2_000);
    let mut dossier = story.dossier();
    for row in &mut dossier.journal {
        if matches!(row.record, Ok(Record::Settled { .. })) {
            row.record = Err(format!("invalid type: string {SECRET:?}"));
        }
    }
    let told = of_agent(&dossier, "m1", story.now);
    assert_eq!((told.outcome, told.damaged), (Outcome::Delivered, 1), "the row still says it");
    assert_snapshot!(shown(&told));
    let told = timeline::conversation(&dossier, story.now);
    assert_eq!(told.damaged, 1);
    assert!(told.summary.contains("1 record cannot be read"), "{}", told.summary);
}

#[test]
fn a_message_that_the_store_does_not_know() {
    let mut story = Story::new();
    story.agent_writes("m1");
    let id = MessageId::new("m1");
    let dossier = story.dossier();
    assert_eq!(timeline::message(&dossier, Direction::Inbound, &id, story.now), None);
    let id = MessageId::new("m2");
    assert_eq!(timeline::message(&dossier, Direction::Outbound, &id, story.now), None);
}

#[test]
fn a_long_conversation_is_cut_and_its_failures_stay() {
    let mut story = Story::new();
    story.agent_writes("m0");
    story.open_ends(not_now());
    story.until(900);
    story.open_ends(opened("s1"));
    let reason = Reason::new(ReasonCode::UnsupportedMessage, "no");
    story.attempt_ends("m0", AttemptOutcome::Rejected { reason });
    for number in 1..=300_u64 {
        story.until(number * 1_000);
        let id = format!("m{number}");
        story.agent_writes(&id);
        story.attempt_ends(&id, taken());
        story.happens(Input::SessionOpened { session: conversation::SessionId::new(&id) });
    }
    let told = story.overview();
    assert_eq!((told.messages.len(), told.messages_left_out), (MAX_MESSAGES, 101));
    assert_eq!(told.messages[0].message, "m0", "the failed one");
    assert_eq!(told.messages[1].message, "m102", "then the newest");
    assert_eq!(told.counts.values().sum::<usize>(), 301, "all are counted");
    assert_eq!(told.steps.len(), MAX_STEPS);
    assert!(told.steps[0].failed, "the handshake that failed: {:?}", told.steps[0]);
    assert!(told.steps[1..].iter().all(|step| !step.failed));
    assert!(told.steps_left_out > 100);
}

#[test]
fn the_words_of_the_api_are_stable() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(200);
    story.open_ends(not_now());
    let told = serde_json::to_string_pretty(&story.of_agent("m1")).expect("JSON");
    assert_snapshot!(told);
    let told = serde_json::to_string_pretty(&story.overview()).expect("JSON");
    assert!(!told.contains(SECRET), "{told}");
    assert_snapshot!(told);
}

fn of_agent(dossier: &Dossier, id: &str, now: Timestamp) -> timeline::MessageTimeline {
    timeline::message(dossier, Direction::Outbound, &MessageId::new(id), now).expect("known")
}

/// A conversation as an operator's terminal would show it.
fn overview(told: &ConversationTimeline) -> String {
    let mut shown = vec![told.summary.clone()];
    for line in &told.messages {
        let direction = line.direction.as_str();
        shown.push(format!("{} {direction}: {}", line.message, line.summary));
    }
    shown.extend(lines(&told.steps));
    shown.push(match &told.next {
        Some(next) => format!("next: {}", next.text),
        None => "nothing comes next".to_owned(),
    });
    shown.join("\n")
}
