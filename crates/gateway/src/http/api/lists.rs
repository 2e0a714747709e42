//! Lists of conversations and messages, the newest first, a page at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use conversation::{ConversationId, IntegrationName, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::{
    ConversationList, ConversationPlace, ListedConversation, ListedMessage, MessageList, MessageRow,
};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::engine::Engine;
use crate::http::answers::shown;
use crate::http::state::HttpState;

/// How many entries a page has, unless the caller asks for another number.
const DEFAULT_LIMIT: usize = 50;
/// The most entries of a page.
const MAX_LIMIT: usize = 200;

/// The parameters of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those in this state. Conversations: `open`, `held` or `failing`. Messages: `failed` or
    /// `refused`, and one of them is needed. Dead letters: nothing.
    #[param(max_length = 20)]
    state: Option<String>,
    /// Only those of this integration.
    #[param(max_length = 63)]
    integration: Option<String>,
    /// The most entries of the page; 50 by default.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `next` of an earlier page.
    #[param(max_length = 100)]
    cursor: Option<String>,
}

type ListRequest = Result<Query<ListQuery>, QueryRejection>;

/// A page of conversations.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationsPage {
    conversations: Vec<ConversationEntry>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One conversation of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationEntry {
    integration: String,
    conversation: String,
    /// When its first message came.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// There is a session.
    open: bool,
    /// An agent's message waits for a session, or for the end of a pause.
    held: bool,
    /// Genesys does not take something of this conversation.
    failing: bool,
    /// Genesys's conversation, while there is a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    genesys: Option<String>,
    /// Where its timeline is.
    path: String,
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(super) struct MessagesPage {
    messages: Vec<MessageEntry>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One message of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageEntry {
    integration: String,
    conversation: String,
    message: String,
    #[schema(value_type = String)]
    direction: &'static str,
    #[schema(value_type = String, format = DateTime)]
    received: Timestamp,
    /// `failed` (an agent's message) or `refused` (a customer's).
    state: String,
    /// When that was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    settled: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What Genesys answered to the final receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    /// Where its timeline is.
    path: String,
}

/// Lists conversations, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/conversations",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of the list.", body = ConversationsPage),
        Problem,
    )
)]
pub(super) async fn conversations(
    State(state): State<Arc<HttpState>>,
    asked: ListRequest,
) -> Result<Json<ConversationsPage>, Problem> {
    let Query(asked) = asked.map_err(|error| unknown_parameter(&error))?;
    let list = match asked.state.as_deref() {
        None => ConversationList::All,
        Some("open") => ConversationList::Open,
        Some("held") => ConversationList::Held,
        Some("failing") => ConversationList::Failing,
        Some(other) => return Err(wrong("state", other, "open, held or failing")),
    };
    let (limit, of) = (asked.limit()?, asked.integrations(&state.engine)?);
    let cursor = asked.cursor.as_deref();
    let (all, next) = conversations_page(&state.engine, &of, list, cursor, limit).await?;
    let conversations = all.into_iter().map(|(of, listed)| conversation_entry(of, listed));
    Ok(Json(ConversationsPage { conversations: conversations.collect(), next }))
}

/// Lists messages that did not arrive, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/messages",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of the list.", body = MessagesPage),
        Problem,
    )
)]
pub(super) async fn messages(
    state: State<Arc<HttpState>>,
    asked: ListRequest,
) -> Result<Json<MessagesPage>, Problem> {
    let Query(asked) = asked.map_err(|error| unknown_parameter(&error))?;
    let list = match asked.state.as_deref() {
        Some("failed") => MessageList::Failed,
        Some("refused") => MessageList::DeadLetters,
        Some(other) => return Err(wrong("state", other, "failed or refused")),
        None => {
            return Err(Problem::bad_request(
                "write ?state=failed for agents' messages that failed, or ?state=refused for dead \
                 letters; other messages are not listed, but found by any of their ids",
            ));
        }
    };
    list_messages(&state, list, &asked).await
}

/// Lists dead letters, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of the list.", body = MessagesPage),
        Problem,
    )
)]
pub(super) async fn dead_letters(
    state: State<Arc<HttpState>>,
    asked: ListRequest,
) -> Result<Json<MessagesPage>, Problem> {
    let Query(asked) = asked.map_err(|error| unknown_parameter(&error))?;
    if let Some(other) = &asked.state {
        return Err(wrong("state", other, "nothing: dead letters have one state"));
    }
    list_messages(&state, MessageList::DeadLetters, &asked).await
}

async fn list_messages(
    state: &HttpState,
    list: MessageList,
    asked: &ListQuery,
) -> Result<Json<MessagesPage>, Problem> {
    let (limit, of) = (asked.limit()?, asked.integrations(&state.engine)?);
    let cursor = asked.cursor.as_deref();
    let (all, next) = messages_page(&state.engine, &of, list, cursor, limit).await?;
    let messages = all.into_iter().map(|(of, listed)| message_entry(of, listed)).collect();
    Ok(Json(MessagesPage { messages, next }))
}

/// A page of a list, with the integration of each entry, and the cursor of the next page, if there
/// is one.
type PageOf<'a, T> = (Vec<(&'a IntegrationName, T)>, Option<String>);

