//! Genesys's notifications: a channel, its topics, and the frames that come over its WebSocket.
//!
//! Genesys closes the socket now and then, and frames are lost while it is down. So a frame is only
//! a hint to read the current state. After each connection, the listener must read the state of
//! everything that it watches.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest_websocket::{Message, Upgrade, WebSocket};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tungstenite::protocol::WebSocketConfig;
use url::Url;

use crate::call_error::CallError;
use crate::record::record;
use crate::region::{REGIONS, Region};
use crate::secret::Secret;

/// Genesys sends a heartbeat about every 30 s (developer forum, "behavior of WebSocket
/// heartbeats"). A socket that is silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(75);
/// The largest frame that is read, in bytes. Genesys's largest frames are message conversations
/// with a long history.
const LONGEST_FRAME: usize = 1 << 20;

/// The most topics of one channel (developer forum, "Notifications service: limits and concepts").
pub const MOST_TOPICS: usize = 1_000;

/// The topic that reports the end of the customer's part in a conversation. Only then is the
/// conversation over: agents may leave and join before it.
///
/// ```
/// let topic = genesys::notifications::customer_end("0b7d4c1e");
/// assert_eq!(topic, "v2.detail.events.conversation.0b7d4c1e.customer.end");
/// ```
pub fn customer_end(conversation_id: &str) -> String {
    format!("v2.detail.events.conversation.{conversation_id}.customer.end")
}

record! {
    /// A channel for notifications (`Channel`): the answer of
    /// `POST /api/v2/notifications/channels`.
    ///
    /// ```
    /// use genesys::notifications::NotificationChannel;
    ///
    /// let channel: NotificationChannel = serde_json::from_str(
    ///     r#"{"id": "c", "connectUri": "wss://streaming.mypurecloud.com/channels/c"}"#,
    /// )?;
    /// assert!(channel.connect_uri.is_some_and(|uri| uri.expose().starts_with("wss://")));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant NotificationChannel {
        may {
            /// The channel's id.
            id: String = "id",
            /// The URL of the channel's WebSocket. It is a credential: who knows it can read the
            /// notifications.
            connect_uri: Secret = "connectUri",
            /// When the channel ends, ISO 8601, unless topics are subscribed before.
            expires: String = "expires",
        }
    }
}

/// One notification.
///
/// ```
/// use genesys::notifications::{Frame, customer_end};
///
/// fn is_over(frame: &Frame, conversation_id: &str) -> bool {
///     frame.topic == customer_end(conversation_id)
/// }
///
/// let frame = Frame { topic: customer_end("0b7d4c1e"), body: serde_json::json!({}) };
/// assert!(is_over(&frame, "0b7d4c1e"));
/// assert!(!is_over(&frame, "another"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The topic, such as the result of [`customer_end`].
    pub topic: String,
    /// What happened, in the format of the topic (`eventBody`).
    pub body: Value,
}

/// The notifications that come over a channel's WebSocket.
///
/// ```no_run
/// use genesys::notifications::customer_end;
///
/// # async fn listen(client: genesys::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let channel = client.create_channel().await?.value;
/// let mut frames = client.listen(&channel).await?;
/// let id = channel.id.as_deref().unwrap_or_default();
/// client.subscribe(id, &[customer_end("0b7d4c1e")]).await?;
/// // Check the conversation once here: it may have ended before the subscription.
/// let frame = frames.next().await?;
/// println!("{} happened", frame.topic);
/// # Ok(())
/// # }
/// ```
pub struct Frames {
    socket: WebSocket,
    /// When the last message came, which may be a heartbeat.
    heard: Instant,
}

/// Why no more frames come.
///
/// ```
/// use genesys::notifications::SocketEnd;
///
/// assert_eq!(SocketEnd::Closed.to_string(), "Genesys has closed the socket");
/// assert_eq!(SocketEnd::Silent.to_string(), "nothing came over the socket for 75 s");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketEnd {
    /// Genesys has closed the socket, or will soon (topic `v2.system.socket_closing`).
    #[error("Genesys has closed the socket")]
    Closed,
    /// Nothing came for 75 s, not even a heartbeat.
    #[error("nothing came over the socket for {} s", SILENCE.as_secs())]
    Silent,
    /// The connection broke, or the other side does not follow the WebSocket protocol.
    #[error("the socket broke: {0}")]
    Broken(String),
}

impl Frames {
    /// Connects to a channel's WebSocket. `uri` is the `connectUri` that the API at `api` returned.
    /// It is a credential, so it never appears in an error.
    ///
    /// # Errors
    /// [`CallError::NotSent`] if `uri` is not a URL, leads neither to the API's host nor to a host
    /// of Genesys, or no WebSocket opens there. The error does not quote the address.
    pub async fn connect(http: &reqwest::Client, api: &Url, uri: &str) -> Result<Self, CallError> {
        if !Url::parse(uri).is_ok_and(|uri| may_lead_to(api, &uri)) {
            let cause =
                "the notification socket is neither where the API is nor at a host of Genesys";
            return Err(CallError::NotSent { cause: cause.into() });
        }
        // The cause may quote the address, which is secret while the channel lives.
        let refused =
            |_| CallError::NotSent { cause: "the notification socket cannot be opened".into() };
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_FRAME))
            .max_frame_size(Some(LONGEST_FRAME));
        let upgraded =
            http.get(uri).upgrade().web_socket_config(config).send().await.map_err(refused)?;
        let socket = upgraded.into_websocket().await.map_err(refused)?;
        Ok(Self { socket, heard: Instant::now() })
    }

    /// Waits for the next frame that is not a heartbeat. No frame is lost if this future is
    /// dropped.
    ///
    /// # Errors
    /// * [`SocketEnd::Closed`] if Genesys closed the socket or announced that it will.
    /// * [`SocketEnd::Silent`] if nothing came for 75 s, not even a heartbeat.
    /// * [`SocketEnd::Broken`] if the connection failed, or a frame is longer than 1 MiB.
    pub async fn next(&mut self) -> Result<Frame, SocketEnd> {
        loop {
            let message =
                match tokio::time::timeout_at(self.heard + SILENCE, self.socket.next()).await {
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
                Some(frame) if frame.topic == "v2.system.socket_closing" => {
                    return Err(SocketEnd::Closed);
                }
                Some(frame) if frame.topic != "channel.metadata" => return Ok(frame),
                // Unknown messages may be anything, even another form of heartbeat.
                Some(_) | None => {}
            }
        }
    }
}

