//! The client against a small HTTP server of our own: tokens, repeats, and the kinds of failures.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops")]

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use genesys::agent::ParticipantPatch;
use genesys::inbound::{InboundChannel, InboundEvent, InboundMessage, InboundReceipt};
use genesys::message::{IdType, Party};
use genesys::receipt::ReceiptStatus;
use genesys::{CallError, Client, Credentials, Hosts, Secret};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

const SECRET: &str = "a secret that nobody may see";

/// The server's behaviour, and what it saw.
struct Server {
    /// The lifetime of a token in seconds.
    life: u64,
    /// The API's answer; the token endpoint is separate.
    answer: Box<dyn Fn() -> Response + Send + Sync>,
    /// The token endpoint's answer instead of a token.
    no_token: Option<(StatusCode, Value)>,
    /// The token endpoint answers while this is open.
    gate: watch::Sender<bool>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    minted: u32,
    revoked: HashSet<String>,
    calls: Vec<(Method, String, Value)>,
    tokens: Vec<String>,
}

impl Server {
    fn answering(answer: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        Self {
            life: 86_399,
            answer: Box::new(answer),
            no_token: None,
            gate: watch::Sender::new(true),
            seen: Mutex::default(),
        }
    }

    async fn start(self) -> (Arc<Self>, Client) {
        let server = Arc::new(self);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handle).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, client(&base, &base))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Revokes all tokens so far.
    fn revoke(&self) {
        let mut seen = self.seen();
        seen.revoked = (1..=seen.minted).map(|number| format!("Bearer token-{number}")).collect();
    }
}

async fn handle(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    if uri.path() == "/oauth/token" {
        assert_eq!(authorization, format!("Basic {}", STANDARD.encode(format!("client:{SECRET}"))));
        assert_eq!(body, "grant_type=client_credentials");
        server.gate.subscribe().wait_for(|open| *open).await.unwrap();
        server.seen().minted += 1;
        if let Some((status, body)) = &server.no_token {
            return (*status, body.to_string()).into_response();
        }
        let token = json!({
            "access_token": format!("token-{}", server.seen().minted), "token_type": "bearer", "expires_in": server.life,
        });
        return token.to_string().into_response();
    }
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let refused = {
        let mut seen = server.seen();
        seen.calls.push((method, uri.to_string(), body));
        seen.tokens.push(authorization.clone());
        seen.revoked.contains(&authorization)
    };
    if refused {
        error("error-401-credentials.json", StatusCode::UNAUTHORIZED)
    } else {
        (server.answer)()
    }
}

fn error(example: &str, status: StatusCode) -> Response {
    let body = std::fs::read(format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    (status, [("inin-correlation-id", "corr-1")], body).into_response()
}

fn client(api: &str, login: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let hosts = Hosts { api: Url::parse(api).unwrap(), login: Url::parse(login).unwrap() };
    let credentials = Credentials { id: "client".to_owned(), secret: Secret::new(SECRET) };
    Client::new(reqwest::Client::builder().no_proxy().build().unwrap(), hosts, credentials)
}

fn receipt() -> InboundReceipt {
    let time = "2026-11-20T09:14:04.9Z".parse().unwrap();
    InboundReceipt::new("m", Party::new("c", IdType::Opaque), time, ReceiptStatus::Delivered, true)
}

/// Posts a receipt and gives the error. Neither it nor its causes may show a secret or a URL.
async fn failure(client: &Client) -> CallError {
    let error = client.post_receipt("i", &receipt()).await.unwrap_err();
    let text = chain(&error);
    for shown in [&text, &format!("{error:?}"), &format!("{error:#?}")] {
        assert!(!shown.contains("secret that") && !shown.contains("token-"), "{shown}");
        assert!(!shown.contains("http://") && !shown.contains("/api/v2"), "{shown}");
    }
    let shown = format!("{client:?}");
    assert!(!shown.contains("secret that") && !shown.contains("token-"), "{shown}");
    assert!(text.starts_with(char::is_lowercase) && !text.contains('\n'), "{text}");
    error
}

/// The error and its causes.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The error that no other is behind.
fn innermost(error: &CallError) -> &(dyn Error + 'static) {
    std::iter::successors(error.source(), |&error| error.source()).last().unwrap()
}

#[tokio::test]
async fn fifty_calls_at_once_mint_one_token() {
    let (server, client) = Server::answering(|| "{}".into_response()).start().await;
    server.gate.send_replace(false);
    // Each call has started before there is a token.
    let calls = futures_util::future::join_all((0..50).map(|_| post(client.clone())));
    let (calls, _) = tokio::join!(calls, async { server.gate.send_replace(true) });
    calls.into_iter().for_each(Result::unwrap);
    let seen = server.seen();
    assert_eq!((seen.minted, seen.calls.len()), (1, 50));
}

async fn post(client: Client) -> Result<(), CallError> {
    client.post_receipt("i", &receipt()).await.map(|_| ())
}

#[tokio::test]
async fn fifty_calls_with_a_revoked_token_mint_one_more() {
    let (server, client) = Server::answering(|| "{}".into_response()).start().await;
    post(client.clone()).await.unwrap();
    server.revoke();
    server.gate.send_replace(false);
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(post(client.clone()))).collect();
    // Each call has been refused before there is a new token.
    let refused = async {
        while server.seen().tokens.len() < 51 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    server.gate.send_replace(true);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.seen().minted, 2);
}

