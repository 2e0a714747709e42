//! The connector for any chat service behind the connector protocol over HTTP (docs/connectors.md).
//!
//! [`HttpConnector`] makes the calls, [`Inbound`] receives the events. Neither keeps any state, so that nothing is
//! lost with the process.

mod answer;
mod call;
mod config;
mod inbound;
mod signature;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::CONTENT_TYPE;
use async_trait::async_trait;
use conversation::{AttemptOutcome, Clock, ConversationId, MessageId, OpenOutcome, SessionId};
use reqwest::Method;
use serde::Serialize;
use url::Url;

use self::call::{Answer, NoAnswer};
use crate::{Capabilities, CheckError, Connector, Customer, Forward, Open, Typing};

pub use self::config::{BaseUrl, HttpConfig, NotABaseUrl};
pub use self::inbound::{EventsRefused, Inbound};
pub use self::signature::{
    NotASecret, NotSigned, Secret, Secrets, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};

/// How long typing, closing and checking may take: nobody waits for them.
const BEST_EFFORT: Duration = Duration::from_secs(5);

/// How long a connection may take to come about, so that a dead host is found before the attempt's time is over.
const CONNECT: Duration = Duration::from_secs(5);

/// How many connections are kept for the next call to a host, and for how long: a burst leaves many behind.
const IDLE: usize = 256;
const IDLE_FOR: Duration = Duration::from_secs(10);

/// What every client for [`HttpConnector::new`] needs: no redirects (a 3xx is an answer like any other that is tried
/// again), a limit for the time to connect, and one for connections that do nothing.
pub fn client_settings(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(IDLE_FOR)
}

/// A chat service that speaks the connector protocol.
pub struct HttpConnector {
    config: HttpConfig,
    capabilities: Capabilities,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// Tells apart the calls that one conversation makes within one tick of the clock.
    calls: AtomicU64,
}

impl HttpConnector {
    /// The service that `config` names. `client` is built with [`client_settings`].
    pub fn new(config: HttpConfig, client: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let capabilities = config.capabilities();
        Self { config, capabilities, client, clock, calls: AtomicU64::new(0) }
    }

    /// Makes a call about a conversation, signed as `id`.
    async fn post(
        &self,
        conversation: &ConversationId,
        call: &'static str,
        id: &str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<Answer, NoAnswer> {
        let url = self.config.url.join(&["conversations", conversation.as_str(), call]);
        let body =
            serde_json::to_vec(body).map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        self.send(Method::POST, url, call, id, body, timeout).await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        call: &'static str,
        id: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Answer, NoAnswer> {
        let now = self.clock.now();
        let header = |value: &str| {
            let unfit =
                |_| NoAnswer::NotSent("the message's id cannot stand in a header".to_owned());
            HeaderValue::from_str(value).map_err(unfit)
        };
        let mut request = self
            .client
            .request(method, url)
            .header(CONTENT_TYPE, "application/json")
            .header(WEBHOOK_ID, header(id)?)
            .header(WEBHOOK_TIMESTAMP, now.as_second())
            .header(WEBHOOK_SIGNATURE, header(&self.config.secret.sign(id, now, &body))?);
        if call == "messages" {
            request = request.header("idempotency-key", header(id)?);
        }
        call::send(request, body, timeout, now).await
    }

    /// A signature id for a call that is not a message. Two calls never share one, even across a restart, so that a
    /// service which drops repeated ids drops none of them.
    fn call_id(&self, conversation: &str, call: &str) -> String {
        let count = self.calls.fetch_add(1, Ordering::Relaxed);
        format!("{conversation}.{call}.{}.{count}", self.clock.now().as_microsecond())
    }

    async fn best_effort(
        &self,
        conversation: &ConversationId,
        call: &'static str,
        body: &impl Serialize,
    ) {
        let id = self.call_id(conversation.as_str(), call);
        match self.post(conversation, call, &id, body, BEST_EFFORT).await {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => {
                tracing::debug!(%conversation, call, status = answer.status.as_u16(), "not taken")
            }
            Err(none) => {
                tracing::debug!(%conversation, call, why = none.into_sentence(), "not taken")
            }
        }
    }
}

#[async_trait]
impl Connector for HttpConnector {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        #[derive(Serialize)]
        struct Body<'a> {
            customer: &'a Customer,
            attempt: u32,
        }

        let body = Body { customer: &call.customer, attempt: call.attempt };
        let id = self.call_id(call.conversation.as_str(), "open");
        answer::open(self.post(&call.conversation, "open", &id, &body, self.config.timeout).await)
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        #[derive(Serialize)]
        struct Body<'a> {
            id: &'a MessageId,
            time: jiff::Timestamp,
            text: Option<&'a str>,
            content: &'a [serde_json::Value],
            session: &'a SessionId,
        }

        let Forward { conversation, id, time, text, content, session, timeout } = message;
        let body = Body { id, time: *time, text: text.as_deref(), content, session };
        answer::message(self.post(conversation, "messages", id.as_str(), &body, *timeout).await)
    }

    async fn typing(&self, conversation: &ConversationId, typing: Typing) {
        #[derive(Serialize)]
        struct Body {
            state: &'static str,
            duration_ms: u128,
        }

        let state = if typing.on { "on" } else { "off" };
        let body = Body { state, duration_ms: typing.duration.as_millis() };
        self.best_effort(conversation, "typing", &body).await;
    }

    async fn close(&self, conversation: &ConversationId, reason: &str) {
        #[derive(Serialize)]
        struct Body<'a> {
            reason: &'a str,
        }

        self.best_effort(conversation, "close", &Body { reason }).await;
    }

    /// A signed `GET` of the base URL, which is none of the protocol's calls. Any answer below 500 shows that
    /// somebody is there, and a 401 that the secrets differ.
    async fn check(&self) -> Result<String, CheckError> {
        let (url, id) = (self.config.url.whole(), self.call_id("tidegate", "check"));
        match self.send(Method::GET, url, "check", &id, Vec::new(), BEST_EFFORT).await {
            Ok(answer) if answer.status.as_u16() == 401 => Err(CheckError::Unauthorized(401)),
            Ok(answer) if answer.status.is_server_error() => {
                Err(CheckError::Failing(answer.status.as_u16()))
            }
            Ok(answer) => Ok(format!("{} answers {}", self.config.url, answer.status.as_u16())),
            Err(none) => Err(CheckError::Unreachable(none.into_sentence())),
        }
    }
}
