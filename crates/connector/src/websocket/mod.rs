//! The connector for chat services that cannot accept connections. They open WebSocket connections
//! to the gateway, and the calls and events of the connector protocol travel over these
//! (docs/socket.md).
//!
//! [`WebSocketConnector`] makes the calls, [`Sockets`] knows the sockets. The gateway's HTTP server
//! accepts them, since this crate has no server.

mod frame;
mod kind;
mod limits;
mod requests;
mod socket;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conversation::{AttemptOutcome, Clock, ConversationId, OpenOutcome};
use serde::Serialize;

use self::frame::CallFrame;
use self::sockets::NewCall;
use crate::protocol::answer::{Answer, NoAnswer};
use crate::protocol::call::{
    BEST_EFFORT, CallIds, CloseBody, MessageBody, OpenBody, RefusedBody, TypingBody, refusal_id,
};
use crate::protocol::outcome;
use crate::{
    CallKind, Capabilities, CheckError, Connector, Departure, Forward, Open, Refusal, Typing,
};

pub use self::kind::{WebSocketConfig, WebSocketKind};
pub use self::limits::Limits;
pub use self::requests::RequestRefused;
pub use self::socket::QueuedCall;
pub use self::sockets::{Received, SocketCalls, SocketInput, Sockets, answer};

/// How long a call waits for a socket. It is half of the call's timeout, if that is less.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The connector to one chat service that opens sockets to the gateway.
pub struct WebSocketConnector {
    capabilities: Capabilities,
    timeout: Duration,
    sockets: Arc<Sockets>,
    ids: CallIds,
}

/// The parameters of one call, without its body.
struct SocketCall<'a> {
    kind: CallKind,
    conversation: &'a ConversationId,
    idempotency_key: Option<&'a str>,
    /// How long it waits for a socket.
    wait: Duration,
    timeout: Duration,
    departure: Departure,
}

impl<'a> SocketCall<'a> {
    fn new(kind: CallKind, conversation: &'a ConversationId, timeout: Duration) -> Self {
        let (wait, departure) = (MAX_WAIT.min(timeout / 2), Departure::free());
        Self { kind, conversation, idempotency_key: None, wait, timeout, departure }
    }

    fn best_effort(kind: CallKind, conversation: &'a ConversationId) -> Self {
        Self { wait: Duration::ZERO, ..Self::new(kind, conversation, BEST_EFFORT) }
    }
}

impl WebSocketConnector {
    /// Creates a connector without sockets. `clock` gives the time for ids and dates.
    pub fn new(config: &WebSocketConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            capabilities: config.capabilities.clone(),
            timeout: config.timeout,
            sockets: Sockets::new(config.limits, Arc::clone(&clock)),
            ids: CallIds::new(clock),
        }
    }

    async fn call(&self, call: SocketCall<'_>, body: &impl Serialize) -> Result<Answer, NoAnswer> {
        let SocketCall { kind, conversation, idempotency_key, wait, timeout, departure } = call;
        // New for each attempt, so that a late answer to one is not taken for that to the next.
        let id = self.ids.next(conversation.as_str(), kind.as_str());
        let frame = CallFrame {
            id: &id,
            call: kind.as_str(),
            conversation: conversation.as_str(),
            idempotency_key,
            body,
        };
        let text =
            serde_json::to_string(&frame).map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        let call = NewCall { id, text, departure, wait, timeout };
        self.sockets.call(conversation, call).await
    }

    async fn best_effort(&self, call: SocketCall<'_>, body: &impl Serialize) -> Result<(), String> {
        outcome::best_effort(self.call(call, body).await)
    }
}

#[async_trait]
impl Connector for WebSocketConnector {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        let request = SocketCall {
            departure: call.departure.clone(),
            ..SocketCall::new(CallKind::Open, &call.conversation, self.timeout)
        };
        outcome::open(self.call(request, &OpenBody::from(call)).await)
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        let request = SocketCall {
            idempotency_key: Some(message.id.as_str()),
            departure: message.departure.clone(),
            ..SocketCall::new(CallKind::Messages, &message.conversation, message.timeout)
        };
        outcome::message(self.call(request, &MessageBody::from(message)).await)
    }

    async fn typing(&self, conversation: &ConversationId, typing: Typing) -> Result<(), String> {
        let call = SocketCall::best_effort(CallKind::Typing, conversation);
        self.best_effort(call, &TypingBody::from(typing)).await
    }

    async fn close(&self, conversation: &ConversationId, reason: &str) -> Result<(), String> {
        let call = SocketCall::best_effort(CallKind::Close, conversation);
        self.best_effort(call, &CloseBody { reason }).await
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        let id = refusal_id(refusal);
        let call = SocketCall {
            idempotency_key: Some(&id),
            departure: refusal.departure.clone(),
            ..SocketCall::best_effort(CallKind::Events, &refusal.conversation)
        };
        outcome::event(self.call(call, &RefusedBody::from(refusal)).await)
    }

    /// Counts the sockets of this process: nothing can be called.
    async fn check(&self) -> Result<String, CheckError> {
        match self.sockets.count() {
            0 => Err(CheckError::Unreachable("it has no socket open at this node".to_owned())),
            count => Ok(format!("has {count} sockets open")),
        }
    }

    fn sockets(&self) -> Option<&Arc<Sockets>> {
        Some(&self.sockets)
    }
}
