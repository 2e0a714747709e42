//! The endpoints for operators: readiness and metrics.
//!
//! They are served at an address of their own, if one is configured. Otherwise they are served at
//! the public address, and only to this machine. `server` assembles the router.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::connections::Peer;
use crate::engine::Engine;
use crate::server::SERVER;

/// How long a probe of the store may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which callers an address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Every caller.
    Anyone,
    /// Callers on this machine.
    ThisMachine,
    /// No caller: operators have an address of their own.
    Nobody,
}

/// The operators' routes, for the callers that `answered` admits.
pub(crate) fn routes(answered: Answered) -> Router<Arc<Engine>> {
    match answered {
        Answered::Anyone => asked(),
        Answered::ThisMachine => asked().route_layer(axum::middleware::from_fn(only_this_machine)),
        Answered::Nobody => {
            Router::new().route("/readyz", get(elsewhere)).route("/metrics", get(elsewhere))
        }
    }
}

fn asked() -> Router<Arc<Engine>> {
    Router::new().route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn elsewhere() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, SERVER, "this is served at the address of admin.listen\n")
}

/// Checks the address of the connection's other end. A header that names another caller proves
/// nothing.
async fn only_this_machine(request: Request, next: Next) -> Response {
    let here =
        request.extensions().get::<Peer>().is_some_and(|peer| peer.0.to_canonical().is_loopback());
    if here {
        return next.run(request).await;
    }
    let why = "this is served to callers on the gateway's own machine; set admin.listen to an \
        address for operators\n";
    (StatusCode::FORBIDDEN, SERVER, why).into_response()
}

/// Ready means that what is accepted now would be durable.
async fn ready(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    let (status, text) = engine.readiness.ask(&engine).await;
    (status, SERVER, text)
}

type ProbeReply = (StatusCode, String);

/// Runs one probe of the store at a time. All who ask meanwhile share its answer, so that the cost
/// does not grow with the number of requests.
#[derive(Default)]
pub(crate) struct Readiness {
    /// The last probe, and its answer once there is one.
    last: Mutex<Option<watch::Receiver<Option<ProbeReply>>>>,
}

impl Readiness {
    async fn ask(&self, engine: &Arc<Engine>) -> ProbeReply {
        if engine.stop.is_cancelled() {
            return not_ready("stopping");
        }
        let mut probe = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let under_way = last
                .as_ref()
                .filter(|probe| probe.has_changed().is_ok() && probe.borrow().is_none());
            match under_way {
                Some(probe) => probe.clone(),
                None => last.insert(begin(Arc::clone(engine))).clone(),
            }
        };
        let answer = probe.wait_for(Option::is_some).await;
        answer
            .ok()
            .and_then(|answer| answer.clone())
            .unwrap_or_else(|| not_ready("not ready: the probe broke"))
    }
}

/// Starts a probe. It continues even if every caller leaves, so that the next caller does not find
/// an old answer.
fn begin(engine: Arc<Engine>) -> watch::Receiver<Option<ProbeReply>> {
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        let answer = match tokio::time::timeout(PATIENCE, engine.store.probe()).await {
            Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
            Ok(Err(error)) => not_ready(&format!("not ready: {error}")),
            Err(_) => not_ready("not ready: the store does not answer"),
        };
        tell.send_replace(Some(answer));
    });
    told
}

fn not_ready(why: &str) -> ProbeReply {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

async fn metrics(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    let kind =
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    if let Some(health) = engine.store.health() {
        engine.metrics.store(health);
    }
    (SERVER, kind, engine.metrics.render())
}
