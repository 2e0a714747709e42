//! Random histories of the real state machine: the timeline agrees with what the store shows in its
//! lists, and finds no gap where the gateway was never late.

use std::collections::BTreeMap;

use conversation::{AfterFailure, InboundPolicy, NoticeKind};
use conversation::{
    AttemptOutcome, DeadLetterAction, Effect, Input, MessageId, OnUnknown, OpenOutcome, Owed,
    Policy, PostResult, Reason, ReasonCode, Record, Report, SendReceipts, SessionId, TellOutcome,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use store::{Direction, Dossier, MessageRow};
use timeline::{ConversationTimeline, MessageLine, MessageTimeline, Outcome, StepKind};

use crate::story::{SECRET, Story, not_now, not_taken, opened, refused, taken, unknown};

/// Something that happens. An answer to a call that was not made does not happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    AgentWrites,
    CustomerWrites,
    OpenEnds(u8),
    AttemptEnds(u8),
    Reported { place: u8, how: u8 },
    Session(u8),
    Post { place: u8, how: u8 },
    Told(u8),
    Operator { place: u8, discards: bool },
    AgentEnds,
    Resume,
    Recovered,
    Wait(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::AgentWrites),
        3 => Just(Event::CustomerWrites),
        4 => (0_u8..5).prop_map(Event::OpenEnds),
        6 => (0_u8..8).prop_map(Event::AttemptEnds),
        3 => (any::<u8>(), 0_u8..3).prop_map(|(place, how)| Event::Reported { place, how }),
        2 => (0_u8..4).prop_map(Event::Session),
        4 => (any::<u8>(), 0_u8..6).prop_map(|(place, how)| Event::Post { place, how }),
        2 => (0_u8..4).prop_map(Event::Told),
        2 => (any::<u8>(), prop::bool::weighted(0.3))
            .prop_map(|(place, discards)| Event::Operator { place, discards }),
        1 => Just(Event::AgentEnds),
        1 => Just(Event::Resume),
        1 => Just(Event::Recovered),
        4 => prop_oneof![3 => 0_u32..3_000, 1 => 0_u32..90_000, 1 => 0_u32..8_000_000]
            .prop_map(Event::Wait),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0_u8..3, 0_u8..3).prop_map(
        |(fail, after_handshake, service_reports, after_failure, send)| {
            let notices = [NoticeKind::Held, NoticeKind::Failed].into();
            let mut policy = Policy { service_reports, notices, ..Policy::default() };
            policy.delivery.on_unknown = if fail { OnUnknown::Fail } else { OnUnknown::Retry };
            policy.delivery.after_failure =
                [AfterFailure::Continue, AfterFailure::FailRest, AfterFailure::Pause]
                    [usize::from(after_failure)];
            policy.receipts.send =
                [SendReceipts::Final, SendReceipts::All, SendReceipts::Failures][usize::from(send)];
            if after_handshake {
                policy.hold.inbound = InboundPolicy::AfterHandshake;
            }
            policy.inbound.give_up_tries = 2;
            policy
        },
    )
}

struct Random {
    story: Story,
    millis: u64,
    written: u32,
    /// The agent's messages.
    agents: Vec<MessageId>,
}

impl Random {
    fn new(policy: Policy) -> Self {
        Self { story: Story::under(policy), millis: 0, written: 0, agents: Vec::new() }
    }

