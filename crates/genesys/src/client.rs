//! The calls of Genesys Cloud's REST API that an Open Messaging middleware needs, made as one OAuth
//! client of one org.
//!
//! The [`Client`] gets and renews the token, and classifies failures. It repeats a call only after
//! a 401, and only once. It does not limit the rate: the [`budget`](crate::budget) does. Other
//! retries are up to the caller.

mod departure;
mod exchange;
mod token;
mod transport;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use self::exchange::{HttpBackend, Reply};
use self::token::Tokens;
pub use self::transport::{Body, Exchange, MayLeave, Transport};
use crate::agent::ParticipantPatch;
pub use crate::call_error::CallError;
use crate::cause::Cause;
use crate::conversation::{MessageConversation, MessageData};
use crate::inbound::{
    EventResponse, InboundEvent, InboundMessage, InboundReceipt, MessageResponse, ReceiptResponse,
    StructuredResponse, StructuredResponseResponse,
};
use crate::integration::{Integration, IntegrationListing, IntegrationRequest, IntegrationUpdate};
use crate::notifications::{Frames, NotificationChannel};
pub use crate::rate_limit::RateLimit;
use crate::region::Hosts;
use crate::secret::Secret;

/// How long a call may take, unless [`Client::with_timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

const INTEGRATIONS: [&str; 6] = ["api", "v2", "conversations", "messaging", "integrations", "open"];
const CHANNELS: [&str; 4] = ["api", "v2", "notifications", "channels"];
const MESSAGES: [&str; 4] = ["api", "v2", "conversations", "messages"];

/// The credentials of an OAuth client of the org, which must have the client-credentials grant.
///
/// ```
/// use genesys::Credentials;
///
/// let credentials = Credentials { id: "an id".to_owned(), secret: "hush".into() };
/// assert!(!format!("{credentials:?}").contains("hush"), "`Debug` hides the secret");
/// ```
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The OAuth client's id.
    pub id: String,
    /// The OAuth client's secret.
    pub secret: Secret,
}

/// The result of a successful call.
///
/// ```
/// use genesys::CallError;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/canned.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), CallError> {
/// // A client over a transport that answers each call with an id: see `Transport`.
/// let answer = canned_client().conversation("0b7d4c1e").await?;
/// assert_eq!(answer.value.id.as_deref(), Some("an id"));
/// assert_eq!(answer.limit, None, "the answer has no header about the rate limit");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The body. Its fields are empty if the call succeeded, but its answer could not be read and
    /// is not needed.
    pub value: T,
    /// The state of the rate limit, if the answer reports it.
    pub limit: Option<RateLimit>,
    /// The header `inin-correlation-id`, which identifies the call for Genesys's support.
    pub correlation_id: Option<String>,
}

/// Makes calls as one OAuth client. Clones share their token.
///
/// ```no_run
/// use std::time::Duration;
///
/// use genesys::{Client, Credentials, Hosts};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let http = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::none())
///     .connect_timeout(Duration::from_secs(5))
///     .build()?;
/// let hosts = Hosts::of_region("mypurecloud.de").expect("the region is known");
/// let secret = std::env::var("GENESYS_CLIENT_SECRET")?.into();
/// let client = Client::new(http, hosts, Credentials { id: "the client's id".to_owned(), secret });
/// let conversation = client.conversation("the conversation's id").await?.value;
/// println!("{} participants", conversation.participants.unwrap_or_default().len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Every call can fail in these ways:
///
/// * [`CallError::NotSent`]: no token, an id that is empty or consists of dots, no connection, or
///   the condition of [`Self::only_while`] does not hold.
/// * [`CallError::Unknown`]: the call left, and then the connection broke, the timeout passed, or a
///   body that the caller needs cannot be read.
/// * [`CallError::Unauthorized`]: a 401 to a token, and then a 401 to a new token, or a refusal of
///   the credentials.
/// * [`CallError::RateLimited`]: a 429.
/// * [`CallError::Refused`]: any other 4xx except 408, unless its body is a web page.
/// * [`CallError::Unavailable`]: any other status that is not 2xx.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    may_leave: MayLeave,
    last_call: LastCall,
}

