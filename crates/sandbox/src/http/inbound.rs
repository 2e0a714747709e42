//! What a middleware posts: messages, receipts, events, structured responses, and all of it on the
//! old path.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use genesys::inbound::{InboundEvent, InboundMessage, InboundReceipt, StructuredResponse};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use crate::app::App;
use crate::ids;
use crate::invalid::Invalid;
use crate::switches::{Switches, UnknownReceipt};
use crate::webhook;
use crate::world::{
    Address, Inbound, Integration, MessageChannel, NormalizedMessage, ProfileKind, Refusal,
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

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/message`: a customer's text or
/// attachments. With `prefetchConversationId=true`, the answer names the conversation.
pub(super) async fn message(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    query: Result<Query<Prefetch>, QueryRejection>,
    Body(message): Body<InboundMessage>,
) -> Result<Reply, ApiError> {
    let prefetch = query.is_ok_and(|Query(query)| query.wanted());
    fits(&app.switches(), &message)?;
    receive(&app, &integration, message.into(), prefetch)
}

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/structured/response`: the
/// customer's choice among the buttons of an earlier message.
pub(super) async fn structured(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    Body(response): Body<StructuredResponse>,
) -> Result<Reply, ApiError> {
    receive(&app, &integration, response.into(), false)
}

/// Checks what Genesys requires of a message beyond its schema.
fn fits(switches: &Switches, message: &InboundMessage) -> Result<(), Invalid> {
    let over =
        |most: u32, count: usize| most > 0 && count > usize::try_from(most).unwrap_or(usize::MAX);
    let text = message.text.as_deref().unwrap_or_default();
    let content = message.content.as_deref().unwrap_or_default();
    if text.is_empty() && content.is_empty() {
        return Err(Invalid::new("text", "required", "is missing, and so is content"));
    }
    if let Some(n) = content.iter().position(|each| each.attachment.is_none()) {
        // The request's model has nothing else in an element.
        return Err(Invalid::missing(format!("content[{n}].attachment")));
    }
    if over(switches.max_inbound_text, text.chars().count()) {
        let reason =
            format!("has over {} characters (switch max_inbound_text)", switches.max_inbound_text);
        return Err(Invalid::new("text", "maxLength", reason));
    }
    let metadata = message.channel.metadata.as_ref();
    let attributes = metadata.and_then(|metadata| metadata.custom_attributes.as_ref());
    if over(switches.max_custom_attributes, attributes.map_or(0, BTreeMap::len)) {
        let field = "channel.metadata.customAttributes";
        let reason =
            format!("are over {} (switch max_custom_attributes)", switches.max_custom_attributes);
        return Err(Invalid::new(field, "maxProperties", reason));
    }
    Ok(())
}

fn receive(
    app: &Arc<App>,
    integration: &str,
    inbound: Inbound,
    prefetch: bool,
) -> Result<Reply, ApiError> {
    let switches = app.switches();
    if inbound.customer().is_empty() {
        return Err(Invalid::empty("channel.from.id").into());
    }
    let mut world = app.world();
    let integration = find(&world.integrations, integration)?;
    let received = world.receive(&integration, inbound, &switches, app.clock.now());
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

/// `POST /api/v2/conversations/messages/{integrationId}/inbound/open/receipt`: the status of an
/// outbound message. Switches decide about 404 for an unknown message and 409 for a late receipt.
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
/// At Genesys an event may begin a conversation. Here it does so only if the switch
/// `event_starts_conversation` is on, so that a stray event shows only in the transcript.
pub(super) async fn event(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    Body(event): Body<InboundEvent>,
) -> Result<Reply, ApiError> {
    if event.channel.from.id.is_empty() {
        return Err(Invalid::empty("channel.from.id").into());
    }
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
    let channel = MessageChannel::new(&integration.id, None, to, customer, event.channel.time);
    let mut answer = NormalizedMessage::new(Some(id), "Event", channel);
    let typing = json!({"eventType": "Typing", "typing": {"type": "On"}});
    answer.events = Some(vec![typing; event.events.len()]);
    let about = About { conversation, ..About::integration(&integration.id) };
    Ok(Reply::ok(&answer, about).with_status(switches.inbound_status))
}

/// `POST /api/v2/conversations/messages/inbound/open`, deprecated: message or receipt, and the
/// integration is named in the body.
pub(super) async fn legacy(
    State(app): State<Arc<App>>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let named = |end: &str| body["channel"][end]["id"].as_str().unwrap_or_default().to_owned();
    if body["type"] == "Receipt" {
        for field in ["id", "status"] {
            body.get(field).ok_or_else(|| Invalid::missing(field))?;
        }
        take_receipt(&app, &named("from"), &of_old(&body)?)
    } else {
        // The old schema accepts bodies that the new one, and therefore Genesys, rejects.
        let invalid = app.schemas.faults_in(genesys::schema::INBOUND_MESSAGE.name, &body);
        if !invalid.is_empty() {
            return Err(ApiError::bad_request(invalid));
        }
        let message: InboundMessage = of_old(&body)?;
        fits(&app.switches(), &message)?;
        receive(&app, &named("to"), message.into(), false)
    }
}

fn of_old<T: DeserializeOwned>(body: &Value) -> Result<T, Invalid> {
    T::deserialize(body).map_err(|_| Invalid::new("body", "type", "is not of the expected form"))
}