/// A page of the conversations of these integrations, the newest first.
///
/// # Errors
/// The cursor is none of this list, or the store does not answer.
pub(in crate::http) async fn conversations_page<'a>(
    engine: &Engine,
    of: &[&'a IntegrationName],
    list: ConversationList,
    cursor: Option<&str>,
    limit: usize,
) -> Result<PageOf<'a, ListedConversation>, Problem> {
    let before = cursor.map(conversation_place).transpose()?;
    let mut all = Vec::new();
    for integration in of.iter().copied() {
        let before = before.as_ref();
        let page = engine.store.list_conversations(integration, list, before, limit + 1).await?;
        all.extend(page.into_iter().map(|listed| (integration, listed)));
    }
    all.sort_by(|(_, one), (_, other)| other.place.cmp(&one.place));
    let next = next(&mut all, limit, |(_, last)| {
        format!("{}.{}", last.place.created.as_millisecond(), last.place.conversation)
    });
    Ok((all, next))
}

/// A page of the messages of these integrations that did not arrive, the newest first.
///
/// # Errors
/// The cursor is none of this list, or the store does not answer.
pub(in crate::http) async fn messages_page<'a>(
    engine: &Engine,
    of: &[&'a IntegrationName],
    list: MessageList,
    cursor: Option<&str>,
    limit: usize,
) -> Result<PageOf<'a, ListedMessage>, Problem> {
    let before = cursor.map(message_place).transpose()?;
    let mut all = Vec::new();
    for integration in of.iter().copied() {
        let page = engine.store.list_messages(integration, list, before, limit + 1).await?;
        all.extend(page.into_iter().map(|listed| (integration, listed)));
    }
    all.sort_by_key(|(_, listed)| std::cmp::Reverse(listed.place));
    let next = next(&mut all, limit, |(_, last)| last.place.to_string());
    Ok((all, next))
}

/// Cuts the entries to a page. Returns the cursor of the next page, if there is one.
fn next<T>(all: &mut Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Option<String> {
    let more = all.len() > limit;
    all.truncate(limit);
    all.last().filter(|_| more).map(cursor)
}

impl ListQuery {
    fn limit(&self) -> Result<usize, Problem> {
        let Some(limit) = &self.limit else { return Ok(DEFAULT_LIMIT) };
        let limit = limit.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit
            .ok_or_else(|| Problem::bad_request(format!("limit is a number from 1 to {MAX_LIMIT}")))
    }

    /// The integrations to list. Each is asked for a page of its own, and the pages are merged.
    fn integrations<'a>(&self, engine: &'a Engine) -> Result<Vec<&'a IntegrationName>, Problem> {
        let wanted = self.integration.as_deref();
        let found: Vec<_> = engine
            .integrations()
            .filter(|name| wanted.is_none_or(|wanted| wanted == name.as_str()))
            .collect();
        match wanted {
            Some(wanted) if found.is_empty() => {
                let known = engine.integrations().map(IntegrationName::as_str);
                Err(wrong("integration", wanted, &known.collect::<Vec<_>>().join(" or ")))
            }
            _ => Ok(found),
        }
    }
}

fn conversation_place(cursor: &str) -> Result<ConversationPlace, Problem> {
    let place = cursor.split_once('.').and_then(|(millis, id)| {
        let created = Timestamp::from_millisecond(millis.parse().ok()?).ok()?;
        let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| ConversationPlace { created, conversation: ConversationId::new(id) })
    });
    place.ok_or_else(|| wrong("cursor", cursor, "the `next` of an earlier page"))
}

fn message_place(cursor: &str) -> Result<u64, Problem> {
    cursor.parse().map_err(|_| wrong("cursor", cursor, "the `next` of an earlier page"))
}

fn wrong(parameter: &str, value: &str, expected: &str) -> Problem {
    Problem::bad_request(format!("{parameter} is {:?}; expected: {expected}", shown(value)))
}

fn unknown_parameter(error: &QueryRejection) -> Problem {
    let why = shown(&error.body_text());
    Problem::bad_request(format!(
        "a list takes state, integration, limit and cursor, each once and percent-encoded: {why}"
    ))
}

fn conversation_entry(of: &IntegrationName, listed: ListedConversation) -> ConversationEntry {
    let ListedConversation { place, standing, genesys } = listed;
    ConversationEntry {
        integration: of.to_string(),
        path: format!("/api/v1/conversations/{}", place.conversation),
        conversation: place.conversation.to_string(),
        created: place.created,
        open: standing.open,
        held: standing.held,
        failing: standing.failing,
        genesys: genesys.map(String::from),
    }
}

fn message_entry(of: &IntegrationName, listed: ListedMessage) -> MessageEntry {
    let MessageRow {
        id, direction, conversation, received, state, reason, receipt, settled, ..
    } = listed.row;
    MessageEntry {
        integration: of.to_string(),
        conversation: conversation.to_string(),
        path: format!("/api/v1/messages/{id}"),
        message: id.to_string(),
        direction: direction.as_str(),
        received,
        state,
        settled,
        // A sentence that was read from a store may be longer than one that was made here.
        reason: reason.map(|reason| reason.chars().take(Reason::MAX_CHARS).collect()),
        receipt,
    }
}
