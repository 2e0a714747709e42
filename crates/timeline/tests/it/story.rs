//! A conversation that a test tells: the real state machine decides, and the store in memory keeps
//! what it decided. Its clock moves only when the test moves it.

use std::sync::Arc;
use std::time::Duration;

use conversation::{
    AttemptOutcome, Conversation, ConversationId, DeadLetterAction, Effect, Input, IntegrationName,
    MessageId, OpenOutcome, Policy, PostResult, Reason, ReasonCode, Report, SessionId,
};
use jiff::Timestamp;
use store::memory::{Database, Direct, MemoryStore};
use store::{
    Acceptance, Append, AppendPriority, Arrival, Direction, Dossier, MessageRow, NewMessage,
    OutboxItem, Store,
};
use timeline::{ConversationTimeline, MessageTimeline, Step};
use tokio::runtime::Runtime;

/// What must not be in a timeline: a text, and a customer's name.
pub(crate) const SECRET: &str = "SECRET";

pub(crate) struct Story {
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    start: Timestamp,
    store: MemoryStore,
    runtime: Runtime,
    state: Conversation,
    seq: u64,
    /// What the last steps asked for and that has no answer.
    pub(crate) effects: Vec<Effect>,
}

impl Story {
    /// It begins at 09:00:00, under the default policy.
    pub(crate) fn new() -> Self {
        Self::under(Policy::default())
    }

    pub(crate) fn under(policy: Policy) -> Self {
        let start = "2026-11-20T09:00:00Z".parse().expect("a time");
        Self {
            policy,
            now: start,
            start,
            store: MemoryStore::alone(&Database::new(None), Arc::new(Direct)),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
            state: Conversation::default(),
            seq: 0,
            effects: Vec::new(),
        }
    }

    /// The agent writes `m1`, and the customer's session opens at once.
    pub(crate) fn in_session(policy: Policy) -> Self {
        let mut story = Self::under(policy);
        story.agent_writes("m1");
        story.open_ends(opened("s1"));
        story
    }

