//! Why a socket ends, and what its peer is told.

use std::fmt;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{self, error::CapacityError};

/// How long the peer may take to confirm that the socket is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The close code of a socket from which nothing came, after HTTP's 408.
const SILENT: u16 = 4408;

/// Why a socket ends.
#[derive(Debug)]
pub(super) enum SocketEnd {
    /// The gateway stops.
    Stopping,
    /// The chat service asked for no more calls, and all of them were answered.
    Drained,
    /// Events were refused for now, and did not come again in their order.
    OrderLost,
    /// The chat service closed it.
    Closed,
    /// The connection broke.
    Lost,
    /// Nothing came for this long.
    Silent(Duration),
    /// The chat service did not read for this long.
    Stuck(Duration),
    /// So many sockets are open already.
    TooMany(usize),
    /// A binary frame came.
    Binary,
    /// A frame came that is too large to be read.
    TooLarge,
    /// A text came that is not UTF-8.
    NotUtf8,
    /// The chat service broke the WebSocket protocol.
    Protocol,
}

impl SocketEnd {
    /// What an error of the socket means.
    pub(super) fn of(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                Self::TooLarge
            }
            Some(tungstenite::Error::Utf8(_)) => Self::NotUtf8,
            Some(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => Self::Lost,
            Some(tungstenite::Error::Protocol(_)) => Self::Protocol,
            _ => Self::Lost,
        }
    }

    /// The word for the metric.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Drained => "drained",
            Self::OrderLost => "order_lost",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Silent(_) => "silent",
            Self::Stuck(_) => "stuck",
            Self::TooMany(_) => "too_many",
            Self::Binary => "binary",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::Protocol => "protocol",
        }
    }

    /// Whether it is part of normal operation.
    pub(super) fn is_expected(&self) -> bool {
        matches!(self, Self::Stopping | Self::Drained | Self::Closed)
    }

    /// Whether the gateway waited for the answers to all calls before.
    pub(super) fn is_graceful(&self) -> bool {
        matches!(self, Self::Stopping | Self::Drained | Self::OrderLost)
    }

    /// The close code (RFC 6455, section 7.4). `None` if the peer can read none.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Stopping => Some(close_code::AWAY),
            Self::Drained => Some(close_code::NORMAL),
            Self::Closed | Self::Lost | Self::Stuck(_) => None,
            Self::Silent(_) => Some(SILENT),
            Self::TooMany(_) | Self::OrderLost => Some(close_code::AGAIN),
            Self::Binary => Some(close_code::UNSUPPORTED),
            Self::TooLarge => Some(close_code::SIZE),
            Self::NotUtf8 => Some(close_code::INVALID),
            Self::Protocol => Some(close_code::PROTOCOL),
        }
    }
}

/// The reason that the peer and the log get. A close frame has room for 123 bytes.
impl fmt::Display for SocketEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("the gateway stops; open a new socket"),
            Self::Drained => f.write_str("every call was answered"),
            Self::OrderLost => {
                f.write_str("events answered with 503 did not come again in order; send all again")
            }
            Self::Closed => f.write_str("the chat service closed it"),
            Self::Lost => f.write_str("the connection broke"),
            Self::Silent(limit) => write!(f, "nothing came for {limit:?}, not even a pong"),
            Self::Stuck(limit) => write!(f, "the chat service did not read for {limit:?}"),
            Self::TooMany(most) => {
                write!(f, "{most} sockets are open already, as max_sockets allows; close one")
            }
            Self::Binary => f.write_str("a binary frame came; send JSON in text frames"),
            Self::TooLarge => f.write_str("a frame was far larger than server.max_body"),
            Self::NotUtf8 => f.write_str("a text frame was not UTF-8"),
            Self::Protocol => f.write_str("a frame broke the WebSocket protocol (RFC 6455)"),
        }
    }
}

/// Tells the peer why the socket ends, and waits a moment until it has confirmed that.
pub(super) async fn close(mut socket: WebSocket, end: &SocketEnd) {
    if matches!(end, SocketEnd::Lost | SocketEnd::Stuck(_)) {
        // It could not be told anything. What it still sends is not read.
        return;
    }
    let closing = async {
        if let Some(code) = end.code() {
            let frame = CloseFrame { code, reason: end.to_string().into() };
            // If the peer is gone, it need not be told.
            let _ = socket.send(Message::Close(Some(frame))).await;
        }
        while let Some(Ok(_)) = socket.next().await {}
        let _ = SinkExt::<Message>::close(&mut socket).await;
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}
