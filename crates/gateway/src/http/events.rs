//! The endpoint for a chat service's events: verifies them, makes them durable, and answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use connector::{Event, IncomingEvent, ServiceState};
use conversation::{ConversationId, Input, IntegrationName, MessageRef, Report};
use jiff::Timestamp;
use serde::Serialize;
use store::{Acceptance, Arrival, Chain, StoreError};

use super::answers::{self, shown};
use super::body::{self, Endpoint};
use super::state::HttpState;
use crate::broadcast::Broadcast;
use crate::change::{Change, ChangeReport};
use crate::customer_event::CustomerEvent;
use crate::engine::Engine;
use crate::files::{self, MayHaveFiles};
use crate::history;
use crate::own_event;
use crate::settings::Integration;

/// How much of a remedy is logged, in characters.
const MAX_REMEDY: usize = 300;

/// The answer to the chat service.
#[derive(Debug, Default, Serialize)]
pub(crate) struct EventsReply {
    /// How many events were accepted. They are durable, now or from an earlier request, or are
    /// typing, which is never stored.
    accepted: usize,
    /// Events that had no effect, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<Ignored>,
    /// What was dropped or changed in accepted events, so that Genesys accepts them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Ignored>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl EventsReply {
    /// Nothing was accepted, for this reason.
    pub(super) fn error(why: &str) -> Self {
        Self { error: Some(why.to_owned()), ..Self::default() }
    }
}

#[derive(Debug, Serialize)]
struct Ignored {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    why: String,
}

/// Answers `POST /connectors/{integration}/events` with 202 once all events are durable, except
/// typing and events that are ignored. The answer is 400 if it can read none of them, or if Genesys
/// would refuse all that it can read.
pub(crate) async fn events(
    State(state): State<Arc<HttpState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, Json<EventsReply>) {
    let engine = &state.engine;
    let Some(integration) = engine.integration(&IntegrationName::new(&name)).cloned() else {
        return refused(
            StatusCode::NOT_FOUND,
            &answers::unknown_integration(engine, "/connectors", &name),
        );
    };
    let body = match body::read(body, engine.limits.max_body, &state.bodies, Endpoint::Events).await
    {
        Ok(body) => body,
        Err(refusal) => {
            engine.metrics.event(&name, refusal.word());
            return refused(refusal.status(), refusal.text().trim_end());
        }
    };
    let bytes = &body.bytes;
    if let Err(error) = integration.events.verify(&headers, bytes) {
        engine.metrics.event(&name, "unsigned");
        tracing::warn!(integration = name, %error, bytes = bytes.len(), "events were refused");
        return refused(StatusCode::UNAUTHORIZED, &error.to_string());
    }
    let (status, reply) = take(engine, &integration, bytes).await;
    (status, Json(reply))
}

type Parsed = Result<IncomingEvent, connector::protocol::BadEvent>;

/// Takes one event, or an array, from a chat service whose signature was verified. Returns once
/// they are durable.
pub(super) async fn take(
    engine: &Arc<Engine>,
    integration: &Integration,
    body: &[u8],
) -> (StatusCode, EventsReply) {
    let name = &integration.name;
    let parsed = match integration.events.parse(body) {
        Ok(parsed) => parsed,
        Err(error) => {
            engine.metrics.event(name.as_str(), "unreadable");
            tracing::warn!(integration = %name, %error, "events were refused");
            return (StatusCode::BAD_REQUEST, EventsReply::error(&error.to_string()));
        }
    };
    let mut batch = Batch { engine, name, reply: EventsReply::default() };
    // If no event can be used, the chat service should notice: the answer is 400.
    let mut unreadable = !parsed.is_empty();
    // One at a time: the order of the array is the order in which things happened.
    for (index, parsed) in parsed.into_iter().enumerate() {
        let Some((labels, meaning)) = batch.read(index, parsed) else { continue };
        unreadable = false;
        if let Err(error) = batch.store(&labels, meaning).await {
            engine.metrics.event(name.as_str(), "unavailable");
            let error = Chain(&error);
            tracing::error!(integration = %name, %error, "an event could not be stored");
            let why = "the store cannot take it now; send all of it again";
            return (StatusCode::SERVICE_UNAVAILABLE, EventsReply::error(why));
        }
    }
    let status = if unreadable { StatusCode::BAD_REQUEST } else { StatusCode::ACCEPTED };
    (status, batch.reply)
}