/// Holds the last request that a client made, such as
/// `POST https://api.mypurecloud.com/api/v2/…`, for the log line of its failure. It contains no
/// query, user name or password. Clones share one request. See [`Client::noting`].
///
/// ```
/// use genesys::{CallError, LastCall};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/canned.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), CallError> {
/// let last_call = LastCall::default();
/// // A client over a transport that answers each call with an id: see `Transport`.
/// canned_client().noting(&last_call).integrations(1).await?;
/// assert_eq!(
///     last_call.text(),
///     "GET https://api.mypurecloud.com/api/v2/conversations/messaging/integrations/open",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LastCall(Arc<Mutex<String>>);

impl LastCall {
    /// The request's method and URL. Empty if there was no request.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, method: &Method, url: &Url) {
        let origin = url.origin().ascii_serialization();
        let text = format!("{method} {origin}{}", url.path());
        // Nothing panics while the lock is held, so the data is consistent.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

struct Inner {
    way: HttpBackend,
    hosts: Hosts,
    credentials: Credentials,
    timeout: Duration,
    tokens: Tokens,
}

impl Client {
    /// Creates a client that calls over `http`, with a timeout of 10 s for each call. Give `http` a
    /// `connect_timeout` below that, so that an unreachable host counts as [`CallError::NotSent`].
    /// `http` must not follow redirects.
    pub fn new(http: reqwest::Client, hosts: Hosts, credentials: Credentials) -> Self {
        Self::by(HttpBackend::Http(http), hosts, credentials)
    }

    /// Creates a client whose requests `transport` carries. It has no sockets, so
    /// [`Self::listen`] always fails.
    pub fn over(transport: Arc<dyn Transport>, hosts: Hosts, credentials: Credentials) -> Self {
        Self::by(HttpBackend::Other(transport), hosts, credentials)
    }

    fn by(way: HttpBackend, hosts: Hosts, credentials: Credentials) -> Self {
        let inner = Inner { way, hosts, credentials, timeout: TIMEOUT, tokens: Tokens::default() };
        Self {
            inner: Arc::new(inner),
            may_leave: MayLeave::default(),
            last_call: LastCall::default(),
        }
    }

    /// Sets the timeout of each call, from connecting to the end of the answer. The new client gets
    /// a token of its own.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        let Inner { way, hosts, credentials, .. } = &*self.inner;
        let (way, hosts, credentials) = (way.clone(), hosts.clone(), credentials.clone());
        let inner = Inner { way, hosts, credentials, timeout, tokens: Tokens::default() };
        Self { inner: Arc::new(inner), ..self }
    }

    /// Adds a condition under which calls may leave. It is checked before each call. For a call
    /// that may change something (one with a body, or a `DELETE`) it is checked again immediately
    /// before the first byte, after DNS, connecting and TLS. If it does not hold, the call fails
    /// with [`CallError::NotSent`].
    pub fn only_while(self, condition: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { may_leave: MayLeave::only_while(condition), ..self }
    }

    /// Records each request in `last_call` before it is made, including requests for a token.
    pub fn noting(self, last_call: &LastCall) -> Self {
        Self { last_call: last_call.clone(), ..self }
    }

    /// The OAuth client's id.
    pub fn id(&self) -> &str {
        &self.inner.credentials.id
    }

    /// Checks that the client has a token. Requests one unless a valid one is cached.
    ///
    /// # Errors
    /// * [`CallError::Unauthorized`] if the token endpoint refuses the credentials (a 4xx other
    ///   than 429).
    /// * [`CallError::RateLimited`] and [`CallError::Unavailable`] if it answers 429, 5xx or 3xx.
    /// * [`CallError::NotSent`] if it cannot be reached, does not answer in time, or answers
    ///   without a token.
    pub async fn check_token(&self) -> Result<(), CallError> {
        self.inner.tokens.get(self, None).await.map(|_| ())
    }

