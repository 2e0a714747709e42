//! The endpoint for a chat service's events: verifies them, makes them durable, and answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use connector::{Event, IncomingEvent};
use conversation::{ConversationId, Input, IntegrationName, MessageRef, Report};
use jiff::Timestamp;
use serde::Serialize;
use store::{Acceptance, Arrival, StoreError};

use super::answers::{self, shown};
use super::body::{self, Endpoint};
use super::state::HttpState;
use crate::broadcast::Broadcast;
use crate::customer_event::CustomerEvent;
use crate::engine::Engine;

/// The answer to the chat service.
#[derive(Debug, Default, Serialize)]
pub(crate) struct EventsReply {
    /// How many events are durable now, or were before.
    accepted: usize,
    /// Events that had no effect, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<Ignored>,
    /// What was dropped or changed in accepted events, so that Genesys takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Ignored>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Ignored {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    why: String,
}

/// Answers `POST /connectors/{integration}/events` with 202 once all events are durable.
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
    let parsed = match integration.events.parse(bytes) {
        Ok(parsed) => parsed,
        Err(error) => {
            engine.metrics.event(&name, "unreadable");
            tracing::warn!(integration = name, %error, "events were refused");
            return refused(StatusCode::BAD_REQUEST, &error.to_string());
        }
    };
    take(engine, &integration.name, parsed).await
}

type Parsed = Result<IncomingEvent, connector::protocol::BadEvent>;

async fn take(
    engine: &Arc<Engine>,
    name: &IntegrationName,
    parsed: Vec<Parsed>,
) -> (StatusCode, Json<EventsReply>) {
    let mut batch = Batch { engine, name, reply: EventsReply::default() };
    // If nothing at all can be read, the chat service should notice.
    let mut unreadable = !parsed.is_empty();
    // One by one: the order of the array is the order in which things happened.
    for (index, parsed) in parsed.into_iter().enumerate() {
        let Some((labels, meaning)) = batch.read(index, parsed) else { continue };
        unreadable = false;
        if let Err(error) = batch.store(&labels, meaning).await {
            engine.metrics.event(name.as_str(), "unavailable");
            tracing::error!(integration = %name, %error, "an event could not be stored");
            return refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot take it now; send all of it again",
            );
        }
    }
    let status = if unreadable { StatusCode::BAD_REQUEST } else { StatusCode::ACCEPTED };
    (status, Json(batch.reply))
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
    /// What an event means. If it cannot be read, or Genesys would refuse it, the answer says why.
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
        match meaning(name, event, engine.clock.now()) {
            Ok((meaning, notes)) => {
                self.reply.changed.extend(notes.iter().map(|note| labels.note(note)));
                Some((labels, meaning))
            }
            Err(why) => {
                engine.metrics.event(name.as_str(), "refused");
                log_refusal(engine, name, kind, labels.id.as_deref(), &why);
                self.reply.ignored.push(labels.note(&why));
                None
            }
        }
    }

    /// Makes an event durable, or passes typing on, and adds it to the answer.
    async fn store(&mut self, labels: &EventLabels, meaning: Meaning) -> Result<(), StoreError> {
        let engine = self.engine;
        let acceptance = match meaning {
            Meaning::Arrivals(arrivals) => accept(engine, arrivals).await?,
            Meaning::Broadcast(event) => event.accept(engine).await?,
            Meaning::Typing(conversation, on) => {
                if on {
                    engine.deliver_volatile(&conversation, Input::CustomerTyping);
                }
                self.reply.accepted += 1;
                return Ok(());
            }
        };
        self.count(labels, &acceptance);
        Ok(())
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

/// Makes the arrivals of one event durable, in order. If that fails half way, the chat service is
/// told that nothing was accepted, and sends all of it again. Parts that are durable already are
/// recognized by their ids.
async fn accept(engine: &Arc<Engine>, arrivals: Vec<Arrival>) -> Result<Acceptance, StoreError> {
    let mut stored = Acceptance::Repeated;
    for arrival in arrivals {
        stored = engine.accept(arrival).await?;
    }
    Ok(stored)
}

/// A chat service that sends one bad event often sends many.
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
        Event::Report { message, report, .. } => {
            let kind = match report {
                Report::Delivered => "message.delivered",
                Report::Read => "message.read",
                Report::Failed { .. } => "message.failed",
            };
            let names = match message {
                MessageRef::Ours(id) => format!("message {}", shown(id.as_str())),
                MessageRef::Service(id) if looks_like_an_id(id) => format!("message_id {id}"),
                MessageRef::Service(id) => format!("a message_id of {} bytes", id.len()),
            };
            (kind, names)
        }
        Event::SessionOpened { conversation, .. } => ("session.opened", of(conversation)),
        Event::SessionRefused { conversation, .. } => ("session.refused", of(conversation)),
        Event::SessionClosed { conversation, .. } => ("session.closed", of(conversation)),
        Event::SessionLost { conversation, .. } => {
            ("session.lost", conversation.as_ref().map_or(String::new(), of))
        }
        Event::Typing { .. } => ("typing", String::new()),
    }
}

/// Whether a service's own id may appear in the log. It may be anything, even what people wrote. An
/// id is short, and has a digit and no blank.
fn looks_like_an_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@/+=".contains(&byte);
    id.len() <= 64 && id.bytes().all(plain) && id.bytes().any(|byte| byte.is_ascii_digit())
}

fn of(conversation: &ConversationId) -> String {
    format!("conversation {}", shown(conversation.as_str()))
}

fn refused(status: StatusCode, why: &str) -> (StatusCode, Json<EventsReply>) {
    (status, Json(EventsReply { error: Some(why.to_owned()), ..EventsReply::default() }))
}

/// What an event means to the gateway.
enum Meaning {
    /// To be stored in this order.
    Arrivals(Vec<Arrival>),
    /// About all conversations of the integration.
    Broadcast(Broadcast),
    /// Never stored.
    Typing(ConversationId, bool),
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
            let (arrivals, notes) = event.arrivals(name, &raw, received)?;
            return Ok((Meaning::Arrivals(arrivals), [left_out, notes].concat()));
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
        Event::Typing { customer, conversation, on } => {
            let named =
                customer.map(|customer| ConversationId::of(name, &customer)).or(conversation);
            Meaning::Typing(named.unwrap_or_else(|| ConversationId::of(name, "")), on)
        }
    };
    Ok((meaning, left_out))
}
