//! `tidegate serve`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use conversation::Clock;
use gateway::{Gateway, Limits, Listeners, SystemClock, ThisMachine};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

use url::Url;

use crate::failure::Failure;
use crate::wiring;

/// How many connections may wait to be accepted. The system may have a lower limit.
const BACKLOG: u32 = 16_384;
/// How many files the store and outgoing calls may need.
const OTHER_FILES: usize = 1_024;

/// Runs until a signal stops it, or until a part of the gateway panics.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = wiring::configuration(file)?;
    let (mut terminate, mut hang_up) = (on(SignalKind::terminate())?, on(SignalKind::hangup())?);
    let store = tokio::select! {
        store = wiring::store(&config.store.url, config.store.takeover) => store?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let listeners = Listeners {
        public: listen("server.listen", config.server.listen)?,
        admin: config.admin.listen.map(|address| listen("admin.listen", address)).transpose()?,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (genesys, connector) = (wiring::genesys_clients()?, wiring::connector_clients()?);
    let limits = Limits {
        max_body: config.server.max_body,
        connections: connections(Limits::default().connections),
        retention: config.store.retention,
        ..Limits::default()
    };
    let base = base_url(config.server.public_url, &listeners.public)?;
    let files = wiring::files(config.media, base)?;
    let mut integrations = Vec::new();
    for integration in config.integrations {
        integrations.push(wiring::integration(integration, &genesys, &connector, &clock, &files));
    }
    let names: Vec<_> =
        integrations.iter().map(|integration| integration.name.to_string()).collect();
    let of_store = wiring::clock_of(store.as_ref(), Arc::new(ThisMachine)).await?;
    let gateway = Gateway::start(listeners, integrations, store, of_store, limits, &config.console)
        .map_err(|error| Failure::failed("cannot start", error))?;
    let admin = gateway.admin.map(tracing::field::display);
    tracing::info!(address = %gateway.address, admin, integrations = names.join(","), "ready");
    let ended = loop {
        tokio::select! {
            () = gateway.broken() => break Err(broken()),
            _ = tokio::signal::ctrl_c() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
            _ = hang_up.recv() => {
                tracing::warn!("this version cannot reload its configuration: restart the gateway, \
                    which loses nothing");
            }
        }
    };
    tracing::info!("stopping");
    gateway.shutdown().await;
    tracing::info!("stopped");
    ended
}

/// If the store had panicked, the gateway would answer 503 forever; if another part had, its work
/// would stop. The process can end safely, because everything that was answered with a 2xx is in
/// the store.
fn broken() -> Failure {
    Failure::failed(
        "the gateway cannot continue in this process",
        "a part of it panicked; the lines before this one say where\n  \
         start the gateway again (a service manager does: Restart=always), and report the lines as a bug",
    )
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed("cannot wait for signals", error))
}

/// The URL at which others reach the gateway: the configured one, or the address itself, which is
/// good for tests on one machine.
fn base_url(configured: Option<Url>, listener: &TcpListener) -> Result<Url, Failure> {
    if let Some(url) = configured {
        return Ok(url);
    }
    let address = listener
        .local_addr()
        .map_err(|error| Failure::failed("the listener has no address", error))?;
    let url = format!("http://{address}");
    url.parse().map_err(|error| Failure::failed("the listener's address is no URL", error))
}

/// Binds the address that `key` configures.
fn listen(key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    bind(address).map_err(|error| {
        let what = format!("tidegate: cannot listen on {address}: {error}");
        Failure::configuration(format!("{what}\n  change {key}, or stop the program that uses it"))
    })
}

/// Binds as tokio does, but with a larger backlog. If the backlog is full, the caller's system
/// retries after 1 s, 3 s and 7 s. By then Genesys has almost given up.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How many connections callers may have: `most`, or fewer if the system limits the files that this
/// process may open. It first raises that limit to the maximum, because many systems start
/// processes with far less. Some files are kept for the store and for outgoing calls.
fn connections(most: usize) -> usize {
    let allowed = getrlimit(Resource::Nofile).maximum;
    // If this fails, the limit stays as it is, and is read next.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed });
    let files = getrlimit(Resource::Nofile)
        .current
        .and_then(|files| usize::try_from(files).ok())
        .unwrap_or(usize::MAX);
    most.min(files - OTHER_FILES.min(files / 2))
}