    fn happens(&mut self, event: Event) {
        let writes = matches!(event, Event::AgentWrites | Event::CustomerWrites);
        if self.written == 0 && !writes {
            // A conversation begins with a message.
            return;
        }
        match event {
            Event::AgentWrites => {
                self.written += 1;
                let id = format!("m{}", self.written);
                self.story.agent_writes(&id);
                self.agents.push(MessageId::new(&id));
            }
            Event::CustomerWrites => {
                self.written += 1;
                let id = format!("in{}", self.written);
                self.story.customer_writes(&id);
            }
            Event::OpenEnds(how) => self.open_ends(how),
            Event::AttemptEnds(how) => self.attempt_ends(how),
            Event::Reported { place, how } => {
                let reason = Reason::new(ReasonCode::ServerError, "it bounced");
                let report = [Report::Delivered, Report::Read, Report::Failed { reason }]
                    [usize::from(how)]
                .clone();
                // The store drops a report about a message that it does not know.
                if !self.agents.is_empty() {
                    let message = &self.agents[usize::from(place) % self.agents.len()];
                    self.story.reports(message.as_str(), report);
                }
            }
            Event::Session(what) => {
                let session = SessionId::new(format!("s{}", self.written));
                let reason = Reason::new(ReasonCode::RecipientOptedOut, "no more");
                let input = match what {
                    0 => Input::SessionOpened { session },
                    1 => Input::SessionRefused { reason },
                    2 => Input::SessionClosed { session: None, reason: Some(reason) },
                    _ => Input::SessionLost { session: None },
                };
                self.story.happens(input);
            }
            Event::Post { place, how } => self.post(place, how),
            Event::Told(how) => self.told(how),
            Event::Operator { place, discards } => self.operator(place, discards),
            Event::AgentEnds => self.story.happens(Input::GenesysEnded { id: "genesys-1".into() }),
            Event::Resume => self.story.happens(Input::Resume),
            Event::Recovered => self.story.happens(Input::Recovered),
            Event::Wait(millis) => {
                self.millis += u64::from(millis);
                self.story.until(self.millis);
            }
        }
    }

    fn operator(&mut self, place: u8, discards: bool) {
        let rows = self.story.dossier_if_any().map(|dossier| dossier.messages).unwrap_or_default();
        let dead: Vec<_> = rows.iter().filter(|row| row.state == "refused").collect();
        if let Some(row) = dead.get(usize::from(place) % dead.len().max(1)) {
            let action = if discards { DeadLetterAction::Discard } else { DeadLetterAction::Retry };
            self.story.operator_acts(action, row.id.as_str());
        }
    }

    fn open_ends(&mut self, how: u8) {
        let reason = Reason::new(ReasonCode::ServerError, "401");
        let outcome = match how {
            0 => opened(&format!("s{}", self.written)),
            1 => OpenOutcome::Pending,
            2 => OpenOutcome::Refused(reason),
            3 => OpenOutcome::Unauthorized(reason),
            _ => not_now(),
        };
        let open = |effect: &Effect| match effect {
            Effect::Open { attempt, .. } => Some(*attempt),
            _ => None,
        };
        if let Some(attempt) = self.story.effects.iter().rev().find_map(open) {
            self.story.happens(Input::OpenEnded { attempt, outcome });
        }
    }

    fn attempt_ends(&mut self, how: u8) {
        let reason = Reason::new(ReasonCode::UnsupportedMessage, "no cards");
        let outcome = match how {
            0..=2 => taken(),
            3 => not_taken(None),
            4 => not_taken(Some(7)),
            5 => unknown(),
            6 => AttemptOutcome::SessionGone,
            _ => AttemptOutcome::Rejected { reason },
        };
        let forward = |effect: &Effect| match effect {
            Effect::Forward { message, attempt, .. } => Some((message.clone(), *attempt)),
            _ => None,
        };
        if let Some((message, attempt)) = self.story.effects.iter().rev().find_map(forward) {
            self.story.happens(Input::AttemptEnded { message, attempt, outcome });
        }
    }

    fn post(&mut self, place: u8, how: u8) {
        let owed = self.story.dossier_if_any().map(|dossier| dossier.owed).unwrap_or_default();
        if owed.is_empty() {
            return;
        }
        let owed = owed[usize::from(place) % owed.len()].owed.clone();
        if how == 5 {
            self.story.happens(Input::PostFailed { owed, why: "500".into() });
            return;
        }
        let result = match how {
            4 => refused("400"),
            _ => PostResult::Posted { genesys_id: None },
        };
        let input = match owed {
            Owed::Receipt { message, fate } => {
                Input::ReceiptDone { message, last: fate.is_some(), result }
            }
            Owed::Inbound { message, .. } => {
                Input::InboundDone { message, result, genesys: Some("genesys-1".into()) }
            }
            Owed::Notice { message, notice } => Input::NoticeDone { message, notice, result },
            Owed::Disconnect { .. } => Input::DisconnectDone { result },
        };
        self.story.happens(input);
    }

    fn told(&mut self, how: u8) {
        let outcome = match how {
            0 => TellOutcome::Heard,
            1 => TellOutcome::Failed { why: "503".into() },
            2 => TellOutcome::NotMade,
            _ => TellOutcome::GivenUp { why: "no URL".into() },
        };
        let call = |effect: &Effect| match effect {
            Effect::TellRefused { message, attempt, .. } => Some((message.clone(), *attempt)),
            _ => None,
        };
        if let Some((message, attempt)) = self.story.effects.iter().rev().find_map(call) {
            self.story.happens(Input::RefusalTold { message, attempt, outcome });
        }
    }
}

