//! The socket of a notification channel: frames as they happen, heartbeats, and its end.
//!
//! Faults with the target `notification` apply here, once per frame, never to a heartbeat.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer::ApiError;
use crate::app::App;
use crate::clock::wire_time;
use crate::faults::{Action, Target};
use crate::ids;
use crate::switches::SecondSocket;
use crate::transcript::{Direction, Entry, Kind, body_of};
use crate::world::channels::{ChannelRefusal, Frame, Signal};

/// The time between two heartbeats (reference, section 8).
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The time from the warning to the end of a socket.
const WARNING: Duration = Duration::from_mins(1);
/// The most bytes that a client may send at once; clients send little.
const MAX_MESSAGE: usize = 64 * 1024;
/// How long a client may take to read a frame, in real time.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/channels/{id}", any(connect))
}

/// The target of a channel's `connectUri`. It needs no token: anyone who knows the id may listen,
/// as at Genesys.
async fn connect(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let replace = app.switches().second_socket == SecondSocket::Replaces;
    let signals = app.world().channels.connect(&id, replace, app.clock.now());
    let signals = match signals {
        Ok(signals) => signals,
        Err(refusal) => {
            let status = match refusal {
                ChannelRefusal::Connected => StatusCode::CONFLICT,
                _ => StatusCode::NOT_FOUND,
            };
            let context = ids::uuid(app.world().rng());
            return ApiError::of_status(status).finish(&context);
        }
    };
    upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
        note(&app, &id, "connected", None, Vec::new());
        let listener = Listener { app: app.clone(), channel: id.clone(), socket };
        let end = listener.run(signals).await;
        note(&app, &id, "closed", None, vec![end.to_owned()]);
    })
}

struct Listener {
    app: Arc<App>,
    channel: String,
    socket: WebSocket,
}

/// Why a socket ends.
type SocketEnd = &'static str;

impl Listener {
    async fn run(mut self, mut signals: mpsc::Receiver<Signal>) -> SocketEnd {
        let app = self.app.clone();
        let beat = app.clock.sleep(HEARTBEAT);
        tokio::pin!(beat);
        // Unset until the client has been warned; until then the channel's expiry counts.
        let mut ends_at = None;
        loop {
            let end = ends_at.or_else(|| app.world().channels.expiry(&self.channel));
            let Some(end) = end else { return self.close("the channel is gone").await };
            let left = Duration::try_from(end.duration_since(app.clock.now())).unwrap_or_default();
            let step = tokio::select! {
                biased;
                () = app.stop.cancelled() => return self.close("the sandbox stops").await,
                heard = self.socket.recv() => match heard {
                    Some(Ok(message)) => self.hear(&message).await,
                    _ => return "the client is gone",
                },
                signal = signals.recv() => match signal {
                    None => {
                        let why = "another socket took over, or too many frames waited";
                        return self.close(why).await;
                    }
                    Some(Signal::Close) => return self.close("closed on purpose").await,
                    Some(Signal::CloseSoon) => {
                        ends_at = Some(crate::clock::later(app.clock.now(), WARNING));
                        let message = "This connection is closing in one minute";
                        self.tell("v2.system.socket_closing", message).await
                    }
                    Some(Signal::Frame(frame)) => self.pass_on(&frame).await,
                },
                () = &mut beat => {
                    beat.set(app.clock.sleep(HEARTBEAT));
                    self.tell("channel.metadata", "WebSocket Heartbeat").await
                }
                () = app.clock.sleep(left) => {
                    // A new subscription may have postponed the end.
                    let expiry = app.world().channels.expiry(&self.channel);
                    if ends_at.or(expiry).is_none_or(|end| end <= app.clock.now()) {
                        return self.close("its time was over").await;
                    }
                    ControlFlow::Continue(())
                }
            };
            if let ControlFlow::Break(end) = step {
                return end;
            }
        }
    }

    /// Answers a client that asks for a sign of life.
    async fn hear(&mut self, message: &Message) -> ControlFlow<SocketEnd> {
        let Message::Text(text) = message else { return ControlFlow::Continue(()) };
        let asked: Value = serde_json::from_str(text).unwrap_or_default();
        if asked["message"] == "ping" {
            self.tell("channel.metadata", "pong").await
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Sends one of the channel's own frames.
    async fn tell(&mut self, topic: &str, message: &str) -> ControlFlow<SocketEnd> {
        self.send(json!({"topicName": topic, "eventBody": {"message": message}}).to_string()).await
    }

    /// Sends a frame of a topic, with the injected fault, if any.
    async fn pass_on(&mut self, frame: &Frame) -> ControlFlow<SocketEnd> {
        let app = self.app.clone();
        let fault = app.strike(&[Target::Notification]);
        if let Some(Action::Delay(span)) = &fault {
            app.clock.sleep(span.0).await;
        }
        note(
            &app,
            &self.channel,
            &frame.topic,
            Some(frame),
            fault.iter().map(Action::name).collect(),
        );
        match fault {
            Some(Action::Lose) => ControlFlow::Continue(()),
            Some(Action::Close) => ControlFlow::Break("injected: close"),
            Some(Action::Duplicate) => {
                self.send(frame.json.clone()).await?;
                self.send(frame.json.clone()).await
            }
            _ => self.send(frame.json.clone()).await,
        }
    }

    async fn send(&mut self, text: String) -> ControlFlow<SocketEnd> {
        match tokio::time::timeout(PATIENCE, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            _ => ControlFlow::Break("the client does not read"),
        }
    }

    async fn close(mut self, why: SocketEnd) -> SocketEnd {
        let frame = CloseFrame { code: close_code::NORMAL, reason: why.into() };
        // The client may be gone already.
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            self.socket.send(Message::Close(Some(frame))),
        )
        .await;
        why
    }
}

fn note(app: &App, channel: &str, state: &str, frame: Option<&Frame>, faults: Vec<String>) {
    let at = wire_time(app.clock.now());
    app.world().transcript.write(Entry {
        at,
        kind: Kind::Notification,
        direction: Direction::Out,
        path: Some(format!("/channels/{channel}")),
        conversation: frame.map(|frame| frame.conversation.clone()),
        state: Some(state.to_owned()),
        body: frame.and_then(|frame| body_of(frame.json.as_bytes())),
        faults,
        ..Entry::default()
    });
}
