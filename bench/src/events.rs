//! The events of a chat service, signed as the protocol requires.

use std::net::SocketAddr;

use bytes::Bytes;
use connector::http::Secret;
use conversation::Clock as _;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;

use crate::load::Caller;
use crate::programs::CONNECTOR_SECRET;

/// The event that a conversation's session is open.
pub(crate) fn session_opened(conversation: &str) -> String {
    format!(
        r#"{{"type":"session.opened","id":"opened-{conversation}","conversation":"{conversation}","session":"s"}}"#
    )
}

/// A connection that posts events.
pub(crate) struct Events {
    caller: Caller,
    secret: Secret,
    sent: usize,
}

impl Events {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let secret = CONNECTOR_SECRET.parse().expect("a secret");
        Self { caller: Caller::connect(to).await, secret, sent: 0 }
    }

    /// Posts one array of events, all of which must be accepted.
    pub(crate) async fn post(&mut self, body: String) {
        self.sent += 1;
        let id = format!("request-{}", self.sent);
        let at = gateway::SystemClock.now();
        let request = Request::builder()
            .method(Method::POST)
            .uri("/connectors/acme/events")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", at.as_second())
            .header("webhook-signature", self.secret.sign(&id, at, body.as_bytes()))
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        assert_eq!(self.caller.send(request).await, StatusCode::ACCEPTED);
    }
}
