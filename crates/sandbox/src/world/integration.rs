//! Open Messaging integrations.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use genesys::Secret;
use genesys::integration::IntegrationUpdate;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::org::CREATOR;
use super::profiles::{Profile, ProfileKind};
use crate::clock::wire_time;

/// An Open Messaging integration: where its webhooks go, what signs them, and the profiles that it
/// names.
#[derive(Clone, Debug)]
pub(crate) struct Integration {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) webhook_url: String,
    pub(crate) secret: Secret,
    /// The previous secret.
    pub(crate) old_secret: Option<Secret>,
    pub(crate) headers: BTreeMap<String, Secret>,
    supported_content: Option<String>,
    messaging_setting: Option<String>,
    /// Whether customers are looked up among the contacts; only stored and shown.
    pub(crate) identity: Value,
    created: Timestamp,
    modified: Timestamp,
    completes: Timestamp,
    /// Limits the webhook calls under way.
    pub(crate) calls: Arc<Semaphore>,
}

impl Integration {
    pub(crate) fn new(id: String, now: Timestamp, completes: Timestamp, calls: usize) -> Self {
        Self {
            id,
            name: String::new(),
            webhook_url: String::new(),
            secret: Secret::default(),
            old_secret: None,
            headers: BTreeMap::new(),
            supported_content: None,
            messaging_setting: None,
            identity: json!({"resolveIdentities": false}),
            created: now,
            modified: now,
            completes,
            calls: Arc::new(Semaphore::new(calls.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Applies the fields that `change` names.
    pub(crate) fn apply(&mut self, change: IntegrationUpdate, now: Timestamp) {
        self.name = change.name;
        self.modified = now;
        if let Some(url) = change.outbound_notification_webhook_url {
            self.webhook_url = url;
        }
        if let Some(secret) = change.outbound_notification_webhook_signature_secret_token {
            let old = std::mem::replace(&mut self.secret, secret);
            if !old.expose().is_empty() && old.expose() != self.secret.expose() {
                self.old_secret = Some(old);
            }
        }
        if let Some(headers) = change.webhook_headers {
            self.headers = headers;
        }
        if let Some(content) = change.supported_content {
            self.supported_content = content.id;
        }
        if let Some(setting) = change.messaging_setting {
            self.messaging_setting = setting.id;
        }
    }

    /// The id of the profile that the integration names, if any.
    pub(super) fn named_profile(&self, kind: ProfileKind) -> Option<&str> {
        match kind {
            ProfileKind::Setting => self.messaging_setting.as_deref(),
            ProfileKind::Content => self.supported_content.as_deref(),
        }
    }

    /// The integration as Genesys shows it, with the profiles in force.
    pub(crate) fn to_json(&self, setting: &Profile, content: &Profile, now: Timestamp) -> Value {
        let id = &self.id;
        let user = json!({"id": CREATOR, "selfUri": format!("/api/v2/users/{CREATOR}")});
        json!({
            "id": id,
            "name": self.name,
            "outboundNotificationWebhookUrl": self.webhook_url,
            "outboundNotificationWebhookSignatureSecretToken": self.secret,
            "webhookHeaders": self.headers,
            "supportedContent": content.in_integration(),
            "messagingSetting": setting.in_integration(),
            "status": "Active",
            "recipient": {"id": id, "selfUri": format!("/api/v2/routing/message/recipients/{id}")},
            "dateCreated": wire_time(self.created),
            "dateModified": wire_time(self.modified),
            "createdBy": user,
            "modifiedBy": user,
            "createStatus": if now >= self.completes { "Completed" } else { "Initiated" },
            "selfUri": format!("/api/v2/conversations/messaging/integrations/open/{id}"),
        })
    }
}

/// Every integration, in the order of creation.
#[derive(Debug, Default)]
pub(crate) struct Integrations {
    by_id: HashMap<String, Integration>,
    order: Vec<String>,
}

impl Integrations {
    pub(crate) fn add(&mut self, integration: Integration) {
        self.order.push(integration.id.clone());
        self.by_id.insert(integration.id.clone(), integration);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Integration> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Integration> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        self.order.retain(|each| each != id);
        self.by_id.remove(id).is_some()
    }

    /// The integration that a person means: by id, by name, or the only one.
    pub(crate) fn find(&self, named: Option<&str>) -> Option<&Integration> {
        match named {
            Some(named) => self.get(named).or_else(|| self.all().find(|each| each.name == named)),
            None => self.all().next().filter(|_| self.order.len() == 1),
        }
    }

    /// All integrations, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Integration> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}
