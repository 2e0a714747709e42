//! The agent's side: sending, typing, ending; and messages without an agent.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use genesys::agent::{AgentMessage, AgentTyping, AgentlessRequest, ParticipantPatch};
use genesys::conversation::ParticipantState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{About, ApiError, Reply};
use super::body::Body;
use crate::agent::{MAX_TEXT, say, show_typing};
use crate::app::App;
use crate::invalid::Invalid;
use crate::media::Progress;
use crate::webhook;
use crate::world::{AgentContent, End, FIRST_AGENT, Origin, Parameter, Refusal};

/// `POST …/{conversationId}/communications/{communicationId}/messages`; the agent's participant id
/// is the communication's.
pub(super) async fn send(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    Body(message): Body<AgentMessage>,
) -> Result<Reply, ApiError> {
    let about = About::conversation(&conversation);
    is_agent(app.world().conversation(&conversation)?, &communication)?;
    let said = said(&app, &conversation, message).map_err(|error| error.about(about.clone()))?;
    let id = say(&app, &conversation, said, Origin::Agent);
    let id = id.map_err(|refusal| ApiError::from(refusal).about(about.clone()))?;
    let answer = app.world().message_json(&id)?;
    Ok(Reply::ok(&answer, about.message(&id)))
}

/// The content of an agent's message: one text, one medium, or one canned response.
fn said(app: &App, conversation: &str, message: AgentMessage) -> Result<AgentContent, ApiError> {
    if message.text_body.is_none() && app.switches().agent_text_needed {
        return Err(
            Invalid::new("textBody", "required", "is missing (switch agent_text_needed)").into()
        );
    }
    let text = message.text_body.filter(|text| !text.is_empty());
    let media = message.media_ids.unwrap_or_default();
    match (text, media.as_slice(), message.messaging_template) {
        (Some(text), [], None) if text.chars().count() > MAX_TEXT => {
            Err(Invalid::new("textBody", "maxLength", format!("has over {MAX_TEXT} characters"))
                .into())
        }
        (Some(text), [], None) => Ok(AgentContent::text(text)),
        (None, [id], None) => medium(app, conversation, id),
        (None, [], Some(template)) => canned(app, template),
        (None, [], None) => Err(Invalid::missing("textBody").into()),
        (None, [_, _, ..], None) => {
            Err(Invalid::new("mediaIds", "maxItems", "has over 1 element").into())
        }
        _ => {
            Err(Invalid::new("textBody", "oneOf", "goes without mediaIds and messagingTemplate")
                .into())
        }
    }
}

