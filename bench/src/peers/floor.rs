//! The least that durability can cost: a webhook is verified, parsed, stored, and answered once a
//! shared `fdatasync` has returned. The file has no index. The table has SQLite's index of the ids,
//! which is the least that deduplicates. Neither does anything with what it stores.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use genesys::{WebhookMessage, signature};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

use crate::webhook;

/// The table's file.
pub(crate) const TABLE: &str = "table.db";
pub(crate) const CREATE: &str =
    "create table if not exists message (id text not null, customer text not null, body blob not null);
     create unique index if not exists message_id on message (id)";

/// A checkpoint of the log begins after this many rows.
const WORTH: usize = 600;
/// The most webhooks that share one `fdatasync`.
const BATCH: usize = 512;

#[derive(Debug)]
struct Entry {
    id: String,
    customer: String,
    body: Bytes,
    done: oneshot::Sender<()>,
}

struct Floor {
    secrets: [genesys::Secret; 1],
    entries: mpsc::Sender<Entry>,
}

/// Appends to a file.
pub(super) fn file() -> Router {
    let mut file = tempfile::tempfile_in(".").expect("a file");
    let mut bytes = Vec::new();
    router(move |batch| append(&mut file, &mut bytes, batch))
}

/// Inserts into a table, which may already exist. Like the gateway's store, it caches 16 MiB of
/// pages, and a thread checkpoints the log.
pub(super) fn table() -> Router {
    let open = || {
        let store = Connection::open(TABLE).expect("a database");
        let pragmas =
            "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0;
                       pragma cache_size = 4096";
        store.execute_batch(pragmas).expect("SQL");
        store
    };
    let (store, checkpoints) = (open(), open());
    store.execute_batch(CREATE).expect("SQL");
    let (committed, some) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        while some.recv().is_ok() {
            // The next checkpoint includes pages that are busy now.
            let _ = checkpoints.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
        }
    });
    let mut rows = 0;
    router(move |batch| {
        insert(&store, batch);
        rows += batch.len();
        if rows >= WORTH {
            rows = 0;
            let _ = committed.try_send(());
        }
    })
}

fn router(mut keep: impl FnMut(&[Entry]) + Send + 'static) -> Router {
    let (entries, mut queue) = mpsc::channel(4_096);
    std::thread::spawn(move || {
        let mut batch: Vec<Entry> = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            keep(&batch);
            for Entry { done, .. } in batch.drain(..) {
                // An error means that the caller has gone.
                let _ = done.send(());
            }
        }
    });
    let floor = Floor { secrets: [webhook::SECRET.into()], entries };
    Router::new().route("/genesys/{integration}", post(accept)).with_state(Arc::new(floor))
}

async fn accept(State(floor): State<Arc<Floor>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = headers.get(signature::HEADER).map(axum::http::HeaderValue::as_bytes);
    if signature::verify(&floor.secrets, header, &body).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(message) = WebhookMessage::read(&body) else { return StatusCode::OK };
    let customer = message.to().map(|to| to.id.clone()).unwrap_or_default();
    let (done, durable) = oneshot::channel();
    floor
        .entries
        .send(Entry { id: message.id, customer, body, done })
        .await
        .expect("the thread writes");
    durable.await.expect("the thread writes");
    StatusCode::OK
}

fn append(file: &mut File, bytes: &mut Vec<u8>, batch: &[Entry]) {
    bytes.clear();
    for entry in batch {
        bytes.extend_from_slice(&entry.body);
    }
    file.write_all(bytes).expect("the disk has room");
    file.sync_data().expect("the disk is there");
}

fn insert(store: &Connection, batch: &[Entry]) {
    let run = |sql| store.prepare_cached(sql).expect("SQL").execute([]).expect("the disk is there");
    run("begin immediate");
    for Entry { id, customer, body, .. } in batch {
        let sql =
            "insert into message (id, customer, body) values (?1, ?2, ?3) on conflict do nothing";
        let mut insert = store.prepare_cached(sql).expect("SQL");
        insert.execute(params![id, customer, &body[..]]).expect("the disk has room");
    }
    run("commit");
}
