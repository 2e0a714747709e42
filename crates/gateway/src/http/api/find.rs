//! Finds what an id names: a message, a conversation or a customer.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use conversation::{ConversationId, MessageId};
use serde::{Deserialize, Serialize};
use store::{Direction, Found, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::engine::Engine;
use crate::http::state::HttpState;

/// How many results one search returns.
const MOST: usize = 50;
/// The longest id that is searched for, in bytes.
const LONGEST_ID: usize = 4 << 10;

/// One thing that an id names.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hit {
    /// Whose id it is.
    #[schema(value_type = String)]
    pub(super) by: &'static str,
    pub(super) integration: String,
    pub(super) conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// Where its timeline is.
    path: String,
    #[serde(skip)]
    pub(super) place: Place,
}

/// What to read for a [`Hit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) conversation: ConversationId,
    pub(super) message: Option<(Direction, MessageId)>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Sought {
    /// Any id of a message, a conversation or a customer.
    #[param(min_length = 1, max_length = 1024)]
    id: String,
}

/// What an id names.
#[derive(Serialize, ToSchema)]
pub(super) struct Hits {
    found: Vec<Hit>,
}

/// Finds what an id names.
#[utoipa::path(
    get,
    path = "/api/v1/search",
    params(Sought),
    responses(
        (status = 200, description = "What the id names, which may be nothing.", body = Hits),
        Problem,
    )
)]
pub(super) async fn search(
    State(state): State<Arc<HttpState>>,
    sought: Result<Query<Sought>, QueryRejection>,
) -> Result<Json<Hits>, Problem> {
    let Ok(Query(sought)) = sought else {
        return Err(Problem::bad_request("write the id as ?id=…, with % and & percent-encoded"));
    };
    Ok(Json(Hits { found: all(&state.engine, &sought.id).await? }))
}

/// What an id names, also as the customer's id.
pub(super) async fn all(engine: &Engine, id: &str) -> Result<Vec<Hit>, Problem> {
    let mut found = hits(engine, id).await?;
    found.extend(of_customer(engine, id).await?);
    Ok(found)
}

/// The messages and conversations that an id names, but not as the customer's id.
pub(super) async fn hits(engine: &Engine, id: &str) -> Result<Vec<Hit>, Problem> {
    let id = id.trim();
    if id.is_empty() || id.len() > LONGEST_ID {
        let why = format!("an id has 1 to {LONGEST_ID} bytes; this one has {}", id.len());
        return Err(Problem::bad_request(why));
    }
    Ok(engine.store.find(id, MOST).await?.into_iter().map(Hit::from).collect())
}

/// The conversations of the customer with this id. A conversation's id is made of integration and
/// customer, so no search is needed.
pub(super) async fn of_customer(engine: &Engine, customer: &str) -> Result<Vec<Hit>, StoreError> {
    let customer = customer.trim();
    let mut hits = Vec::new();
    for integration in engine.integrations() {
        let conversation = ConversationId::of(integration, customer);
        if engine.store.has_conversation(integration, &conversation).await? {
            hits.push(Hit::new("customer", integration.to_string(), conversation, None));
        }
    }
    Ok(hits)
}

impl From<Found> for Hit {
    fn from(found: Found) -> Self {
        let Found { conversation, integration, message, by } = found;
        Self::new(by.as_str(), integration.to_string(), conversation, message)
    }
}

impl Hit {
    fn new(
        by: &'static str,
        integration: String,
        conversation: ConversationId,
        message: Option<(Direction, MessageId)>,
    ) -> Self {
        let path = match &message {
            Some((_, message)) => format!("/api/v1/messages/{message}"),
            None => format!("/api/v1/conversations/{conversation}"),
        };
        Self {
            by,
            integration,
            conversation: conversation.to_string(),
            direction: message.as_ref().map(|(direction, _)| direction.as_str()),
            message: message.as_ref().map(|(_, id)| id.to_string()),
            path,
            place: Place { conversation, message },
        }
    }
}
