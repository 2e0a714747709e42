//! What a middleware posts: messages, receipts, events, structured responses, and all of it on the old path.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use genesys::inbound::{InboundEvent, InboundMessage, InboundReceipt, StructuredResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use crate::app::App;
use crate::ids;
use crate::switches::UnknownReceipt;
use crate::webhook;
use crate::world::{
    Address, Channel, Inbound, Integration, NormalizedMessage, ProfileKind, Refusal,
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Prefetch {
    #[serde(default, rename = "prefetchConversationId")]
    conversation_id: Option<String>,
}

impl Prefetch {
    fn wanted(&self) -> bool {
        self.conversation_id.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/message`
pub(super) async fn message(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    query: Result<Query<Prefetch>, QueryRejection>,
    Body(message): Body<InboundMessage>,
) -> Result<Reply, ApiError> {
    let prefetch = query.is_ok_and(|Query(query)| query.wanted());
    let empty = message.text.as_deref().unwrap_or_default().is_empty()
        && message.content.iter().flatten().next().is_none();
    if empty {
        return Err(ApiError::bad_request("the message has neither text nor content".to_owned()));
    }
    let over =
        |most: u32, count: usize| most > 0 && count > usize::try_from(most).unwrap_or(usize::MAX);
    let switches = app.switches();
    if over(switches.max_inbound_text, message.text.as_deref().unwrap_or_default().chars().count())
    {
        return Err(ApiError::bad_request("the text is over max_inbound_text".to_owned()));
    }
    let metadata = message.channel.metadata.as_ref();
    let attributes = metadata.and_then(|metadata| metadata.custom_attributes.as_ref());
    if over(switches.max_custom_attributes, attributes.map_or(0, std::collections::BTreeMap::len)) {
        return Err(ApiError::bad_request(
            "the custom attributes are over max_custom_attributes".to_owned(),
        ));
    }
    receive(&app, &integration, message.into(), prefetch)
}

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/structured/response`
pub(super) async fn structured(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    Body(response): Body<StructuredResponse>,
) -> Result<Reply, ApiError> {
    receive(&app, &integration, response.into(), false)
}

fn receive(
    app: &Arc<App>,
    integration: &str,
    inbound: Inbound,
    prefetch: bool,
) -> Result<Reply, ApiError> {
    let switches = app.switches();
    if inbound.customer().is_empty() {
        return Err(ApiError::bad_request("channel.from.id is empty".to_owned()));
    }
    let mut world = app.world();
    let integration = find(&world.integrations, integration)?;
    let (window, dedupe) = (switches.threading_window.0, switches.dedupe_inbound);
    let received = world.receive(&integration, inbound, window, dedupe, app.clock.now());
    if switches.published_receipts {
        let outgoing = world.published(&received.conversation, &received.message, app.clock.now());
        if let Some(outgoing) = outgoing {
            webhook::send(app, outgoing);
        }
    }
    let mut answer = received.message;
    if prefetch {
        answer.conversation_id = Some(received.conversation.clone());
    }
    let about = About::conversation(&received.conversation).message(&received.id);
    let faults = match received.dropped {
        0 => Vec::new(),
        dropped => vec![format!(
            "{dropped} attachments dropped: the supported content does not allow their type"
        )],
    };
    let about = About { integration: Some(integration.id), faults, ..about };
    Ok(Reply::ok(&answer, about).with_status(switches.inbound_status))
}

fn find(integrations: &crate::world::Integrations, id: &str) -> Result<Integration, ApiError> {
    integrations.get(id).cloned().ok_or_else(|| Refusal::NoIntegration.into())
}

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/receipt`
pub(super) async fn receipt(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    Body(receipt): Body<InboundReceipt>,
) -> Result<Reply, ApiError> {
    take_receipt(&app, &integration, &receipt)
}

fn take_receipt(app: &App, integration: &str, receipt: &InboundReceipt) -> Result<Reply, ApiError> {
    let switches = app.switches();
    let id = receipt.id.clone();
    let mut world = app.world();
    let integration = find(&world.integrations, integration)?;
    let receipted = world.receipt(&integration, receipt, &switches, app.clock.now());
    let about = About {
        integration: Some(integration.id),
        message: Some(id),
        conversation: receipted.conversation.clone(),
        faults: receipted.faults,
    };
    if receipted.conversation.is_none() && switches.unknown_receipt == UnknownReceipt::NotFound {
        return Err(ApiError::from(Refusal::NoMessage).about(about));
    }
    if receipted.refused {
        return Err(ApiError::of_status(StatusCode::CONFLICT).about(about));
    }
    Ok(Reply::ok(&receipted.answer, about).with_status(switches.inbound_status))
}

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/event`
///
/// At Genesys an event may begin a conversation; here only by the switch `event_starts_conversation`, so that a stray
/// one shows in the transcript only.
pub(super) async fn event(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    Body(event): Body<InboundEvent>,
) -> Result<Reply, ApiError> {
    let mut world = app.world();
    let integration = find(&world.integrations, &integration)?;
    let id = ids::message_id(world.rng());
    let customer = Address::from(event.channel.from);
    let switches = app.switches();
    let setting = world.profile_of(ProfileKind::Setting, &integration.id, switches.typing);
    let conversation = if !setting.passes_typing(true) {
        None
    } else if switches.event_starts_conversation {
        Some(world.join(&integration, &customer, switches.threading_window.0, app.clock.now()))
    } else {
        world.conversation_of(&integration.id, &customer.id).map(|found| found.id.clone())
    };
    if let Some(conversation) = &conversation {
        world.desk.typing(conversation);
    }
    let to = Address::bare(&integration.id);
    let channel = Channel::new(&integration.id, None, to, customer, event.channel.time);
    let mut answer = NormalizedMessage::new(Some(id), "Event", channel);
    let typing = json!({"eventType": "Typing", "typing": {"type": "On"}});
    answer.events = Some(vec![typing; event.events.len()]);
    let about = About { conversation, ..About::integration(&integration.id) };
    Ok(Reply::ok(&answer, about).with_status(switches.inbound_status))
}

/// `POST /api/v2/conversations/messages/inbound/open`, deprecated: message or receipt, and the integration is named
/// in the body.
pub(super) async fn legacy(
    State(app): State<Arc<App>>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let wrong = |_| ApiError::bad_request("the body is not of the expected form".to_owned());
    let named = |end: &str| body["channel"][end]["id"].as_str().unwrap_or_default().to_owned();
    if body["type"] == "Receipt" {
        let receipt: InboundReceipt = serde_json::from_value(body.clone()).map_err(wrong)?;
        take_receipt(&app, &named("from"), &receipt)
    } else {
        let message: InboundMessage = serde_json::from_value(body.clone()).map_err(wrong)?;
        receive(&app, &named("to"), message.into(), false)
    }
}
