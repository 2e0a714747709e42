//! The metrics at `/metrics`. Operators rely on their names and labels.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::Health;

/// An integration, and one word that says what was counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    integration: String,
    result: &'static str,
}

/// An integration, a call to its chat service, and the call's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    integration: String,
    call: &'static str,
    result: &'static str,
}

type Counts = Family<Labels, Counter>;

/// One word that says what was counted, if no integration is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    result: &'static str,
}

/// The label of a metric that is counted for each integration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Owner {
    integration: String,
}

/// What happened at one integration since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// What the chat service last said about itself: whether it is up.
    pub(crate) chat_service: Option<bool>,
    /// Agents' messages that were delivered or sent.
    pub(crate) delivered: u64,
    /// Agents' messages that failed.
    pub(crate) failed: u64,
    /// Calls to Genesys that succeeded.
    pub(crate) posted: u64,
    /// Calls to Genesys that must be repeated.
    pub(crate) retried: u64,
}

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
    files: Counts,
    dead_letters: Family<Owner, Counter>,
    dead_letters_kept: Family<Owner, Gauge>,
    connector_up: Family<Owner, Gauge>,
    sockets: Family<Owner, Gauge>,
    sockets_closed: Counts,
    frames_refused: Counts,
    genesys_failures: Family<CallLabels, Counter>,
    turned_away: Family<ReasonLabel, Counter>,
    failed_calls: Family<CallLabels, Counter>,
    pub(crate) active: Gauge,
    log_bytes: Gauge,
    checkpoint_failures: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self::default();
        metrics.register_traffic();
        metrics.register_state();
        metrics
    }

    /// Registers the metrics that count messages and calls.
    fn register_traffic(&mut self) {
        let metrics = self;
        let registry = &mut metrics.registry;
        registry.register(
            "tidegate_webhooks",
            "Webhooks of Genesys, by answer",
            metrics.webhooks.clone(),
        );
        registry.register(
            "tidegate_events",
            "Events of chat services, by result",
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
            "tidegate_files",
            "Files of messages that were passed on or lost, by reason",
            metrics.files.clone(),
        );
        registry.register(
            "tidegate_ignored",
            "Inputs without effect, by reason",
            metrics.ignored.clone(),
        );
        registry.register(
            "tidegate_connector_failures",
            "Calls to chat services that did not succeed, by call and outcome",
            metrics.failed_calls.clone(),
        );
        registry.register(
            "tidegate_genesys_failures",
            "Calls to Genesys that did not succeed, by call and outcome",
            metrics.genesys_failures.clone(),
        );
        registry.register(
            "tidegate_dead_letters",
            "Customers' messages that Genesys will never accept: it refused them, or they were \
             given up",
            metrics.dead_letters.clone(),
        );
        registry.register(
            "tidegate_sockets_closed",
            "WebSockets of chat services that have ended, by cause",
            metrics.sockets_closed.clone(),
        );
        registry.register(
            "tidegate_frames_refused",
            "Frames of chat services that had no effect, by cause",
            metrics.frames_refused.clone(),
        );
        registry.register(
            "tidegate_requests_turned_away",
            "Requests that were turned away, by reason",
            metrics.turned_away.clone(),
        );
    }

    /// Registers the metrics of the current state.
    fn register_state(&mut self) {
        let metrics = self;
        let registry = &mut metrics.registry;
        registry.register(
            "tidegate_dead_letters_kept",
            "Customers' messages in the store that Genesys will never accept",
            metrics.dead_letters_kept.clone(),
        );
        registry.register(
            "tidegate_connector_up",
            "1 if the chat service's last event `state` says up, else 0",
            metrics.connector_up.clone(),
        );
        registry.register(
            "tidegate_sockets",
            "WebSockets that the chat service has open at this node",
            metrics.sockets.clone(),
        );
        registry.register(
            "tidegate_conversations_active",
            "Conversations with work in progress",
            metrics.active.clone(),
        );
        registry.register(
            "tidegate_store_log_bytes",
            "Size of the embedded store's log",
            metrics.log_bytes.clone(),
        );
        registry.register(
            "tidegate_store_checkpoint_failures",
            "Failed checkpoints of the embedded store",
            metrics.checkpoint_failures.clone(),
        );
    }

    pub(crate) fn webhook(&self, integration: &str, result: &'static str) {
        count(&self.webhooks, integration, result);
    }

    pub(crate) fn event(&self, integration: &str, result: &'static str) {
        count(&self.events, integration, result);
    }

    /// A file that was passed on (`kept`), or the reason for which it was not.
    pub(crate) fn file(&self, integration: &str, result: &'static str) {
        count(&self.files, integration, result);
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

    pub(crate) fn failed_call(&self, integration: &str, call: &'static str, result: &'static str) {
        self.failed_calls
            .get_or_create(&CallLabels { integration: integration.to_owned(), call, result })
            .inc();
    }

    pub(crate) fn genesys_failure(
        &self,
        integration: &str,
        call: &'static str,
        result: &'static str,
    ) {
        self.genesys_failures
            .get_or_create(&CallLabels { integration: integration.to_owned(), call, result })
            .inc();
    }

    pub(crate) fn dead_letter(&self, integration: &str) {
        self.dead_letters.get_or_create(&Owner { integration: integration.to_owned() }).inc();
    }

    /// Sets how many dead letters the store has now.
    pub(crate) fn dead_letters_kept(&self, integration: &str, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.dead_letters_kept
            .get_or_create(&Owner { integration: integration.to_owned() })
            .set(count);
    }

    /// Sets what the chat service last said about itself.
    pub(crate) fn connector_state(&self, integration: &str, up: bool) {
        self.connector_up
            .get_or_create(&Owner { integration: integration.to_owned() })
            .set(i64::from(up));
    }

    /// The gauge of the sockets that the chat service has open.
    pub(crate) fn sockets(&self, integration: &str) -> Gauge {
        self.sockets.get_or_create(&Owner { integration: integration.to_owned() }).clone()
    }

    pub(crate) fn socket_closed(&self, integration: &str, cause: &'static str) {
        count(&self.sockets_closed, integration, cause);
    }

    pub(crate) fn frame_refused(&self, integration: &str, cause: &'static str) {
        count(&self.frames_refused, integration, cause);
    }

    pub(crate) fn turned_away(&self, why: &'static str) {
        self.turned_away.get_or_create(&ReasonLabel { result: why }).inc();
    }

    /// Sets what the store reports about itself.
    pub(crate) fn store(&self, health: Health) {
        self.log_bytes.set(i64::try_from(health.log_bytes).unwrap_or(i64::MAX));
        self.checkpoint_failures.inner().store(health.checkpoint_failures, Ordering::Relaxed);
    }

    /// The counts of one integration.
    pub(crate) fn totals(&self, integration: &str) -> Totals {
        let of = |counts: &Counts, result| {
            let labels = Labels { integration: integration.to_owned(), result };
            counts.get(&labels).map_or(0, |counter| counter.get())
        };
        let owner = Owner { integration: integration.to_owned() };
        Totals {
            chat_service: self.connector_up.get(&owner).map(|up| up.get() == 1),
            delivered: of(&self.settled, "delivered") + of(&self.settled, "sent"),
            failed: of(&self.settled, "failed"),
            posted: of(&self.posts, "done"),
            retried: of(&self.posts, "retried"),
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn count(counts: &Counts, integration: &str, result: &'static str) {
    counts.get_or_create(&Labels { integration: integration.to_owned(), result }).inc();
}
