//! A world around one conversation, with a chat service and a Genesys that may do anything. Its
//! journal survives crashes, and its clock moves only when a test advances it.

mod sessions;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use conversation::{
    AttemptOutcome, Choice, Conversation, DeadLetterAction, Effect, History, Input, MessageId,
    Offer, OpenOutcome, OptionKind, Owed, Policy, PostResult, Reason, ReasonCode, Record, Report,
    SessionId, Step, TellOutcome, Written,
};
use jiff::Timestamp;
use proptest::prelude::*;
use sessions::Sessions;

/// Something that happens. Indices are taken modulo the number of candidates; if there are none,
/// nothing happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The agent writes. Genesys's clock differs from that of the node driving the conversation by
    /// `clock_off` seconds; `None` means that Genesys writes no time. `node_off` is the difference
    /// of the clock of the node that takes the message in.
    /// The message offers that many options.
    Agent { clock_off: Option<i16>, node_off: i16, unsuited: bool, options: u8 },
    /// The customer writes: a number, or something that answers nothing.
    Customer { answer: Option<u8> },
    /// The chat service answers an open call for a session.
    Open { call: u8, outcome: u8, after: u8 },
    /// The chat service answers a forward.
    Forward { call: u8, outcome: u8, after: u8 },
    /// A call that tells about a refused message ends.
    Told { call: u8, outcome: u8 },
    /// The chat service reports on a message, true or not.
    Report { message: u8, report: u8 },
    /// The chat service sends an event about its sessions, asked or not.
    Session { event: u8, known: bool },
    /// The chat service answers 202 and says nothing more.
    Pending { call: u8 },
    /// Genesys takes something, or refuses it for good.
    Post { owed: u8, refused: bool },
    /// An earlier answer or report comes once more.
    Again { which: u8 },
    /// The agent ends the conversation.
    AgentEnds,
    /// An operator resumes the conversation.
    Resume,
    /// An operator acts on a dead letter.
    DeadLetter { which: u8, discard: bool },
    /// Somebody types.
    Typing { agent: bool },
    /// Time passes. The gateway is woken at each deadline on the way.
    Wait { millis: u32 },
    /// Time passes while the gateway is down.
    Down { millis: u32 },
    /// The gateway dies after a decision and before its commit. Then the input comes again.
    CrashBeforeCommit,
    /// The gateway dies after a commit, before its effects.
    CrashAfterCommit,
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (
            clock_off(),
            prop_oneof![2 => Just(0_i16), 1 => -300_i16..300],
            prop::bool::weighted(0.05),
            prop::option::weighted(0.3, 1_u8..4),
        )
            .prop_map(|(clock_off, node_off, unsuited, options)| Event::Agent {
                clock_off,
                node_off,
                unsuited,
                options: options.unwrap_or(0),
            }),
        2 => prop::option::weighted(0.7, 1_u8..5).prop_map(|answer| Event::Customer { answer }),
        4 => (any::<u8>(), 0_u8..6, 0_u8..60)
            .prop_map(|(call, outcome, after)| Event::Open { call, outcome, after }),
        6 => (any::<u8>(), 0_u8..8, 0_u8..60)
            .prop_map(|(call, outcome, after)| Event::Forward { call, outcome, after }),
        2 => (any::<u8>(), 0_u8..4).prop_map(|(call, outcome)| Event::Told { call, outcome }),
        2 => (any::<u8>(), 0_u8..3).prop_map(|(message, report)| Event::Report { message, report }),
        2 => (0_u8..6, any::<bool>()).prop_map(|(event, known)| Event::Session { event, known }),
        1 => any::<u8>().prop_map(|call| Event::Pending { call }),
        3 => (any::<u8>(), prop::bool::weighted(0.2))
            .prop_map(|(owed, refused)| Event::Post { owed, refused }),
        1 => any::<u8>().prop_map(|which| Event::Again { which }),
        1 => Just(Event::AgentEnds),
        1 => Just(Event::Resume),
        1 => (any::<u8>(), prop::bool::weighted(0.2))
            .prop_map(|(which, discard)| Event::DeadLetter { which, discard }),
        1 => any::<bool>().prop_map(|agent| Event::Typing { agent }),
        4 => prop_oneof![3 => 0_u32..3_000, 1 => 0_u32..60_000, 1 => 0_u32..4_000_000]
            .prop_map(|millis| Event::Wait { millis }),
        1 => (0_u32..90_000).prop_map(|millis| Event::Down { millis }),
        1 => Just(Event::CrashBeforeCommit),
        1 => Just(Event::CrashAfterCommit),
    ]
}

