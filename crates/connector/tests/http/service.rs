//! A chat service that answers as the test says, and verifies each call's signature with the
//! scheme's own crate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use connector::http::{HttpConfig, HttpConnector, client_settings};
use connector::{Departure, Forward};
use conversation::{Clock, ConversationId, MessageId, SessionId};
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A call as the service received it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// Whether the scheme's own crate verified the signature, by the real clock.
    pub(crate) genuine: bool,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What the service does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    Hang,
    /// Ends the connection without a byte.
    Break,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::Answer(status, Vec::new(), body.as_ref().to_vec())
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.push((header, value.to_owned()));
        }
        self
    }
}

type Script = Box<dyn Fn(&Call) -> Reply + Send>;

#[derive(Clone)]
pub(crate) struct Service {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    script: Arc<Mutex<Script>>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            address: listener.local_addr().unwrap(),
            calls: Arc::default(),
            script: Arc::new(Mutex::new(Box::new(|_| Reply::new(500, "no script")))),
        };
        let router = Router::new().fallback(answer).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    pub(crate) fn script(&self, script: impl Fn(&Call) -> Reply + Send + 'static) {
        *lock(&self.script) = Box::new(script);
    }

    pub(crate) fn always(&self, reply: Reply) {
        self.script(move |_| reply.clone());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    pub(crate) fn connector(&self) -> HttpConnector {
        connector_to(&format!("http://{}", self.address))
    }
}

async fn answer(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call {
        method,
        path: uri.path().to_owned(),
        genuine: standardwebhooks::Webhook::new(SECRET).unwrap().verify(&body, &headers).is_ok(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let reply = lock(&service.script)(&call);
    lock(&service.calls).push(call);
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut response =
                (StatusCode::from_u16(status).unwrap(), Body::from(body)).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Reply::Hang => std::future::pending().await,
        // Ends the connection's task, without output.
        Reply::Break => std::panic::resume_unwind(Box::new("the test breaks the connection")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct RealClock;

impl Clock for RealClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the other side of these tests reads the machine's clock too"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A client as the program builds it.
pub(crate) fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    client_settings(reqwest::Client::builder()).no_proxy().build().unwrap()
}

pub(crate) fn connector_to(url: &str) -> HttpConnector {
    let mut config = HttpConfig::new(
        url.parse().unwrap(),
        SECRET.parse::<connector::http::Secret>().unwrap().into(),
    );
    config.timeout = Duration::from_secs(2);
    HttpConnector::new(config, client(), Arc::new(RealClock))
}

/// An address without a listener.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) fn message(id: &str) -> Forward {
    Forward {
        conversation: ConversationId::new("c1"),
        id: MessageId::new(id),
        time: "2026-11-20T09:10:59.120Z".parse().unwrap(),
        text: Some("Where is my parcel?".to_owned()),
        content: Vec::new(),
        unavailable: Vec::new(),
        sender: None,
        session: SessionId::new("s1"),
        timeout: Duration::from_secs(2),
        departure: Departure::free(),
    }
}
