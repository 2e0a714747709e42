//! The endpoint for a chat service's sockets: verifies the request, and admits the socket.
//! `traffic` carries its frames, `event_order` keeps the order of its events, and `ending` says why
//! it ends.

mod ending;
mod event_order;
mod traffic;

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use connector::websocket::{RequestRefused, Sockets};
use conversation::IntegrationName;
use prometheus_client::metrics::gauge::Gauge;

use super::answers::{self, SERVER};
use super::body::SPARE;
use super::state::HttpState;
use crate::engine::Engine;
use crate::settings::Integration;
use ending::SocketEnd;
use traffic::Traffic;

/// How many bytes are gathered before they are written, and how many more may wait: one frame of
/// the gateway, in multiples of `server.max_body`. A message's text is part of it up to twice, and
/// escapes may make it six times as long. Without a limit, the pongs for a peer that sends pings
/// and does not read would fill the memory.
const WRITE_BUFFER: usize = 128 << 10;
const MAX_FRAME_TIMES: usize = 16;

/// Answers `GET /connectors/{integration}/socket`.
pub(crate) async fn socket(
    State(state): State<Arc<HttpState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let engine = &state.engine;
    let Some(integration) = engine.integration(&IntegrationName::new(&name)).cloned() else {
        let why = answers::unknown_integration(engine, "/connectors", &name);
        return refused(StatusCode::NOT_FOUND, &why);
    };
    let Some(sockets) = integration.connector.sockets().cloned() else {
        let why = format!(
            "the connector of {name:?} takes no sockets; set type = \"websocket\" in its \
             [integration.connector]"
        );
        return refused(StatusCode::NOT_FOUND, &why);
    };
    // The request has no body, so the signature is over nothing but the id and the time.
    if let Err(error) = integration.events.verify(&headers, b"") {
        return not_granted(engine, &name, "unsigned", StatusCode::UNAUTHORIZED, &error);
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(error) => {
            let why = format!("this address is for WebSockets only: {}", error.body_text());
            let version = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
            return (version, refused(StatusCode::UPGRADE_REQUIRED, &why)).into_response();
        }
    };
    if let Err(error) = sockets.grant(&headers) {
        let (word, status) = match error {
            RequestRefused::Repeated => ("repeated", StatusCode::UNAUTHORIZED),
            RequestRefused::TooMany => ("too_often", StatusCode::SERVICE_UNAVAILABLE),
            RequestRefused::Unsigned => ("unsigned", StatusCode::UNAUTHORIZED),
        };
        return not_granted(engine, &name, word, status, &error);
    }
    let max_write = WRITE_BUFFER + engine.limits.max_body.saturating_mul(MAX_FRAME_TIMES);
    let largest = engine.limits.max_body.saturating_mul(SPARE);
    // Held while the socket is open, so that a stop waits for the calls on it.
    let running = engine.tasks.token();
    let state = Arc::clone(&state);
    upgrade
        .max_message_size(largest)
        .max_frame_size(largest)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(max_write)
        .on_upgrade(async move |socket| {
            serve(&state, &integration, &sockets, socket).await;
            drop(running);
        })
}

/// Counts and logs a request whose signature counts for nothing, and answers it.
fn not_granted(
    engine: &Engine,
    name: &str,
    word: &'static str,
    status: StatusCode,
    error: &dyn std::error::Error,
) -> Response {
    engine.metrics.socket_closed(name, word);
    if let Some(more) = engine.failures.admit(name, "socket", word) {
        tracing::warn!(integration = name, %error, more, "a socket was refused");
    }
    refused(status, &error.to_string())
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, SERVER, format!("{why}\n")).into_response()
}

/// Carries the frames of one socket until it ends.
async fn serve(
    state: &Arc<HttpState>,
    integration: &Integration,
    sockets: &Arc<Sockets>,
    socket: WebSocket,
) {
    let (name, metrics) = (integration.name.as_str(), &state.engine.metrics);
    let Some((calls, input)) = sockets.admit() else {
        let end = SocketEnd::TooMany(sockets.limits().max_sockets);
        report(state, integration, &end);
        return ending::close(socket, &end).await;
    };
    let counted = CountedSocket::new(metrics.sockets(name));
    tracing::info!(integration = name, open = sockets.count(), "a socket was opened");
    let traffic = Traffic { state, integration, sockets };
    let (socket, end) = traffic.run(socket, calls, input).await;
    drop(counted);
    report(state, integration, &end);
    ending::close(socket, &end).await;
}

/// Counts one open socket in the gauge. Each socket adds and removes itself: sockets that open and
/// close at the same time could not overwrite one another's figure.
struct CountedSocket(Gauge);

impl CountedSocket {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for CountedSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts the end of a socket, and logs it.
fn report(state: &HttpState, integration: &Integration, end: &SocketEnd) {
    let (name, word) = (integration.name.as_str(), end.word());
    state.engine.metrics.socket_closed(name, word);
    let Some(more) = state.engine.failures.admit(name, "socket", word) else { return };
    if end.is_expected() {
        tracing::info!(integration = name, cause = %end, more, "a socket was closed");
    } else {
        tracing::warn!(integration = name, cause = %end, more, "a socket was closed");
    }
}