/// How long after its deadline a message may be settled (I8).
const IN_TIME: Duration = Duration::from_secs(1);

fn clock_off() -> impl Strategy<Value = Option<i16>> {
    let off = prop_oneof![3 => Just(0_i16), 1 => -30_i16..30, 1 => any::<i16>()];
    prop_oneof![9 => off.prop_map(Some), 1 => Just(None)]
}

/// A call that is under way.
#[derive(Clone, Debug)]
enum Call {
    Open { attempt: u32 },
    Forward { message: MessageId, attempt: u32 },
    Tell { message: MessageId, attempt: u32 },
}

pub(crate) struct World {
    policy: Policy,
    now: Timestamp,
    conversation: Conversation,
    /// What a restart would find: the durable records, applied one by one.
    replayed: Conversation,
    records: Vec<(Timestamp, Record)>,
    history: History,
    calls: Vec<Call>,
    /// Every forward whose first byte may have left.
    forwarded: Vec<MessageId>,
    failed_before: HashMap<MessageId, usize>,
    /// When each unsettled message must be settled, computed only from when it was written and from
    /// the policy (I8).
    deadlines: HashMap<MessageId, Timestamp>,
    messages: Vec<MessageId>,
    /// The dead letters, and when each became one, as a store shows them to operators.
    dead: Vec<(MessageId, Timestamp)>,
    sessions: u32,
    /// Every input that was not a message or a tick. Each may come again.
    answers: Vec<Input>,
    rules: Sessions,
    die: Option<Death>,
    wrong: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Death {
    BeforeCommit,
    AfterCommit,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: "2026-11-20T09:00:00Z".parse().expect("a time"),
            conversation: Conversation::default(),
            replayed: Conversation::default(),
            records: Vec::new(),
            history: History::default(),
            calls: Vec::new(),
            forwarded: Vec::new(),
            failed_before: HashMap::new(),
            deadlines: HashMap::new(),
            messages: Vec::new(),
            dead: Vec::new(),
            sessions: 0,
            answers: Vec::new(),
            rules: Sessions::default(),
            die: None,
            wrong: None,
        }
    }

    pub(crate) fn happens(&mut self, event: Event) {
        match event {
            Event::Agent { clock_off, node_off, unsuited, options } => {
                self.agent_writes(clock_off, node_off, unsuited, options);
            }
            Event::Customer { answer } => {
                let message = MessageId::new(format!("in-{}", self.messages.len()));
                self.messages.push(message.clone());
                let text = answer.map(|answer| answer.to_string().into());
                self.take(Input::CustomerMessage { message, text, tap: None });
            }
            Event::Open { call, outcome, after } => {
                let opens = |call: &Call| matches!(call, Call::Open { .. });
                if let Some(Call::Open { attempt }) = self.take_call(call, opens) {
                    let outcome = self.open_outcome(outcome, after);
                    self.take(Input::OpenEnded { attempt, outcome });
                }
            }
            Event::Forward { call, outcome, after } => {
                let forwards = |call: &Call| matches!(call, Call::Forward { .. });
                if let Some(Call::Forward { message, attempt }) = self.take_call(call, forwards) {
                    self.take(Input::AttemptEnded {
                        message,
                        attempt,
                        outcome: attempt_outcome(outcome, after),
                    });
                }
            }
            Event::Told { call, outcome } => {
                let tells = |call: &Call| matches!(call, Call::Tell { .. });
                if let Some(Call::Tell { message, attempt }) = self.take_call(call, tells) {
                    let failed = TellOutcome::Failed { why: "no answer".into() };
                    let gone = TellOutcome::GivenUp { why: "it is gone".into() };
                    let outcome = [TellOutcome::Heard, failed, TellOutcome::NotMade, gone]
                        [usize::from(outcome)]
                    .clone();
                    self.take(Input::RefusalTold { message, attempt, outcome });
                }
            }
            Event::Report { message, report } => {
                if let Some(message) = pick(&self.messages, message).cloned() {
                    let failed =
                        Report::Failed { reason: Reason::new(ReasonCode::GeneralError, "bounced") };
                    let report =
                        [Report::Delivered, Report::Read, failed][usize::from(report)].clone();
                    self.take(Input::Reported { message, report });
                }
            }
            Event::Session { event, known } => self.session_event(event, known),
            Event::Pending { call } => {
                let opens = |call: &Call| matches!(call, Call::Open { .. });
                if let Some(Call::Open { attempt }) = self.take_call(call, opens) {
                    self.take(Input::OpenEnded { attempt, outcome: OpenOutcome::Pending });
                }
            }
            Event::Post { owed, refused } => {
                if let Some(owed) = pick(self.conversation.owed(), owed).cloned() {
                    self.take(done(owed, refused));
                }
            }
            Event::Again { which } => {
                if let Some(input) = pick(&self.answers, which).cloned() {
                    self.take(input);
                }
            }
            Event::AgentEnds => self.take(Input::GenesysEnded { id: "g".into() }),
            Event::Resume => self.take(Input::Resume),
            Event::DeadLetter { which, discard } => self.operator_acts(which, discard),
            Event::Typing { agent: true } => {
                self.take(Input::AgentTyping { on: true, duration: Duration::from_secs(5) });
            }
            Event::Typing { agent: false } => self.take(Input::CustomerTyping),
            Event::Wait { millis } => self.wait(Duration::from_millis(millis.into())),
            Event::Down { millis } => {
                self.now =
                    self.now.checked_add(Duration::from_millis(millis.into())).expect("in range");
                self.restart();
            }
            Event::CrashBeforeCommit => self.die = Some(Death::BeforeCommit),
            Event::CrashAfterCommit => self.die = Some(Death::AfterCommit),
        }
    }

    /// An operator acts on a dead letter that the store shows. Another may have acted meanwhile.
    fn operator_acts(&mut self, which: u8, discard: bool) {
        let Some((message, died)) = pick(&self.dead, which).cloned() else { return };
        let action = if discard { DeadLetterAction::Discard } else { DeadLetterAction::Retry };
        self.take(Input::DeadLetter { action, message, died, by: "ops".into() });
    }

    fn agent_writes(&mut self, clock_off: Option<i16>, node_off: i16, unsuited: bool, options: u8) {
        let message = MessageId::new(format!("out-{}", self.messages.len()));
        self.messages.push(message.clone());
        let by =
            self.now.checked_add(self.policy.delivery.give_up_after + IN_TIME).expect("in range");
        self.deadlines.insert(message.clone(), by);
        let by = |off: i16| self.now + jiff::SignedDuration::from_secs(off.into());
        let (time, received) = (clock_off.map(by), by(node_off));
        self.history.wrote(&message, time.map_or(Written::NoTime, Written::At));
        self.take(Input::AgentMessage {
            message,
            time,
            received,
            unsuited: unsuited.then(|| Reason::new(ReasonCode::UnsupportedMessage, "a carousel")),
            genesys: Some("g".into()),
            offer: (options > 0).then(|| Box::new(offer(options))),
        });
    }

    fn open_outcome(&mut self, outcome: u8, after: u8) -> OpenOutcome {
        match outcome {
            0..=2 => OpenOutcome::Opened(self.new_session()),
            3 => OpenOutcome::Pending,
            4 => OpenOutcome::Refused(Reason::new(ReasonCode::InvalidDestination, "nobody there")),
            _ => OpenOutcome::Retry {
                reason: Reason::new(ReasonCode::ServerError, "503"),
                after: seconds(after),
            },
        }
    }

    fn new_session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId::new(format!("s-{}", self.sessions))
    }

    fn session_event(&mut self, event: u8, known: bool) {
        match event {
            0 | 1 => {
                let session = if known && self.sessions > 0 {
                    SessionId::new(format!("s-{}", self.sessions))
                } else {
                    self.new_session()
                };
                self.take(Input::SessionOpened { session });
            }
            2 => {
                let reason = Reason::new(ReasonCode::InvalidDestination, "no");
                self.take(Input::SessionRefused { reason });
            }
            3 => {
                let session = known.then(|| SessionId::new(format!("s-{}", self.sessions)));
                self.take(Input::SessionLost { session });
            }
            _ => {
                let session = known.then(|| SessionId::new(format!("s-{}", self.sessions)));
                self.take(Input::SessionClosed { session, reason: None });
            }
        }
    }

    fn take_call(&mut self, index: u8, wanted: impl Fn(&Call) -> bool) -> Option<Call> {
        let places: Vec<_> = self
            .calls
            .iter()
            .enumerate()
            .filter(|(_, call)| wanted(call))
            .map(|(n, _)| n)
            .collect();
        pick(&places, index).copied().map(|place| self.calls.remove(place))
    }

    /// Time passes, and the gateway is woken when it asked to be.
    fn wait(&mut self, duration: Duration) {
        let until = self.now.checked_add(duration).expect("in range");
        while let Some(due) =
            self.conversation.next_wakeup(&self.policy).filter(|due| *due <= until)
        {
            if due <= self.now {
                self.wrong = Some(format!("asks to be woken at {due}, and it is {}", self.now));
                return;
            }
            self.now = due;
            self.take(Input::Tick);
        }
        self.now = until;
    }

    fn take(&mut self, input: Input) {
        let died = self.die.take();
        if died == Some(Death::BeforeCommit) {
            let _lost = self.conversation.handle(&self.policy, self.now, input.clone());
            self.restart();
        }
        let step = self.conversation.handle(&self.policy, self.now, input.clone());
        self.compare(&input, &step);
        self.rules.hears(&input, &step, self.now);
        self.commit(&step);
        if died == Some(Death::AfterCommit) {
            self.restart();
        } else {
            self.run(step.effects);
        }
        if !matches!(
            input,
            Input::AgentMessage { .. } | Input::CustomerMessage { .. } | Input::Tick
        ) {
            self.answers.push(input);
        }
    }

    /// Checks that the records agree with the input.
    fn compare(&mut self, input: &Input, step: &Step) {
        for record in &step.records {
            match (input, record) {
                (
                    Input::AgentMessage { time: Some(time), .. },
                    Record::Accepted { time: place, .. },
                ) if place != time => {
                    self.wrong = Some(format!("I3: {input:?} takes its place at {place}"));
                }
                (Input::AttemptEnded { attempt: of, .. }, Record::AttemptEnded { attempt, .. })
                    if attempt != of =>
                {
                    self.wrong =
                        Some(format!("I7: the answer to attempt {of} ends attempt {attempt}"));
                }
                _ => {}
            }
        }
    }

    fn commit(&mut self, step: &Step) {
        for record in &step.records {
            self.records.push((self.now, record.clone()));
            self.history.read(self.records.len() as u64, self.now, record);
            let json = serde_json::to_value(record).expect("a record is JSON");
            assert_eq!(json["message"].as_str(), record.message().map(MessageId::as_str));
            match record {
                Record::Settled { message, fate, .. } => {
                    self.deadlines.remove(message);
                    if fate.is_failed() {
                        self.failed_before.insert(message.clone(), self.forwarded.len());
                    }
                }
                Record::InboundDone { message, result } if !result.is_posted() => {
                    self.dead.push((message.clone(), self.now));
                }
                Record::InboundRetried { message, .. }
                | Record::InboundDiscarded { message, .. } => {
                    self.dead.retain(|(dead, _)| dead != message);
                }
                // The chat service has accepted it. Its report has its own deadline.
                Record::AttemptEnded {
                    message, outcome: AttemptOutcome::Accepted { .. }, ..
                } => {
                    self.deadlines.remove(message);
                }
                _ => {}
            }
        }
        let records = step.records.iter().map(|record| (self.now, record.clone()));
        self.replayed = Conversation::replay(std::mem::take(&mut self.replayed), records);
        for effect in &step.effects {
            if let Effect::Forward { message, attempt, .. } = effect {
                let journaled = step.records.iter().any(|record| match record {
                    Record::AttemptStarted { message: of, attempt: number, .. } => {
                        of == message && number == attempt
                    }
                    _ => false,
                });
                if !journaled {
                    self.wrong =
                        Some(format!("I7: {message} is forwarded without a record of the attempt"));
                }
            }
        }
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Open { attempt, tries } => {
                    self.rules.asks(attempt, tries);
                    self.calls.push(Call::Open { attempt });
                }
                Effect::Forward { message, attempt, .. } => {
                    self.forwarded.push(message.clone());
                    self.calls.push(Call::Forward { message, attempt });
                }
                Effect::Post(owed) if !self.conversation.owed().contains(&owed) => {
                    self.wrong = Some(format!("posts {owed:?}, which is not owed"));
                }
                Effect::TellRefused { message, attempt, .. } => {
                    self.calls.push(Call::Tell { message, attempt });
                }
                Effect::Post(_)
                | Effect::Typing { .. }
                | Effect::Close { .. }
                | Effect::CustomerTyping => {}
            }
        }
    }

    /// The process ends and loses its memory and its open calls. Another one starts from the
    /// journal.
    fn restart(&mut self) {
        self.calls.clear();
        let snapshot = serde_json::to_string(&self.replayed).expect("a snapshot is JSON");
        self.conversation = serde_json::from_str(&snapshot).expect("a snapshot can be read");
        let step = self.conversation.handle(&self.policy, self.now, Input::Recovered);
        self.rules.hears(&Input::Recovered, &step, self.now);
        self.commit(&step);
        self.run(step.effects);
    }

    pub(crate) fn check(&mut self) -> Result<(), String> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        if let Some(breach) = self.history.breaches().first() {
            return Err(breach.to_string());
        }
        if self.replayed != self.conversation {
            return Err(format!(
                "a replay gives\n{:?}\ninstead of\n{:?}",
                self.replayed, self.conversation
            ));
        }
        if let Some(due) =
            self.conversation.next_wakeup(&self.policy).filter(|due| *due <= self.now)
        {
            return Err(format!("I8: was to act at {due}, and it is {}", self.now));
        }
        if let Some((message, _)) = self.deadlines.iter().find(|(_, by)| **by < self.now) {
            return Err(format!("I8: {message} has no fate, and it is {}", self.now));
        }
        self.rules.check(self.now)?;
        for (message, before) in &self.failed_before {
            if self.forwarded[*before..].contains(message) {
                return Err(format!("I4: {message} was forwarded after it was failed"));
            }
        }
        Ok(())
    }

    /// From here on, the chat service and Genesys work, and everything must finish.
    pub(crate) fn settle_down(&mut self) -> Result<(), String> {
        let end = self.now.checked_add(Duration::from_hours(2)).expect("in range");
        while self.now < end {
            for _ in 0..200 {
                if let Some(call) = self.calls.pop() {
                    match call {
                        Call::Open { attempt } => {
                            let outcome = OpenOutcome::Opened(self.new_session());
                            self.take(Input::OpenEnded { attempt, outcome });
                        }
                        Call::Tell { message, attempt } => {
                            self.take(Input::RefusalTold {
                                message,
                                attempt,
                                outcome: TellOutcome::Heard,
                            });
                        }
                        Call::Forward { message, attempt } => {
                            let outcome = AttemptOutcome::Delivered { service_id: None };
                            self.take(Input::AttemptEnded { message, attempt, outcome });
                        }
                    }
                } else if let Some(owed) = self.conversation.owed().first().cloned() {
                    self.take(done(owed, false));
                } else {
                    break;
                }
            }
            self.check()?;
            if self.conversation.is_idle() {
                break;
            }
            self.wait(Duration::from_mins(1));
        }
        self.rules.check_end(&self.policy)?;
        if let Some(message) = self.history.unsettled().next() {
            return Err(format!("I2: {message} was never settled"));
        }
        if let Some(message) = self.history.unreceipted().next() {
            return Err(format!("I2: the final receipt of {message} never left"));
        }
        if !self.conversation.is_idle() {
            return Err(format!("something stays open: {:?}", self.conversation));
        }
        Ok(())
    }

    pub(crate) fn journal(&self) -> String {
        self.records.iter().enumerate().fold(String::new(), |mut text, (n, (at, record))| {
            let json = serde_json::to_string(record).expect("a record is JSON");
            let _ = writeln!(text, "{:4} {at} {json}", n + 1);
            text
        })
    }
}