fn medium(app: &App, conversation: &str, id: &str) -> Result<AgentContent, ApiError> {
    let media = app.media();
    let upload = media
        .upload(id)
        .filter(|upload| upload.conversation == conversation)
        .ok_or(Refusal::NoMedium)?;
    let file = media.file(id).filter(|_| upload.progress == Progress::Valid);
    let file = file
        .ok_or_else(|| Invalid::new("mediaIds[0]", "state", "names a medium that is not valid"))?;
    Ok(AgentContent::attachment(&file.attachment()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    response_id: Option<String>,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    header_parameters: Vec<Parameter>,
    #[serde(default)]
    body_parameters: Vec<Parameter>,
}

fn canned(app: &App, template: Value) -> Result<AgentContent, ApiError> {
    let wrong = |_| Invalid::new("messagingTemplate", "type", "is not of the expected form");
    let template: Template = serde_json::from_value(template).map_err(wrong)?;
    let id =
        template.response_id.ok_or_else(|| Invalid::missing("messagingTemplate.responseId"))?;
    let parameters =
        [template.parameters, template.header_parameters, template.body_parameters].concat();
    let world = app.world();
    let response = world.responses.get(&id).ok_or(Refusal::NoResponse)?;
    Ok(response.fill_in(&id, &parameters))
}

/// `POST …/{conversationId}/communications/{communicationId}/typing`: shows the customer that the
/// agent types. 404 if the communication is not that of the present agent.
pub(super) async fn typing(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    Body(typing): Body<AgentTyping>,
) -> Result<Reply, ApiError> {
    is_agent(app.world().conversation(&conversation)?, &communication)?;
    show_typing(&app, &conversation, &json!(typing.typing))?;
    Ok(Reply::empty(StatusCode::ACCEPTED, About::conversation(&conversation)))
}

pub(super) fn is_agent(
    conversation: &crate::world::Conversation,
    communication: &str,
) -> Result<(), Refusal> {
    let agent = conversation.present("agent").ok_or(Refusal::NoParticipant)?;
    if agent.id == communication { Ok(()) } else { Err(Refusal::NoParticipant) }
}

/// `PATCH /api/v2/conversations/messages/{conversationId}`: the state `disconnected` ends the
/// conversation as its agent; other changes have no effect.
pub(super) async fn end(
    State(app): State<Arc<App>>,
    Path(conversation): Path<String>,
    Body(change): Body<ParticipantPatch>,
) -> Result<Reply, ApiError> {
    patch(&app, &conversation, &End::Agent, &change)?;
    let answer = app.world().whole_json(&conversation)?;
    Ok(Reply::ok(&answer, About::conversation(&conversation)))
}

/// `POST /api/v2/conversations/{conversationId}/disconnect`: Genesys itself disconnects everybody.
///
/// Genesys's text calls it a full teardown. That the disconnect type is `system` is a guess.
pub(super) async fn disconnect(
    State(app): State<Arc<App>>,
    Path(conversation): Path<String>,
) -> Result<Reply, ApiError> {
    app.world().end(&conversation, &End::By("system"), app.clock.now())?;
    // The SDKs declare a text, but it is documented nowhere.
    Ok(Reply::ok(&"", About::conversation(&conversation))
        .with_status(StatusCode::ACCEPTED.as_u16()))
}

/// `PATCH /api/v2/conversations/messages/{conversationId}/participants/{participantId}`: the state
/// `disconnected` lets this participant leave, which ends the conversation.
pub(super) async fn leave(
    State(app): State<Arc<App>>,
    Path((conversation, participant)): Path<(String, String)>,
    Body(change): Body<ParticipantPatch>,
) -> Result<Reply, ApiError> {
    patch(&app, &conversation, &End::Left(participant), &change)?;
    Ok(Reply::empty(StatusCode::ACCEPTED, About::conversation(&conversation)))
}

/// The agent to whom a conversation is handed over. The sandbox has one queue, and the named agent
/// answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transfer {
    user_name: Option<String>,
    user_id: Option<String>,
    address: Option<String>,
    queue_id: Option<String>,
}

/// `POST /api/v2/conversations/messages/{conversationId}/participants/{participantId}/replace`: the
/// agent hands over to the named one. 409 if the conversation has ended.
pub(super) async fn replace(
    State(app): State<Arc<App>>,
    Path((conversation, participant)): Path<(String, String)>,
    Body(transfer): Body<Transfer>,
) -> Result<Reply, ApiError> {
    let named = transfer.user_name.or(transfer.user_id).or(transfer.address);
    let to =
        named.or(transfer.queue_id.map(|_| FIRST_AGENT.to_owned())).filter(|to| !to.is_empty());
    let to = to.ok_or_else(|| {
        Invalid::new("userId", "required", "is missing, and so are userName, address, queueId")
    })?;
    let mut world = app.world();
    is_agent(world.conversation(&conversation)?, &participant)?;
    world.hand_over(&conversation, "transfer", &to, app.clock.now())?;
    Ok(Reply::empty(StatusCode::ACCEPTED, About::conversation(&conversation)))
}

fn patch(
    app: &App,
    conversation: &str,
    how: &End,
    change: &ParticipantPatch,
) -> Result<(), ApiError> {
    if change.state == Some(ParticipantState::Disconnected) {
        app.world().end(conversation, how, app.clock.now())?;
    } else {
        app.world().conversation(conversation)?;
    }
    Ok(())
}

/// `POST /api/v2/conversations/messages/agentless`: sends a text to a customer without an agent, in
/// the open conversation if that is asked for, otherwise in a new one that ends at once.
pub(super) async fn agentless(
    State(app): State<Arc<App>>,
    Body(request): Body<AgentlessRequest>,
) -> Result<Reply, ApiError> {
    if request.messaging_template.is_some() {
        return Err(Invalid::new(
            "messagingTemplate",
            "unsupported",
            "is not for Open Messaging: it is text only",
        )
        .into());
    }
    if request.to_address_messenger_type != "open" {
        return Err(Invalid::new(
            "toAddressMessengerType",
            "enum",
            "is not open, the only one here",
        )
        .into());
    }
    let given = |field: Option<String>| field.filter(|field| !field.is_empty());
    let to = given(request.to_address).ok_or_else(|| Invalid::missing("toAddress"))?;
    let text = given(request.text_body).ok_or_else(|| Invalid::missing("textBody"))?;
    if text.chars().count() > MAX_TEXT {
        return Err(Invalid::new(
            "textBody",
            "maxLength",
            format!("has over {MAX_TEXT} characters"),
        )
        .into());
    }
    let use_existing = request.use_existing_active_conversation.unwrap_or(false);
    let now = app.clock.now();
    let (outgoing, answer) = {
        let mut world = app.world();
        let integration =
            world.integrations.get(&request.from_address).ok_or(Refusal::NoIntegration)?.clone();
        let conversation = world.open_agentless(&integration, &to, use_existing, now);
        let outgoing =
            world.say(&conversation, AgentContent::text(text), Origin::Agentless, now)?;
        let answer = world.agentless_json(&outgoing.id, use_existing, now)?;
        (outgoing, answer)
    };
    let about = About::conversation(&outgoing.conversation).message(&outgoing.id);
    webhook::send(&app, outgoing);
    Ok(Reply::ok(&answer, about))
}
