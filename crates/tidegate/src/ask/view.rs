//! What the API answers, as far as it is shown. A gateway of another version may write more, and
//! other words, so that everything is read as text.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|error| {
        Failure::failed("the gateway's answer cannot be shown; --json prints it as it is", error)
    })
}

/// An action that the gateway has accepted.
#[derive(Debug, Deserialize)]
pub(super) struct AcceptedAction {
    pub(super) message: String,
    pub(super) action: String,
    #[serde(default)]
    pub(super) repeated: bool,
    pub(super) danger: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Messages {
    pub(super) messages: Vec<MessageView>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Conversations {
    pub(super) conversations: Vec<ConversationView>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConversationsPage {
    pub(super) conversations: Vec<ListedConversation>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedConversation {
    pub(super) integration: String,
    pub(super) conversation: String,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) open: bool,
    #[serde(default)]
    pub(super) held: bool,
    #[serde(default)]
    pub(super) failing: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessagesPage {
    pub(super) messages: Vec<ListedMessage>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedMessage {
    pub(super) integration: String,
    pub(super) message: String,
    pub(super) received: Timestamp,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageView {
    pub(super) integration: String,
    pub(super) conversation: String,
    pub(super) message: String,
    pub(super) direction: String,
    #[serde(default)]
    pub(super) outcome: String,
    pub(super) summary: String,
    #[serde(flatten)]
    pub(super) course: Course,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConversationView {
    pub(super) integration: String,
    pub(super) conversation: String,
    pub(super) customer: Option<String>,
    pub(super) genesys: Vec<GenesysConversation>,
    pub(super) summary: String,
    pub(super) messages: Vec<LineView>,
    #[serde(default)]
    pub(super) messages_left_out: usize,
    #[serde(flatten)]
    pub(super) course: Course,
}

/// What happened, and what comes next.
#[derive(Debug, Deserialize)]
pub(super) struct Course {
    pub(super) steps: Vec<StepView>,
    #[serde(default)]
    pub(super) steps_left_out: usize,
    pub(super) next: Option<Next>,
    #[serde(default)]
    pub(super) pruned: bool,
    #[serde(default)]
    pub(super) damaged: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct GenesysConversation {
    pub(super) id: String,
    pub(super) since: Timestamp,
}

#[derive(Debug, Deserialize)]
pub(super) struct LineView {
    pub(super) message: String,
    pub(super) direction: String,
    pub(super) received: Timestamp,
    pub(super) summary: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct StepView {
    pub(super) at: Timestamp,
    pub(super) lane: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) failed: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Next {
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) ready: bool,
    pub(super) integrations: Vec<IntegrationView>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IntegrationView {
    pub(super) name: String,
    pub(super) dead_letters: u64,
}
