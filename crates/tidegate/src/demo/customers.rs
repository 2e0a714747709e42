//! The customers of the demo's chat service, each with the messages in both directions and the
//! state of the handshake.
//!
//! It is plain data, which the chat service keeps behind a lock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::scene::HANDSHAKE;

/// The customers that exist from the start, so that a person only has to choose one.
const AT_HAND: [&str; 4] = ["noor", "emil", "mei", "never-ready"];
/// How many customers there may be, so that a program cannot fill the memory.
const MOST: usize = 1_000;

/// The state of a customer's handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Handshake {
    /// The gateway has not requested a session yet.
    #[default]
    None,
    Opening {
        since: Timestamp,
    },
    Open,
    /// The gateway closed the session.
    Closed,
}

impl Handshake {
    /// Whether the customer's handshake ever ends. For some it does not, to show what happens to
    /// the agent's messages then.
    pub(super) fn ends_for(customer: &str) -> bool {
        !customer.starts_with("never")
    }
}

/// The answer to a request for a session.
pub(super) enum SessionRequest {
    Begins,
    GoesOn,
    IsThere(String),
}

/// One message of a chat.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// The idempotency key, or the id of the customer's event.
    pub(super) id: String,
    pub(super) agent: bool,
    pub(super) text: String,
    /// Genesys's content elements, unchanged.
    pub(super) content: Value,
    pub(super) at: Timestamp,
}

/// A customer of the demo's chat service, with what their screen shows.
#[derive(Debug, Default)]
pub(super) struct Customer {
    pub(super) handshake: Handshake,
    /// The name of the last session while it is open.
    session: Option<String>,
    pub(super) lines: Vec<Line>,
    /// The time until which the agent counts as typing.
    typing: Option<Timestamp>,
}

/// All customers, by name.
#[derive(Debug)]
pub(super) struct Customers {
    by_name: BTreeMap<String, Customer>,
    /// Maps the gateway's conversations to customers.
    conversations: HashMap<String, String>,
}

impl Default for Customers {
    fn default() -> Self {
        let by_name =
            AT_HAND.iter().map(|name| ((*name).to_owned(), Customer::default())).collect();
        Self { by_name, conversations: HashMap::new() }
    }
}

impl Customers {
    pub(super) fn get(&self, name: &str) -> Option<&Customer> {
        self.by_name.get(name)
    }

    /// Whether this customer exists, or there is room for one more.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || self.by_name.len() < MOST
    }

    pub(super) fn named(&mut self, name: &str) -> &mut Customer {
        self.by_name.entry(name.to_owned()).or_default()
    }

    /// Handles a request for a session, which may be repeated.
    pub(super) fn wanted(
        &mut self,
        conversation: &str,
        name: &str,
        now: Timestamp,
    ) -> SessionRequest {
        self.conversations.insert(conversation.to_owned(), name.to_owned());
        let customer = self.named(name);
        match (customer.handshake, &customer.session) {
            (Handshake::Opening { .. }, _) => SessionRequest::GoesOn,
            (Handshake::Open, Some(session)) => SessionRequest::IsThere(session.clone()),
            _ => {
                customer.handshake = Handshake::Opening { since: now };
                SessionRequest::Begins
            }
        }
    }

    /// A handshake has succeeded.
    pub(super) fn opened(&mut self, name: &str, session: &str) {
        let customer = self.named(name);
        (customer.handshake, customer.session) = (Handshake::Open, Some(session.to_owned()));
    }

    /// Shows an agent's message. Returns the customer, and whether the message was new; `None` if
    /// there is no session.
    pub(super) fn show(&mut self, conversation: &str, said: Line) -> Option<(String, bool)> {
        let name = self.conversations.get(conversation)?.clone();
        let customer = self.named(&name);
        if !matches!(customer.handshake, Handshake::Open) {
            return None;
        }
        let new = customer.lines.iter().all(|line| line.id != said.id);
        if new {
            customer.lines.push(said);
            customer.typing = None;
        }
        Some((name, new))
    }

    pub(super) fn agent_types(&mut self, conversation: &str, until: Option<Timestamp>) {
        if let Some(name) = self.conversations.get(conversation).cloned() {
            self.named(&name).typing = until;
        }
    }

    pub(super) fn close(&mut self, conversation: &str) {
        if let Some(name) = self.conversations.get(conversation).cloned() {
            let customer = self.named(&name);
            (customer.handshake, customer.session) = (Handshake::Closed, None);
        }
    }

    /// The agent's texts that the customer sees, in order.
    pub(super) fn screen(&self, name: &str) -> Vec<String> {
        let lines = self.get(name).into_iter().flat_map(|customer| &customer.lines);
        lines.filter(|line| line.agent).map(|line| line.text.clone()).collect()
    }

    /// The contents of the page: each customer with all messages.
    pub(super) fn shown(&self, now: Timestamp) -> Value {
        let one = |(name, customer): (&String, &Customer)| {
            let left = customer
                .typing
                .and_then(|until| Duration::try_from(until.duration_since(now)).ok());
            json!({
                "name": name,
                "handshake": handshake(name, customer.handshake, now),
                "lines": customer.lines,
                "typing_ms": left.map_or(0, |left| left.as_millis()),
            })
        };
        // First the customers of `AT_HAND` in their order, then the others by name.
        let first = AT_HAND.iter().filter_map(|name| self.by_name.get_key_value(*name));
        let others = self.by_name.iter().filter(|(name, _)| !AT_HAND.contains(&name.as_str()));
        json!(first.chain(others).map(one).collect::<Vec<_>>())
    }
}

fn handshake(name: &str, handshake: Handshake, now: Timestamp) -> Value {
    match handshake {
        Handshake::None => json!({"state": "none"}),
        Handshake::Open => json!({"state": "open"}),
        Handshake::Closed => json!({"state": "closed"}),
        Handshake::Opening { since } => {
            let gone = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            let takes = Handshake::ends_for(name).then_some(HANDSHAKE.as_millis());
            json!({"state": "opening", "gone_ms": gone.as_millis(), "takes_ms": takes})
        }
    }
}
