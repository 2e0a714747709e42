//! What all parts of a running sandbox share: the world, the clock, the switches, the faults.
//!
//! Locks are held for moments only, never across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use fastrand::Rng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::SandboxClock;
use crate::config::SandboxConfig;
use crate::error::StartError;
use crate::faults::{Action, Faults, Target};
use crate::media::Media;
use crate::schemas::Schemas;
use crate::switches::{SwitchError, Switches};
use crate::transcript::Transcript;
use crate::webhook_clients::WebhookClients;
use crate::world::{Client, World};

/// A running sandbox, seen from inside.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) webhook_connections: usize,
    pub(crate) clock: SandboxClock,
    pub(crate) schemas: Schemas,
    pub(crate) http: WebhookClients,
    /// Webhook deliveries under way.
    pub(crate) deliveries: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Notified when a switch was changed.
    pub(crate) switched: Notify,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    media: Mutex<Media>,
    switches: RwLock<Arc<Switches>>,
}

impl App {
    pub(crate) fn new(config: SandboxConfig) -> Result<Self, StartError> {
        let clock = SandboxClock::start(config.clock_scale)?;
        // Ids must differ from those of the last run, or a middleware would take new messages for
        // old ones.
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "only bits are wanted"
        )]
        let ids = Rng::with_seed(config.seed ^ clock.now().as_nanosecond() as u64);
        let transcript = Transcript::new(config.transcript_entries, config.transcript_bytes);
        let switches = Switches { rate_per_minute: config.rate_per_minute, ..Switches::default() };
        let mut world = World::new(ids, transcript);
        for (id, secret) in config.clients {
            world.clients.set(&id, Client { secret, permissions: None });
        }
        Ok(Self {
            webhook_connections: config.webhook_connections,
            clock,
            schemas: Schemas::compile()?,
            http: WebhookClients::new().map_err(StartError::Client)?,
            deliveries: TaskTracker::new(),
            stop: CancellationToken::new(),
            switched: Notify::new(),
            world: Mutex::new(world),
            faults: Mutex::new(Faults::new(config.seed)),
            media: Mutex::default(),
            switches: RwLock::new(Arc::new(switches)),
        })
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn media(&self) -> MutexGuard<'_, Media> {
        self.media.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn switches(&self) -> Arc<Switches> {
        self.switches.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the switches that `changes` names, all or none of them.
    pub(crate) fn switch(
        &self,
        changes: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Arc<Switches>, SwitchError> {
        let mut switches = self.switches.write().unwrap_or_else(PoisonError::into_inner);
        *switches = Arc::new(switches.with(changes)?);
        self.switched.notify_one();
        Ok(switches.clone())
    }

    /// What goes wrong with a call that matches `targets`.
    pub(crate) fn strike(&self, targets: &[Target]) -> Option<Action> {
        self.faults().strike(targets, b"")
    }

    /// The same for a call with this body, which a rule's conditions may inspect.
    pub(crate) fn strike_call(&self, targets: &[Target], body: &[u8]) -> Option<Action> {
        self.faults().strike(targets, body)
    }
}
