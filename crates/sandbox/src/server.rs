//! Starting and stopping a sandbox: the place where all of its parts are put together.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::SandboxConfig;
use crate::connection_breaker::{ConnectionBreaker, CuttableListener};
use crate::error::StartError;
use crate::guard::{Reach, own_names_only};
use crate::handle::Handle;
use crate::{desktop, http};

/// How long a stopping sandbox waits for calls under way; then their connections are dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Genesys Cloud on your own machine.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Starts a sandbox in the current runtime; it listens when this returns.
    pub async fn start(config: SandboxConfig) -> Result<Running, StartError> {
        let wanted = config.listen;
        let failed = |source| StartError::Listen { addr: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let app = Arc::new(App::new(config)?);
        app.deliveries.spawn(end_idle(app.clone()));
        let service = router(&app, Reach::of(addr.ip()))
            .into_make_service_with_connect_info::<ConnectionBreaker>();
        let stop = app.stop.clone().cancelled_owned();
        let server = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(stop);
        let server = tokio::spawn(server.into_future());
        Ok(Running { addr, handle: Handle::new(app), server })
    }
}

/// Everything that the sandbox serves. Whatever needs no token is guarded against names that a web
/// page may have taken.
fn router(app: &Arc<App>, reach: Reach) -> Router {
    let guarded = http::control_routes()
        .merge(desktop::routes())
        .layer(from_fn_with_state(reach, own_names_only));
    http::api_routes(app).merge(guarded).with_state(app.clone())
}

/// Ends conversations by the switch `inactivity_timeout`.
async fn end_idle(app: Arc<App>) {
    loop {
        let timeout = app.switches().inactivity_timeout.0;
        let now = app.clock.now();
        let wait = if timeout.is_zero() {
            Duration::MAX
        } else {
            let next = app.world().end_idle(timeout, now);
            // Not more often than needed: each pass visits all conversations.
            Duration::try_from(next.duration_since(now)).unwrap_or_default().max(timeout / 100)
        };
        tokio::select! {
            () = app.clock.sleep(wait) => {}
            () = app.switched.notified() => {}
            () = app.stop.cancelled() => return,
        }
    }
}

/// A sandbox that runs. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// For use in the same process.
    pub handle: Handle,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    /// The base URL of both API and login.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops taking calls, gives up webhook deliveries, and waits up to two seconds for calls under
    /// way.
    pub async fn shutdown(mut self) {
        let app = self.handle.app();
        app.stop.cancel();
        app.deliveries.close();
        let rest = async {
            // A server that panicked has stopped, too.
            let _ = (&mut self.server).await;
            app.deliveries.wait().await;
        };
        // Connections that are still open are cut when `self` is dropped.
        let _ = tokio::time::timeout(GRACE, rest).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.app().stop.cancel();
        self.server.abort();
    }
}