    /// Posts a customer's message (`POST …/{integrationId}/inbound/open/message`). With
    /// `prefetch_conversation_id`, the answer contains the conversation's id, but takes longer.
    ///
    /// # Errors
    /// [`CallError::Refused`] if Genesys rejects the message, or does not know the integration.
    /// [`CallError::Unknown`] also if a web page answers with a 2xx, because it is not Genesys's.
    /// Otherwise as for [every call](Self#errors). An answer that cannot be read is no error: its
    /// [`Answer::value`] is empty.
    pub async fn post_message(
        &self,
        integration_id: &str,
        message: &InboundMessage,
        prefetch_conversation_id: bool,
    ) -> Result<Answer<MessageResponse>, CallError> {
        let query: &[_] =
            if prefetch_conversation_id { &[("prefetchConversationId", "true")] } else { &[] };
        self.post_inbound(integration_id, &["message"], query, message).await
    }

    /// Posts a receipt for an outbound message (`POST …/{integrationId}/inbound/open/receipt`).
    ///
    /// # Errors
    /// [`CallError::Refused`] if Genesys rejects the receipt, or does not know the integration.
    /// Otherwise as for [`Self::post_message`].
    pub async fn post_receipt(
        &self,
        integration_id: &str,
        receipt: &InboundReceipt,
    ) -> Result<Answer<ReceiptResponse>, CallError> {
        self.post_inbound(integration_id, &["receipt"], &[], receipt).await
    }

    /// Posts that the customer types (`POST …/{integrationId}/inbound/open/event`).
    ///
    /// # Errors
    /// [`CallError::Refused`] if Genesys rejects the event, or does not know the integration.
    /// Otherwise as for [`Self::post_message`].
    pub async fn post_event(
        &self,
        integration_id: &str,
        event: &InboundEvent,
    ) -> Result<Answer<EventResponse>, CallError> {
        self.post_inbound(integration_id, &["event"], &[], event).await
    }

    /// Posts which button the customer tapped
    /// (`POST …/{integrationId}/inbound/open/structured/response`).
    ///
    /// # Errors
    /// [`CallError::Refused`] if Genesys rejects the response, or does not know the integration or
    /// the message that had the button. Otherwise as for [`Self::post_message`].
    pub async fn post_structured_response(
        &self,
        integration_id: &str,
        response: &StructuredResponse,
    ) -> Result<Answer<StructuredResponseResponse>, CallError> {
        self.post_inbound(integration_id, &["structured", "response"], &[], response).await
    }

    /// Reads the integration with this id.
    ///
    /// # Errors
    /// [`CallError::Refused`] with status 404 if there is no such integration. Otherwise as for
    /// [every call](Self#errors).
    pub async fn integration(&self, id: &str) -> Result<Answer<Integration>, CallError> {
        self.call(Method::GET, &[&INTEGRATIONS[..], &[id]].concat(), &[], None)
            .await
            .and_then(needed)
    }

    /// Reads one page of 25 integrations. The first page is 1.
    ///
    /// # Errors
    /// [`CallError::Refused`] with status 403 if the OAuth client lacks the permission. Otherwise
    /// as for [every call](Self#errors).
    pub async fn integrations(&self, page: u32) -> Result<Answer<IntegrationListing>, CallError> {
        let query = [("pageSize", "25"), ("pageNumber", &page.to_string())];
        self.call(Method::GET, &INTEGRATIONS, &query, None).await.and_then(needed)
    }

    /// Creates an integration. Genesys does so in the background: it is ready when a later
    /// [`Self::integration`] reports the `create_status` `Completed`.
    ///
    /// # Errors
    /// [`CallError::Refused`] if Genesys rejects the request. [`CallError::Unknown`] if the answer
    /// cannot be read: the integration may exist. Otherwise as for [every call](Self#errors).
    pub async fn create_integration(
        &self,
        request: &IntegrationRequest,
    ) -> Result<Answer<Integration>, CallError> {
        self.call(Method::POST, &INTEGRATIONS, &[], Some(written(request)?)).await.and_then(needed)
    }

    /// Changes an integration. Fields of `update` that are `None` stay as they are.
    ///
    /// # Errors
    /// [`CallError::Refused`] if there is no such integration, or Genesys rejects the change.
    /// [`CallError::Unknown`] if the answer cannot be read: the change may have been made.
    /// Otherwise as for [every call](Self#errors).
    pub async fn update_integration(
        &self,
        id: &str,
        update: &IntegrationUpdate,
    ) -> Result<Answer<Integration>, CallError> {
        let path = [&INTEGRATIONS[..], &[id]].concat();
        self.call(Method::PATCH, &path, &[], Some(written(update)?)).await.and_then(needed)
    }