/// The events of one request, and the answer so far.
struct Batch<'a> {
    engine: &'a Arc<Engine>,
    name: &'a IntegrationName,
    reply: EventsReply,
}

/// What the answer and the log say about one event.
struct EventLabels {
    index: usize,
    id: Option<String>,
    kind: &'static str,
    names: String,
}

impl EventLabels {
    fn note(&self, why: &str) -> Ignored {
        Ignored { index: self.index, id: self.id.clone(), why: why.to_owned() }
    }

    fn shown_id(&self) -> String {
        self.id.as_deref().map(shown).unwrap_or_default()
    }
}

impl Batch<'_> {
    /// Returns what an event means. If it cannot be read, or Genesys would refuse it, the answer
    /// says why.
    fn read(&mut self, index: usize, parsed: Parsed) -> Option<(EventLabels, Meaning)> {
        let (engine, name) = (self.engine, self.name);
        let event = match parsed {
            Ok(event) => event,
            Err(bad) => {
                engine.metrics.event(name.as_str(), "bad");
                log_refusal(engine, name, "event", bad.id.as_deref(), &bad.why);
                self.reply.ignored.push(Ignored { index, id: bad.id, why: bad.why });
                return None;
            }
        };
        let id = event.event.id().map(str::to_owned);
        let (kind, names) = named(&event.event);
        let labels = EventLabels { index, id, kind, names };
        if labels.id.as_deref().is_some_and(own_event::is_reserved) {
            self.refuse(&labels, "its `id` begins with U+001E, and such ids are the gateway's own");
            return None;
        }
        match meaning(name, event, engine.clock.now()) {
            Ok((meaning, notes)) => {
                self.reply.changed.extend(notes.iter().map(|note| labels.note(note)));
                Some((labels, meaning))
            }
            Err(why) => {
                self.refuse(&labels, &why);
                None
            }
        }
    }

    /// Notes that an event has no effect, and why.
    fn refuse(&mut self, labels: &EventLabels, why: &str) {
        let (engine, name) = (self.engine, self.name);
        engine.metrics.event(name.as_str(), "refused");
        log_refusal(engine, name, labels.kind, labels.id.as_deref(), why);
        self.reply.ignored.push(labels.note(why));
    }

    /// Makes an event durable, or passes typing on, and adds it to the answer.
    async fn store(&mut self, labels: &EventLabels, meaning: Meaning) -> Result<(), StoreError> {
        let engine = self.engine;
        let acceptance = match meaning {
            Meaning::Arrivals(arrivals) => accept(engine, arrivals).await?,
            Meaning::Broadcast(event) => event.accept(engine).await?,
            Meaning::Change(change) => match change.report(engine).await? {
                ChangeReport::Arrivals(arrivals) => accept(engine, arrivals).await?,
                ChangeReport::Unknown => Acceptance::Unknown,
                ChangeReport::Refused(why) => {
                    self.refuse(labels, &why);
                    return Ok(());
                }
            },
            Meaning::State(state, remedy) => {
                self.service_is(state, remedy.as_deref());
                return Ok(());
            }
            Meaning::Typing(typist, on) => {
                self.take_typing(labels, typist, on).await;
                return Ok(());
            }
        };
        self.count(labels, &acceptance);
        Ok(())
    }

    /// Shows operators how the chat service says that it is.
    fn service_is(&mut self, state: ServiceState, remedy: Option<&str>) {
        let (engine, name) = (self.engine, self.name);
        engine.metrics.connector_state(name.as_str(), state == ServiceState::Up);
        let remedy: String = remedy.unwrap_or_default().chars().take(MAX_REMEDY).collect();
        let word = state.as_str();
        match engine.failures.admit(name.as_str(), "state", word) {
            Some(more) if state == ServiceState::Up => {
                tracing::info!(integration = %name, state = word, more, "the chat service's state");
            }
            Some(more) => {
                tracing::warn!(
                    integration = %name, state = word, remedy, more, "the chat service's state"
                );
            }
            None => {}
        }
        self.reply.accepted += 1;
    }

    /// Passes typing on, if it is about a conversation of this integration. It may be lost, so no
    /// event must be sent again because of it.
    async fn take_typing(&mut self, labels: &EventLabels, typist: Typist, on: bool) {
        let conversation = match typist {
            Typist::Customer(conversation) => conversation,
            // Any id may stand there, also that of another integration's conversation.
            Typist::Conversation(conversation) => {
                match self.engine.store.has_conversation(self.name, &conversation).await {
                    Ok(true) => conversation,
                    Ok(false) => return self.count(labels, &Acceptance::Unknown),
                    Err(error) => return self.lose_typing(labels, &error),
                }
            }
        };
        if on {
            self.engine.deliver_volatile(&conversation, Input::CustomerTyping);
        }
        self.reply.accepted += 1;
    }

    fn lose_typing(&mut self, labels: &EventLabels, error: &StoreError) {
        if let Some(more) = self.engine.failures.admit(self.name.as_str(), labels.kind, "lost") {
            let error = Chain(error);
            tracing::warn!(integration = %self.name, %error, more, "a typing event was dropped");
        }
        self.reply.ignored.push(labels.note("the store cannot tell now whose conversation it is"));
    }

    fn count(&mut self, labels: &EventLabels, acceptance: &Acceptance) {
        let (engine, name) = (self.engine, self.name);
        let EventLabels { kind, names, .. } = labels;
        let word = match acceptance {
            Acceptance::Unknown => "unknown",
            Acceptance::Early => "early",
            _ => "accepted",
        };
        engine.metrics.event(name.as_str(), word);
        if *acceptance == Acceptance::Unknown {
            if let Some(more) = engine.failures.admit(name.as_str(), kind, word) {
                tracing::warn!(
                    integration = %name, kind, event = labels.shown_id(), names, more,
                    "an event was ignored: the gateway does not know what it names"
                );
            }
            self.reply.ignored.push(
                labels.note("it names a conversation or message that the gateway does not know"),
            );
            return;
        }
        if *acceptance == Acceptance::Early
            && let Some(more) = engine.failures.admit(name.as_str(), kind, word)
        {
            tracing::info!(
                integration = %name, kind, event = labels.shown_id(), names, more,
                "a report waits: no message has this message_id yet"
            );
        }
        self.reply.accepted += 1;
    }
}

