//! What `/metrics` shows. Names and labels are part of what operators rely on.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// An integration and one word about what was counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    integration: String,
    result: &'static str,
}

type Counts = Family<Labels, Counter>;

/// All metrics of the gateway.
#[derive(Default)]
pub(crate) struct Metrics {
    registry: Registry,
    webhooks: Counts,
    events: Counts,
    settled: Counts,
    attempts: Counts,
    posts: Counts,
    ignored: Counts,
    pub(crate) active: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self::default();
        let registry = &mut metrics.registry;
        registry.register(
            "tidegate_webhooks",
            "Webhooks of Genesys, by answer",
            metrics.webhooks.clone(),
        );
        registry.register(
            "tidegate_events",
            "Events of chat services, by what became of them",
            metrics.events.clone(),
        );
        registry.register(
            "tidegate_messages_settled",
            "Agents' messages, by fate",
            metrics.settled.clone(),
        );
        registry.register(
            "tidegate_attempts",
            "Attempts to forward, by outcome",
            metrics.attempts.clone(),
        );
        registry.register("tidegate_posts", "Calls to Genesys, by outcome", metrics.posts.clone());
        registry.register(
            "tidegate_ignored",
            "Inputs without effect, by reason",
            metrics.ignored.clone(),
        );
        registry.register(
            "tidegate_conversations_active",
            "Conversations with work under way",
            metrics.active.clone(),
        );
        metrics
    }

    pub(crate) fn webhook(&self, integration: &str, result: &'static str) {
        count(&self.webhooks, integration, result);
    }

    pub(crate) fn event(&self, integration: &str, result: &'static str) {
        count(&self.events, integration, result);
    }

    pub(crate) fn settled(&self, integration: &str, fate: &'static str) {
        count(&self.settled, integration, fate);
    }

    pub(crate) fn attempt(&self, integration: &str, outcome: &'static str) {
        count(&self.attempts, integration, outcome);
    }

    pub(crate) fn post(&self, integration: &str, outcome: &'static str) {
        count(&self.posts, integration, outcome);
    }

    pub(crate) fn ignored(&self, integration: &str, why: &'static str) {
        count(&self.ignored, integration, why);
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn count(counts: &Counts, integration: &str, result: &'static str) {
    counts.get_or_create(&Labels { integration: integration.to_owned(), result }).inc();
}
