//! A node: the production gateway behind its gate, and its connection to the database.

use std::sync::Arc;

use async_trait::async_trait;
use connector::http::Secrets;
use conversation::Clock;
use gateway::{DetectEnd, GatewayCore, Integration, Limits, NoticeTexts};
use genesys::{Budget, BudgetConfig, Client, Credentials};
use store::StoreError;
use store::memory::{MemoryStore, SimulatedLink};

use crate::chat::SimConnector;
use crate::genesys::SimTransport;
use crate::process::{Gate, LateRequest, Node, Running, Runs};
use crate::traffic::{EVENTS_SECRET, WEBHOOK_SECRET};
use crate::world::{SimMachine, TrueClock, World};

impl Node {
    /// Starts a process.
    pub(crate) fn start(&mut self, world: &Arc<World>, number: usize) {
        self.generation += 1;
        self.fit = None;
        let name = format!("node-{number}.{}", self.generation);
        world.tell(format_args!("{name} starts"));
        let gate = Gate::new();
        let ahead_ms = world.ahead();
        let line = Arc::new(StoreLink {
            world: Arc::clone(world),
            gate: gate.clone(),
            name: name.clone(),
        });
        let store =
            Arc::new(MemoryStore::shared(&world.database, line, &name, world.plan.takeover));
        let clock: Arc<dyn Clock> =
            store.go_by(Arc::new(SimMachine { world: Arc::clone(world), ahead_ms }));
        let integration = integration(world, &gate, &name);
        let inside =
            GatewayCore::start(vec![Arc::new(integration)], store, clock, Limits::default());
        self.process = Some(Running { name, gate, router: inside.router(), inside: Some(inside) });
    }

    /// `kill -9`: the process never answers or asks again.
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
            process.gate.cut(cut);
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
        fallback: connector::Fallback::default(),
        notices: NoticeTexts::default(),
        detect_end: world.plan.poll.map_or(DetectEnd::Off, |every| DetectEnd::Poll { every }),
        media: None,
        lost_file: gateway::LOST_FILE.to_owned(),
        connector: Arc::new(SimConnector::new(world, gate, name)),
        events: Arc::new(connector::http::Inbound::new(
            Secrets::new(vec![secret]).expect("one secret"),
            Arc::new(TrueClock(Arc::clone(world))),
        )),
    }
}

/// The connection between a node and the database.
struct StoreLink {
    world: Arc<World>,
    gate: Gate,
    name: String,
}

impl StoreLink {
    /// Waits for the travel time. The request or answer may get lost, and the process may die.
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
        let cut = self.gate.is_cut();
        if cut || world.fault(lost) {
            // The node notices a broken connection only after a while.
            let _trouble = LateRequest::new(&self.gate);
            tokio::time::sleep(world.between(5, if cut { 2_000 } else { 50 })).await;
            return Err(StoreError::Unavailable("the connection broke".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl SimulatedLink for StoreLink {
    async fn ask(&self, what: &'static str) -> Result<(), StoreError> {
        self.gate.pass().await;
        self.world.request(what);
        // From here on, the request is on its way, whatever happens to its sender.
        self.travel(what, self.world.plan.faults.store_refuses).await?;
        if self.world.weather().database_full
            && matches!(what, "accept" | "accept with step" | "append" | "ready" | "prune")
        {
            return Err(StoreError::Unavailable("no space left on the device".into()));
        }
        Ok(())
    }

    async fn answer(&self, what: &'static str) -> Result<(), StoreError> {
        let travelled = self.travel(what, self.world.plan.faults.store_forgets).await;
        self.gate.pass().await;
        travelled
    }
}
