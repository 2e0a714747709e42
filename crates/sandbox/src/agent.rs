//! What the agent of a conversation does: says something, and types.
//!
//! The API, the control paths, the desktop and the handle all act through this module. It changes
//! the world, and starts the webhook calls that follow.

use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::webhook;
use crate::world::{AgentContent, Origin, ProfileKind, Refusal};

/// The most characters of an agent's text, as in Genesys's agent interface.
pub(crate) const MAX_TEXT: usize = 4_000;

/// A message that is on its way to the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// Genesys's message id; receipts name it.
    pub id: String,
    /// Genesys's conversation id.
    pub conversation: String,
}

/// The newest conversation of a customer. `integration` is an id or a name; `None` means the only
/// one.
pub(crate) fn conversation_of(
    app: &App,
    integration: Option<&str>,
    customer: &str,
) -> Result<String, Refusal> {
    let world = app.world();
    let integration = world.integrations.find(integration).ok_or(Refusal::NoIntegration)?;
    let conversation =
        world.conversation_of(&integration.id, customer).ok_or(Refusal::NoConversation)?;
    Ok(conversation.id.clone())
}

/// Says something as the agent, or the bot, of a customer's newest conversation.
pub(crate) fn say_to_customer(
    app: &Arc<App>,
    integration: Option<&str>,
    customer: &str,
    said: AgentContent,
    origin: Origin,
) -> Result<SentMessage, Refusal> {
    let conversation = conversation_of(app, integration, customer)?;
    let id = say(app, &conversation, said, origin)?;
    Ok(SentMessage { id, conversation })
}

/// Says something in a conversation; returns the message's id.
pub(crate) fn say(
    app: &Arc<App>,
    conversation: &str,
    said: AgentContent,
    origin: Origin,
) -> Result<String, Refusal> {
    let outgoing = app.world().say(conversation, said, origin, app.clock.now())?;
    let attached = outgoing
        .message
        .content
        .iter()
        .flatten()
        .filter_map(|each| each["attachment"]["id"].as_str());
    let mut media = app.media();
    attached.for_each(|id| media.sent(id));
    drop(media);
    let id = outgoing.id.clone();
    webhook::send(app, outgoing);
    Ok(id)
}

/// Shows the customer that the agent types, if the integration's messaging setting passes typing
/// on.
pub(crate) fn show_typing(
    app: &Arc<App>,
    conversation: &str,
    typing: &Value,
) -> Result<(), Refusal> {
    let mut world = app.world();
    let integration = world.conversation(conversation)?.integration.clone();
    let setting = world.profile_of(ProfileKind::Setting, &integration, app.switches().typing);
    if setting.passes_typing(false) {
        let outgoing = world.type_on(conversation, typing, app.clock.now())?;
        webhook::send(app, outgoing);
    }
    Ok(())
}