/// Makes the arrivals of one event durable, in order. If that fails halfway, the chat service is
/// told that nothing was accepted, and sends all of it again. Parts that are durable already are
/// recognized by their ids.
async fn accept(engine: &Arc<Engine>, arrivals: Vec<Arrival>) -> Result<Acceptance, StoreError> {
    let mut stored = Acceptance::Repeated;
    for arrival in arrivals {
        let message = match &arrival {
            Arrival::Message(message) => engine
                .integration(&message.integration)
                .map(|of| (Arc::clone(of), MayHaveFiles::of(of, message))),
            _ => None,
        };
        stored = engine.accept(arrival).await?;
        if let Some((integration, may_have_files)) = message
            && stored != Acceptance::Repeated
        {
            files::start(&integration, may_have_files);
        }
    }
    Ok(stored)
}

/// Logs a refused event, but not each one: a chat service that sends one bad event often sends
/// many.
fn log_refusal(engine: &Engine, name: &IntegrationName, kind: &str, id: Option<&str>, why: &str) {
    if let Some(more) = engine.failures.admit(name.as_str(), kind, why) {
        let id = id.map(shown).unwrap_or_default();
        tracing::warn!(integration = %name, kind, id, why, more, "an event was refused");
    }
}

/// The event's kind, and the message or conversation that it names, for the log.
fn named(event: &Event) -> (&'static str, String) {
    match event {
        Event::Message { .. } => ("message.created", String::new()),
        Event::History { .. } => ("history", String::new()),
        Event::State { .. } => ("state", String::new()),
        Event::Changed { text, message_id, .. } => {
            let kind = if text.is_some() { "message.edited" } else { "message.deleted" };
            (kind, named_message(message_id))
        }
        Event::Report { message, report, .. } => {
            let kind = match report {
                Report::Delivered => "message.delivered",
                Report::Read => "message.read",
                Report::Failed { .. } => "message.failed",
            };
            let names = match message {
                MessageRef::Ours(id) => format!("message {}", shown(id.as_str())),
                MessageRef::Service(id) => named_message(id),
            };
            (kind, names)
        }
        Event::SessionOpened { conversation, .. } => ("session.opened", of(conversation)),
        Event::SessionRefused { conversation, .. } => ("session.refused", of(conversation)),
        Event::SessionClosed { conversation, .. } => ("session.closed", of(conversation)),
        Event::SessionLost { conversation, .. } => {
            ("session.lost", conversation.as_ref().map_or(String::new(), of))
        }
        Event::Typing { conversation, .. } => {
            ("typing", conversation.as_ref().map_or(String::new(), of))
        }
    }
}

