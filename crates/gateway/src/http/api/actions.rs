//! What operators do about dead letters. An action becomes an input of the conversation, as any
//! event does: it is durable before the answer, and the node that drives the conversation handles
//! it.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use conversation::{DeadLetterAction, Input, IntegrationName, MessageId};
use serde::{Deserialize, Serialize};
use store::{Acceptance, Arrival, Direction, MessageRow};
use utoipa::{IntoParams, ToSchema};

use super::access::OperatorName;
use super::find::hits;
use super::problem::Problem;
use super::timelines::{IdInPath, id_of};
use crate::engine::Engine;
use crate::http::answers::shown;
use crate::http::state::HttpState;
use crate::own_event;

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;

/// The parameters of an action.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionQuery {
    /// The message's integration, if messages of several have the id.
    integration: Option<String>,
}

/// The headers of an action.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only for the OpenAPI document")]
struct ActionHeaders {
    /// Repeats a request safely, also after the message has moved on.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// What became of a request for an action.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AcceptedAction {
    integration: String,
    conversation: String,
    message: String,
    #[schema(value_type = String)]
    action: DeadLetterAction,
    /// Whose token the request had.
    by: String,
    /// An action on this dead letter was accepted before, maybe another one. This request has no
    /// effect.
    repeated: bool,
    /// What may go wrong because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    danger: Option<&'static str>,
    /// Where the message's timeline is.
    path: String,
}

/// What a request names, and who sent it.
pub(super) type Request = (
    State<Arc<HttpState>>,
    Extension<OperatorName>,
    IdInPath,
    Result<Query<ActionQuery>, QueryRejection>,
    HeaderMap,
);

type Answer = Result<(StatusCode, Json<AcceptedAction>), Problem>;

/// Has a dead letter posted to Genesys again, behind the customer's messages that wait.
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/{id}/retry",
    params(
        ("id" = String, Path, description = "Any id of the message."),
        ActionHeaders,
        ActionQuery,
    ),
    responses(
        (status = 202, description = "It is durable and happens next, unless it is `repeated`.",
            body = AcceptedAction),
        Problem,
    )
)]
pub(super) async fn retry(request: Request) -> Answer {
    act(request, DeadLetterAction::Retry).await
}

/// Discards a dead letter: it can no longer be retried.
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/{id}/discard",
    params(
        ("id" = String, Path, description = "Any id of the message."),
        ActionHeaders,
        ActionQuery,
    ),
    responses(
        (status = 202, description = "It is durable and happens next, unless it is `repeated`.",
            body = AcceptedAction),
        Problem,
    )
)]
pub(super) async fn discard(request: Request) -> Answer {
    act(request, DeadLetterAction::Discard).await
}