    /// Time passes until so many milliseconds after the start, and the gateway does what is due.
    pub(crate) fn until(&mut self, millis: u64) {
        let end = self.start + Duration::from_millis(millis);
        while let Some(due) = self.state.next_wakeup(&self.policy).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.decide(Input::Tick, Vec::new());
        }
        self.now = end;
    }

    /// Time passes, and no gateway runs.
    pub(crate) fn down_until(&mut self, millis: u64) {
        self.now = self.start + Duration::from_millis(millis);
    }

    pub(crate) fn agent_writes(&mut self, id: &str) {
        self.store_agent_message(id);
        self.handle_inbox();
    }

    /// The message is stored, and no node handles it.
    pub(crate) fn store_agent_message(&mut self, id: &str) {
        let input = Input::AgentMessage {
            message: MessageId::new(id),
            time: Some(self.now),
            received: self.now,
            unsuited: None,
            genesys: Some("genesys-1".into()),
            offer: None,
        };
        self.arrives(Direction::Outbound, id, Some(input));
    }

    pub(crate) fn customer_writes(&mut self, id: &str) {
        let text = Some(SECRET.into());
        let input = Input::CustomerMessage { message: MessageId::new(id), text, tap: None };
        self.arrives(Direction::Inbound, id, Some(input));
        self.handle_inbox();
    }

    pub(crate) fn arrives(&mut self, direction: Direction, id: &str, input: Option<Input>) {
        let message = NewMessage {
            integration: integration(),
            direction,
            id: MessageId::new(id),
            foreign_id: format!("foreign-{id}"),
            conversation: conversation(),
            customer: format!(r#"{{"id":"noor-1","nickname":"{SECRET}"}}"#),
            received: self.now,
            body: SECRET.into(),
            input,
        };
        let accepted = self.runtime.block_on(self.store.accept(Arrival::Message(message)));
        accepted.expect("the store accepts");
    }

    /// A node handles what waits in the inbox.
    pub(crate) fn handle_inbox(&mut self) {
        let id = conversation();
        let inbox = self.store.inbox(&id, true, 100);
        for item in self.runtime.block_on(inbox).expect("an inbox") {
            self.decide(item.input, vec![item.seq]);
        }
    }

    pub(crate) fn happens(&mut self, input: Input) {
        self.decide(input, Vec::new());
    }

    fn decide(&mut self, input: Input, taken: Vec<u64>) {
        let step = self.state.handle(&self.policy, self.now, input);
        self.effects.extend(step.effects);
        let records = step.records;
        let next = self.seq + u64::try_from(records.len()).expect("few records");
        let append = Append {
            conversation: conversation(),
            integration: integration(),
            after: self.seq,
            at: self.now,
            records,
            taken,
            due: self.state.next_wakeup(&self.policy),
            watched: None,
            standing: None,
            snapshot: Some(self.state.clone()),
            priority: AppendPriority::Normal,
        };
        self.runtime.block_on(self.store.append(append)).expect("the store appends");
        self.seq = next;
    }

    /// The chat service answers the open call for a session.
    pub(crate) fn open_ends(&mut self, outcome: OpenOutcome) {
        let open = |effect: &Effect| match effect {
            Effect::Open { attempt, .. } => Some(*attempt),
            _ => None,
        };
        let attempt = self.effects.iter().rev().find_map(open).expect("a call for a session");
        self.happens(Input::OpenEnded { attempt, outcome });
    }

    /// The chat service answers the last attempt about the message.
    pub(crate) fn attempt_ends(&mut self, id: &str, outcome: AttemptOutcome) {
        let forward = |effect: &Effect| match effect {
            Effect::Forward { message, attempt, .. } if message.as_str() == id => Some(*attempt),
            _ => None,
        };
        let attempt = self.effects.iter().rev().find_map(forward).expect("an attempt");
        self.happens(Input::AttemptEnded { message: MessageId::new(id), attempt, outcome });
    }

    pub(crate) fn receipt_ends(&mut self, id: &str, result: PostResult) {
        self.happens(Input::ReceiptDone { message: MessageId::new(id), last: true, result });
    }

    /// The chat service reports on the message.
    pub(crate) fn reports(&mut self, id: &str, report: Report) {
        self.happens(Input::Reported { message: MessageId::new(id), report });
    }

    pub(crate) fn inbound_ends(&mut self, id: &str, result: PostResult) {
        let (message, genesys) = (MessageId::new(id), Some("genesys-1".into()));
        self.happens(Input::InboundDone { message, result, genesys });
    }

    /// An operator acts on a dead letter, as the store shows it.
    pub(crate) fn operator_acts(&mut self, action: DeadLetterAction, id: &str) {
        let input = self.action(action, id);
        self.happens(input);
    }

    /// An operator's action is stored, and no node handles it.
    pub(crate) fn operator_asks(&mut self, action: DeadLetterAction, id: &str) {
        let event = Arrival::Event {
            integration: integration(),
            id: format!("{action:?} {id}"),
            received: self.now,
            conversation: conversation(),
            input: self.action(action, id),
        };
        let accepted = self.runtime.block_on(self.store.accept(event)).expect("an answer");
        assert_eq!(accepted, Acceptance::New(conversation()));
    }

    fn action(&self, action: DeadLetterAction, id: &str) -> Input {
        let is_it = |row: &&MessageRow| {
            row.direction == Direction::Inbound && row.id.as_str() == id && row.state == "refused"
        };
        let row = self.dossier().messages.iter().find(is_it).cloned().expect("a dead letter");
        let died = row.settled.expect("when it became one");
        Input::DeadLetter { action, message: row.id, died, by: "ops".into() }
    }

    /// Genesys does not take the customer's message this time.
    pub(crate) fn post_fails(&mut self, id: &str, why: &str) {
        let is_it = |item: &&OutboxItem| item.owed.message().is_some_and(|m| m.as_str() == id);
        let owed = self.dossier().owed.iter().find(is_it).expect("it is owed").owed.clone();
        self.happens(Input::PostFailed { owed, why: why.into() });
    }

    /// Retention removes what ended before now.
    pub(crate) fn prune(&mut self) {
        self.runtime.block_on(self.store.prune(self.now)).expect("the store prunes");
    }

    pub(crate) fn dossier(&self) -> Dossier {
        self.dossier_if_any().expect("a conversation")
    }

    /// The dossier, unless nothing happened yet or all was pruned.
    pub(crate) fn dossier_if_any(&self) -> Option<Dossier> {
        let id = conversation();
        let dossier = self.runtime.block_on(self.store.dossier(&id));
        dossier.expect("a dossier")
    }

    pub(crate) fn of_agent(&self, id: &str) -> MessageTimeline {
        let id = MessageId::new(id);
        timeline::message(&self.dossier(), Direction::Outbound, &id, self.now).expect("known")
    }

    pub(crate) fn of_customer(&self, id: &str) -> MessageTimeline {
        let id = MessageId::new(id);
        timeline::message(&self.dossier(), Direction::Inbound, &id, self.now).expect("known")
    }

    pub(crate) fn overview(&self) -> ConversationTimeline {
        timeline::conversation(&self.dossier(), self.now)
    }
}

