//! Carries the frames of one socket: calls and their answers, events and theirs, and pings.
//!
//! Reading, writing and storing run side by side. So answers are read while events are stored, and
//! a peer that does not read its own answers delays no other peer.
//!
//! All queues are short. If one is full, nothing more is read from the socket, so a peer that does
//! not read soon cannot send either.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use axum::http::StatusCode;
use connector::websocket::{Received, SocketCalls, SocketInput, Sockets, answer};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};

use super::ending::SocketEnd;
use super::event_order::EventOrder;
use crate::http::body::{self, Refusal};
use crate::http::events::{self, EventsReply};
use crate::http::state::HttpState;
use crate::settings::Integration;

/// How many frames of events of one socket may wait for their turn. Then nothing
/// more is read from that socket, so that their order is kept.
const QUEUE: usize = 16;
/// How many answers to the chat service may wait to be written.
const REPLIES: usize = 16;
/// How many pings are sent in the time after which a silent socket is closed.
const PINGS: u32 = 3;
/// How long the events that have arrived may take to be stored when the socket ends.
const LAST_WORK: Duration = Duration::from_secs(1);

/// What the frames of one socket need.
pub(super) struct Traffic<'a> {
    pub(super) state: &'a Arc<HttpState>,
    pub(super) integration: &'a Integration,
    pub(super) sockets: &'a Arc<Sockets>,
}

/// A frame of events that waits for its turn.
struct QueuedEvents {
    /// The frame's id as JSON.
    id: String,
    body: QueuedBody,
}

enum QueuedBody {
    /// An empty array, with which a client asks whether the gateway is there.
    Empty,
    /// Events, with the capacity that they take.
    Admitted(Bytes, OwnedSemaphorePermit),
    /// There was no capacity for it, so it was dropped.
    Refused(Refusal),
}