fn attempt_outcome(outcome: u8, after: u8) -> AttemptOutcome {
    match outcome {
        0 | 1 => AttemptOutcome::Delivered { service_id: None },
        2 | 3 => AttemptOutcome::Accepted { service_id: Some("x".into()) },
        4 => AttemptOutcome::Rejected { reason: Reason::new(ReasonCode::MessageNotAllowed, "no") },
        5 => AttemptOutcome::SessionGone,
        6 => AttemptOutcome::NotTaken {
            reason: Reason::new(ReasonCode::RateLimited, "429"),
            after: seconds(after),
        },
        _ => AttemptOutcome::Unknown { reason: Reason::new(ReasonCode::GeneralError, "no answer") },
    }
}

fn done(owed: Owed, refused: bool) -> Input {
    let result = if refused {
        PostResult::Refused { why: "404 not.found".into() }
    } else {
        PostResult::Posted { genesys_id: None }
    };
    match owed {
        Owed::Receipt { message, fate } => {
            Input::ReceiptDone { message, last: fate.is_some(), result }
        }
        Owed::Inbound { message, .. } => {
            Input::InboundDone { message, result, genesys: Some("g".into()) }
        }
        Owed::Notice { message, notice } => Input::NoticeDone { message, notice, result },
        Owed::Disconnect { .. } => Input::DisconnectDone { result },
    }
}

fn seconds(after: u8) -> Option<Duration> {
    after.is_multiple_of(3).then(|| Duration::from_secs(after.into()))
}

fn pick<T>(from: &[T], index: u8) -> Option<&T> {
    from.get(usize::from(index) % from.len().max(1))
}

/// What a message offers: that many options, all alike but for their labels.
fn offer(options: u8) -> Offer {
    let option = |place: u8| Choice {
        kind: OptionKind::QuickReply,
        label: format!("Option {place}").into(),
        payload: place.to_string().into(),
        numbered: true,
    };
    Offer { options: (1..=options).map(option).collect() }
}
