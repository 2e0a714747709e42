//! A world around one conversation: a chat service and a Genesys that do anything, a journal that survives crashes, a
//! clock that only moves when told.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use conversation::{
    AttemptOutcome, Conversation, Effect, Fate, History, Input, MessageId, OpenOutcome, Owed,
    Policy, PostResult, Reason, ReasonCode, Record, Report, SessionId, Step,
};
use jiff::Timestamp;
use proptest::prelude::*;

/// Something that happens. Indices are taken modulo what there is; where there is nothing, nothing happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The agent writes; Genesys's clock differs from ours by that many seconds.
    Agent { clock_off: i16, unsuited: bool },
    /// The customer writes.
    Customer,
    /// The chat service answers an open call for a session.
    Open { call: u8, outcome: u8, after: u8 },
    /// The chat service answers a forward.
    Forward { call: u8, outcome: u8, after: u8 },
    /// The chat service reports on a message, true or not.
    Report { message: u8, report: u8 },
    /// The chat service tells about its sessions, asked or not.
    Session { event: u8, known: bool },
    /// Genesys takes something, or refuses it for good.
    Post { owed: u8, refused: bool },
    /// An answer or a report that came before comes once more.
    Again { which: u8 },
    /// The agent ends the conversation.
    AgentEnds,
    /// An operator resumes the conversation.
    Resume,
    /// Somebody types.
    Typing { agent: bool },
    /// Time passes; each deadline on the way is met.
    Wait { millis: u32 },
    /// Time passes while the gateway is down.
    Down { millis: u32 },
    /// The gateway dies after it decided and before that was durable; then the input comes again.
    CrashBeforeCommit,
    /// The gateway dies after a commit, before its effects.
    CrashAfterCommit,
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (prop_oneof![3 => Just(0_i16), 1 => -30_i16..30, 1 => any::<i16>()], prop::bool::weighted(0.05))
            .prop_map(|(clock_off, unsuited)| Event::Agent { clock_off, unsuited }),
        2 => Just(Event::Customer),
        4 => (any::<u8>(), 0_u8..6, 0_u8..60).prop_map(|(call, outcome, after)| Event::Open { call, outcome, after }),
        6 => (any::<u8>(), 0_u8..8, 0_u8..60).prop_map(|(call, outcome, after)| Event::Forward { call, outcome, after }),
        2 => (any::<u8>(), 0_u8..3).prop_map(|(message, report)| Event::Report { message, report }),
        2 => (0_u8..4, any::<bool>()).prop_map(|(event, known)| Event::Session { event, known }),
        3 => (any::<u8>(), prop::bool::weighted(0.2)).prop_map(|(owed, refused)| Event::Post { owed, refused }),
        1 => any::<u8>().prop_map(|which| Event::Again { which }),
        1 => Just(Event::AgentEnds),
        1 => Just(Event::Resume),
        1 => any::<bool>().prop_map(|agent| Event::Typing { agent }),
        4 => prop_oneof![3 => 0_u32..3_000, 1 => 0_u32..60_000, 1 => 0_u32..4_000_000]
            .prop_map(|millis| Event::Wait { millis }),
        1 => (0_u32..90_000).prop_map(|millis| Event::Down { millis }),
        1 => Just(Event::CrashBeforeCommit),
        1 => Just(Event::CrashAfterCommit),
    ]
}

/// A call that is under way.
#[derive(Clone, Debug)]
enum Call {
    Open { attempt: u32 },
    Forward { message: MessageId, attempt: u32 },
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
    messages: Vec<MessageId>,
    sessions: u32,
    /// Everything that came and was not a message: each may come again.
    answers: Vec<Input>,
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
            messages: Vec::new(),
            sessions: 0,
            answers: Vec::new(),
            die: None,
            wrong: None,
        }
    }

    pub(crate) fn happens(&mut self, event: Event) {
        match event {
            Event::Agent { clock_off, unsuited } => self.agent_writes(clock_off, unsuited),
            Event::Customer => {
                let message = MessageId::new(format!("in-{}", self.messages.len()));
                self.messages.push(message.clone());
                self.take(Input::CustomerMessage { message });
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

    fn agent_writes(&mut self, clock_off: i16, unsuited: bool) {
        let message = MessageId::new(format!("out-{}", self.messages.len()));
        self.messages.push(message.clone());
        let off = jiff::SignedDuration::from_secs(clock_off.into());
        self.take(Input::AgentMessage {
            message,
            time: self.now.checked_add(off).ok(),
            received: self.now,
            unsuited: unsuited.then(|| Reason::new(ReasonCode::UnsupportedMessage, "a carousel")),
            genesys: Some("g".into()),
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
            _ => {
                let session = known.then(|| SessionId::new(format!("s-{}", self.sessions)));
                self.take(Input::SessionClosed { session });
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

    /// What the records say must be what the input said.
    fn compare(&mut self, input: &Input, step: &Step) {
        for record in &step.records {
            match (input, record) {
                (
                    Input::AgentMessage { time, received, .. },
                    Record::Accepted { time: place, .. },
                ) if *place != time.map_or(*received, |time| time.min(*received)) => {
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
            if let Record::Settled { message, fate: Fate::Failed { .. }, .. } = record {
                self.failed_before.insert(message.clone(), self.forwarded.len());
            }
        }
        let records = step.records.iter().map(|record| (self.now, record.clone()));
        self.replayed = Conversation::replay(std::mem::take(&mut self.replayed), records);
        for effect in &step.effects {
            if let Effect::Forward { message, attempt, .. } = effect {
                let journaled = step.records.iter().any(|record| {
                    matches!(record, Record::AttemptStarted { message: m, attempt: a, .. } if m == message && a == attempt)
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
                Effect::Open { attempt } => self.calls.push(Call::Open { attempt }),
                Effect::Forward { message, attempt, .. } => {
                    self.forwarded.push(message.clone());
                    self.calls.push(Call::Forward { message, attempt });
                }
                Effect::Post(owed) if !self.conversation.owed().contains(&owed) => {
                    self.wrong = Some(format!("posts {owed:?}, which is not owed"));
                }
                Effect::Post(_)
                | Effect::Typing { .. }
                | Effect::Close
                | Effect::CustomerTyping => {}
            }
        }
    }

    /// The process is gone with all it knew and all that was under way; another one starts from the journal.
    fn restart(&mut self) {
        self.calls.clear();
        let snapshot = serde_json::to_string(&self.replayed).expect("a snapshot is JSON");
        self.conversation = serde_json::from_str(&snapshot).expect("a snapshot can be read");
        let step = self.conversation.handle(&self.policy, self.now, Input::Recovered);
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
        for (message, before) in &self.failed_before {
            if self.forwarded[*before..].contains(message) {
                return Err(format!("I4: {message} was forwarded after it was failed"));
            }
        }
        Ok(())
    }

    /// The chat service and Genesys behave from here on.
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
        Owed::Inbound { message } => {
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
