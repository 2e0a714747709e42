//! A node: the production gateway behind a gate that the simulation can shut. A killed process
//! never answers or asks again; a stopped one continues later where it was.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use connector::http::Secrets;
use conversation::Clock;
use gateway::{DetectEnd, GatewayCore, Integration, Limits, NoticeTexts};
use genesys::{Budget, BudgetConfig, Client, Credentials};
use http::{Request, StatusCode};
use store::StoreError;
use store::memory::{MemoryStore, SimulatedLink};
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::chat::SimConnector;
use crate::genesys::SimTransport;
use crate::world::{SimMachine, TrueClock, World};

/// The secret that signs the webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "a-secret-of-the-simulation";
/// The secret that signs the chat service's events.
pub(crate) const EVENTS_SECRET: &str = "whsec_c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24=";

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Yes,
    Stopped,
    Dead,
}

/// Everything that reaches or leaves a process passes here.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Process>);

struct Process {
    runs: Mutex<Runs>,
    changed: Notify,
    /// The connection to the database is cut.
    cut: AtomicBool,
    /// How many requests to the database are currently late or getting lost.
    troubles: AtomicU32,
}

impl Gate {
    fn new() -> Self {
        let (runs, changed) = (Mutex::new(Runs::Yes), Notify::new());
        let (cut, troubles) = (AtomicBool::new(false), AtomicU32::new(0));
        Self(Arc::new(Process { runs, changed, cut, troubles }))
    }

