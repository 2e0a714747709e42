//! Where a chat service's events come in: verified, made durable, answered.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use connector::{Event, IncomingEvent};
use conversation::{ConversationId, Input, IntegrationName, MessageId};
use jiff::Timestamp;
use serde::Serialize;
use store::{Arrival, Direction, NewMessage, Stored};

use crate::body::{self, Door};
use crate::engine::Engine;
use crate::from_genesys;

/// What the chat service is told about its events.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    /// How many are durable now, or were before.
    accepted: usize,
    /// Those without effect, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<Ignored>,
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

/// `POST /connectors/{integration}/events`.
pub(crate) async fn events(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, Json<Answer>) {
    let Some(integration) = engine.integration(&IntegrationName::new(&name)).cloned() else {
        return refused(StatusCode::NOT_FOUND, "no such integration");
    };
    let body = match body::read(body, engine.limits.max_body, &engine.bodies, Door::Events).await {
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
    take(&engine, &integration.name, parsed).await
}

type Parsed = Result<IncomingEvent, connector::protocol::BadEvent>;

async fn take(
    engine: &Arc<Engine>,
    name: &IntegrationName,
    parsed: Vec<Parsed>,
) -> (StatusCode, Json<Answer>) {
    let mut answer = Answer::default();
    // Where nothing at all can be read, a chat service should notice.
    let mut unreadable = !parsed.is_empty();
    for (index, event) in parsed.into_iter().enumerate() {
        let event = match event {
            Ok(event) => event,
            Err(bad) => {
                engine.metrics.event(name.as_str(), "bad");
                tracing::warn!(integration = %name, index, why = bad.why, "an event was ignored");
                answer.ignored.push(Ignored { index, id: bad.id, why: bad.why });
                continue;
            }
        };
        unreadable = false;
        let id = event.event.id().map(str::to_owned);
        // One after the other: the order of an array is the order of what happened.
        let ignored = |why: &str| Ignored { index, id, why: why.to_owned() };
        match arrival(name, event, engine.clock.now()) {
            Told::Stored(arrival) => match engine.accept(*arrival).await {
                Ok(Stored::Unknown) => {
                    engine.metrics.event(name.as_str(), "unknown");
                    answer.ignored.push(ignored(
                        "it names a conversation or message that the gateway does not know",
                    ));
                }
                Ok(_) => {
                    engine.metrics.event(name.as_str(), "accepted");
                    answer.accepted += 1;
                }
                Err(error) => {
                    engine.metrics.event(name.as_str(), "unavailable");
                    tracing::error!(integration = %name, %error, "an event could not be stored");
                    return refused(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "the store cannot take it now; send all of it again",
                    );
                }
            },
            Told::Typing(conversation, on) => {
                if on {
                    engine.mention(&conversation, Input::CustomerTyping);
                }
                answer.accepted += 1;
            }
        }
    }
    (if unreadable { StatusCode::BAD_REQUEST } else { StatusCode::ACCEPTED }, Json(answer))
}

fn refused(status: StatusCode, why: &str) -> (StatusCode, Json<Answer>) {
    (status, Json(Answer { error: Some(why.to_owned()), ..Answer::default() }))
}

enum Told {
    Stored(Box<Arrival>),
    /// Never stored.
    Typing(ConversationId, bool),
}

/// What an event means to a conversation.
fn arrival(name: &IntegrationName, incoming: IncomingEvent, received: Timestamp) -> Told {
    let event = |id: String, conversation: ConversationId, input: Input| {
        Told::Stored(Box::new(Arrival::Event {
            integration: name.clone(),
            id,
            received,
            conversation,
            input,
        }))
    };
    match incoming.event {
        Event::Message { id, customer, .. } => {
            let message = MessageId::from_foreign(&id);
            Told::Stored(Box::new(Arrival::Message(NewMessage {
                integration: name.clone(),
                direction: Direction::Inbound,
                id: message.clone(),
                foreign_id: id,
                conversation: ConversationId::of(name, &customer.id),
                customer: from_genesys::json(&customer),
                received,
                body: Bytes::copy_from_slice(incoming.raw.get().as_bytes()),
                input: Some(Input::CustomerMessage { message }),
            })))
        }
        Event::Report { id, message, report } => Told::Stored(Box::new(Arrival::Report {
            integration: name.clone(),
            id,
            received,
            of: message,
            report,
        })),
        Event::SessionOpened { id, conversation, session } => {
            event(id, conversation, Input::SessionOpened { session })
        }
        Event::SessionRefused { id, conversation, reason } => {
            event(id, conversation, Input::SessionRefused { reason })
        }
        Event::SessionClosed { id, conversation, session, .. } => {
            event(id, conversation, Input::SessionClosed { session })
        }
        Event::Typing { customer, conversation, on } => {
            let named =
                customer.map(|customer| ConversationId::of(name, &customer)).or(conversation);
            Told::Typing(named.unwrap_or_else(|| ConversationId::of(name, "")), on)
        }
    }
}