    /// Deletes an integration. Genesys may need minutes to do so.
    ///
    /// # Errors
    /// [`CallError::Refused`] with status 404 if there is no such integration. Otherwise as for
    /// [every call](Self#errors). The answer's body is not read.
    pub async fn delete_integration(&self, id: &str) -> Result<Answer<()>, CallError> {
        self.call(Method::DELETE, &[&INTEGRATIONS[..], &[id]].concat(), &[], None).await.map(done)
    }

    /// Reads a conversation with its past and present participants.
    ///
    /// # Errors
    /// [`CallError::Refused`] with status 404 if there is no such conversation. Otherwise as for
    /// [every call](Self#errors).
    pub async fn conversation(&self, id: &str) -> Result<Answer<MessageConversation>, CallError> {
        self.call(Method::GET, &[&MESSAGES[..], &[id]].concat(), &[], None).await.and_then(needed)
    }

    /// Reads the status and the receipts of one message.
    ///
    /// # Errors
    /// [`CallError::Refused`] with status 404 if there is no such message. Otherwise as for
    /// [every call](Self#errors).
    pub async fn message_details(
        &self,
        message_id: &str,
    ) -> Result<Answer<MessageData>, CallError> {
        self.call(Method::GET, &[&MESSAGES[..], &[message_id, "details"]].concat(), &[], None)
            .await
            .and_then(needed)
    }

    /// Changes a participant of a conversation. To tell Genesys that the customer left, disconnect
    /// the customer's participant: see [`ParticipantPatch::disconnect`].
    ///
    /// # Errors
    /// [`CallError::Refused`] if there is no such participant, or Genesys rejects the change.
    /// Otherwise as for [every call](Self#errors). The answer's body is not read.
    pub async fn patch_participant(
        &self,
        conversation_id: &str,
        participant_id: &str,
        change: &ParticipantPatch,
    ) -> Result<Answer<()>, CallError> {
        let path = [&MESSAGES[..], &[conversation_id, "participants", participant_id]].concat();
        self.call(Method::PATCH, &path, &[], Some(written(change)?)).await.map(done)
    }

    /// Creates a channel for notifications. It ends after a day, and earlier if nothing is
    /// connected to its socket.
    ///
    /// # Errors
    /// [`CallError::Unknown`] if the answer cannot be read: the channel may exist, and Genesys
    /// deletes it later. Otherwise as for [every call](Self#errors).
    pub async fn create_channel(&self) -> Result<Answer<NotificationChannel>, CallError> {
        let body = Some(b"{}".to_vec());
        self.call(Method::POST, &CHANNELS, &[], body).await.and_then(needed)
    }

    /// Subscribes a channel to more topics. Genesys drops topics that the OAuth client may not
    /// read, and reports no error.
    ///
    /// # Errors
    /// [`CallError::Refused`] if Genesys rejects the channel or the list of topics. Otherwise as
    /// for [every call](Self#errors). The answer's body is not read.
    pub async fn subscribe(
        &self,
        channel: &str,
        topics: &[String],
    ) -> Result<Answer<()>, CallError> {
        let body: Vec<_> = topics.iter().map(|topic| serde_json::json!({ "id": topic })).collect();
        let path = [&CHANNELS[..], &[channel, "subscriptions"]].concat();
        self.call(Method::POST, &path, &[], Some(written(&body)?)).await.map(done)
    }

    /// Opens a channel's WebSocket, over which its notifications come.
    ///
    /// # Errors
    /// [`CallError::NotSent`] if the channel has no valid `connectUri`, the URI leads to a host
    /// that is neither the API's nor Genesys's, the socket cannot be opened, or the client was made
    /// by [`Self::over`].
    pub async fn listen(&self, channel: &NotificationChannel) -> Result<Frames, CallError> {
        let uri = channel.connect_uri.as_ref().map(Secret::expose).unwrap_or_default();
        match &self.inner.way {
            HttpBackend::Http(http) => Frames::connect(http, &self.inner.hosts.api, uri).await,
            HttpBackend::Other(_) => {
                Err(CallError::NotSent { cause: "there are no sockets on this way".into() })
            }
        }
    }