pub(crate) fn integration() -> IntegrationName {
    IntegrationName::new("acme")
}

pub(crate) fn conversation() -> ConversationId {
    ConversationId::new("c1")
}

pub(crate) fn opened(session: &str) -> OpenOutcome {
    OpenOutcome::Opened(SessionId::new(session))
}

pub(crate) fn not_now() -> OpenOutcome {
    OpenOutcome::Retry { reason: Reason::new(ReasonCode::ServerError, "503"), after: None }
}

pub(crate) fn taken() -> AttemptOutcome {
    AttemptOutcome::Accepted { service_id: Some("s-77".into()) }
}

pub(crate) fn not_taken(after: Option<u64>) -> AttemptOutcome {
    let after = after.map(Duration::from_secs);
    AttemptOutcome::NotTaken { reason: Reason::new(ReasonCode::ServerError, "503"), after }
}

pub(crate) fn unknown() -> AttemptOutcome {
    AttemptOutcome::Unknown { reason: Reason::new(ReasonCode::ServerError, "no answer in 10 s") }
}

pub(crate) fn posted() -> PostResult {
    PostResult::Posted { genesys_id: Some("g-9".into()) }
}

pub(crate) fn refused(why: &str) -> PostResult {
    PostResult::Refused { why: why.into() }
}

/// A timeline as an operator's terminal would show it.
pub(crate) fn shown(timeline: &MessageTimeline) -> String {
    let mut shown = vec![timeline.summary.clone()];
    shown.extend(lines(&timeline.steps));
    if let Some(next) = &timeline.next {
        let at = next.at.map_or(String::new(), |at| format!(" {}", time(at)));
        shown.push(format!("next{at}: {}", next.text));
    }
    shown.join("\n")
}

/// One line for each step; failed ones have a mark.
pub(crate) fn lines(steps: &[Step]) -> impl Iterator<Item = String> {
    steps.iter().map(|step| {
        let until = match (step.until, step.lasts) {
            (Some(until), _) => format!("-{}", time(until)),
            (None, true) => "-now".to_owned(),
            (None, false) => String::new(),
        };
        let mark = if step.failed { "!" } else { " " };
        let (lane, kind) = (word(&step.lane), word(&step.kind));
        format!("{mark} {}{until} {lane} {kind}: {}", time(step.at), step.text)
    })
}

fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// A value's word in JSON.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON").trim_matches('"').to_owned()
}
