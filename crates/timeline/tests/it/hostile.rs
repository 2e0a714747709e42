//! Stores that no gateway wrote: any records in any order, at any time, with any text. The timeline
//! never panics, keeps its limits, and quotes no words of people.

use std::time::Duration;

use conversation::{
    Answer, AttemptOutcome, Choice, ClosedBy, Conversation, ConversationId, Fate, Input, MessageId,
    NoticeKind, Offer, OptionKind, Owed, PostResult, Reason, ReasonCode, Record, Report, SessionId,
    TellOutcome,
};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use store::{Direction, Dossier, InboxItem, JournalRow, MessageRow, OutboxItem};
use timeline::{Cause, MAX_GENESYS_CONVERSATIONS, MAX_MESSAGES, MAX_STEPS, Next, Step};

use crate::story::{SECRET, conversation, integration};

/// How many kinds of records there are.
const KINDS: u8 = 32;

/// What a record is made of. Each kind uses what it needs.
#[derive(Clone, Debug)]
struct Parts {
    kind: u8,
    at: Timestamp,
    other: Timestamp,
    maybe: Option<Timestamp>,
    id: MessageId,
    number: u32,
    choice: u8,
    flag: bool,
    text: String,
}

/// Mostly times near each other, so that something overlaps, and the ends of time.
fn time() -> impl Strategy<Value = Timestamp> {
    let start: Timestamp = "2026-11-20T09:00:00Z".parse().expect("a time");
    prop_oneof![
        12 => (0_u64..600_000).prop_map(move |millis| start + Duration::from_millis(millis)),
        1 => Just(Timestamp::MIN),
        1 => Just(Timestamp::MAX),
        1 => Just(Timestamp::UNIX_EPOCH),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let long = "x".repeat(5_000);
    let known = ["", "503", "it is over. ", ". . .", "a\u{0}b\nc\u{202e}", "{}: {0}", "é", &long];
    let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
    prop_oneof![12 => prop::sample::select(known), 1 => "\\PC{0,30}"]
}

fn parts() -> impl Strategy<Value = Parts> {
    let times = (time(), time(), prop::option::of(time()));
    let number = prop_oneof![4 => 0_u32..4, 1 => Just(u32::MAX)];
    let id = prop_oneof![8 => (0_u8..4).prop_map(|id| format!("m{id}")), 1 => text()];
    (0..KINDS, times, id, number, any::<u8>(), any::<bool>(), text()).prop_map(
        |(kind, (at, other, maybe), id, number, choice, flag, text)| {
            let id = MessageId::new(id);
            Parts { kind, at, other, maybe, id, number, choice, flag, text }
        },
    )
}

impl Parts {
    fn pick<T: Clone>(&self, from: &[T]) -> T {
        from[usize::from(self.choice) % from.len()].clone()
    }

    /// A reason as a journal may hold it: nothing cut or cleaned it.
    fn reason(&self) -> Reason {
        Reason { code: self.pick(&ReasonCode::ALL), message: self.text.clone() }
    }

    fn session(&self) -> SessionId {
        let ids = ["s0", "s1", "s2\u{202e}"];
        SessionId::new(ids[usize::from(self.choice % 3)])
    }

    fn result(&self) -> PostResult {
        if self.flag {
            PostResult::Posted { genesys_id: Some(self.text.as_str().into()) }
        } else {
            PostResult::Refused { why: self.text.as_str().into() }
        }
    }

    fn fate(&self) -> Fate {
        self.pick(&[Fate::Delivered, Fate::Sent, Fate::Failed { reason: self.reason() }])
    }

    fn notice(&self) -> NoticeKind {
        self.pick(&[NoticeKind::Held, NoticeKind::Expired, NoticeKind::Failed])
    }

    /// Words of a customer, which must not be in a timeline.
    fn words() -> Choice {
        let kind = OptionKind::QuickReply;
        Choice { kind, label: SECRET.into(), payload: SECRET.into(), numbered: true }
    }

    fn answer(&self) -> Option<Box<Answer>> {
        self.flag.then(|| Box::new(Answer { to: self.id.clone(), choice: Self::words() }))
    }

    fn owed(&self) -> Owed {
        let message = self.id.clone();
        self.pick(&[
            Owed::Receipt { message: message.clone(), fate: Some(self.fate()) },
            Owed::Receipt { message: message.clone(), fate: None },
            Owed::Inbound { message: message.clone(), answer: self.answer() },
            Owed::Notice { message, notice: self.notice() },
            Owed::Disconnect { id: self.text.as_str().into() },
        ])
    }

    fn attempt_outcome(&self) -> AttemptOutcome {
        let service_id = self.flag.then(|| self.text.as_str().into());
        let reason = self.reason();
        let after = self.flag.then_some(Duration::MAX);
        self.pick(&[
            AttemptOutcome::Delivered { service_id: service_id.clone() },
            AttemptOutcome::Accepted { service_id },
            AttemptOutcome::Rejected { reason: reason.clone() },
            AttemptOutcome::SessionGone,
            AttemptOutcome::NotTaken { reason: reason.clone(), after },
            AttemptOutcome::Unknown { reason },
        ])
    }

    fn tell_outcome(&self) -> TellOutcome {
        let why: Box<str> = self.text.as_str().into();
        self.pick(&[
            TellOutcome::Heard,
            TellOutcome::Failed { why: why.clone() },
            TellOutcome::NotMade,
            TellOutcome::GivenUp { why },
        ])
    }

    fn record(&self) -> Record {
        let (message, attempt) = (self.id.clone(), self.number);
        let (retry_at, until) = (self.maybe, self.other);
        match self.kind {
            0 => Record::Accepted {
                message,
                time: self.at,
                received: self.at,
                hold_until: until,
                give_up: until,
            },
            1 => {
                let options = vec![Self::words(); usize::from(self.choice % 3)];
                Record::Offered { message, offer: Box::new(Offer { options }), until }
            }
            2 => Record::AttemptStarted { message, attempt, session: self.session() },
            3 => {
                let outcome = self.attempt_outcome();
                Record::AttemptEnded { message, attempt, outcome, retry_at }
            }
            4 => {
                let reason = self.reason();
                let report =
                    self.pick(&[Report::Delivered, Report::Read, Report::Failed { reason }]);
                Record::Reported { message, report }
            }
            5 => Record::Settled { message, fate: self.fate(), receipt: self.flag },
            6 => Record::SentDue { message },
            7 => {
                let last = self.choice.is_multiple_of(2);
                Record::ReceiptDone { message, last, result: self.result() }
            }
            8 => Record::HandshakeStarted { attempt, until },
            9 => Record::HandshakePending { attempt, ask_at: retry_at },
            10 => Record::HandshakeFailed { reason: self.reason(), retry_at },
            11 => Record::SessionOpened { session: self.session() },
            12 => Record::SessionRefused { reason: self.reason() },
            13 => Record::SessionClosed {
                cause: self.pick(&[
                    ClosedBy::Service,
                    ClosedBy::Forward,
                    ClosedBy::Lost,
                    ClosedBy::Agent,
                ]),
                hold_until: until,
                reopen_at: retry_at,
                reason: self.flag.then(|| self.reason()),
            },
            14 => Record::Paused,
            15 => Record::Resumed,
            _ => self.record_of_customer(),
        }
    }

    fn record_of_customer(&self) -> Record {
        let (message, attempt, until) = (self.id.clone(), self.number, self.other);
        match self.kind {
            16 => Record::InboundAccepted {
                message,
                hold_until: until,
                answer: self.answer(),
                tap: self.flag.then(|| self.id.clone()),
            },
            17 => Record::InboundReleased { message, answer: self.answer() },
            18 => Record::InboundDone { message, result: self.result() },
            19 => Record::PostFailed {
                owed: self.owed(),
                tries: attempt,
                why: self.text.as_str().into(),
            },
            20 => Record::RefusalDue { message, reason: self.reason() },
            21 => Record::RefusalTelling { message, attempt },
            22 => {
                let outcome = self.tell_outcome();
                Record::RefusalTold { message, outcome, retry_at: self.maybe }
            }
            23 => Record::GenesysConversation { id: self.text.as_str().into() },
            24 => Record::NoticeDue { message, notice: self.notice() },
            25 => {
                let (notice, result) = (self.notice(), self.result());
                Record::NoticeDone { message, notice, result }
            }
            26 => Record::CustomerLeft { reason: self.flag.then(|| self.reason()) },
            27 => Record::DisconnectDue { id: self.text.as_str().into() },
            28 => Record::DisconnectDone { result: self.result() },
            30 => {
                Record::InboundRetried { message, died: self.other, by: self.text.as_str().into() }
            }
            31 => Record::InboundDiscarded {
                message,
                died: self.other,
                by: self.text.as_str().into(),
            },
            _ => Record::Ending,
        }
    }

    fn row(&self) -> MessageRow {
        let states = [
            "accepted",
            "delivered",
            "sent",
            "failed",
            "posted",
            "refused",
            "discarded",
            "kept",
            "?",
        ];
        MessageRow {
            id: self.id.clone(),
            direction: if self.flag { Direction::Outbound } else { Direction::Inbound },
            conversation: conversation(),
            foreign_id: self.text.clone(),
            received: self.at,
            state: self.pick(&states).to_owned(),
            reason: self.maybe.map(|_| self.text.clone()),
            receipt: self.pick(&[None, Some("posted"), Some("refused")]).map(str::to_owned),
            settled: self.maybe.map(|_| self.at),
            body: SECRET.into(),
        }
    }

    fn input(&self) -> Input {
        let message = self.id.clone();
        let time = self.maybe;
        let offer = Some(Box::new(Offer { options: vec![Self::words()] }));
        if self.flag {
            let (received, unsuited, genesys) = (self.at, None, None);
            Input::AgentMessage { message, time, received, unsuited, genesys, offer }
        } else {
            Input::CustomerMessage { message, text: Some(SECRET.into()), tap: None }
        }
    }
}

prop_compose! {
    fn dossier()(
        journal in prop::collection::vec((parts(), any::<u8>(), prop::bool::weighted(0.05)), 0..60),
        rows in prop::collection::vec(parts(), 0..6),
        inbox in prop::collection::vec(parts(), 0..3),
        owed in prop::collection::vec(parts(), 0..5),
        pruned in any::<bool>(),
        order in 0_u8..3,
        customer in prop_oneof![
            Just(format!(r#"{{"id":"noor","nickname":"{SECRET}","first_name":"{SECRET}"}}"#)),
            Just(format!(r#"{{"id":{{"{SECRET}":1}}}}"#)),
            Just("{\"id\":\"a\u{202e}b\"}".to_owned()),
            Just(SECRET.to_owned()),
            Just(String::new()),
        ],
    ) -> Dossier {
        let journal = journal.iter().enumerate().map(|(place, (parts, seq, bad))| JournalRow {
            seq: match order { 0 => place as u64, 1 => u64::from(*seq), _ => u64::MAX },
            at: parts.at,
            record: if *bad { Err(SECRET.to_owned()) } else { Ok(parts.record()) },
        });
        Dossier {
            id: ConversationId::new("c1"),
            integration: integration(),
            customer,
            seq: u64::MAX,
            pruned_seq: u64::from(pruned),
            journal: journal.collect(),
            inbox: inbox.iter().map(|parts| InboxItem { seq: 1, input: parts.input() }).collect(),
            messages: rows.iter().map(Parts::row).collect(),
            owed: owed
                .iter()
                .map(|parts| OutboxItem {
                    seq: 1,
                    conversation: conversation(),
                    customer: "".into(),
                    since: parts.at,
                    owed: parts.owed(),
                    doubt: parts.flag,
                    epoch: 0,
                })
                .collect(),
        }
    }
}

/// The longest text that may be in a timeline: it may have a few causes and a few ids.
const LONGEST: usize = 1_600;

fn check_text(text: &str) -> TestCaseResult {
    prop_assert!(!text.is_empty() && text.chars().count() <= LONGEST, "{}", text);
    check_id(text)
}

fn check_id(id: &str) -> TestCaseResult {
    let hides = |c: char| c.is_control() || c == '\u{202e}';
    prop_assert!(!id.chars().any(hides), "{:?}", id);
    Ok(())
}

fn check_cause(cause: Option<&Cause>) -> TestCaseResult {
    let chars = cause.map_or(0, |cause| cause.message.chars().count());
    prop_assert!(chars <= Reason::MAX_CHARS);
    Ok(())
}

fn check_steps(steps: &[Step], next: Option<&Next>) -> TestCaseResult {
    prop_assert!(steps.len() <= MAX_STEPS);
    prop_assert!(steps.is_sorted_by_key(|step| step.at));
    for step in steps {
        check_text(&step.text)?;
        check_cause(step.cause.as_ref())?;
        step.genesys_id.iter().chain(&step.service_id).try_for_each(|id| check_id(id))?;
        prop_assert!(!(step.lasts && step.until.is_some()));
    }
    next.map_or(Ok(()), |next| check_text(&next.text))
}

fn check(dossier: &Dossier, now: Timestamp) -> TestCaseResult {
    let told = timeline::conversation(dossier, now);
    check_text(&told.summary)?;
    check_steps(&told.steps, told.next.as_ref())?;
    told.genesys.iter().try_for_each(|genesys| check_id(&genesys.id))?;
    told.customer.iter().chain(&told.session.service_id).try_for_each(|id| check_id(id))?;
    prop_assert!(told.messages.len() <= MAX_MESSAGES);
    prop_assert!(told.genesys.len() <= MAX_GENESYS_CONVERSATIONS);
    let json = serde_json::to_string(&told).expect("JSON");
    prop_assert!(!json.contains(SECRET), "{}", json);
    for line in &told.messages {
        let id = MessageId::new(&line.message);
        let one = timeline::message(dossier, line.direction, &id, now).expect("it is listed");
        check_text(&one.summary)?;
        check_cause(one.cause.as_ref())?;
        check_steps(&one.steps, one.next.as_ref())?;
        let json = serde_json::to_string(&one).expect("JSON");
        prop_assert!(!json.contains(SECRET), "{}", json);
    }
    let rows = dossier.messages.iter().map(|row| (row.direction.as_str(), row.id.as_str()));
    let known = rows.collect::<std::collections::BTreeSet<_>>().len();
    prop_assert!(told.messages.len() >= known, "every row is listed");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_store_makes_it_panic_or_quote_a_customer(dossier in dossier(), now in time()) {
        check(&dossier, now)?;
    }
}

/// The number of the kind in `Parts::record`. A new kind of record does not compile here: give it a
/// number, make it there, and raise `KINDS`.
fn number_of(record: &Record) -> u8 {
    match record {
        Record::Accepted { .. } => 0,
        Record::Offered { .. } => 1,
        Record::AttemptStarted { .. } => 2,
        Record::AttemptEnded { .. } => 3,
        Record::Reported { .. } => 4,
        Record::Settled { .. } => 5,
        Record::SentDue { .. } => 6,
        Record::ReceiptDone { .. } => 7,
        Record::HandshakeStarted { .. } => 8,
        Record::HandshakePending { .. } => 9,
        Record::HandshakeFailed { .. } => 10,
        Record::SessionOpened { .. } => 11,
        Record::SessionRefused { .. } => 12,
        Record::SessionClosed { .. } => 13,
        Record::Paused => 14,
        Record::Resumed => 15,
        Record::InboundAccepted { .. } => 16,
        Record::InboundReleased { .. } => 17,
        Record::InboundDone { .. } => 18,
        Record::PostFailed { .. } => 19,
        Record::RefusalDue { .. } => 20,
        Record::RefusalTelling { .. } => 21,
        Record::RefusalTold { .. } => 22,
        Record::GenesysConversation { .. } => 23,
        Record::NoticeDue { .. } => 24,
        Record::NoticeDone { .. } => 25,
        Record::CustomerLeft { .. } => 26,
        Record::DisconnectDue { .. } => 27,
        Record::DisconnectDone { .. } => 28,
        Record::Ending => 29,
        Record::InboundRetried { .. } => 30,
        Record::InboundDiscarded { .. } => 31,
    }
}

#[test]
fn the_records_of_the_test_are_all_there_are() {
    for kind in 0..KINDS {
        let parts = Parts {
            kind,
            at: Timestamp::UNIX_EPOCH,
            other: Timestamp::UNIX_EPOCH,
            maybe: None,
            id: MessageId::new("m1"),
            number: 1,
            choice: 0,
            flag: false,
            text: String::new(),
        };
        assert_eq!(number_of(&parts.record()), kind);
    }
}

/// A conversation with so many messages of the agent. All are delivered, and Genesys has every
/// receipt.
fn large(size: u64) -> Dossier {
    let start: Timestamp = "2026-11-20T09:00:00Z".parse().expect("a time");
    let (mut journal, mut messages) = (Vec::new(), Vec::new());
    let mut state = Conversation::default();
    let policy = conversation::Policy::default();
    for number in 0..size {
        let now = start + Duration::from_secs(number);
        let message = MessageId::new(format!("m{number}"));
        let written = Input::AgentMessage {
            message: message.clone(),
            time: Some(now),
            received: now,
            unsuited: None,
            genesys: None,
            offer: None,
        };
        let outcome = AttemptOutcome::Accepted { service_id: None };
        let (attempt, last, result) = (1, true, PostResult::Posted { genesys_id: None });
        let session = SessionId::new(format!("s{number}"));
        for input in [
            Input::SessionOpened { session },
            written,
            Input::AttemptEnded { message: message.clone(), attempt, outcome },
            Input::ReceiptDone { message: message.clone(), last, result },
        ] {
            for record in state.handle(&policy, now, input).records {
                let seq = journal.len() as u64 + 1;
                journal.push(JournalRow { seq, at: now, record: Ok(record) });
            }
        }
        let mut row = parts_row(&message);
        row.received = now;
        messages.push(row);
    }
    Dossier {
        id: conversation(),
        integration: integration(),
        customer: "{}".to_owned(),
        seq: journal.len() as u64,
        pruned_seq: 0,
        inbox: Vec::new(),
        journal,
        messages,
        owed: Vec::new(),
    }
}

/// The same, but only the rows are left, and Genesys has no receipt.
fn large_without_journal(size: u64) -> Dossier {
    let mut dossier = large(size);
    dossier.journal.clear();
    dossier.pruned_seq = dossier.seq;
    for (seq, row) in (1..).zip(&mut dossier.messages) {
        row.receipt = None;
        dossier.owed.push(OutboxItem {
            seq,
            conversation: conversation(),
            customer: "".into(),
            since: row.received,
            owed: Owed::Receipt { message: row.id.clone(), fate: Some(Fate::Delivered) },
            doubt: false,
            epoch: 0,
        });
    }
    dossier
}

/// When `large` conversations are looked at.
fn later() -> Timestamp {
    "2026-11-20T18:00:00Z".parse().expect("a time")
}

#[test]
fn a_large_conversation_is_counted_whole() {
    let dossier = large(20_000);
    assert_eq!(dossier.journal.len(), 120_000);
    let told = timeline::conversation(&dossier, later());
    assert_eq!(told.counts.values().sum::<usize>(), 20_000);
    assert_eq!((told.messages.len(), told.messages_left_out), (MAX_MESSAGES, 19_800));
    let id = MessageId::new("m19999");
    let one = timeline::message(&dossier, Direction::Outbound, &id, later()).expect("known");
    assert!(one.summary.starts_with("Delivered"), "{}", one.summary);
}

/// How much processor time the two functions take for a conversation, at best. Other processes do
/// not count.
fn processor_time(dossier: &Dossier) -> Duration {
    let clock = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(time).expect("a time since the start of the thread")
    };
    let id = MessageId::new("m0");
    let once = || {
        let start = clock();
        let told = timeline::conversation(dossier, later());
        let one = timeline::message(dossier, Direction::Outbound, &id, later());
        assert!(!told.messages.is_empty() && one.is_some());
        clock().saturating_sub(start)
    };
    (0..5).map(|_| once()).min().expect("five runs")
}

#[test]
fn twice_the_records_take_at_most_three_times_the_time() {
    // Doubled twice, because that tells linear (about 5 times) from quadratic (about 16 times).
    for make in [large, large_without_journal] {
        let (small, large) = (processor_time(&make(5_000)), processor_time(&make(20_000)));
        assert!(large < small * 9, "{small:?} for 5,000 messages, {large:?} for 20,000");
    }
}

fn parts_row(id: &MessageId) -> MessageRow {
    MessageRow {
        id: id.clone(),
        direction: Direction::Outbound,
        conversation: conversation(),
        foreign_id: id.to_string(),
        received: Timestamp::UNIX_EPOCH,
        state: "delivered".to_owned(),
        reason: None,
        receipt: Some("posted".to_owned()),
        settled: None,
        body: Vec::new(),
    }
}
