//! The agent's side: sending, typing, ending; and messages without an agent.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use genesys::agent::{AgentMessage, AgentTyping, AgentlessRequest, ParticipantPatch};
use genesys::conversation::ParticipantState;
use serde_json::json;

use super::answer::{About, ApiError, Reply};
use super::inbound::checked;
use crate::app::App;
use crate::handle::agent_types;
use crate::webhook;
use crate::world::{End, Origin, Refusal, Said};

/// `POST …/{conversationId}/communications/{communicationId}/messages`; the agent's participant id is the
/// communication's.
pub(super) async fn send(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    body: Bytes,
) -> Result<Reply, ApiError> {
    let message: AgentMessage = checked(&app.schemas.agent_message, &body)?;
    let about = About::conversation(&conversation);
    let sent = || {
        let mut world = app.world();
        is_agent(world.conversation(&conversation)?, &communication)?;
        let said = Said { text: message.text_body, content: Vec::new() };
        let outgoing = world.say(&conversation, said, Origin::Agent, app.clock.now())?;
        let answer = world.message_json(&outgoing.id)?;
        Ok::<_, Refusal>((outgoing, answer))
    };
    let (outgoing, answer) = sent().map_err(|refusal| ApiError::from(refusal).about(about.clone()))?;
    let about = about.message(&outgoing.id);
    webhook::send(&app, outgoing);
    Ok(Reply::ok(&answer, about))
}

/// `POST …/{conversationId}/communications/{communicationId}/typing`
pub(super) async fn typing(
    State(app): State<Arc<App>>,
    Path((conversation, communication)): Path<(String, String)>,
    body: Bytes,
) -> Result<Reply, ApiError> {
    let typing: AgentTyping = checked(&app.schemas.agent_typing, &body)?;
    is_agent(app.world().conversation(&conversation)?, &communication)?;
    agent_types(&app, &conversation, &json!(typing.typing))?;
    Ok(Reply::empty(StatusCode::ACCEPTED, About::conversation(&conversation)))
}

fn is_agent(conversation: &crate::world::Conversation, communication: &str) -> Result<(), Refusal> {
    let agent = conversation.present("agent").ok_or(Refusal::NoParticipant)?;
    if agent.id == communication { Ok(()) } else { Err(Refusal::NoParticipant) }
}

/// `PATCH /api/v2/conversations/messages/{conversationId}`
pub(super) async fn end(
    State(app): State<Arc<App>>,
    Path(conversation): Path<String>,
    body: Bytes,
) -> Result<Reply, ApiError> {
    patch(&app, &conversation, &End::Agent, &body)?;
    let answer = app.world().conversation_json(&conversation)?;
    Ok(Reply::ok(&answer, About::conversation(&conversation)))
}

/// `PATCH /api/v2/conversations/messages/{conversationId}/participants/{participantId}`
pub(super) async fn leave(
    State(app): State<Arc<App>>,
    Path((conversation, participant)): Path<(String, String)>,
    body: Bytes,
) -> Result<Reply, ApiError> {
    patch(&app, &conversation, &End::Left(participant), &body)?;
    Ok(Reply::empty(StatusCode::ACCEPTED, About::conversation(&conversation)))
}

fn patch(app: &App, conversation: &str, how: &End, body: &[u8]) -> Result<(), ApiError> {
    let patch: ParticipantPatch = checked(&app.schemas.participant_patch, body)?;
    if patch.state == Some(ParticipantState::Disconnected) {
        app.world().end(conversation, how, app.clock.now())?;
    } else {
        app.world().conversation(conversation)?;
    }
    Ok(())
}

/// `POST /api/v2/conversations/messages/agentless`
pub(super) async fn agentless(State(app): State<Arc<App>>, body: Bytes) -> Result<Reply, ApiError> {
    let request: AgentlessRequest = checked(&app.schemas.agentless, &body)?;
    let (Some(to), Some(text)) = (request.to_address.filter(|to| !to.is_empty()), request.text_body) else {
        return Err(ApiError::bad_request("toAddress and textBody are needed".to_owned()));
    };
    if request.to_address_messenger_type != "open" {
        return Err(ApiError::bad_request("only the messenger type open is there".to_owned()));
    }
    let use_existing = request.use_existing_active_conversation.unwrap_or(false);
    let now = app.clock.now();
    let (outgoing, answer) = {
        let mut world = app.world();
        let integration = world.integrations.get(&request.from_address).ok_or(Refusal::NoIntegration)?.clone();
        let conversation = world.open_agentless(&integration, &to, use_existing, now);
        let said = Said { text: Some(text), content: Vec::new() };
        let outgoing = world.say(&conversation, said, Origin::Agentless, now)?;
        let answer = world.agentless_json(&outgoing.id, use_existing, now)?;
        (outgoing, answer)
    };
    let about = About::conversation(&outgoing.conversation).message(&outgoing.id);
    webhook::send(&app, outgoing);
    Ok(Reply::ok(&answer, about))
}
