//! The least that a promise costs: verified, parsed, appended to a file, and answered once an `fdatasync` has returned that
//! many share. No index knows what was there, and nothing is done with it: no gateway can accept more on this machine.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use genesys::{WebhookMessage, signature};
use tokio::sync::{mpsc, oneshot};

use crate::webhook;

/// The most that one `fdatasync` is shared by.
const BATCH: usize = 512;

type Entry = (Bytes, oneshot::Sender<()>);

struct Floor {
    secrets: [genesys::Secret; 1],
    log: mpsc::Sender<Entry>,
}

pub(super) fn router() -> Router {
    let (log, entries) = mpsc::channel(4_096);
    let file = tempfile::tempfile_in(".").expect("a file");
    std::thread::spawn(move || write(file, entries));
    let floor = Floor { secrets: [webhook::SECRET.into()], log };
    Router::new().route("/genesys/{integration}", post(accept)).with_state(Arc::new(floor))
}

async fn accept(State(floor): State<Arc<Floor>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = headers.get(signature::HEADER).map(axum::http::HeaderValue::as_bytes);
    if signature::verify(&floor.secrets, header, &body).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    if WebhookMessage::read(&body).is_err() {
        return StatusCode::OK;
    }
    let (done, durable) = oneshot::channel();
    floor.log.send((body, done)).await.expect("the thread writes");
    durable.await.expect("the thread writes");
    StatusCode::OK
}

fn write(mut file: File, mut entries: mpsc::Receiver<Entry>) {
    let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), Vec::new());
    while entries.blocking_recv_many(&mut batch, BATCH) > 0 {
        bytes.clear();
        for (body, _) in &batch {
            bytes.extend_from_slice(body);
        }
        file.write_all(&bytes).expect("the disk has room");
        file.sync_data().expect("the disk is there");
        for (_, done) in batch.drain(..) {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}