#[tokio::test]
async fn a_401_is_repeated_once_and_then_named() {
    let refuse = || error("error-401-credentials.json", StatusCode::UNAUTHORIZED);
    let (server, client) = Server::answering(refuse).start().await;
    let error = failure(&client).await;
    assert!(matches!(error, CallError::Unauthorized { .. }), "{error}");
    let text = chain(&error);
    assert!(text.starts_with("unauthorized: a fresh token is refused (code bad.cred"), "{text}");
    assert_eq!(server.seen().tokens, ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let mut server = Server::answering(|| "{}".into_response());
    server.life = 0;
    let (server, client) = server.start().await;
    for _ in 0..3 {
        post(client.clone()).await.unwrap();
    }
    assert_eq!(server.seen().tokens, ["Bearer token-1", "Bearer token-2", "Bearer token-3"]);
}

#[tokio::test]
async fn refused_credentials_are_unauthorized_and_all_who_wait_are_told_at_once() {
    let mut server = Server::answering(|| "{}".into_response());
    server.no_token =
        Some((StatusCode::BAD_REQUEST, json!({"error": "invalid_client", "description": SECRET})));
    let (server, client) = server.start().await;
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(post(client.clone()))).collect();
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(CallError::Unauthorized { .. })));
    }
    assert!(server.seen().minted < 20, "{}", server.seen().minted);
    let error = failure(&client).await;
    assert_eq!(
        chain(&error),
        "unauthorized: the token endpoint refuses the credentials (status 400, invalid_client)"
    );
    assert!(matches!(client.check_token().await, Err(CallError::Unauthorized { .. })));
    assert!(server.seen().calls.is_empty());
}

