//! The open sockets of one chat service at this node.
//!
//! The gateway's HTTP server reads and writes the sockets. This module knows no bytes but the text
//! of frames. It forgets everything when the process ends; the journal knows what was under way.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conversation::{Clock, ConversationId};
use http::HeaderMap;
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::frame::{self, BadFrame, FromService};
use super::limits::{Limits, MAX_CALLS};
use super::requests::{GrantedRequests, RequestRefused};
use super::socket::{CallResult, QueuedCall, Socket};
use crate::Departure;
use crate::protocol::answer::{Answer, NoAnswer, OVER, late};

/// The sockets that a chat service has opened to this gateway.
///
/// The HTTP server calls [`Self::grant`] for each request, and [`Self::admit`] for each socket. It
/// writes the frames of [`SocketCalls`], and passes what it reads to [`SocketInput`].
pub struct Sockets {
    limits: Limits,
    clock: Arc<dyn Clock>,
    open: Mutex<OpenSockets>,
    granted: Mutex<GrantedRequests>,
    /// Notified when a socket opens, or is responsive again.
    available: Notify,
}

#[derive(Default)]
struct OpenSockets {
    /// How many sockets were opened since the start.
    opened: u64,
    /// All that are open, in the order in which they were opened.
    all: Vec<Arc<Socket>>,
    /// Those that take calls.
    taking: Vec<Arc<Socket>>,
}

/// The calls to be written to one socket.
pub struct SocketCalls {
    sockets: Arc<Sockets>,
    socket: Arc<Socket>,
    queue: mpsc::Receiver<QueuedCall>,
}

impl SocketCalls {
    /// The next call. Never returns if there will be none.
    pub async fn next(&mut self) -> QueuedCall {
        match self.queue.recv().await {
            Some(call) => call,
            None => std::future::pending().await,
        }
    }

    /// Notes that a frame is being written, of a call or another one. A socket that takes no frame
    /// for a third of [`Limits::dead_after`] gets no further calls.
    pub fn write_begins(&self) {
        self.socket.write_begins();
    }

    /// Notes that the frame is written.
    pub fn write_ends(&self) {
        if self.socket.write_ends() {
            self.sockets.available.notify_waiters();
        }
    }
}

/// Takes what comes in over one socket. When it is dropped, the socket is gone, and every call that
/// waits for an answer on it ends.
pub struct SocketInput {
    sockets: Arc<Sockets>,
    socket: Arc<Socket>,
}

/// What a frame of the chat service means to the HTTP server.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// It was the answer to a call. Nothing else is to be done.
    Answer,
    /// It was an answer to this call, for which nothing waits (any more).
    Unexpected(String),
    /// Events, to be answered by [`answer`] with this id.
    Events {
        /// The id as JSON.
        id: String,
        /// One event or an array, as over HTTP.
        body: Bytes,
    },
    /// The chat service wants no more calls over this socket.
    Drain,
    /// It means nothing. It is to be answered with 400 and this sentence.
    Bad {
        /// The frame's id as JSON, if it has one.
        id: Option<String>,
        /// What is wrong.
        why: String,
    },
}

/// The text of an answer to a frame of the chat service. `id` is JSON.
pub fn answer(id: Option<&str>, status: u16, body: &impl Serialize) -> String {
    frame::answer(id, status, body)
}

/// A call that is to be made over a socket.
pub(super) struct NewCall {
    /// The frame's id.
    pub(super) id: String,
    /// The frame.
    pub(super) text: String,
    pub(super) departure: Departure,
    /// How long it may wait for a socket with a free place. A frame that leaves just before the
    /// timeout would have an unknown outcome.
    pub(super) wait: Duration,
    /// How long it may take in all.
    pub(super) timeout: Duration,
}

/// A call that has a place on a socket, and waits for its answer. When it is dropped, nothing waits
/// any more.
struct PendingCall<'a> {
    socket: Arc<Socket>,
    id: &'a str,
    result: oneshot::Receiver<CallResult>,
    _place: OwnedSemaphorePermit,
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.socket.forget(self.id);
    }
}

