//! The connector for chat services that speak the connector protocol over HTTP
//! (docs/connectors.md).
//!
//! [`HttpConnector`] makes the calls, and [`Inbound`] receives the events. Neither keeps state that
//! a crash could lose.

pub(crate) mod call;
mod config;
mod inbound;
pub(crate) mod keys;
mod kind;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::CONTENT_TYPE;
use async_trait::async_trait;
use conversation::{AttemptOutcome, Clock, ConversationId, OpenOutcome};
use reqwest::Method;
use serde::Serialize;
use url::Url;

use crate::protocol::answer::{Answer, NoAnswer};
use crate::protocol::call::{
    BEST_EFFORT, CallIds, CloseBody, MessageBody, OpenBody, RefusedBody, TypingBody, refusal_id,
};
use crate::protocol::outcome;
use crate::{
    CallKind, Capabilities, CheckError, Connector, Departure, Forward, Open, Refusal, Typing,
};

pub use self::config::{BaseUrl, HttpConfig, NotABaseUrl};
pub use self::inbound::Inbound;
pub use self::kind::HttpKind;
pub use self::signature::{
    NotASecret, NotSigned, Secret, Secrets, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};

/// How long connecting may take. It is short, so that a dead host is detected before the attempt's
/// timeout.
const CONNECT: Duration = Duration::from_secs(5);

/// How many idle connections per host are kept, and for how long. A burst leaves many behind.
const IDLE: usize = 256;
const IDLE_FOR: Duration = Duration::from_secs(10);

/// The value of the header `server` in the gateway's own answers. [`Connector::check`] uses it to
/// detect that a gateway's address is configured as a chat service.
pub const GATEWAY: &str = "tidegate";

/// Applies the settings that a client for [`HttpConnector::new`] needs. The client does not follow
/// redirects, so that a 3xx is an answer like any other. It limits the time for connecting, and the
/// number and age of idle connections.
///
/// ```no_run
/// let client = connector::http::client_settings(reqwest::Client::builder()).build()?;
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn client_settings(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder
        .redirect(reqwest::redirect::Policy::none())
        // A feature of another crate makes HTTP/2 available. There, a request's first byte leaves
        // on a connection that others share.
        .http1_only()
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(IDLE_FOR)
}

/// The connector to one chat service that speaks the connector protocol.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use connector::Connector;
/// use connector::http::{HttpConfig, HttpConnector, Secret, client_settings};
///
/// /// The time of this machine.
/// struct System;
///
/// impl conversation::Clock for System {
///     fn now(&self) -> jiff::Timestamp {
///         jiff::Timestamp::now()
///     }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let config = HttpConfig::new("http://127.0.0.1:9000".parse()?, secret.into());
/// let client = client_settings(reqwest::Client::builder()).build()?;
/// let connector = HttpConnector::new(config, client, Arc::new(System));
/// println!("{}", connector.check().await?);
/// # Ok(())
/// # }
/// ```
pub struct HttpConnector {
    config: HttpConfig,
    capabilities: Capabilities,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// The ids to sign for calls that are not messages.
    ids: CallIds,
}

/// The parameters of one call, without its body.
struct Call<'a> {
    name: &'static str,
    /// The id that is signed.
    id: &'a str,
    timeout: Duration,
    departure: Departure,
}

impl<'a> Call<'a> {
    fn best_effort(name: &'static str, id: &'a str) -> Self {
        Self { name, id, timeout: BEST_EFFORT, departure: Departure::free() }
    }
}

impl HttpConnector {
    /// Creates a connector to the service in `config`. `client` must be built with
    /// [`client_settings`]. `clock` gives the time that is signed.
    pub fn new(config: HttpConfig, client: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let capabilities = config.capabilities();
        Self { config, capabilities, client, ids: CallIds::new(Arc::clone(&clock)), clock }
    }

    /// Makes a call about a conversation.
    async fn post(
        &self,
        conversation: &ConversationId,
        call: Call<'_>,
        body: &impl Serialize,
    ) -> Result<Answer, NoAnswer> {
        let url = self.config.url.join(&["conversations", conversation.as_str(), call.name]);
        let body =
            serde_json::to_vec(body).map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        self.send(Method::POST, url, call, body).await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        call: Call<'_>,
        body: Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        let Call { name, id, timeout, departure } = call;
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
        if name == "messages" {
            request = request.header("idempotency-key", header(id)?);
        }
        call::send(request, body, timeout, &departure, now).await
    }

    async fn best_effort(
        &self,
        conversation: &ConversationId,
        call: &'static str,
        body: &impl Serialize,
    ) -> Result<(), String> {
        let id = self.ids.next(conversation.as_str(), call);
        outcome::best_effort(self.post(conversation, Call::best_effort(call, &id), body).await)
    }
}

#[async_trait]
impl Connector for HttpConnector {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        let body = OpenBody::from(call);
        let id = self.ids.next(call.conversation.as_str(), "open");
        let request = Call {
            name: "open",
            id: &id,
            timeout: self.config.timeout,
            departure: call.departure.clone(),
        };
        outcome::open(self.post(&call.conversation, request, &body).await)
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        let body = MessageBody::from(message);
        let Forward { conversation, id, timeout, departure, .. } = message;
        let request = Call {
            name: "messages",
            id: id.as_str(),
            timeout: *timeout,
            departure: departure.clone(),
        };
        outcome::message(self.post(conversation, request, &body).await)
    }

    async fn typing(&self, conversation: &ConversationId, typing: Typing) -> Result<(), String> {
        let body = TypingBody::from(typing);
        self.best_effort(conversation, "typing", &body).await
    }

    async fn close(&self, conversation: &ConversationId, reason: &str) -> Result<(), String> {
        self.best_effort(conversation, "close", &CloseBody { reason }).await
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        let Refusal { conversation, departure, .. } = refusal;
        let (id, body) = (refusal_id(refusal), RefusedBody::from(refusal));
        let call = Call { departure: departure.clone(), ..Call::best_effort("events", &id) };
        outcome::event(self.post(conversation, call, &body).await)
    }

    fn address(&self, conversation: &ConversationId, call: CallKind) -> Option<String> {
        let url = self.config.url.join(&["conversations", conversation.as_str(), call.as_str()]);
        BaseUrl::new(url).ok().map(|url| url.to_string())
    }

    /// A signed `GET` of the base URL, which is not a call of the protocol. A status below 500
    /// shows that a connector is there. Exceptions are answers that no connector gives: 404 or 410,
    /// a redirect, a web page, the gateway's own answer.
    async fn check(&self) -> Result<String, CheckError> {
        let (url, id) = (self.config.url.whole(), self.ids.next("tidegate", "check"));
        match self.send(Method::GET, url, Call::best_effort("check", &id), Vec::new()).await {
            Ok(answer) => passes(&answer).map(|()| format!("answers {}", answer.status.as_u16())),
            Err(none) => Err(CheckError::Unreachable(none.into_sentence())),
        }
    }
}

/// Rejects answers that a connector never gives to the check.
fn passes(answer: &Answer) -> Result<(), CheckError> {
    let status = answer.status.as_u16();
    match status {
        _ if answer.server.as_deref() == Some(GATEWAY) => Err(CheckError::Gateway),
        401 => Err(CheckError::Unauthorized(status)),
        404 | 410 => Err(CheckError::Missing(status)),
        300..=399 => Err(CheckError::Redirect(status)),
        _ if answer.is_page() => Err(CheckError::WebPage(status)),
        500.. => Err(CheckError::Failing(status)),
        _ => Ok(()),
    }
}
