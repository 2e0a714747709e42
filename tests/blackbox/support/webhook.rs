//! A middleware's webhook that answers as the test says, and does nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

pub(crate) struct Webhook {
    pub(crate) url: String,
    status: Arc<AtomicU16>,
}

impl Webhook {
    /// It answers 200 until it is told otherwise, and ends with the test.
    pub(crate) async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/webhook", listener.local_addr().expect("an address"));
        let answer = async |State(status): State<Arc<AtomicU16>>| {
            StatusCode::from_u16(status.load(Ordering::Relaxed)).expect("a status")
        };
        let router = Router::new().route("/webhook", post(answer)).with_state(status.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, status }
    }

    /// From now on it answers with this status.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}