#[tokio::test]
async fn no_token_means_that_the_call_did_not_leave() {
    let (ok, gone) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
    for (status, not_sent) in [(ok, true), (gone, false), (StatusCode::FOUND, false)] {
        let mut server = Server::answering(|| "{}".into_response());
        server.no_token = Some((status, json!({"surprise": 1})));
        let (_server, client) = server.start().await;
        match failure(&client).await {
            CallError::NotSent { .. } => assert!(not_sent),
            CallError::Unavailable { .. } => assert!(!not_sent),
            error => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_429_says_how_long_to_wait() {
    for (headers, wait) in [
        (&[("retry-after", "12")][..], 12),
        (
            &[
                ("inin-ratelimit-count", "300"),
                ("inin-ratelimit-allowed", "300"),
                ("inin-ratelimit-reset", "31"),
            ][..],
            31,
        ),
        (&[("retry-after", "soon")][..], 60),
        (
            &[
                ("date", "Fri, 20 Nov 2026 09:14:03 GMT"),
                ("retry-after", "Fri, 20 Nov 2026 09:14:15 GMT"),
            ][..],
            12,
        ),
        (
            &[
                ("date", "Fri, 20 Nov 2026 09:14:03 GMT"),
                ("retry-after", "Friday, 20-Nov-26 09:14:15 GMT"),
            ][..],
            12,
        ),
        (
            &[
                ("date", "Fri, 20 Nov 2026 09:14:03 GMT"),
                ("retry-after", "Fri Nov 20 09:14:15 2026"),
            ][..],
            12,
        ),
        (&[("retry-after", "999999999999999999999")][..], 3600),
        (&[("retry-after", "999999999")][..], 3600),
    ] {
        let (_server, client) = Server::answering(move || {
            let mut response = error("error-429-rate.json", StatusCode::TOO_MANY_REQUESTS);
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        })
        .start()
        .await;
        let error = failure(&client).await;
        let CallError::RateLimited { retry_after, limit, body } = &error else { panic!("{error}") };
        assert_eq!((retry_after.as_secs(), limit.is_some()), (wait, headers.len() == 3));
        assert_eq!(body.calls_a_minute(), Some(300));
        assert!(error.to_string().contains("too.many.requests"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_shows_genesyss_code_and_context_id() {
    let refuse = || error("error-404-not-found.json", StatusCode::NOT_FOUND);
    let (_server, client) = Server::answering(refuse).start().await;
    let error = failure(&client).await;
    assert_eq!(
        error.to_string(),
        "refused (status 404, code not.found, contextId 2f8e9d30-9c55-4df4-b3f8-bc6d3e4f5061)"
    );
    let CallError::Refused { status, correlation_id, .. } = error else { panic!("{error}") };
    assert_eq!((status.as_u16(), correlation_id.as_deref()), (404, Some("corr-1")));
}

#[tokio::test]
async fn a_server_error_and_a_page_are_unavailable_whatever_the_body_is() {
    // Redirects and pages come from a proxy: Genesys has refused nothing.
    for status in [500, 502, 503, 504, 408, 302, 307, 400, 403, 404, 413] {
        let answer = move || {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("retry-after", "3")], "<html>secret that words</html>").into_response()
        };
        let (_server, client) = Server::answering(answer).start().await;
        let error = failure(&client).await;
        let CallError::Unavailable { retry_after, .. } = &error else { panic!("{error}") };
        assert_eq!(*retry_after, Some(Duration::from_secs(3)));
    }
}

#[tokio::test]
async fn a_page_that_says_200_is_not_genesyss_answer() {
    let (_server, client) =
        Server::answering(|| "\n <html>We are working on it.</html>".into_response()).start().await;
    let error = failure(&client).await;
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert!(!chain(&error).contains("working"), "{error:?}");
}

/// A host that sends these bytes as soon as a request ends with `end`. Returns its URL.
async fn raw_host(end: &'static [u8], answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(end) {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_page_that_breaks_off_is_not_genesyss_answer_either() {
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<html>We are";
    let api = raw_host(b"}", page.to_owned()).await;
    let (_server, good) = Server::answering(|| "{}".into_response()).start().await;
    let login = format!("{good:?}").split('"').nth(3).unwrap().to_owned();
    let error = failure(&client(&api, &login)).await;
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
}

/// A token endpoint behind a proxy that does not let the question through.
#[tokio::test]
async fn a_proxys_answer_for_a_token_says_nothing_about_the_credentials() {
    let page = "<html>not from here</html>";
    for (status, body) in [("401 Who", page), ("403 Forbidden", page), ("408 Late", "{}")] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let login = raw_host(b"client_credentials", answer).await;
        let error = failure(&client("http://127.0.0.1:1", &login)).await;
        assert!(matches!(error, CallError::Unavailable { .. }), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_success_with_an_odd_body_is_a_success_for_posts_and_none_for_reads() {
    let huge = || vec![b'['; 3 << 20].into_response();
    let odd: [Box<dyn Fn() -> Response + Send + Sync>; 5] = [
        Box::new(|| StatusCode::ACCEPTED.into_response()),
        Box::new(|| "not json".into_response()),
        Box::new(|| "[1, 2]".into_response()),
        Box::new(|| "\"a customer's words\"".into_response()),
        Box::new(huge),
    ];
    for answer in odd {
        let (_server, client) = Server::answering(answer).start().await;
        assert_eq!(client.post_receipt("i", &receipt()).await.unwrap().value.id, None);
        client.delete_integration("i").await.unwrap();
        client.patch_participant("c", "p", &ParticipantPatch::disconnect()).await.unwrap();
        let error = client.conversation("c").await.unwrap_err();
        assert!(matches!(error, CallError::Unknown { .. }), "{error}");
        let shown = format!("{} {error:?}", chain(&error));
        assert!(!shown.contains("words"), "serde quotes what it cannot read: {shown}");
    }
}

#[tokio::test]
async fn a_huge_refusal_is_cut_and_still_a_refusal() {
    let answer = || (StatusCode::BAD_REQUEST, vec![b' '; 64 << 20]).into_response();
    let (_server, client) = Server::answering(answer).start().await;
    let error = failure(&client).await;
    assert_eq!(error.to_string(), "refused (status 400, no further word)");
}

#[tokio::test]
async fn a_server_that_hangs_leaves_the_outcome_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let (_server, good) = Server::answering(|| "{}".into_response()).start().await;
    let login = format!("{good:?}").split('"').nth(3).unwrap().to_owned();
    let client = client(&api, &login).with_timeout(Duration::from_millis(300));
    // The kernel accepts the connection, but no answer ever comes.
    let error = failure(&client).await;
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert_eq!(error.to_string(), "the outcome of the call is not known");
    assert_eq!(chain(&error), "the outcome of the call is not known: no answer in time");
    drop(listener);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let (_server, good) = Server::answering(|| "{}".into_response()).start().await;
    let login = format!("{good:?}").split('"').nth(3).unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Only after something has come: a connection that closes unused would have carried
            // nothing.
            let mut some = [0; 16];
            assert_ne!(stream.read(&mut some).await.unwrap(), 0);
        }
    });
    let error = failure(&client(&api, &login)).await;
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_port_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (_server, good) = Server::answering(|| "{}".into_response()).start().await;
    let open = format!("{good:?}").split('"').nth(3).unwrap().to_owned();
    for (api, login) in
        [(&closed, &open), (&open, &closed), (&"http://nowhere.invalid".to_owned(), &open)]
    {
        let error = failure(&client(api, login)).await;
        assert!(matches!(error, CallError::NotSent { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_source_is_the_systems_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (_server, good) = Server::answering(|| "{}".into_response()).start().await;
    let open = format!("{good:?}").split('"').nth(3).unwrap().to_owned();
    for (api, login, before) in [
        (&closed, &open, "the call did not leave"),
        (&open, &closed, "the call did not leave: no token"),
    ] {
        let error = failure(&client(api, login)).await;
        let cause = innermost(&error).downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "the call did not leave");
        assert_eq!(chain(&error), format!("{before}: {cause}"));
        assert_eq!(chain(&error.clone()), chain(&error));
    }
}

#[tokio::test]
async fn every_call_goes_to_its_path() {
    let (server, client) =
        Server::answering(|| r#"{"id":"x","conversationId":"conv"}"#.into_response()).start().await;
    let time = "2026-11-20T09:14:04.9Z".parse().unwrap();
    let customer = || Party::new("c", IdType::Opaque);
    let message = InboundMessage {
        channel: InboundChannel::new(customer(), time),
        text: Some("hi".to_owned()),
        ..InboundMessage::default()
    };
    let answer = client.post_message("i/1", &message, true).await.unwrap();
    assert_eq!(answer.value.conversation_id.as_deref(), Some("conv"));
    client.post_message("i/1", &message, false).await.unwrap();
    client.post_receipt("i/1", &receipt()).await.unwrap();
    client.post_event("i/1", &InboundEvent::typing(customer(), time)).await.unwrap();
    client.integration("i/1").await.unwrap();
    client.integrations(2).await.unwrap();
    client.conversation("c").await.unwrap();
    client.message_details("m").await.unwrap();
    client.patch_participant("c", "p", &ParticipantPatch::disconnect()).await.unwrap();
    client.delete_integration("i").await.unwrap();
    let made = |(method, path, _): &(Method, String, Value)| format!("{method} {path}");
    assert_eq!(
        server.seen().calls.iter().map(made).collect::<Vec<_>>(),
        [
            "POST /api/v2/conversations/messages/i%2F1/inbound/open/message?prefetchConversationId=true",
            "POST /api/v2/conversations/messages/i%2F1/inbound/open/message",
            "POST /api/v2/conversations/messages/i%2F1/inbound/open/receipt",
            "POST /api/v2/conversations/messages/i%2F1/inbound/open/event",
            "GET /api/v2/conversations/messaging/integrations/open/i%2F1",
            "GET /api/v2/conversations/messaging/integrations/open?pageSize=25&pageNumber=2",
            "GET /api/v2/conversations/messages/c",
            "GET /api/v2/conversations/messages/m/details",
            "PATCH /api/v2/conversations/messages/c/participants/p",
            "DELETE /api/v2/conversations/messaging/integrations/open/i",
        ]
    );
    assert_eq!(server.seen().calls[0].2, serde_json::to_value(&message).unwrap());
    assert_eq!(server.seen().calls[8].2, json!({"state": "disconnected"}));
}