/// Whether a channel's WebSocket may be at this address. A forged answer must not direct this
/// program to an address in its own network. So only these are allowed: the API's own host and
/// port, and the hosts of Genesys's regions, encrypted and on port 443.
fn may_lead_to(api: &Url, socket: &Url) -> bool {
    let encrypted = match socket.scheme() {
        "wss" => true,
        "ws" => false,
        _ => return false,
    };
    let port = socket.port_or_known_default();
    let is_api = encrypted == (api.scheme() == "https")
        && (socket.host(), port) == (api.host(), api.port_or_known_default());
    let of_region = |host: &str| {
        let domain = |region: &Region| {
            host.strip_suffix(region.domain).is_some_and(|name| name.ends_with('.'))
        };
        REGIONS.iter().any(domain)
    };
    // Genesys may open a region that is not in the table yet.
    let sister = |api: &str| Some(format!("streaming.{}", api.strip_prefix("api.")?));
    let is_sister =
        api.scheme() == "https" && api.host_str().and_then(sister).as_deref() == socket.host_str();
    is_api
        || (encrypted
            && port == Some(443)
            && (is_sister || socket.host_str().is_some_and(of_region)))
}

fn read(text: &str) -> Option<Frame> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope {
        topic_name: String,
        #[serde(default)]
        event_body: Value,
    }
    let Envelope { topic_name, event_body } = lenient::json::from_slice(text.as_bytes()).ok()?;
    Some(Frame { topic: topic_name, body: event_body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(api: &str, socket: &str) -> bool {
        may_lead_to(&Url::parse(api).unwrap(), &Url::parse(socket).unwrap())
    }

    #[test]
    fn the_socket_is_where_the_api_is_or_at_genesys() {
        let genesys = "https://api.mypurecloud.com.au";
        let private = "https://gw.example.net/genesys/";
        for (api, socket) in [
            (genesys, "wss://streaming.mypurecloud.com.au/channels/streaming-5-a"),
            (genesys, "wss://streaming.mypurecloud.com.au:443/channels/streaming-5-a"),
            (genesys, "wss://api.mypurecloud.com.au/channels/a"),
            ("https://api.of-tomorrow.example", "wss://streaming.of-tomorrow.example/channels/a"),
            (private, "wss://gw.example.net/channels/a"),
            (private, "wss://streaming.usw2.pure.cloud/channels/a"),
            ("http://127.0.0.1:8082", "ws://127.0.0.1:8082/channels/a"),
            ("http://[::1]:8082", "ws://[::1]:8082/channels/a"),
            ("http://localhost", "ws://localhost:80/channels/a"),
        ] {
            assert!(leads(api, socket), "{api} {socket}");
        }
        for region in REGIONS {
            let at = |host: &str| format!("{host}.{}", region.domain);
            assert!(leads(&at("https://api"), &at("wss://streaming")), "{region:?}");
        }
    }

    #[test]
    fn and_nowhere_else() {
        let genesys = "https://api.mypurecloud.com";
        for (api, socket) in [
            (genesys, "wss://169.254.169.254/channels/a"),
            (genesys, "wss://127.0.0.1/channels/a"),
            (genesys, "wss://[::ffff:10.0.0.1]/channels/a"),
            (genesys, "wss://localhost/channels/a"),
            (genesys, "wss://evil.example/streaming.mypurecloud.com"),
            (genesys, "wss://streaming.mypurecloud.com@evil.example/a"),
            (genesys, "wss://streaming.mypurecloud.com.evil.example/a"),
            (genesys, "wss://evilmypurecloud.com/a"),
            (genesys, "wss://streaming.mypurecloud.com:22/a"),
            (genesys, "ws://streaming.mypurecloud.com/a"),
            (genesys, "ws://api.mypurecloud.com/a"),
            (genesys, "https://streaming.mypurecloud.com/a"),
            (genesys, "file:///etc/passwd"),
            ("http://127.0.0.1:8082", "ws://127.0.0.1:22/a"),
            ("http://127.0.0.1:8082", "wss://127.0.0.1:8082/a"),
            ("http://127.0.0.1:8082", "ws://127.0.0.2:8082/a"),
            ("https://gw.example.net", "wss://db.example.net/a"),
        ] {
            assert!(!leads(api, socket), "{api} {socket}");
        }
    }

    #[test]
    fn an_envelope_is_read() {
        let text = include_str!("../examples/notify-04-envelope.json");
        let frame = read(text).unwrap();
        assert_eq!(
            frame.topic,
            "v2.detail.events.conversation.0b7d4c1e-93a2-4f51-8e0d-5a6b7c8d9e01.user.end"
        );
        assert_eq!(frame.body["disconnectType"], "CLIENT");
    }

    #[test]
    fn what_is_no_envelope_is_nothing() {
        for text in ["", "[]", "{}", "{\"topicName\":7}", "\u{0}"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
