//! The way of a message: `ingress` takes a webhook in, `events` what a chat service tells, `engine` drives each
//! conversation, `egress` brings Genesys what it is owed. `from_genesys` and `to_genesys` translate.
//!
//! The program calls [`Gateway::start`]. What is decided about a message is decided in `conversation`; what survives is
//! the store's matter.

mod body;
mod clock;
mod connections;
mod egress;
mod ends;
mod engine;
mod events;
mod from_genesys;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ingress;
mod metrics;
mod server;
mod settings;
mod to_genesys;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conversation::Clock;
use store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use clock::{SteadyClock, SystemClock};
pub use settings::{DetectEnd, Integration, Limits, NoticeTexts};

use engine::Engine;
use metrics::Metrics;

/// A gateway that runs, and listens.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    inside: Inside,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Starts on a listener that is bound already: from here on webhooks are taken, and what the last process left is
    /// gone on with.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn start(
        listener: TcpListener,
        integrations: Vec<Arc<Integration>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let most = limits.connections;
        let inside = Inside::start(integrations, store, clock, limits);
        let stop = inside.engine.stop.clone();
        let server = tokio::spawn(connections::serve(listener, inside.router(), most, stop));
        Ok(Self { address, inside, server })
    }

    /// Stops: nothing new is accepted, what is under way ends or is left to the next process, the store is closed.
    /// Takes two seconds longer than [`Limits::shutdown`] at most.
    pub async fn shutdown(self) {
        let server = self.server;
        // Connections that idle are closed at once; a request under way is answered.
        self.inside.shutdown_after(async { drop(server.await) }).await;
    }
}

/// A gateway without a listener: whoever has it hands requests to its router, as the simulation does.
pub struct Inside {
    engine: Arc<Engine>,
}

impl Inside {
    /// Starts: what the last process left is gone on with. It needs a tokio runtime.
    pub fn start(
        integrations: Vec<Arc<Integration>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new());
        Self { engine: Engine::start(store, clock, metrics, limits, integrations, stop) }
    }

    /// Takes requests as they would come over HTTP.
    pub fn router(&self) -> axum::Router {
        server::router(Arc::clone(&self.engine))
    }

    /// As [`Gateway::shutdown`].
    pub async fn shutdown(self) {
        self.shutdown_after(async {}).await;
    }

    async fn shutdown_after(self, requests: impl Future<Output = ()>) {
        let grace = self.engine.limits.shutdown;
        self.engine.stop.cancel();
        self.engine.store.retire();
        self.engine.tasks.close();
        let ended = async {
            requests.await;
            self.engine.tasks.wait().await;
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!(
                "calls are still under way after {grace:?}; the next process will find them open"
            );
        }
        if tokio::time::timeout(Duration::from_secs(2), self.engine.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
    }
}