impl Sockets {
    /// Creates an empty set of sockets.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (open, granted) = (Mutex::default(), Mutex::default());
        Arc::new(Self { limits, clock, open, granted, available: Notify::new() })
    }

    /// How many sockets may be open, and for how long one may be silent.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many sockets are open.
    pub fn count(&self) -> usize {
        self.open().all.len()
    }

    /// The first frame on a socket. `node` distinguishes this gateway from others that use the same
    /// store; `max_frame` is the largest frame of events, in bytes.
    pub fn hello(&self, integration: &str, node: &str, max_frame: usize) -> String {
        frame::hello(integration, node, self.limits, max_frame)
    }

    /// Grants a request for a socket, whose signature must have been verified. It is granted once,
    /// so someone who has seen its headers cannot use them again at this node.
    ///
    /// # Errors
    /// [`RequestRefused`] if it came before, or if too many came within five minutes.
    pub fn grant(&self, headers: &HeaderMap) -> Result<(), RequestRefused> {
        // Nothing panics while the lock is held, so the data is consistent.
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.grant(headers, self.clock.now().as_second())
    }

    /// Adds a socket. Returns `None` if there are [`Limits::max_sockets`] already.
    pub fn admit(self: &Arc<Self>) -> Option<(SocketCalls, SocketInput)> {
        let mut open = self.open();
        if open.all.len() >= self.limits.max_sockets {
            return None;
        }
        open.opened += 1;
        let (socket, queue) = Socket::new(open.opened, self.limits.dead_after);
        open.all.push(Arc::clone(&socket));
        open.taking.push(Arc::clone(&socket));
        drop(open);
        self.available.notify_waiters();
        let sockets = Arc::clone(self);
        let calls = SocketCalls { sockets, socket: Arc::clone(&socket), queue };
        Some((calls, SocketInput { sockets: Arc::clone(self), socket }))
    }

    /// Sends the frame of a call over a socket, and waits for its answer.
    pub(super) async fn call(
        &self,
        conversation: &ConversationId,
        call: NewCall,
    ) -> Result<Answer, NoAnswer> {
        let now = Instant::now();
        let (departure, timeout) = (call.departure.clone(), call.timeout);
        // If this future is dropped, its frame must not leave later.
        let _end = CallOffGuard(departure.clone());
        let until = now + call.wait.min(timeout);
        let (id, text) = (call.id.as_str(), call.text);
        let mut pending = self
            .hand_over(conversation, until, (id, text), &departure)
            .await
            .map_err(NoAnswer::NotSent)?;
        let (lost, not_sent) = match timeout_at(now + timeout, &mut pending.result).await {
            Ok(Ok(result)) => return result,
            Ok(Err(_)) => (
                "the socket of the chat service closed before its answer to the call".to_owned(),
                "the socket of the chat service closed before the call could be sent".to_owned(),
            ),
            Err(_) => (
                late(timeout),
                format!(
                    "the call could not be sent within {timeout:?}: the chat service reads its \
                     socket too slowly"
                ),
            ),
        };
        Err(NoAnswer::after(&departure, lost, not_sent))
    }

    /// Hands a frame to the writer of a socket.
    async fn hand_over<'a>(
        &self,
        conversation: &ConversationId,
        until: Instant,
        (id, mut text): (&'a str, String),
        departure: &Departure,
    ) -> Result<PendingCall<'a>, String> {
        loop {
            let (socket, place) = self.place(conversation, until).await?;
            // If the socket went meanwhile, another one is chosen.
            let Some(result) = socket.expect(id) else { continue };
            let pending = PendingCall { socket: Arc::clone(&socket), id, result, _place: place };
            let (id, departure) = (id.to_owned(), departure.clone());
            let frame = QueuedCall { socket: Arc::clone(&socket), id, text, departure };
            match socket.frames.try_send(frame) {
                Ok(()) => return Ok(pending),
                // Its writer has ended, so the socket is about to close: another one is chosen.
                Err(TrySendError::Closed(frame)) => {
                    self.drain(&socket);
                    text = frame.text;
                }
                // There is room for as many frames as there are places, unless calls ended before
                // their frames left.
                Err(TrySendError::Full(_)) => {
                    return Err(format!(
                        "{MAX_CALLS} frames wait to be written to the socket of the chat service: \
                         it reads too slowly"
                    ));
                }
            }
        }
    }

    /// A place on the socket of a conversation.
    async fn place(
        &self,
        conversation: &ConversationId,
        until: Instant,
    ) -> Result<(Arc<Socket>, OwnedSemaphorePermit), String> {
        loop {
            let mut available = std::pin::pin!(self.available.notified());
            // From here on, a socket that opens is noticed.
            available.as_mut().enable();
            let Some(socket) = self.choose(conversation) else {
                timeout_at(until, available).await.map_err(|_| self.no_socket())?;
                continue;
            };
            match timeout_at(until, self.place_on(&socket, conversation)).await {
                Ok(Some(place)) => return Ok((socket, place)),
                // Another one is chosen.
                Ok(None) => {}
                Err(_) => {
                    return Err(format!(
                        "{MAX_CALLS} calls wait for answers on the socket of the chat service"
                    ));
                }
            }
        }
    }

    /// Waits for a place on this socket, as long as it is the socket of the conversation. While it
    /// is, the call keeps its turn.
    async fn place_on(
        &self,
        socket: &Arc<Socket>,
        conversation: &ConversationId,
    ) -> Option<OwnedSemaphorePermit> {
        let mut place = std::pin::pin!(Arc::clone(&socket.places).acquire_owned());
        loop {
            let mut available = std::pin::pin!(self.available.notified());
            available.as_mut().enable();
            let chosen = self.choose(conversation);
            if chosen.is_none_or(|chosen| chosen.number != socket.number) {
                return None;
            }
            tokio::select! {
                biased;
                () = socket.until_silent() => return None,
                // Without one, the socket takes no more calls.
                place = &mut place => return place.ok(),
                () = available => {}
            }
        }
    }

    /// Why there is no socket for a call.
    fn no_socket(&self) -> String {
        match self.count() {
            0 => "the chat service has no socket open at this node of the gateway".to_owned(),
            count => format!(
                "no socket of the chat service takes calls at this node: {count} open, but silent \
                 or about to close"
            ),
        }
    }

    /// The socket for a conversation: always the same while no socket opens, closes or falls silent
    /// (rendezvous hashing). If one does, only those conversations move that must.
    fn choose(&self, conversation: &ConversationId) -> Option<Arc<Socket>> {
        let score = |socket: &&Arc<Socket>| {
            let mut hasher = DefaultHasher::new();
            (socket.number, conversation.as_str()).hash(&mut hasher);
            hasher.finish()
        };
        let open = self.open();
        open.taking.iter().filter(|socket| socket.is_responsive()).max_by_key(score).cloned()
    }

    fn drain(&self, socket: &Socket) {
        self.open().taking.retain(|taking| taking.number != socket.number);
        socket.places.close();
    }

    fn open(&self) -> MutexGuard<'_, OpenSockets> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketInput {
    /// Takes the text of a frame.
    pub fn receive(&self, text: &str) -> Received {
        match frame::read(text, self.sockets.clock.now()) {
            Ok(FromService::Answer { id, answer }) => {
                // The call may have ended in this moment.
                if self.socket.finish(&id, answer.map_err(NoAnswer::Lost)) {
                    Received::Answer
                } else {
                    Received::Unexpected(id)
                }
            }
            Ok(FromService::Events { id, body }) => Received::Events { id, body },
            Ok(FromService::Drain) => Received::Drain,
            Err(BadFrame { id, why }) => Received::Bad { id, why },
        }
    }

    /// Notes that something came, also a ping or a pong. A socket from which nothing came for two
    /// thirds of [`Limits::dead_after`] gets no calls until something comes.
    pub fn heard(&self) {
        if self.socket.heard() {
            self.sockets.available.notify_waiters();
        }
    }

    /// From now on this socket gets no calls. Those that wait for their answers continue.
    pub fn drain(&self) {
        self.sockets.drain(&self.socket);
    }

    /// Returns when no call waits for its answer on this socket.
    pub async fn until_idle(&self) {
        self.socket.until_idle().await;
    }
}

impl Drop for SocketInput {
    fn drop(&mut self) {
        self.drain();
        self.sockets.open().all.retain(|socket| socket.number != self.socket.number);
        self.socket.abandon();
    }
}

/// Calls a frame off when its call is over.
struct CallOffGuard(Departure);

impl Drop for CallOffGuard {
    fn drop(&mut self) {
        self.0.call_off(OVER);
    }
}
