//! The sandbox from within the same process: what a demo or a test does without going over the
//! wire.

use std::sync::Arc;

use genesys::integration::IntegrationUpdate;
use genesys::{Secret, message::Typing};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::agent::{SentMessage, conversation_of, say_to_customer, show_typing};
use crate::app::App;
use crate::clock::SandboxClock;
use crate::error::HandleError;
use crate::faults::{Rule, RuleError};
use crate::integrations;
use crate::switches::{SwitchError, Switches};
use crate::transcript::Entry;
use crate::verdict::Verdict;
use crate::world::{AgentContent, End, Origin};

/// An integration to be made with [`Handle::create_integration`].
#[derive(Clone, Debug)]
pub struct NewIntegration {
    /// Its name; webhooks show it as the sender's.
    pub name: String,
    /// The URL that webhooks are posted to: https, or http on this machine (switch `plain_http`).
    pub webhook_url: String,
    /// The secret that signs them; at least 16 characters.
    pub secret: String,
    /// Headers that every webhook carries.
    pub headers: Vec<(String, String)>,
}

/// A running sandbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    app: Arc<App>,
}

impl Handle {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    pub(crate) fn app(&self) -> Arc<App> {
        self.app.clone()
    }

    /// Creates an integration, and returns its id. It completes a little later, as over the API.
    pub fn create_integration(&self, new: NewIntegration) -> Result<String, HandleError> {
        let headers =
            new.headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let change = IntegrationUpdate {
            name: new.name,
            outbound_notification_webhook_url: Some(new.webhook_url),
            outbound_notification_webhook_signature_secret_token: Some(new.secret.into()),
            webhook_headers: Some(headers),
            ..IntegrationUpdate::default()
        };
        Ok(integrations::create(&self.app, change)?.id)
    }

    /// Sends text as the agent of the customer's conversation. `integration` is an id or a name.
    pub fn agent_send(
        &self,
        integration: &str,
        customer: &str,
        text: &str,
    ) -> Result<SentMessage, HandleError> {
        Ok(say_to_customer(
            &self.app,
            Some(integration),
            customer,
            AgentContent::text(text.to_owned()),
            Origin::Agent,
        )?)
    }

    /// Sends content as the flow's bot, such as cards. `integration` is an id or a name.
    pub fn bot_send(
        &self,
        integration: &str,
        customer: &str,
        text: &str,
        content: Vec<Value>,
    ) -> Result<SentMessage, HandleError> {
        let said = AgentContent::of(&self.app.schemas, Some(text.to_owned()), content)?;
        Ok(say_to_customer(&self.app, Some(integration), customer, said, Origin::Bot)?)
    }

    /// Shows the customer for `duration_ms` milliseconds that the agent types.
    pub fn agent_types(
        &self,
        integration: &str,
        customer: &str,
        duration_ms: u64,
    ) -> Result<(), HandleError> {
        let conversation = conversation_of(&self.app, Some(integration), customer)?;
        let typing = Typing {
            r#type: Some("On".to_owned()),
            duration: Some(duration_ms),
            ..Typing::default()
        };
        Ok(show_typing(&self.app, &conversation, &json!(typing))?)
    }

    /// Ends the customer's conversation as its agent.
    pub fn agent_end(&self, integration: &str, customer: &str) -> Result<(), HandleError> {
        let conversation = conversation_of(&self.app, Some(integration), customer)?;
        Ok(self.app.world().end(&conversation, &End::Agent, self.app.clock.now())?)
    }

    /// The id of the customer's newest conversation.
    pub fn conversation_of(
        &self,
        integration: &str,
        customer: &str,
    ) -> Result<String, HandleError> {
        Ok(conversation_of(&self.app, Some(integration), customer)?)
    }

    /// A conversation as the API shows it.
    pub fn conversation(&self, id: &str) -> Result<Value, HandleError> {
        Ok(self.app.world().conversation_json(id)?)
    }

    /// A message as the API's details call shows it.
    pub fn message(&self, id: &str) -> Result<Value, HandleError> {
        Ok(self.app.world().message_json(id)?)
    }

    /// Every entry of the transcript from now on. A reader that falls far behind misses some, and
    /// gets an error that says so.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.app.world().transcript.subscribe()
    }

    /// The number of the transcript's last entry; 0 if there is none.
    pub fn last_entry(&self) -> u64 {
        self.app.world().transcript.last()
    }

    /// Up to `limit` entries of the transcript whose number is greater than `after`.
    pub fn transcript(&self, after: u64, limit: usize) -> Vec<Arc<Entry>> {
        self.app.world().transcript.after(after, limit)
    }

    /// What the middleware did since the start, or since the last reset.
    pub fn verdict(&self) -> Verdict {
        self.app.world().verdict()
    }

    /// Restarts the verdict: nothing that happened so far counts any more, and neither do messages
    /// that still need a receipt.
    pub fn reset_verdict(&self) {
        self.app.world().reset_verdict();
    }

    /// The clock by which everything in the sandbox happens; it can be moved and scaled.
    pub fn clock(&self) -> &SandboxClock {
        &self.app.clock
    }

    /// A copy of the switches as they are now.
    pub fn switches(&self) -> Switches {
        (*self.app.switches()).clone()
    }

    /// Sets the switches that `changes`, a JSON object, names.
    pub fn switch(&self, changes: &Value) -> Result<Switches, HandleError> {
        let changes = changes.as_object().cloned().ok_or(SwitchError::NoObject)?;
        Ok((*self.app.switch(changes)?).clone())
    }

    /// Adds a fault rule, which takes effect at once; the error says what is wrong with it.
    pub fn add_fault(&self, rule: Rule) -> Result<(), RuleError> {
        self.app.faults().add(rule)
    }

    /// Removes all fault rules. A delay or a hang that has begun goes on.
    pub fn clear_faults(&self) {
        self.app.faults().clear();
    }
}
