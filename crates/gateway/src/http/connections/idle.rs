//! Tracks which side of a connection is waiting: the gateway or its caller.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{CROWDED, Peer};

/// The time since when the gateway has waited for the caller of one connection. `None` while the
/// caller waits for the gateway.
pub(super) struct IdleTracker(Mutex<Option<Instant>>);

impl IdleTracker {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    /// Returns when others wait for a place and this caller has kept the gateway waiting for too
    /// long.
    pub(super) async fn must_be_left(&self, crowded: &Notify) {
        loop {
            crowded.notified().await;
            if self.since().is_some_and(|since| since.elapsed() >= CROWDED) {
                return;
            }
        }
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// Passes requests to the router, and tracks who waits for whom on the connection.
pub(super) struct TrackedService {
    pub(super) router: Router,
    pub(super) peer: Peer,
    pub(super) place: Arc<IdleTracker>,
}

impl hyper::service::Service<Request<Incoming>> for TrackedService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (mut router, place) = (self.router.clone(), Arc::clone(&self.place));
        // The time limit of the body starts here. If there is no body, the caller has sent
        // everything.
        place.set((!request.body().is_end_stream()).then(Instant::now));
        let mut request =
            request.map(|body| Body::new(TrackedBody { body, place: Arc::clone(&place) }));
        request.extensions_mut().insert(self.peer);
        async move {
            let answered = tower_service::Service::call(&mut router, request).await;
            place.set(Some(Instant::now()));
            answered
        }
        .boxed()
    }
}

/// A body that notices when all of it has arrived.
struct TrackedBody {
    body: Incoming,
    place: Arc<IdleTracker>,
}

impl HttpBody for TrackedBody {
    type Data = <Incoming as HttpBody>::Data;
    type Error = <Incoming as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.body.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.place.set(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
