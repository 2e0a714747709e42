//! Accepts connections, and ensures that a caller cannot hold one open without using it.

mod idle;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use idle::{IdleTracker, TrackedService};

/// How long a request's head may take, and how long a connection may idle between requests.
const HEAD: Duration = Duration::from_secs(30);
/// The limit for a head, a body or an idle connection while others wait for a place.
const CROWDED: Duration = Duration::from_secs(1);
/// How often connections that exceed it are looked for.
const TURN: Duration = Duration::from_millis(250);
/// The largest head that is read. Every connection can make the gateway buffer this much.
const HEAD_BYTES: usize = 16 << 10;
/// How long the gateway pauses after the system refused to accept a connection, usually because
/// file descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// The address of the other end of a request's connection, as the system knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// Whether the request comes from this machine. A header that names another caller proves
    /// nothing.
    pub(crate) fn is_this_machine(self) -> bool {
        self.0.to_canonical().is_loopback()
    }
}

/// Serves at most `most` connections at once, until `stop`. Then it answers the requests in
/// progress and closes idle connections.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let room = ConnectionAdmission {
        places: Arc::new(Semaphore::new(most)),
        crowded: Arc::new(Notify::new()),
    };
    loop {
        let accepted = tokio::select! {
            accepted = room.next(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer, taken) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                room.crowded.notify_waiters();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Answers are small: they should leave at once.
        let _ = stream.set_nodelay(true);
        let place = Arc::new(IdleTracker::new());
        let service = TrackedService {
            router: router.clone(),
            peer: Peer(peer.ip()),
            place: Arc::clone(&place),
        };
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let (crowded, stop) = (Arc::clone(&room.crowded), stop.clone());
        connections.spawn(async move {
            run(connection, &place, &crowded, stop).await;
            drop(taken);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Serves one connection until it ends. A connection that becomes a WebSocket ends here: its task
/// has limits of its own.
async fn run(
    connection: http1::Connection<TokioIo<TcpStream>, TrackedService>,
    place: &IdleTracker,
    crowded: &Notify,
    stop: CancellationToken,
) {
    let mut connection = pin!(connection.with_upgrades());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = place.must_be_left(crowded) => {
                tracing::debug!("a connection was closed to make room for others");
                return;
            }
        }
    }
}

/// Limits the number of connections.
struct ConnectionAdmission {
    places: Arc<Semaphore>,
    /// Notified while a connection waits for a place.
    crowded: Arc<Notify>,
}

impl ConnectionAdmission {
    /// The next connection, once there is a place for it. If all places are taken, a caller who has
    /// kept the gateway waiting loses theirs.
    async fn next(
        &self,
        listener: &TcpListener,
    ) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let (stream, peer) = listener.accept().await?;
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok((stream, peer, place));
            }
            self.crowded.notify_waiters();
            // The semaphore is never closed.
            if let Ok(Ok(place)) =
                tokio::time::timeout(TURN, Arc::clone(&self.places).acquire_owned()).await
            {
                return Ok((stream, peer, place));
            }
        }
    }
}