impl Traffic<'_> {
    /// Runs until the socket ends. Returns the socket, so that its peer can be told why.
    pub(super) async fn run(
        &self,
        socket: WebSocket,
        calls: SocketCalls,
        input: SocketInput,
    ) -> (WebSocket, SocketEnd) {
        let (mut sink, mut stream) = socket.split();
        let (reply, mut replies) = mpsc::channel(REPLIES);
        let order_lost = Notify::new();
        let (queue, queued) = mpsc::channel(QUEUE);
        let name = self.integration.name.as_str();
        // The channel is empty, so there is room.
        let _ = reply.try_send(self.sockets.hello(
            name,
            &self.state.node,
            self.state.engine.limits.max_body,
        ));
        let end = {
            let mut reader = pin!(self.read(&mut stream, input, queue, reply.clone(), &order_lost));
            let mut storer = pin!(self.store(queued, reply, &order_lost));
            let mut writer = pin!(self.write(&mut sink, calls, &mut replies));
            let end = loop {
                tokio::select! {
                    biased;
                    end = &mut reader => break end,
                    end = &mut writer => break end,
                    // It ends only after the reader.
                    () = &mut storer => {}
                }
            };
            if end.is_graceful() {
                let rest = async {
                    tokio::select! {
                        biased;
                        () = &mut storer => {}
                        _ = &mut writer => {}
                    }
                };
                let _ = timeout(LAST_WORK, rest).await;
            }
            end
        };
        while let Ok(reply) = replies.try_recv() {
            if !matches!(timeout(LAST_WORK, sink.send(Message::text(reply))).await, Ok(Ok(()))) {
                break;
            }
        }
        // Both halves are of the same socket.
        let socket = stream.reunite(sink).expect("the halves of one socket");
        (socket, end)
    }

    /// Reads frames until the socket ends.
    async fn read(
        &self,
        stream: &mut SplitStream<WebSocket>,
        input: SocketInput,
        queue: mpsc::Sender<QueuedEvents>,
        reply: mpsc::Sender<String>,
        order_lost: &Notify,
    ) -> SocketEnd {
        let dead_after = self.sockets.limits().dead_after;
        let mut draining: Option<SocketEnd> = None;
        let mut deadline = Instant::now() + dead_after;
        loop {
            let next = tokio::select! {
                biased;
                () = self.state.engine.stop.cancelled(), if draining.is_none() => {
                    input.drain();
                    draining = Some(SocketEnd::Stopping);
                    continue;
                }
                () = order_lost.notified(), if draining.is_none() => {
                    input.drain();
                    draining = Some(SocketEnd::OrderLost);
                    continue;
                }
                next = timeout_at(deadline, stream.next()) => next,
                () = input.until_idle(), if draining.is_some() => {
                    return draining.unwrap_or(SocketEnd::Drained);
                }
            };
            if next.is_ok() {
                input.heard();
            }
            match next {
                Err(_) => return SocketEnd::Silent(dead_after),
                Ok(None) => return SocketEnd::Lost,
                Ok(Some(Err(error))) => return SocketEnd::of(error),
                Ok(Some(Ok(Message::Close(_)))) => return SocketEnd::Closed,
                Ok(Some(Ok(Message::Binary(_)))) => return SocketEnd::Binary,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Text(text)))) => {
                    let asked = self.process(&text, &input, &queue, &reply).await;
                    if asked == FrameEffect::Drain && draining.is_none() {
                        input.drain();
                        draining = Some(SocketEnd::Drained);
                    }
                }
            }
            // Counted from here: while events wait for room, nothing is read.
            input.heard();
            deadline = Instant::now() + dead_after;
        }
    }

    /// Processes one text frame.
    async fn process(
        &self,
        text: &str,
        input: &SocketInput,
        queue: &mpsc::Sender<QueuedEvents>,
        reply: &mpsc::Sender<String>,
    ) -> FrameEffect {
        // Sending to these channels fails only if the socket ends.
        match input.receive(text) {
            Received::Answer => {}
            Received::Drain => return FrameEffect::Drain,
            Received::Unexpected(_) => {
                let why = "it answers no call that waits for its answer on this socket";
                self.refuse("unexpected", why);
            }
            Received::Bad { id, why } => {
                self.refuse("bad", &why);
                let _ = reply.send(answer(id.as_deref(), 400, &EventsReply::error(&why))).await;
            }
            Received::Events { id, .. } if text.len() > self.state.engine.limits.max_body => {
                let why = "the frame is larger than server.max_body";
                self.refuse("too_large", why);
                let _ = reply.send(answer(Some(&id), 413, &EventsReply::error(why))).await;
            }
            Received::Events { id, body } => {
                let body = self.admit(body).await;
                let _ = queue.send(QueuedEvents { id, body }).await;
            }
        }
        FrameEffect::None
    }

    /// Takes capacity for events. Without it, their bytes are dropped, and the frame only keeps its
    /// place in the order.
    async fn admit(&self, body: Bytes) -> QueuedBody {
        if body.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"[]") {
            return QueuedBody::Empty;
        }
        match body::admit(body.len(), &self.state.bodies).await {
            Ok(room) => QueuedBody::Admitted(body, room),
            Err(refusal) => QueuedBody::Refused(refusal),
        }
    }

    /// Counts a frame without effect, and logs it.
    fn refuse(&self, word: &'static str, why: &str) {
        let (engine, name) = (&self.state.engine, self.name());
        engine.metrics.frame_refused(name, word);
        if let Some(more) = engine.failures.admit(name, "frame", why) {
            tracing::warn!(integration = name, why, more, "a frame had no effect");
        }
    }

    /// Stores the events one frame after the other, and answers each.
    async fn store(
        &self,
        mut queued: mpsc::Receiver<QueuedEvents>,
        reply: mpsc::Sender<String>,
        order_lost: &Notify,
    ) {
        let mut order = EventOrder::new();
        while let Some(QueuedEvents { id, body }) = queued.recv().await {
            let (status, body) = self.take(&mut order, &id, body).await;
            if order.is_lost() {
                order_lost.notify_one();
            }
            if reply.send(answer(Some(&id), status.as_u16(), &body)).await.is_err() {
                return;
            }
        }
    }

    /// Takes the events of one frame, unless an earlier one has to come again first.
    async fn take(
        &self,
        order: &mut EventOrder,
        id: &str,
        body: QueuedBody,
    ) -> (StatusCode, EventsReply) {
        let (engine, name) = (&self.state.engine, self.name());
        let refused = |word, why: &str| {
            engine.metrics.event(name, word);
            (StatusCode::SERVICE_UNAVAILABLE, EventsReply::error(why))
        };
        let (status, reply) = match (body, order.obstacle(id)) {
            // It has no place in the order.
            (QueuedBody::Empty, _) => return (StatusCode::ACCEPTED, EventsReply::default()),
            (_, Some(why)) => refused("out_of_order", &why),
            (QueuedBody::Refused(refusal), None) => {
                refused(refusal.word(), refusal.text().trim_end())
            }
            (QueuedBody::Admitted(body, _capacity), None) => {
                events::take(engine, self.integration, &body).await
            }
        };
        order.answered(id, status);
        (status, reply)
    }

    /// Writes calls, answers and pings until the socket ends.
    async fn write(
        &self,
        sink: &mut SplitSink<WebSocket, Message>,
        mut calls: SocketCalls,
        replies: &mut mpsc::Receiver<String>,
    ) -> SocketEnd {
        let dead_after = self.sockets.limits().dead_after;
        let every = dead_after / PINGS;
        let mut ping = interval_at(Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                Some(reply) = replies.recv() => Message::text(reply),
                _ = ping.tick() => Message::Ping(Bytes::new()),
                // The check is the last thing before the first byte is written.
                call = calls.next() => match call.leave() {
                    Some(text) => Message::text(text),
                    None => continue,
                },
            };
            calls.write_begins();
            match timeout(dead_after, sink.send(message)).await {
                Ok(Ok(())) => calls.write_ends(),
                Ok(Err(error)) => return SocketEnd::of(error),
                Err(_) => return SocketEnd::Stuck(dead_after),
            }
        }
    }

    fn name(&self) -> &str {
        self.integration.name.as_str()
    }
}

/// What a text frame means for the socket itself.
#[derive(PartialEq)]
enum FrameEffect {
    None,
    Drain,
}