    /// Makes a post of which only the success matters: an answer that cannot be read counts as
    /// empty.
    async fn post_inbound<T: DeserializeOwned + Default>(
        &self,
        integration_id: &str,
        what: &[&str],
        query: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<Answer<T>, CallError> {
        let path = [&MESSAGES[..], &[integration_id, "inbound", "open"], what].concat();
        let reply = self.call(Method::POST, &path, query, Some(written(body)?)).await?;
        if reply.is_page() {
            return Err(CallError::Unknown {
                cause: "the answer is a page, and not Genesys's".into(),
            });
        }
        let value = reply.json().unwrap_or_default();
        Ok(Answer { value, limit: reply.limit, correlation_id: reply.correlation_id })
    }

    /// Makes one call. After a 401, makes it once more with a token other than the refused one.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Reply, CallError> {
        let mut url = url(&self.inner.hosts.api, path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut refused = None;
        loop {
            let token = self.inner.tokens.get(self, refused.as_ref()).await?;
            let mut request = Request::builder().method(method.clone()).uri(url.as_str());
            let bearer = authorization(&format!("Bearer {}", token.expose()))?;
            request = request
                .header(header::AUTHORIZATION, bearer)
                .header(header::ACCEPT, "application/json");
            if body.is_some() {
                request = request.header(header::CONTENT_TYPE, "application/json");
            }
            let request = request.body(body.clone().unwrap_or_default()).map_err(unwritable)?;
            // So that a call that may not leave does not even connect.
            self.may_leave.ask()?;
            self.last_call.note(&method, &url);
            let reply =
                self.inner.way.exchange(request, self.inner.timeout, &self.may_leave).await?;
            if reply.status != StatusCode::UNAUTHORIZED || refused.is_some() {
                return reply.success();
            }
            refused = Some(token);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id())
            .field("api", &self.inner.hosts.api.as_str())
            .finish_non_exhaustive()
    }
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, CallError> {
    // serde's error is left out: it could quote the message.
    serde_json::to_vec(body)
        .map_err(|_| CallError::NotSent { cause: "the body cannot be written as JSON".into() })
}

/// The header's value, which is kept out of logs.
fn authorization(value: &str) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::from_str(value).map_err(|error| unwritable(error.into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unwritable(error: http::Error) -> CallError {
    CallError::NotSent { cause: Cause::within("the request cannot be made", Cause::of(error)) }
}

/// Reads an answer that the caller needs.
fn needed<T: DeserializeOwned>(reply: Reply) -> Result<Answer<T>, CallError> {
    let value = reply.json().map_err(|cause| CallError::Unknown { cause })?;
    Ok(Answer { value, limit: reply.limit, correlation_id: reply.correlation_id })
}

fn done(reply: Reply) -> Answer<()> {
    Answer { value: (), limit: reply.limit, correlation_id: reply.correlation_id }
}

/// Adds path segments to `base`, each percent-encoded. Refuses an id that would vanish from the
/// path (`..`).
fn url(base: &Url, segments: &[&str]) -> Result<Url, CallError> {
    let refuse = |cause: &'static str| CallError::NotSent { cause: cause.into() };
    if segments.iter().any(|segment| segment.is_empty() || segment.chars().all(|c| c == '.')) {
        return Err(refuse("an id is empty or made of dots"));
    }
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| refuse("the host's URL has no path"))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_segment() {
        let base = Url::parse("https://gw.example.net/genesys/").unwrap();
        let made = |id: &str| url(&base, &["api", id, "details"]).map(String::from);
        assert_eq!(made("a-1").unwrap(), "https://gw.example.net/genesys/api/a-1/details");
        assert_eq!(
            made("a/../b?c#d e").unwrap(),
            "https://gw.example.net/genesys/api/a%2F..%2Fb%3Fc%23d%20e/details"
        );
        for id in ["", ".", ".."] {
            assert!(matches!(made(id), Err(CallError::NotSent { .. })), "{id}");
        }
        // `%` is encoded too, so encoded dots do not become a path of their own.
        assert!(
            made("%2e%2e").unwrap().ends_with("/api/%252e%252e/details"),
            "{:?}",
            made("%2e%2e")
        );
    }
}
