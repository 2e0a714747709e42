//! Who keeps whom waiting on a connection: the caller the gateway, or the other way round.

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

use super::CROWDED;

/// What is known of one connection: since when the gateway waits for its caller. `None` while the caller waits.
pub(super) struct Place(Mutex<Option<Instant>>);

impl Place {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    /// Ends when others wait for room and this caller has kept the gateway waiting for too long.
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

/// Hands requests on, and keeps the book of a connection's place.
pub(super) struct Watched {
    pub(super) router: Router,
    pub(super) place: Arc<Place>,
}

impl hyper::service::Service<Request<Incoming>> for Watched {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (mut router, place) = (self.router.clone(), Arc::clone(&self.place));
        // The body has its own time from here on; without one the caller has done its part.
        place.set((!request.body().is_end_stream()).then(Instant::now));
        let request = request.map(|body| Body::new(Arriving { body, place: Arc::clone(&place) }));
        async move {
            let answered = tower_service::Service::call(&mut router, request).await;
            place.set(Some(Instant::now()));
            answered
        }
        .boxed()
    }
}

/// A body that says when all of it has come.
struct Arriving {
    body: Incoming,
    place: Arc<Place>,
}

impl HttpBody for Arriving {
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