fn named_message(id: &str) -> String {
    if looks_like_an_id(id) {
        format!("message_id {id}")
    } else {
        format!("a message_id of {} bytes", id.len())
    }
}

/// Whether a service's own id may appear in the log. It may be any text, even what people wrote. A
/// real id is short, and has a digit and no blank.
fn looks_like_an_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@/+=".contains(&byte);
    id.len() <= 64 && id.bytes().all(plain) && id.bytes().any(|byte| byte.is_ascii_digit())
}

fn of(conversation: &ConversationId) -> String {
    format!("conversation {}", shown(conversation.as_str()))
}

fn refused(status: StatusCode, why: &str) -> (StatusCode, Json<EventsReply>) {
    (status, Json(EventsReply::error(why)))
}

/// What an event means to the gateway.
enum Meaning {
    /// To be stored in this order.
    Arrivals(Vec<Arrival>),
    /// About all conversations of the integration.
    Broadcast(Broadcast),
    /// About an earlier message of the customer, which has to be found first.
    Change(Change),
    /// How the chat service is. Never stored.
    State(ServiceState, Option<String>),
    /// Never stored.
    Typing(Typist, bool),
}

/// Who types.
enum Typist {
    /// A customer of the integration, whose conversation this is.
    Customer(ConversationId),
    /// The customer of the conversation that the event names.
    Conversation(ConversationId),
}

/// What an event means to a conversation, and what was dropped from it. The error says why Genesys
/// would refuse it.
fn meaning(
    name: &IntegrationName,
    incoming: IncomingEvent,
    received: Timestamp,
) -> Result<(Meaning, Vec<String>), String> {
    let IncomingEvent { event, raw, left_out } = incoming;
    let one = |id: String, conversation: ConversationId, input: Input| {
        Meaning::Arrivals(vec![Arrival::Event {
            integration: name.clone(),
            id,
            received,
            conversation,
            input,
        }])
    };
    let meaning = match event {
        Event::Message { id, customer, text, content, time } => {
            let event = CustomerEvent { id, customer, text, content, time };
            let (arrivals, notes) = event.arrivals(name, Some(&raw), received)?;
            return Ok((Meaning::Arrivals(arrivals), [left_out, notes].concat()));
        }
        Event::History { id, customer, messages } => {
            let text = Some(history::lines(&messages));
            let event = CustomerEvent { id, customer, text, content: Vec::new(), time: None };
            let (arrivals, notes) = event.arrivals(name, None, received)?;
            return Ok((Meaning::Arrivals(arrivals), [left_out, notes].concat()));
        }
        Event::State { state, remedy } => Meaning::State(state, remedy),
        Event::Changed { id, message_id, text } => {
            Meaning::Change(Change { integration: name.clone(), id, message_id, text, received })
        }
        Event::Report { id, message, report } => {
            let integration = name.clone();
            Meaning::Arrivals(vec![Arrival::Report {
                integration,
                id,
                received,
                of: message,
                report,
            }])
        }
        Event::SessionOpened { id, conversation, session } => {
            one(id, conversation, Input::SessionOpened { session })
        }
        Event::SessionRefused { id, conversation, reason } => {
            one(id, conversation, Input::SessionRefused { reason })
        }
        Event::SessionClosed { id, conversation, session, reason } => {
            one(id, conversation, Input::SessionClosed { session, reason })
        }
        Event::SessionLost { id, conversation: Some(conversation), session } => {
            one(id, conversation, Input::SessionLost { session })
        }
        Event::SessionLost { id, conversation: None, session } => {
            let input = Input::SessionLost { session };
            Meaning::Broadcast(Broadcast { integration: name.clone(), id, received, input })
        }
        Event::Typing { customer: Some(customer), on, .. } => {
            Meaning::Typing(Typist::Customer(ConversationId::of(name, &customer)), on)
        }
        Event::Typing { customer: None, conversation: Some(conversation), on } => {
            Meaning::Typing(Typist::Conversation(conversation), on)
        }
        Event::Typing { customer: None, conversation: None, .. } => {
            return Err("it says neither `customer` nor `conversation`".to_owned());
        }
    };
    Ok((meaning, left_out))
}