/// The outcome that the store shows in lists; `None` while the message is open.
fn outcome_of(row: &MessageRow) -> Option<Outcome> {
    Some(match row.state.as_str() {
        "delivered" => Outcome::Delivered,
        "sent" => Outcome::Sent,
        "failed" => Outcome::Failed,
        "posted" => Outcome::Posted,
        "refused" => Outcome::Refused,
        "discarded" => Outcome::Discarded,
        _ => return None,
    })
}

/// The overview lists and counts what the store shows in lists.
fn check_overview(dossier: &Dossier, told: &ConversationTimeline) -> TestCaseResult {
    let row_of = |line: &MessageLine| {
        let is_it =
            |row: &&MessageRow| row.direction == line.direction && row.id.as_str() == line.message;
        dossier.messages.iter().find(is_it).expect("each line has a row")
    };
    for line in &told.messages {
        let listed = outcome_of(row_of(line));
        prop_assert_eq!(listed, Some(line.outcome).filter(|it| !it.is_open()), "{:?}", line);
    }
    let mut counts = BTreeMap::new();
    for row in &dossier.messages {
        *counts.entry(outcome_of(row)).or_insert(0) += 1;
    }
    let mut counted = BTreeMap::new();
    for (outcome, count) in &told.counts {
        *counted.entry(Some(*outcome).filter(|it| !it.is_open())).or_insert(0) += count;
    }
    prop_assert_eq!(counted, counts);
    Ok(())
}

/// What the store says in lists decides what the timeline must say.
fn check_row(dossier: &Dossier, row: &MessageRow, told: &MessageTimeline) -> TestCaseResult {
    let outcome = told.outcome;
    prop_assert_eq!(outcome_of(row), Some(outcome).filter(|it| !it.is_open()), "{:?}", told);
    let is_final = |owed: &Owed| {
        matches!(owed, Owed::Receipt { fate: Some(_), .. }) && owed.message() == Some(&row.id)
    };
    if row.direction == Direction::Outbound {
        let owes = dossier.owed.iter().any(|item| is_final(&item.owed));
        prop_assert_eq!(told.next.is_some(), outcome.is_open() || owes, "{:?}", told);
        let lacks = told.summary.contains("Genesys has not confirmed");
        prop_assert_eq!(lacks && !outcome.is_open(), owes, "{}", told.summary);
        let has = row.receipt.as_deref() == Some("posted");
        prop_assert_eq!(told.summary.contains("Genesys has the"), has, "{}", told.summary);
    } else {
        let inbound =
            |owed: &Owed| matches!(owed, Owed::Inbound { message, .. } if *message == row.id);
        let is_owed = dossier.owed.iter().any(|item| inbound(&item.owed));
        prop_assert_eq!(outcome == Outcome::InFlight, is_owed, "{:?}", told);
        check_dead_letter(row, told)?;
    }
    if outcome == Outcome::Failed {
        // The receipt and the summary give the same cause. These two have words of their own.
        let reason = row.reason.as_deref().and_then(|reason| reason.split_once(" - "));
        let reason = reason.map(|(_, message)| message).unwrap_or_default();
        let reason = reason.strip_prefix("it may have arrived: ").unwrap_or(reason);
        let own = ["the customer's session was never opened", "the customer left the chat"];
        let says = |words: &str| told.summary.contains(words);
        prop_assert!(!reason.is_empty(), "{:?}", row);
        prop_assert!(says(reason) || own.into_iter().any(says), "{}: {}", reason, told.summary);
    }
    if outcome.is_failed() {
        let shows_it = told.steps.iter().any(|step| step.failed);
        prop_assert!(told.cause.is_some() && (shows_it || told.pruned), "{:#?}", told);
    }
    Ok(())
}

