//! The runtime. `http::webhook` receives webhooks, and `http::events` receives a chat service's
//! events. `engine` drives each conversation, and `egress` delivers to Genesys what it is owed.
//! `from_genesys` and `to_genesys` translate.
//!
//! This file puts the parts together. The engine knows none of the others: it tells them through
//! `signals` what there is to do.
//!
//! The program calls [`Gateway::start`]. The `conversation` crate decides about messages, and the
//! store makes the decisions durable.

#![warn(clippy::missing_errors_doc)]

mod attachment;
mod broadcast;
mod change;
mod clock;
mod customer_event;
mod customer_message;
mod egress;
mod end_detection;
mod engine;
mod failed_calls;
mod failures;
mod fields;
mod files;
mod from_genesys;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod history;
mod http;
mod metrics;
mod own_event;
mod replay;
mod settings;
mod signals;
mod to_genesys;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conversation::Clock;
use store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use clock::{SystemClock, ThisMachine};
pub use settings::{
    ConsoleUser, DetectEnd, Integration, LOST_FILE, Limits, NoticeTexts, OperatorToken, Operators,
    Role,
};

use egress::Egress;
use engine::Engine;
use http::{Answered, HttpState};
use metrics::Metrics;
use signals::Signals;

/// How many connections operators may have at once. These are separate from other callers'
/// connections, so that a crowd at the public address delays no probe.
const OPERATORS: usize = 64;

/// A running gateway with its listeners.
pub struct Gateway {
    /// The public address.
    pub address: SocketAddr,
    /// The operators' address, if they have one of their own.
    pub admin: Option<SocketAddr>,
    inside: GatewayCore,
    servers: Vec<JoinHandle<()>>,
}

/// Listeners that are already bound.
pub struct Listeners {
    /// For webhooks and events.
    pub public: TcpListener,
    /// For operators. If `None`, they are served at the public address, but only from this machine.
    pub admin: Option<TcpListener>,
}

impl Gateway {
    /// Starts the gateway: it accepts webhooks, and resumes the work that the last process left.
    ///
    /// # Errors
    /// If a listener has no address.
    pub fn start(
        listeners: Listeners,
        integrations: Vec<Arc<Integration>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        operators: &Operators,
    ) -> std::io::Result<Self> {
        let Listeners { public, admin } = listeners;
        let address = public.local_addr()?;
        let own = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let most = limits.connections;
        let inside = GatewayCore::begin(integrations, store, clock, limits, operators);
        let engine = &inside.engine;
        let answered = if admin.is_some() { Answered::Elsewhere } else { Answered::ThisMachine };
        let router = http::router(Arc::clone(&inside.http), answered);
        let mut servers =
            vec![tokio::spawn(http::serve(public, router, most, engine.stop.clone()))];
        if let Some(admin) = admin {
            let router = http::operators_router(Arc::clone(&inside.http));
            let stop = engine.stop.clone();
            servers.push(tokio::spawn(http::serve(admin, router, OPERATORS, stop)));
        }
        Ok(Self { address, admin: own, inside, servers })
    }

    /// Waits until an essential part of the gateway or of its store has panicked. The process must
    /// end then.
    pub async fn broken(&self) {
        let engine = &self.inside.engine;
        tokio::select! {
            () = engine.store.broken() => {}
            () = engine.broken.cancelled() => {}
        }
    }

    /// Stops: nothing new is accepted, work in progress ends or is left to the next process, and
    /// the store is closed. Takes at most two seconds longer than [`Limits::shutdown`].
    pub async fn shutdown(self) {
        let servers = futures_util::future::join_all(self.servers);
        // Idle connections are closed at once; requests in progress are answered.
        self.inside.shutdown_after(async { drop(servers.await) }).await;
    }
}

/// A gateway without a listener. Its user passes requests to its router, as the simulation does.
pub struct GatewayCore {
    engine: Arc<Engine>,
    http: Arc<HttpState>,
}

impl GatewayCore {
    /// Starts, and resumes the work that the last process left. Requires a tokio runtime.
    pub fn start(
        integrations: Vec<Arc<Integration>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self::begin(integrations, store, clock, limits, &Operators::default())
    }

    fn begin(
        integrations: Vec<Arc<Integration>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        operators: &Operators,
    ) -> Self {
        let metrics = Arc::new(Metrics::new());
        let (mut egresses, mut detections, mut engines) = (Vec::new(), Vec::new(), Vec::new());
        for integration in integrations {
            let (signals, receivers) = Signals::new();
            let egress = Egress::new(
                Arc::clone(&integration),
                Arc::clone(&signals),
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&metrics),
            );
            egresses.push((Arc::new(egress), receivers.customer_typing));
            detections.push((Arc::clone(&integration), receivers.session_opened));
            engines.push((integration, signals));
        }
        let (engine, wake_ups) =
            Engine::new(store, clock, metrics, limits, engines, CancellationToken::new());
        for (egress, typing) in egresses {
            engine.keep_up("posting to Genesys", Arc::clone(&egress).run(Arc::clone(&engine)));
            engine.keep_up("posting typing", egress.run_typing(Arc::clone(&engine), typing));
        }
        for (integration, opened) in detections {
            end_detection::start(&engine, &integration, opened);
        }
        engine.run(wake_ups);
        Self { http: Arc::new(HttpState::new(Arc::clone(&engine), operators)), engine }
    }

    /// The router for all requests that may come over HTTP, including those of operators.
    pub fn router(&self) -> axum::Router {
        http::router(Arc::clone(&self.http), Answered::Anyone)
    }

    /// Stops as [`Gateway::shutdown`] does. There is no listener to close.
    pub async fn shutdown(self) {
        self.shutdown_after(async {}).await;
    }

    async fn shutdown_after(self, requests: impl Future<Output = ()>) {
        let grace = self.engine.limits.shutdown;
        self.engine.stop.cancel();
        self.engine.store.step_down();
        self.engine.tasks.close();
        let ended = async {
            requests.await;
            self.engine.tasks.wait().await;
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!(
                "calls are still in progress after {grace:?}; the next process will find them open"
            );
        }
        if tokio::time::timeout(Duration::from_secs(2), self.engine.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
    }
}