    fn runs(&self) -> Runs {
        *self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state, but a dead process stays dead.
    fn set(&self, to: Runs) {
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if *runs != Runs::Dead {
            *runs = to;
            self.0.changed.notify_waiters();
        }
    }

    /// Waits until the process runs; forever, if it is dead.
    pub(crate) async fn pass(&self) {
        loop {
            // Listens before it checks the state, so that no change in between is missed.
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.runs() == Runs::Yes {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.runs() == Runs::Stopped
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.runs() == Runs::Dead
    }
}

/// A place where a process runs, or currently does not.
pub(crate) struct Node {
    /// Counts the processes that ran here.
    generation: u32,
    process: Option<Running>,
    /// The time since which its process runs and reaches the database.
    fit: Option<Duration>,
}

struct Running {
    name: String,
    gate: Gate,
    router: Router,
    inside: Option<GatewayCore>,
}

impl Node {
    pub(crate) fn empty() -> Self {
        Self { generation: 0, process: None, fit: None }
    }

    /// The name of its process in the store.
    pub(crate) fn name(&self) -> String {
        self.process.as_ref().map(|process| process.name.clone()).unwrap_or_default()
    }

    /// Since when its process runs, is not about to end, and reaches the database, if all this is
    /// true `now`. It must be called periodically.
    pub(crate) fn fit_since(&mut self, now: Duration, database_full: bool) -> Option<Duration> {
        let fit = |process: &Running| {
            let Process { cut, troubles, .. } = &*process.gate.0;
            process.gate.runs() == Runs::Yes
                && process.inside.is_some()
                && !cut.load(Ordering::Relaxed)
                && troubles.load(Ordering::Relaxed) == 0
        };
        let fit = !database_full && self.process.as_ref().is_some_and(fit);
        self.fit = fit.then(|| self.fit.unwrap_or(now));
        self.fit
    }

    /// Whether its process was told to end, and has not ended yet.
    pub(crate) fn leaves(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| !process.gate.is_dead() && process.inside.is_none())
    }

    /// Invalidates everything that the node has seen of the leases.
    pub(crate) fn unfit(&mut self) {
        self.fit = None;
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.gate.is_dead())
    }

    /// Starts a process.
    pub(crate) fn start(&mut self, world: &Arc<World>, number: usize) {
        self.generation += 1;
        self.fit = None;
        let name = format!("node-{number}.{}", self.generation);
        world.tell(format_args!("{name} starts"));
        let gate = Gate::new();
        let ahead_ms = world.ahead();
        let line =
            Arc::new(Way { world: Arc::clone(world), gate: gate.clone(), name: name.clone() });
        let store =
            Arc::new(MemoryStore::shared(&world.database, line, &name, world.plan.takeover));
        let clock: Arc<dyn Clock> =
            store.go_by(Arc::new(SimMachine { world: Arc::clone(world), ahead_ms }));
        let integration = integration(world, &gate, &name);
        let inside =
            GatewayCore::start(vec![Arc::new(integration)], store, clock, Limits::default());
        self.process = Some(Running { name, gate, router: inside.router(), inside: Some(inside) });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, world: &World) {
        if let Some(process) = &self.process
            && !process.gate.is_dead()
        {
            world.tell(format_args!("{} is killed", process.name));
            process.gate.set(Runs::Dead);
        }
    }

    /// `SIGSTOP` and `SIGCONT`.
    pub(crate) fn stop(&mut self, world: &World, stop: bool) {
        if let Some(process) = &self.process
            && !process.gate.is_dead()
        {
            world.tell(format_args!(
                "{} {}",
                process.name,
                if stop { "is stopped" } else { "goes on" }
            ));
            process.gate.set(if stop { Runs::Stopped } else { Runs::Yes });
        }
    }

    /// Cuts or mends the connection to the database.
    pub(crate) fn cut(&mut self, world: &World, cut: bool) {
        if let Some(process) = &self.process {
            world.tell(format_args!(
                "{}'s way to the database is {}",
                process.name,
                if cut { "cut" } else { "whole" }
            ));
            process.gate.0.cut.store(cut, Ordering::Relaxed);
        }
    }

    /// `SIGTERM`: returns a future that must be awaited.
    pub(crate) fn leave(&mut self, world: &World) -> Option<impl Future<Output = ()> + use<>> {
        let process = self.process.as_mut()?;
        let inside = process.inside.take()?;
        world.tell(format_args!("{} is told to end", process.name));
        let gate = process.gate.clone();
        Some(async move {
            inside.shutdown().await;
            gate.set(Runs::Dead);
        })
    }
}

/// Sends a request to a node, from outside. `None` if there is no answer or no live process.
pub(crate) async fn request(
    world: &World,
    number: usize,
    request: Request<Body>,
) -> Option<StatusCode> {
    let (gate, router) = {
        let nodes = world.nodes();
        let process = nodes.get(number)?.process.as_ref()?;
        if process.gate.is_dead() {
            return None;
        }
        (process.gate.clone(), process.router.clone())
    };
    let answered = async {
        gate.pass().await;
        let answer = router.oneshot(request).await.ok()?;
        gate.pass().await;
        Some(answer.status())
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.ok().flatten()
}

fn integration(world: &Arc<World>, gate: &Gate, name: &str) -> Integration {
    let transport =
        SimTransport { world: Arc::clone(world), gate: gate.clone(), node: name.to_owned() };
    let host = url::Url::parse("https://api.genesys.invalid").expect("a URL");
    let hosts = genesys::Hosts { api: host.clone(), login: host };
    let credentials = Credentials { id: "client".to_owned(), secret: "secret".into() };
    let client = Client::over(Arc::new(transport), hosts, credentials);
    let config = BudgetConfig { allowed_per_minute: 3_000, ..BudgetConfig::default() };
    let rng = fastrand::Rng::with_seed(world.below(usize::MAX) as u64);
    let secret = EVENTS_SECRET.parse::<connector::http::Secret>().expect("a secret");
    Integration {
        name: world.integration.clone(),
        genesys_id: "integration".to_owned(),
        webhook_secrets: vec![WEBHOOK_SECRET.into()],
        budget: Budget::new(vec![client], config, rng),
        policy: world.plan.policy.clone(),
        notices: NoticeTexts::default(),
        detect_end: world.plan.poll.map_or(DetectEnd::Off, |every| DetectEnd::Poll { every }),
        connector: Arc::new(SimConnector::new(world, gate, name)),
        events: connector::http::Inbound::new(
            Secrets::new(vec![secret]).expect("one secret"),
            Arc::new(TrueClock(Arc::clone(world))),
        ),
    }
}

/// The connection between a node and the database.
struct Way {
    world: Arc<World>,
    gate: Gate,
    name: String,
}

impl Way {
    /// Waits for the time on the way. The request or answer may get lost, and the process may die.
    async fn travel(&self, what: &str, lost: f64) -> Result<(), StoreError> {
        let world = &self.world;
        let faults = &world.plan.faults;
        if world.fault(faults.crash_at_store) {
            world.tell(format_args!("{} dies at `{what}`", self.name));
            self.gate.set(Runs::Dead);
        }
        if world.fault(faults.store_slow) {
            let _trouble = LateRequest::new(&self.gate);
            tokio::time::sleep(world.between(200, faults.store_slowest)).await;
        } else if world.dice(0.2) {
            tokio::time::sleep(world.between(1, 8)).await;
        }
        let cut = self.gate.0.cut.load(Ordering::Relaxed);
        if cut || world.fault(lost) {
            // It takes a while to notice a broken connection.
            let _trouble = LateRequest::new(&self.gate);
            tokio::time::sleep(world.between(5, if cut { 2_000 } else { 50 })).await;
            return Err(StoreError::Unavailable("the connection broke".to_owned()));
        }
        Ok(())
    }
}

/// A request to the database that is late or gets lost, for as long as that lasts.
struct LateRequest<'a>(&'a Gate);

impl<'a> LateRequest<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.0.troubles.fetch_add(1, Ordering::Relaxed);
        Self(gate)
    }
}

impl Drop for LateRequest<'_> {
    fn drop(&mut self) {
        self.0.0.troubles.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl SimulatedLink for Way {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        self.gate.pass().await;
        self.world.request(what);
        // From here on the request is on its way, whatever happens to its sender.
        self.travel(what, self.world.plan.faults.store_refuses).await?;
        if self.world.weather().database_full
            && matches!(what, "accept" | "accept with step" | "append" | "ready" | "prune")
        {
            return Err(StoreError::Unavailable("no space left on the device".to_owned()));
        }
        Ok(())
    }

    async fn answer(&self, what: &'static str) -> Result<(), StoreError> {
        let travelled = self.travel(what, self.world.plan.faults.store_forgets).await;
        self.gate.pass().await;
        travelled
    }
}