/// The reason in lists says whether Genesys refused a dead letter or the gateway gave it up.
fn check_dead_letter(row: &MessageRow, told: &MessageTimeline) -> TestCaseResult {
    let reason = row.reason.as_deref().unwrap_or_default();
    let dead = row.state == "refused" || row.state == "discarded";
    let given_up = dead && reason.contains("given up after");
    let refused = dead && !given_up;
    let says = |words: &str| told.summary.contains(words);
    // Without its records, the summary says only that it was one or the other.
    let either = told.pruned && says("Genesys will never accept it, or the gateway gave it up");
    prop_assert_eq!(says("the gateway gave it up"), given_up || either, "{:?}", told);
    prop_assert_eq!(
        says("ead letter: Genesys will never accept it"),
        refused || either,
        "{:?}",
        told
    );
    Ok(())
}

/// The last report after the final decision is in the summary, if it says something else.
fn check_late_report(
    dossier: &Dossier,
    row: &MessageRow,
    told: &MessageTimeline,
) -> TestCaseResult {
    let about = dossier.journal.iter().filter_map(|row| Some((row.at, row.record.as_ref().ok()?)));
    let about = about.filter(|(_, record)| record.message() == Some(&row.id));
    let mut after = about.skip_while(|(_, record)| !matches!(record, Record::Settled { .. }));
    if after.next().is_none() && told.pruned {
        // Retention may have removed the decision, so the records do not say what came after it.
        return Ok(());
    }
    let late = after.filter_map(|(at, record)| match record {
        Record::Reported { report, .. } => Some((at, !matches!(report, Report::Failed { .. }))),
        _ => None,
    });
    let late = late.last();
    let doubt = row.reason.as_deref().is_some_and(|reason| reason.contains("it may have arrived"));
    let (arrived, lost) = match (told.outcome, late) {
        (Outcome::Sent | Outcome::Failed, Some((_, true))) => (true, false),
        (Outcome::Sent | Outcome::Delivered, Some((_, false))) => (false, true),
        (Outcome::Failed, Some((_, false))) => (false, doubt),
        _ => (false, false),
    };
    let says = |words: &str| told.summary.contains(words);
    let says_arrived = says("It arrived after all") || says("reported at");
    prop_assert_eq!(says_arrived, arrived, "{:?}: {}", late, told.summary);
    prop_assert!(!(arrived && says("Not delivered")), "{}", told.summary);
    let silent = told.outcome == Outcome::Sent && late.is_none();
    prop_assert_eq!(says("never reported"), silent, "{:?}: {}", late, told.summary);
    // The record of the attempt that left a doubt may be gone.
    if !told.pruned {
        prop_assert_eq!(says("reported later"), lost, "{:?}: {}", late, told.summary);
        let doubt = doubt && late.is_none();
        prop_assert_eq!(says("May have arrived"), doubt, "{:?}: {}", late, told.summary);
    }
    if let Some((at, _)) = late.filter(|_| arrived || (lost && !told.pruned)) {
        prop_assert!(says(&at.strftime("%H:%M:%S").to_string()), "{}: {}", at, told.summary);
    }
    Ok(())
}

fn check(story: &Story) -> TestCaseResult {
    let Some(dossier) = story.dossier_if_any() else { return Ok(()) };
    for row in &dossier.messages {
        let told = timeline::message(&dossier, row.direction, &row.id, story.now).expect("known");
        check_row(&dossier, row, &told)?;
        if row.direction == Direction::Outbound {
            check_late_report(&dossier, row, &told)?;
        }
        prop_assert!(told.steps.iter().all(|step| step.kind != StepKind::Gap), "{:#?}", told);
        prop_assert!(told.steps.iter().all(|step| step.at <= story.now), "{:#?}", told);
        let json = serde_json::to_string(&told).expect("JSON");
        prop_assert!(!json.contains(SECRET), "{}", json);
    }
    let told = timeline::conversation(&dossier, story.now);
    prop_assert_eq!(told.messages.len(), dossier.messages.len());
    check_overview(&dossier, &told)?;
    prop_assert!(told.steps.iter().all(|step| step.kind != StepKind::Gap), "{:#?}", told);
    let json = serde_json::to_string(&told).expect("JSON");
    prop_assert!(!json.contains(SECRET), "{}", json);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_timeline_agrees_with_the_lists_and_calls_nothing_a_gap(
        policy in policy(),
        events in prop::collection::vec(event(), 1..40),
        prune in any::<bool>(),
    ) {
        let mut random = Random::new(policy);
        for event in events {
            random.happens(event);
        }
        check(&random.story)?;
        if prune {
            random.happens(Event::Wait(60_000));
            random.story.prune();
            check(&random.story)?;
        }
    }
}
