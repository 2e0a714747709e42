//! `tidegate serve`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use conversation::Clock;
use gateway::{Gateway, Limits, SteadyClock, SystemClock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::wiring;

/// How many connections may wait to be accepted; the system may have a lower limit.
const BACKLOG: u32 = 16_384;
/// How many files the store and the calls to others may need.
const OTHER_FILES: usize = 1_024;

/// Runs until it is told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = wiring::configuration(file)?;
    let (mut terminate, mut hang_up) = (on(SignalKind::terminate())?, on(SignalKind::hangup())?);
    let store = tokio::select! {
        store = wiring::store(&config.store.url, config.store.takeover) => store?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let listener = listen(config.server.listen).map_err(|error| {
        let listen = config.server.listen;
        Failure::configuration(format!(
            "tidegate: cannot listen on {listen}: {error}\n  change server.listen, or stop who has it"
        ))
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (genesys, connector) = (wiring::genesys_client()?, wiring::connector_client()?);
    let limits = Limits {
        max_body: config.server.max_body,
        connections: connections(Limits::default().connections),
        retention: config.store.retention,
        ..Limits::default()
    };
    let mut integrations = Vec::new();
    for integration in config.integrations {
        integrations.push(wiring::integration(integration, &genesys, &connector, &clock));
    }
    let names: Vec<_> =
        integrations.iter().map(|integration| integration.name.to_string()).collect();
    let gateway =
        Gateway::start(listener, integrations, store, Arc::new(SteadyClock::start()), limits)
            .map_err(|error| Failure::failed("cannot start", error))?;
    tracing::info!(address = %gateway.address, integrations = names.join(","), "ready");
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => {
                tracing::warn!("this version does not reload its configuration: restart it, nothing is lost by that");
            }
        }
    }
    tracing::info!("stopping");
    gateway.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed("cannot wait for signals", error))
}

/// As tokio binds, but for the backlog: a connection that finds no room in it is tried again by the caller's system after 1 s,
/// 3 s, 7 s, and by then Genesys has almost given up.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How many connections callers may have: `most`, or fewer where the system lets this process open fewer files. The rest is
/// left to the store and to calls to others. Many systems start processes with far fewer than they may have.
fn connections(most: usize) -> usize {
    let allowed = getrlimit(Resource::Nofile).maximum;
    // That it may have no more than before is told by what it has then.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed });
    let files = getrlimit(Resource::Nofile)
        .current
        .and_then(|files| usize::try_from(files).ok())
        .unwrap_or(usize::MAX);
    most.min(files - OTHER_FILES.min(files / 2))
}