async fn act(request: Request, action: DeadLetterAction) -> Answer {
    let (State(state), Extension(operator), path, query, headers) = request;
    let id = id_of(path)?;
    let Query(query) = query.map_err(|_| {
        Problem::bad_request("an action takes the parameter integration and no other")
    })?;
    let key = idempotency_key(&headers)?;
    let engine = &state.engine;
    let named = named_message(engine, &id, query.integration.as_deref()).await?;
    let by = operator.as_str();
    let own_key = key.map(|key| own_event::key(action, &named.message, key));
    let (stored, row) = if let Some(key) = &own_key
        && engine.store.has_event(&named.integration, key).await?
    {
        (Acceptance::Repeated, named.row(engine, &id).await?)
    } else {
        store_action(engine, &named, action, by, &id).await?
    };
    let repeated = stored == Acceptance::Repeated;
    // The action is durable by now. After a crash in between, a repeated request is recognized by
    // the action itself, until the message has moved on. The key of a request without effect is not
    // kept.
    if let Some(id) = own_key.filter(|_| !repeated) {
        let (integration, received) = (named.integration.clone(), engine.clock.now());
        engine.accept(Arrival::Noted { integration, id, received }).await?;
    }
    let accepted = AcceptedAction {
        integration: named.integration.to_string(),
        conversation: row.conversation.to_string(),
        path: format!("/api/v1/messages/{}", named.message),
        message: named.message.to_string(),
        action,
        by: by.to_owned(),
        repeated,
        danger: danger(action, row.reason.as_deref()).filter(|_| !repeated),
    };
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Acts on a dead letter that a user of the console has seen. It is named by its integration, its
/// id, and when it became one, in milliseconds since the epoch, if its page could say that. `by` is
/// the user's name.
///
/// # Errors
/// The message is no dead letter now, or has become one again, or the store does not answer.
pub(in crate::http) async fn act_for_user(
    engine: &Arc<Engine>,
    (integration, id, died): (&str, &str, Option<i64>),
    action: DeadLetterAction,
    by: &str,
) -> Result<Acceptance, Problem> {
    let integration = IntegrationName::new(integration);
    if engine.integration(&integration).is_none() {
        return Err(Problem::no_message(&shown(id)));
    }
    let named = NamedMessage { integration, message: MessageId::from_foreign(id), died };
    store_action(engine, &named, action, by, id).await.map(|(stored, _)| stored)
}

/// How often an action looks again at a message that changes at the same time.
const LOOKS: usize = 3;

/// Makes an action durable, if the message is a dead letter. There is one action for each time when
/// it became one, whatever the action is and no matter who asks for it.
async fn store_action(
    engine: &Arc<Engine>,
    named: &NamedMessage,
    action: DeadLetterAction,
    by: &str,
    id: &str,
) -> Result<(Acceptance, MessageRow), Problem> {
    let mut row = named.row(engine, id).await?;
    for _ in 0..LOOKS {
        if row.state != "refused" {
            break;
        }
        let died = row.settled.unwrap_or(row.received);
        if named.died.is_some_and(|seen| seen != died.as_millisecond()) {
            return Err(Problem::another_dead_letter(&shown(id)));
        }
        let message = named.message.clone();
        let event = Arrival::Event {
            integration: named.integration.clone(),
            id: own_event::action(&message, died),
            received: engine.clock.now(),
            conversation: row.conversation.clone(),
            input: Input::DeadLetter { action, message, died, by: by.into() },
        };
        match engine.accept(event).await? {
            // The message has changed since, or is gone.
            Acceptance::Unknown => row = named.row(engine, id).await?,
            stored => return Ok((stored, row)),
        }
    }
    if row.state == "refused" {
        return Err(Problem::unavailable("the message changes at this moment; ask again"));
    }
    Err(Problem::no_dead_letter(&shown(id), &row.state))
}

/// The one message of a customer that an id names.
struct NamedMessage {
    integration: IntegrationName,
    message: MessageId,
    /// When it became the dead letter that is meant, in milliseconds since the epoch. `None` means
    /// the dead letter that it is now.
    died: Option<i64>,
}

impl NamedMessage {
    async fn row(&self, engine: &Engine, id: &str) -> Result<MessageRow, Problem> {
        let row = engine.store.message(&self.integration, Direction::Inbound, &self.message);
        row.await?.ok_or_else(|| Problem::no_message(&shown(id)))
    }
}

async fn named_message(
    engine: &Engine,
    id: &str,
    integration: Option<&str>,
) -> Result<NamedMessage, Problem> {
    let mut named = Vec::new();
    for hit in hits(engine, id).await? {
        let Some((Direction::Inbound, message)) = hit.place.message else { continue };
        let of = IntegrationName::new(&hit.integration);
        // No node handles the conversations of an integration that is not configured.
        let wanted = integration.is_none_or(|wanted| wanted == of.as_str());
        if wanted && engine.integration(&of).is_some() {
            named.push(NamedMessage { integration: of, message, died: None });
        }
    }
    match named.pop() {
        None => Err(Problem::no_message(&shown(id))),
        Some(_) if !named.is_empty() => Err(Problem::bad_request(
            "the id names messages of several integrations: add ?integration=NAME",
        )),
        Some(one) => Ok(one),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    key.map(Some).ok_or_else(|| {
        Problem::bad_request(format!("an Idempotency-Key has 1 to {LONGEST_KEY} bytes of ASCII"))
    })
}

/// What may go wrong because of an action. `reason` says why the message is a dead letter.
fn danger(action: DeadLetterAction, reason: Option<&str>) -> Option<&'static str> {
    // These are the gateway's own words. An answer of Genesys begins with its status.
    let given_up = reason.is_some_and(|reason| reason.starts_with("given up after "));
    Some(match action {
        DeadLetterAction::Retry if given_up => {
            "The agent may read it after later messages of the customer, and twice if Genesys has \
             it and only its answer was lost. If the chat is over, it may begin another."
        }
        DeadLetterAction::Retry => {
            "The agent may read it after later messages of the customer. Genesys refuses it again \
             unless the cause is gone. If the chat is over, it may begin another."
        }
        DeadLetterAction::Discard => return None,
    })
}
