//! What an operator reads about the agent's messages. The state machine makes each history, and the
//! store in memory keeps it.

use std::time::Duration;

use crate::story::{Story, not_now, not_taken, opened, posted, refused, shown, taken, unknown};
use conversation::{
    AfterFailure, AttemptOutcome, DeliveredOn, Input, MessageId, NoticeKind, OnUnknown,
    OpenOutcome, Policy, PostResult, Reason, ReasonCode, Report, SendReceipts,
};
use insta::assert_snapshot;
use store::Direction;
use timeline::{Outcome, StepKind};

#[test]
fn a_message_is_delivered_at_once() {
    let mut story = Story::new();
    story.agent_writes("m0");
    story.open_ends(opened("s1"));
    story.until(60_000);
    story.agent_writes("m1");
    assert_eq!(story.of_agent("m1").outcome, Outcome::Waiting, "another attempt is open");
    story.until(60_200);
    story.attempt_ends("m0", taken());
    story.until(60_400);
    story.attempt_ends("m1", taken());
    story.until(60_900);
    story.receipt_ends("m1", posted());
    story.until(65_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_message_is_held_and_then_delivered() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(2_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.open_ends(OpenOutcome::Pending);
    story.until(4_500);
    story.open_ends(opened("s1"));
    story.until(5_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.attempt_ends("m1", taken());
    story.until(5_500);
    story.receipt_ends("m1", posted());
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_handshake_fails_until_the_message_expires() {
    let mut story = Story::new();
    story.agent_writes("m1");
    for at in [200, 3_000, 12_000, 22_000] {
        story.until(at);
        story.open_ends(not_now());
    }
    story.until(22_500);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.until(31_000);
    story.receipt_ends("m1", posted());
    story.until(60_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_handshake_never_ends() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(400);
    story.open_ends(OpenOutcome::Pending);
    story.until(6_000);
    story.open_ends(OpenOutcome::Pending);
    story.until(32_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_chat_service_refuses_the_customer() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(700);
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "The customer wrote STOP.");
    story.open_ends(OpenOutcome::Refused(reason));
    story.until(1_000);
    story.receipt_ends("m1", posted());
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_chat_service_refuses_the_message() {
    let mut story = Story::in_session(Policy::default());
    story.until(300);
    let reason = Reason::new(ReasonCode::UnsupportedMessage, "no cards here");
    story.attempt_ends("m1", AttemptOutcome::Rejected { reason });
    story.until(800);
    story.receipt_ends("m1", posted());
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_message_is_retried_and_then_delivered() {
    let mut story = Story::in_session(Policy::default());
    story.until(100);
    story.attempt_ends("m1", not_taken(None));
    story.until(3_000);
    story.attempt_ends("m1", not_taken(Some(20)));
    story.until(10_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.until(23_400);
    story.attempt_ends("m1", taken());
    story.until(24_000);
    story.receipt_ends("m1", posted());
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_message_fails_although_it_may_have_arrived() {
    let mut policy = Policy::default();
    policy.delivery.on_unknown = OnUnknown::Fail;
    let mut story = Story::in_session(policy);
    story.until(10_000);
    story.attempt_ends("m1", unknown());
    story.until(10_500);
    story.receipt_ends("m1", posted());
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_doubt_stays_although_the_last_attempt_is_refused() {
    let mut story = Story::in_session(Policy::default());
    story.until(10_000);
    story.attempt_ends("m1", unknown());
    story.until(12_000);
    let reason = Reason::new(ReasonCode::MessageNotAllowed, "the room is closed");
    story.attempt_ends("m1", AttemptOutcome::Rejected { reason });
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_report_ends_the_doubt() {
    let policy = Policy { service_reports: true, ..Policy::default() };
    let mut story = Story::in_session(policy);
    story.until(10_000);
    story.attempt_ends("m1", unknown());
    let reason = Reason::new(ReasonCode::InvalidDestination, "no such room");
    story.until(10_100);
    story.reports("m1", Report::Failed { reason });
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_report_never_comes() {
    let mut policy = Policy { service_reports: true, ..Policy::default() };
    policy.receipts.send = SendReceipts::All;
    let mut story = Story::in_session(policy);
    story.until(200);
    story.attempt_ends("m1", taken());
    story.until(600_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.until(3_700_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

/// `m1` is sent at 10:00:00, because the chat service has not reported on it.
fn sent_without_a_report() -> Story {
    let mut story = Story::in_session(Policy { service_reports: true, ..Policy::default() });
    story.attempt_ends("m1", taken());
    story.until(3_600_000);
    story.receipt_ends("m1", posted());
    story.until(3_900_000);
    story
}

#[test]
fn a_report_comes_after_the_message_became_sent() {
    let mut story = sent_without_a_report();
    story.reports("m1", Report::Delivered);
    assert_eq!(
        story.of_agent("m1").summary,
        "Sent at 10:00:00: the chat service has it, and did not report in time whether it arrived. \
         It arrived after all: the chat service reported it at 10:05:00. Genesys has the Sent \
         receipt since 10:00:00."
    );
    let mut story = sent_without_a_report();
    story.reports("m1", bounced());
    assert_eq!(
        story.of_agent("m1").summary,
        "Sent at 10:00:00: the chat service has it, and did not report in time whether it arrived. \
         The chat service reported later, at 10:05:00, that it did not arrive (InvalidDestination \
         - it bounced). Genesys has the Sent receipt since 10:00:00."
    );
}

/// `m1` fails at 09:00:10, and nobody knows whether it arrived.
fn failed_in_doubt() -> Story {
    let mut policy = Policy::default();
    policy.delivery.on_unknown = OnUnknown::Fail;
    let mut story = Story::under(policy);
    story.agent_writes("m1");
    // It was never sent, so this ends no doubt.
    story.reports("m1", bounced());
    story.open_ends(opened("s1"));
    story.until(10_000);
    story.attempt_ends("m1", unknown());
    story.receipt_ends("m1", posted());
    story.until(60_000);
    story
}

#[test]
fn a_report_comes_after_the_message_failed_in_doubt() {
    let mut story = failed_in_doubt();
    assert_eq!(
        story.of_agent("m1").summary,
        "May have arrived: no answer says whether the chat service took it (ServerError - no \
         answer in 10 s). Genesys has the Failed receipt (ServerError) since 09:00:10."
    );
    story.reports("m1", bounced());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: no answer says whether the chat service took it (ServerError - no answer \
         in 10 s). The chat service reported later, at 09:01:00, that it did not arrive \
         (InvalidDestination - it bounced). Genesys has the Failed receipt (ServerError) since \
         09:00:10."
    );
    for report in [Report::Delivered, Report::Read] {
        let mut story = failed_in_doubt();
        story.reports("m1", report);
        assert_eq!(
            story.of_agent("m1").summary,
            "It arrived after all: the chat service reported it at 09:01:00. The gateway had given \
             it up: no answer says whether the chat service took it (ServerError - no answer in 10 \
             s). Genesys has the Failed receipt (ServerError) since 09:00:10."
        );
    }
}

#[test]
fn a_message_that_was_delivered_is_reported_as_lost() {
    let mut story = Story::in_session(Policy::default());
    story.attempt_ends("m1", taken());
    story.receipt_ends("m1", posted());
    story.until(60_000);
    story.reports("m1", bounced());
    assert_eq!(
        story.of_agent("m1").summary,
        "Delivered at 09:00:00. The chat service reported later, at 09:01:00, that it did not \
         arrive (InvalidDestination - it bounced). Genesys has the Delivered receipt since \
         09:00:00."
    );
    story.reports("m1", Report::Read);
    let receipt = "Genesys has the Delivered receipt since 09:00:00.";
    assert_eq!(story.of_agent("m1").summary, format!("Delivered at 09:00:00. {receipt}"));
}

#[test]
fn a_message_that_was_never_sent_is_reported_as_delivered() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.open_ends(OpenOutcome::Refused(Reason::new(ReasonCode::RecipientOptedOut, "no more")));
    story.receipt_ends("m1", posted());
    story.until(60_000);
    story.reports("m1", Report::Delivered);
    assert_eq!(
        story.of_agent("m1").summary,
        "The chat service reported at 09:01:00 that it arrived, although no record says that the \
         gateway sent it. The gateway had given it up: the chat service refused the customer \
         (RecipientOptedOut - no more). Genesys has the Failed receipt (RecipientOptedOut) since \
         09:00:00."
    );
}

fn bounced() -> Report {
    Report::Failed { reason: Reason::new(ReasonCode::InvalidDestination, "it bounced") }
}

#[test]
fn a_read_message_is_delivered() {
    let mut policy = Policy::default();
    policy.receipts.delivered_on = DeliveredOn::Reported;
    policy.receipts.send = SendReceipts::Failures;
    let mut story = Story::in_session(policy);
    story.attempt_ends("m1", taken());
    story.until(42_000);
    story.reports("m1", Report::Read);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

/// The session of `m1` opens after a second, and is lost half a second later in the attempt.
fn lost_in_the_attempt() -> Story {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(1_000);
    story.open_ends(opened("s1"));
    story.until(1_500);
    story.attempt_ends("m1", AttemptOutcome::SessionGone);
    story
}

#[test]
fn the_session_is_lost_in_between() {
    let mut story = lost_in_the_attempt();
    story.until(4_000);
    story.open_ends(opened("s2"));
    story.until(4_200);
    story.attempt_ends("m1", taken());
    story.until(4_800);
    story.receipt_ends("m1", posted());
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_session_is_lost_and_no_other_opens() {
    let mut story = lost_in_the_attempt();
    story.until(40_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

/// The first attempt about `m1` ends like this, after a second.
fn after_the_first_attempt(policy: Policy, outcome: AttemptOutcome) -> Story {
    let mut story = Story::in_session(policy);
    story.until(1_000);
    story.attempt_ends("m1", outcome);
    story
}

#[test]
fn the_session_is_lost_and_the_customer_is_refused() {
    let mut story = after_the_first_attempt(Policy::default(), AttemptOutcome::SessionGone);
    story.until(2_000);
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "The customer wrote STOP.");
    story.open_ends(OpenOutcome::Refused(reason));
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: the chat service refused the customer (RecipientOptedOut - The customer \
         wrote STOP). 1 attempt ended without success (the session was gone). Genesys has the \
         Failed receipt (RecipientOptedOut) since 09:00:02."
    );
}

#[test]
fn the_customer_leaves_after_an_attempt() {
    let mut story = after_the_first_attempt(Policy::default(), not_taken(Some(20)));
    story.until(2_000);
    story.happens(Input::SessionClosed { session: None, reason: None });
    story.receipt_ends("m1", posted());
    let ending = "Genesys has the Failed receipt (InvalidDestination) since 09:00:02.";
    assert_eq!(
        story.of_agent("m1").summary,
        format!(
            "Not delivered: the customer left the chat. 1 attempt ended without success \
             (ServerError - 503). {ending}"
        )
    );
    let mut story = after_the_first_attempt(Policy::default(), unknown());
    let reason = Some(Reason::new(ReasonCode::InvalidDestination, "bye"));
    story.happens(Input::SessionClosed { session: None, reason });
    story.until(2_000);
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        format!(
            "May have arrived: the outcome of an attempt is not known. After that, the customer \
             left the chat (InvalidDestination - bye). 1 attempt ended without success \
             (ServerError - no answer in 10 s). {ending}"
        )
    );
}

#[test]
fn the_customer_leaves_during_the_last_attempt() {
    let mut story = Story::in_session(Policy::default());
    story.until(1_000);
    let reason = Some(Reason::new(ReasonCode::RecipientOptedOut, "no more"));
    story.happens(Input::SessionClosed { session: None, reason });
    story.until(2_000);
    story.attempt_ends("m1", not_taken(None));
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: the customer left the chat (RecipientOptedOut - no more). 1 attempt ended \
         without success (ServerError - 503). Genesys has the Failed receipt (RecipientOptedOut) \
         since 09:00:02."
    );
}

#[test]
fn a_session_is_lost_after_an_attempt_and_no_other_opens() {
    let mut story = after_the_first_attempt(Policy::default(), not_taken(Some(20)));
    story.happens(Input::SessionLost { session: None });
    story.until(40_000);
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: its session was lost, and no other opened in time (MessageExpired - the \
         customer's chat session was not ready in time; the last try: the chat service lost the \
         session). 1 attempt ended without success (ServerError - 503). Genesys has the Failed \
         receipt (MessageExpired) since 09:00:40."
    );
}

/// A message that Genesys wrote a minute before now, and that no chat service can carry, arrives.
fn an_earlier_message_fails(story: &mut Story) {
    let input = Input::AgentMessage {
        message: MessageId::new("m0"),
        time: Some(story.now - Duration::from_mins(1)),
        received: story.now,
        unsuited: Some(Reason::new(ReasonCode::UnsupportedMessage, "it has a video")),
        genesys: None,
        offer: None,
    };
    story.arrives(Direction::Outbound, "m0", Some(input));
    story.handle_inbox();
}

#[test]
fn a_message_before_it_fails_after_an_attempt() {
    let mut policy = Policy::default();
    policy.delivery.after_failure = AfterFailure::FailRest;
    let mut story = after_the_first_attempt(policy.clone(), not_taken(Some(20)));
    an_earlier_message_fails(&mut story);
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: a message before it failed. 1 attempt ended without success (ServerError - \
         503). Genesys has the Failed receipt (GeneralError) since 09:00:01."
    );
    policy.delivery.after_failure = AfterFailure::Pause;
    let mut story = after_the_first_attempt(policy, not_taken(Some(20)));
    an_earlier_message_fails(&mut story);
    story.until(300_000);
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: its time ran out before another attempt (ServerError - 503). 1 attempt \
         ended without success (ServerError - 503). Genesys has the Failed receipt (ServerError) \
         since 09:05:00."
    );
}

#[test]
fn the_customer_leaves_before_the_message_can_be_sent() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(3_000);
    story.happens(Input::SessionClosed { session: None, reason: None });
    story.until(3_400);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_failed_message_pauses_those_behind_it() {
    let mut policy = Policy::default();
    policy.delivery.after_failure = AfterFailure::Pause;
    let mut story = Story::in_session(policy);
    story.until(500);
    story.agent_writes("m2");
    story.until(1_000);
    story.agent_writes("m3");
    let reason = Reason::new(ReasonCode::MessageNotAllowed, "not now");
    story.attempt_ends("m1", AttemptOutcome::Rejected { reason });
    story.until(61_000);
    assert_snapshot!(shown(&story.of_agent("m2")));
    assert_snapshot!(shown(&story.of_agent("m3")));
    story.until(310_000);
    assert_snapshot!(shown(&story.of_agent("m2")));
}

#[test]
fn the_receipt_is_not_at_genesys_yet() {
    let mut story = Story::in_session(Policy::default());
    story.until(200);
    story.attempt_ends("m1", taken());
    story.until(125_200);
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn genesys_refuses_the_receipt() {
    let mut story = Story::in_session(Policy::default());
    story.until(200);
    story.attempt_ends("m1", taken());
    story.until(900);
    story.receipt_ends("m1", refused("400 bad request: the conversation is gone"));
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn the_agent_gets_notices() {
    let notices = [NoticeKind::Held, NoticeKind::Expired].into();
    let mut policy = Policy { notices, ..Policy::default() };
    policy.hold.limit = Duration::from_secs(5);
    let mut story = Story::under(policy);
    story.agent_writes("m1");
    story.until(300);
    for (at, notice) in [(300, NoticeKind::Held), (6_000, NoticeKind::Expired)] {
        story.until(at);
        let result = PostResult::Posted { genesys_id: None };
        story.happens(Input::NoticeDone { message: MessageId::new("m1"), notice, result });
        assert!(story.of_agent("m1").summary.ends_with("The agent was told in the conversation."));
    }
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_message_that_no_node_handles_waits_in_the_inbox() {
    let mut story = Story::new();
    story.store_agent_message("m1");
    story.down_until(90_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.handle_inbox();
    assert_snapshot!(shown(&story.of_agent("m1")));
}

#[test]
fn a_pause_does_not_hold_back_the_messages_ahead_of_the_failed_one() {
    let mut policy = Policy::default();
    policy.delivery.after_failure = AfterFailure::Pause;
    let mut story = Story::under(policy);
    story.agent_writes("m0");
    story.open_ends(opened("s1"));
    let reason = Reason::new(ReasonCode::UnsupportedMessage, "it has a video");
    // Genesys wrote `m2` before `m3`, and it arrives after it.
    for (id, seconds, unsuited) in [("m1", 1, None), ("m3", 3, None), ("m2", 2, Some(reason))] {
        let input = Input::AgentMessage {
            message: MessageId::new(id),
            time: Some(story.now + Duration::from_secs(seconds)),
            received: story.now,
            unsuited,
            genesys: None,
            offer: None,
        };
        story.arrives(Direction::Outbound, id, Some(input));
        story.handle_inbox();
    }
    story.until(5_000);
    assert_eq!(story.of_agent("m1").summary, "Waits behind 1 earlier message, for 5 s.");
    assert_eq!(
        story.of_agent("m3").summary,
        "Waits for 5 s, because a message before it failed and paused the conversation."
    );
}

#[test]
fn a_failed_message_fails_those_behind_it() {
    let mut policy = Policy::default();
    policy.delivery.after_failure = AfterFailure::FailRest;
    let mut story = Story::in_session(policy);
    story.agent_writes("m2");
    story.until(2_000);
    let reason = Reason::new(ReasonCode::MessageNotAllowed, "not now");
    story.attempt_ends("m1", AttemptOutcome::Rejected { reason });
    story.receipt_ends("m2", posted());
    assert_eq!(
        story.of_agent("m2").summary,
        "Not delivered: a message before it failed. Waited 2 s. Genesys has the Failed receipt \
         (GeneralError) since 09:00:02."
    );
}

#[test]
fn a_message_that_the_connector_cannot_carry_fails_at_once() {
    let mut story = Story::new();
    let reason = Reason::new(ReasonCode::UnsupportedMessage, "it has a video");
    let input = Input::AgentMessage {
        message: MessageId::new("m1"),
        time: None,
        received: story.now,
        unsuited: Some(reason),
        genesys: None,
        offer: None,
    };
    story.arrives(Direction::Outbound, "m1", Some(input));
    story.down_until(8_000);
    story.handle_inbox();
    story.receipt_ends("m1", posted());
    assert_eq!(
        story.of_agent("m1").summary,
        "Not delivered: it failed at once (UnsupportedMessage - it has a video). Genesys has the \
         Failed receipt (UnsupportedMessage) since 09:00:08. The gateway did nothing for 8 s."
    );
}

#[test]
fn the_gateway_is_down_while_a_message_is_held() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.until(1_000);
    story.open_ends(not_now());
    story.down_until(21_000);
    assert_snapshot!(shown(&story.of_agent("m1")));
    story.happens(Input::Recovered);
    story.until(22_000);
    story.open_ends(opened("s1"));
    story.attempt_ends("m1", taken());
    let told = story.of_agent("m1");
    assert_snapshot!(shown(&told));
    assert_eq!(told.steps.iter().filter(|step| step.kind == StepKind::Gap).count(), 1);
}

#[test]
fn a_node_stops_during_a_call() {
    let mut story = Story::new();
    story.agent_writes("m1");
    story.down_until(9_000);
    story.happens(Input::Recovered);
    story.until(9_500);
    story.open_ends(opened("s1"));
    story.down_until(15_000);
    story.happens(Input::Recovered);
    story.until(15_800);
    story.attempt_ends("m1", taken());
    assert_snapshot!(shown(&story.of_agent("m1")));
}
