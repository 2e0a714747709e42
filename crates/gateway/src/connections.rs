//! Takes connections in, and sees to it that none can be held open for nothing.

mod place;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use place::{Place, Watched};

/// How long a request's head may take, and how long a connection may idle before the next one.
const HEAD: Duration = Duration::from_secs(30);
/// The same, and the same for a body, while others wait for room.
const CROWDED: Duration = Duration::from_secs(1);
/// How often those who have had that long are looked for.
const TURN: Duration = Duration::from_millis(250);
/// The largest head that is read: as many callers as there may be can make the gateway keep as much as this for each.
const HEAD_BYTES: usize = 16 << 10;
/// How long nothing is accepted after the system has refused: mostly there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`; then requests under way are answered, and idle connections closed. There are `most` connections
/// at once.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    stop: CancellationToken,
) {
    let connections = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let room = Room { places: Arc::new(Semaphore::new(most)), crowded: Arc::new(Notify::new()) };
    loop {
        let accepted = tokio::select! {
            accepted = room.next(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, taken) = match accepted {
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
        let place = Arc::new(Place::new());
        let service = Watched { router: router.clone(), place: Arc::clone(&place) };
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        let crowded = Arc::clone(&room.crowded);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                () = place.must_be_left(&crowded) => tracing::debug!("a connection made room for others"),
            }
            drop(taken);
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// Room for connections.
struct Room {
    places: Arc<Semaphore>,
    /// Rung while somebody waits for a place.
    crowded: Arc<Notify>,
}

impl Room {
    /// The next connection, once there is a place for it. It gets that of somebody who has kept the gateway waiting.
    async fn next(
        &self,
        listener: &TcpListener,
    ) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let (stream, _) = listener.accept().await?;
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok((stream, place));
            }
            self.crowded.notify_waiters();
            // The semaphore is never closed.
            if let Ok(Ok(place)) =
                tokio::time::timeout(TURN, Arc::clone(&self.places).acquire_owned()).await
            {
                return Ok((stream, place));
            }
        }
    }
}
