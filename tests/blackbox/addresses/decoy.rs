//! A listener that must not be called, and stubs that try to send the gateway there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// A listener that must not be called. It counts the connections, and answers none.
pub(super) struct Decoy {
    pub(super) url: String,
    visits: Arc<AtomicUsize>,
}

impl Decoy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, visits }
    }

    /// Panics if anyone has connected. It connects itself, which proves that any earlier connection
    /// has been counted.
    pub(super) async fn was_never_visited(&self) {
        let address = self.url.strip_prefix("http://").expect("an address");
        let _visit = TcpStream::connect(address).await.expect("it listens");
        crate::support::eventually("the decoy counts", async || (self.visits() > 0).then_some(()))
            .await;
        assert_eq!(self.visits(), 1, "only the test came");
        self.visits.store(0, Ordering::SeqCst);
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// Where a call is redirected instead of being answered: status and location, by its path and its
/// number among the calls to that path.
type Lead = dyn Fn(&str, usize) -> Option<(u16, String)> + Send + Sync;

struct Inside {
    lead: Box<Lead>,
    calls: Mutex<Vec<(String, bool)>>,
    socket: Mutex<String>,
    answer: fn(&Inside, &str) -> Value,
}

/// A stub of Genesys's API that redirects the calls that it is told to, and accepts the rest.
pub(super) struct Api {
    pub(super) url: String,
    inside: Arc<Inside>,
}

impl Api {
    pub(super) async fn start(
        lead: impl Fn(&str, usize) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let (url, inside) = serve(Box::new(lead), |inside, path| match path {
            "/oauth/token" => {
                json!({ "access_token": "a-token", "token_type": "bearer", "expires_in": 3600 })
            }
            path if path.ends_with("/notifications/channels") => {
                json!({ "id": "a", "connectUri": *inside.socket.lock().expect("no test panicked") })
            }
            _ => json!({ "id": "made" }),
        })
        .await;
        Self { url, inside }
    }

    /// Sets the address that the stub gives for the sockets of channels.
    pub(super) fn names_socket(&self, url: &str) {
        url.clone_into(&mut self.inside.socket.lock().expect("no test panicked"));
    }

    /// How many calls came to paths with this end.
    pub(super) fn calls(&self, end: &str) -> usize {
        let calls = self.inside.calls.lock().expect("no test panicked");
        calls.iter().filter(|(path, _)| path.ends_with(end)).count()
    }

    /// How many calls had a token.
    pub(super) fn tokens(&self) -> usize {
        self.inside
            .calls
            .lock()
            .expect("no test panicked")
            .iter()
            .filter(|(_, token)| *token)
            .count()
    }
}

/// A chat service that redirects the calls that it is told to, and accepts the rest at once.
/// Returns its address.
pub(super) async fn chat(
    lead: impl Fn(&str, usize) -> Option<(u16, String)> + Send + Sync + 'static,
) -> String {
    let answer =
        |_: &Inside, _: &str| json!({ "session": "s", "status": "delivered", "message_id": "m" });
    serve(Box::new(lead), answer).await.0
}

async fn serve(lead: Box<Lead>, answer: fn(&Inside, &str) -> Value) -> (String, Arc<Inside>) {
    let inside =
        Arc::new(Inside { lead, calls: Mutex::default(), socket: Mutex::default(), answer });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(take).with_state(Arc::clone(&inside));
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, inside)
}

async fn take(
    State(inside): State<Arc<Inside>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let _ = axum::body::to_bytes(body, 1 << 20).await;
    let path = uri.path();
    let count = {
        let mut calls = inside.calls.lock().expect("no test panicked");
        let count = calls.iter().filter(|(other, _)| other == path).count();
        calls.push((path.to_owned(), headers.contains_key(header::AUTHORIZATION)));
        count
    };
    match (inside.lead)(path, count) {
        Some((status, location)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::LOCATION, location)], "{}").into_response()
        }
        None => axum::Json((inside.answer)(&inside, path)).into_response(),
    }
}
