//! The page of an integration, and its whole lists, a page at a time.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use console_pages::{Attention, ConversationEntry, Entries, Frame, List, ListPage, MessageEntry};
use conversation::IntegrationName;
use store::{ConversationList, ListedConversation, ListedMessage, MessageList};

use super::access::Viewer;
use super::form;
use super::page;
use super::pages::problem;
use crate::engine::Engine;
use crate::http::api::{self, Problem};
use crate::http::state::HttpState;

/// The most entries of each list on the page of the integration.
const FEW: usize = 20;
/// The most entries on a page of one list.
const MANY: usize = 100;

/// Answers `GET /console/integrations/{name}`.
pub(super) async fn integration(
    State(state): State<Arc<HttpState>>,
    Extension(viewer): Extension<Viewer>,
    Path(name): Path<String>,
) -> Response {
    let engine = &state.engine;
    let frame = Frame { live: true, now: engine.clock.now(), ..viewer.frame() };
    let Some(name) = configured(engine, &name) else { return no_integration(frame) };
    let mut lists = Vec::new();
    for list in List::ALL {
        match page_of(engine, name, list, None, FEW).await {
            Ok(page) => lists.push(page),
            Err(error) => return problem(&frame, &error),
        }
    }
    let attention = Attention { integration: name.to_string(), lists };
    page(StatusCode::OK, console_pages::integration(&frame, &attention))
}

/// Answers `GET /console/integrations/{name}/{list}?cursor=…`.
pub(super) async fn list(
    State(state): State<Arc<HttpState>>,
    Extension(viewer): Extension<Viewer>,
    Path((name, list)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let engine = &state.engine;
    let fields = form::fields(query.unwrap_or_default().as_bytes());
    let cursor = fields.get("cursor").map(String::as_str);
    // The first page changes when something happens; older ones hardly do.
    let live = cursor.is_none();
    let frame = Frame { live, now: engine.clock.now(), ..viewer.frame() };
    let Some(name) = configured(engine, &name) else { return no_integration(frame) };
    let Some(list) = List::ALL.into_iter().find(|known| known.as_str() == list) else {
        let known = List::ALL.map(List::as_str).join(", ");
        let why = format!("An integration has these lists: {known}.");
        return unknown(frame, "There is no such list", &why);
    };
    match page_of(engine, name, list, cursor, MANY).await {
        Ok(shown) => page(StatusCode::OK, console_pages::list(&frame, name.as_str(), &shown)),
        Err(error) => problem(&frame, &error),
    }
}

/// The integration of this name.
fn configured<'a>(engine: &'a Engine, name: &str) -> Option<&'a IntegrationName> {
    engine.integrations().find(|known| known.as_str() == name)
}

fn no_integration(frame: Frame) -> Response {
    let why = "The configuration has no integration of this name.";
    unknown(frame, "There is no such integration", why)
}

fn unknown(frame: Frame, title: &str, why: &str) -> Response {
    let frame = Frame { live: false, ..frame };
    page(StatusCode::NOT_FOUND, console_pages::notice(&frame, title, why))
}

async fn page_of(
    engine: &Engine,
    name: &IntegrationName,
    list: List,
    cursor: Option<&str>,
    limit: usize,
) -> Result<ListPage, Problem> {
    let conversations = async |which| {
        let page = api::conversations_page(engine, &[name], which, cursor, limit).await?;
        let entries = page.0.into_iter().map(|(_, listed)| conversation(&listed)).collect();
        Ok::<_, Problem>((Entries::Conversations(entries), page.1))
    };
    let messages = async |which| {
        let page = api::messages_page(engine, &[name], which, cursor, limit).await?;
        let entries = page.0.into_iter().map(|(_, listed)| message(&listed)).collect();
        Ok::<_, Problem>((Entries::Messages(entries), page.1))
    };
    let (entries, next) = match list {
        List::Held => conversations(ConversationList::Held).await,
        List::Failing => conversations(ConversationList::Failing).await,
        List::Failed => messages(MessageList::Failed).await,
        List::DeadLetters => messages(MessageList::DeadLetters).await,
    }?;
    Ok(ListPage { list, entries, is_first: cursor.is_none(), next })
}

fn conversation(listed: &ListedConversation) -> ConversationEntry {
    let place = &listed.place;
    ConversationEntry { conversation: place.conversation.to_string(), since: place.created }
}

fn message(listed: &ListedMessage) -> MessageEntry {
    let row = &listed.row;
    MessageEntry {
        message: row.id.to_string(),
        received: row.received,
        reason: row.reason.as_deref().map(timeline::plain).unwrap_or_default(),
    }
}
