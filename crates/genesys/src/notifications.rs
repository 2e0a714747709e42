//! Genesys's notifications: a channel, the topics that it is subscribed to, and the frames of its socket.
//!
//! Frames are lost whenever the socket is away, and Genesys ends it now and then: a frame is a hint to look, never the
//! truth. Whoever listens looks at everything once after each connection.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest_websocket::{Message, Upgrade, WebSocket};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tungstenite::protocol::WebSocketConfig;

use crate::client::CallError;
use crate::record::record;

/// Genesys sends a heartbeat about every 30 s (developer forum, "behavior of WebSocket heartbeats"); a socket that is
/// silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(75);
/// The largest frame that is read. A message conversation with a long history is the largest that Genesys sends.
const LONGEST_FRAME: usize = 1 << 20;

/// How many topics a channel takes (developer forum, "Notifications service: limits and concepts").
pub const MOST_TOPICS: usize = 1_000;

/// The topic that tells that the customer's part in a conversation is over: its true end.
pub fn customer_end(conversation_id: &str) -> String {
    format!("v2.detail.events.conversation.{conversation_id}.customer.end")
}

record! {
    /// `POST /api/v2/notifications/channels`.
    tolerant NotificationChannel {
        may {
            /// Its id.
            id: String = "id",
            /// Where its socket is.
            connect_uri: String = "connectUri",
            /// When it ends, ISO 8601, unless it is subscribed to again before.
            expires: String = "expires",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its topic.
    pub topic: String,
    /// What happened, in the words of the topic.
    pub body: Value,
}

/// The frames of a channel's socket.
pub struct Frames {
    socket: WebSocket,
    /// When something came last, if only a heartbeat.
    heard: Instant,
}

/// Why there are no more frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketEnd {
    /// Genesys has closed it, or is about to (`v2.system.socket_closing`).
    #[error("Genesys has closed the socket")]
    Closed,
    /// Not even a heartbeat came.
    #[error("nothing came over the socket for {} s", SILENCE.as_secs())]
    Silent,
    /// The connection broke, or is no WebSocket.
    #[error("the socket broke: {0}")]
    Broken(String),
}

impl Frames {
    /// Connects to a channel's socket. The address holds what it takes to be let in.
    pub async fn connect(http: &reqwest::Client, uri: &str) -> Result<Self, CallError> {
        // The cause may quote the address, which is a secret for as long as the channel lives.
        let refused = |_| CallError::NotSent { cause: "the notification socket cannot be opened".to_owned() };
        let config =
            WebSocketConfig::default().max_message_size(Some(LONGEST_FRAME)).max_frame_size(Some(LONGEST_FRAME));
        let upgraded = http.get(uri).upgrade().web_socket_config(config).send().await.map_err(refused)?;
        let socket = upgraded.into_websocket().await.map_err(refused)?;
        Ok(Self { socket, heard: Instant::now() })
    }

    /// The next frame, heartbeats left out; or why there will be none. Nothing is lost where it is not waited for.
    pub async fn next(&mut self) -> Result<Frame, SocketEnd> {
        loop {
            let message = match tokio::time::timeout_at(self.heard + SILENCE, self.socket.next()).await {
                Err(_) => return Err(SocketEnd::Silent),
                Ok(None) => return Err(SocketEnd::Closed),
                Ok(Some(Err(error))) => return Err(SocketEnd::Broken(error.to_string())),
                Ok(Some(Ok(message))) => message,
            };
            self.heard = Instant::now();
            let text = match message {
                Message::Text(text) => text,
                Message::Close { .. } => return Err(SocketEnd::Closed),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => continue,
            };
            match read(&text) {
                Some(frame) if frame.topic == "v2.system.socket_closing" => return Err(SocketEnd::Closed),
                Some(frame) if frame.topic != "channel.metadata" => return Ok(frame),
                // What is not understood may be anything, even a heartbeat of another form.
                Some(_) | None => {}
            }
        }
    }
}

fn read(text: &str) -> Option<Frame> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope {
        topic_name: String,
        #[serde(default)]
        event_body: Value,
    }
    let Envelope { topic_name, event_body } = serde_json::from_str(text).ok()?;
    Some(Frame { topic: topic_name, body: event_body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_read() {
        let text = include_str!("../examples/notify-04-envelope.json");
        let frame = read(text).unwrap();
        assert_eq!(frame.topic, "v2.detail.events.conversation.0b7d4c1e-93a2-4f51-8e0d-5a6b7c8d9e01.user.end");
        assert_eq!(frame.body["disconnectType"], "CLIENT");
    }

    #[test]
    fn what_is_no_envelope_is_nothing() {
        for text in ["", "[]", "{}", "{\"topicName\":7}", "\u{0}"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
