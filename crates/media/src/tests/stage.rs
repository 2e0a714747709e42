//! A server of files on this machine, and a store in a folder.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use conversation::{ConversationId, IntegrationName, MessageId};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use crate::fetch::{Lookup, SystemLookup};
use crate::{Allowed, Download, Key, Media, MediaSettings, Obtained, ReadError, Source, Way};

pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and more";
pub(super) const MAX_SIZE: u64 = 1 << 20;
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Lets a node fetch from this address.
pub(super) fn allow(address: SocketAddr) -> Vec<Allowed> {
    vec![address.to_string().parse().unwrap()]
}

/// A server of files, which counts requests.
#[derive(Clone)]
pub(super) struct FileServer {
    pub(super) address: SocketAddr,
    hits: Arc<AtomicUsize>,
}

impl FileServer {
    pub(super) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(super) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), hits: Arc::default() };
        let router =
            Router::new().route("/{*path}", get(answer)).with_state(Arc::clone(&server.hits));
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn answer(State(hits): State<Arc<AtomicUsize>>, Path(path): Path<String>) -> Response {
    let earlier = hits.fetch_add(1, Ordering::SeqCst);
    match path.split_once('/').unwrap_or((&path, "")) {
        ("program", _) => [b"\x7fELF".as_slice(), &[0; 60]].concat().into_response(),
        ("page", _) => "<!DOCTYPE html><html><body>Log in".into_response(),
        ("status", status) => {
            StatusCode::from_u16(status.parse().unwrap()).unwrap().into_response()
        }
        ("busy", times) if earlier < times.parse().unwrap() => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        ("png" | "busy", _) => PNG.into_response(),
        ("hangs", _) => std::future::pending().await,
        ("drips", size) => {
            let bytes = (0..size.parse::<usize>().unwrap()).map(|_| Chunk::Ok(CHUNK.slice(..1)));
            Body::from_stream(futures_util::stream::iter(bytes)).into_response()
        }
        ("to", target) => {
            (StatusCode::FOUND, [(header::LOCATION, format!("http://{target}"))]).into_response()
        }
        ("round", _) => (StatusCode::FOUND, [(header::LOCATION, "/round/")]).into_response(),
        ("sized", size) => {
            let chunks = (0..size.parse::<usize>().unwrap() >> 12).map(|_| Chunk::Ok(CHUNK));
            Body::from_stream(futures_util::stream::iter(chunks)).into_response()
        }
        // With its length, and without it.
        ("large", _) => vec![b'x'; 2 << 20].into_response(),
        ("endless", _) => {
            let chunks = futures_util::stream::repeat_with(|| Chunk::Ok(CHUNK));
            Body::from_stream(chunks).into_response()
        }
        ("breaks", _) => {
            let chunks = futures_util::stream::iter([
                Ok::<Bytes, _>(vec![0; 64 << 10].into()),
                Err(std::io::Error::other("broken")),
            ]);
            Body::from_stream(chunks).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

type Chunk = Result<Bytes, std::io::Error>;

const CHUNK: Bytes = Bytes::from_static(&[b'x'; 4_096]);

/// A store in a folder, and a server that it may fetch from.
pub(super) struct Stage {
    pub(super) server: FileServer,
    pub(super) folder: TempDir,
    pub(super) media: Media,
}

impl Stage {
    pub(super) async fn start() -> Self {
        let server = FileServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let media = node(&folder, allow(server.address));
        Self { server, folder, media }
    }

    /// Fetches a file of the server.
    pub(super) async fn obtain(&self, path: &str, stated: Option<&str>) -> Obtained {
        let index = self.server.hits();
        obtain(&self.media, &key(index), &self.server.url(path), stated).await
    }

    /// Every file below the folder, with its size.
    pub(super) fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let path = path.strip_prefix(self.folder.path()).unwrap();
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

pub(super) fn is_note(name: &str) -> bool {
    name.strip_suffix(".json").is_some()
}

pub(super) fn node(folder: &TempDir, allow: Vec<Allowed>) -> Media {
    with_lookup(folder, allow, &(Arc::new(SystemLookup) as Arc<dyn Lookup>))
}

pub(super) fn with_lookup(
    folder: &TempDir,
    allow: Vec<Allowed>,
    lookup: &Arc<dyn Lookup>,
) -> Media {
    let url = format!("file:{}", folder.path().join("media").display());
    Media::open_with(settings(url, allow), lookup).unwrap()
}

pub(super) fn settings(url: String, allow: Vec<Allowed>) -> MediaSettings {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    MediaSettings {
        url,
        base: "https://gateway.example.com".parse().unwrap(),
        link_life: Duration::from_hours(1),
        max_size: MAX_SIZE,
        fetch_timeout: Duration::from_secs(3),
        allow,
        aws: Vec::new(),
    }
}

pub(super) fn key(index: usize) -> Key {
    key_of("c01", now(), index)
}

pub(super) fn key_of(conversation: &str, received: Timestamp, index: usize) -> Key {
    let (name, message) = (IntegrationName::new("acme"), MessageId::new("9f0c"));
    let conversation = ConversationId::new(conversation);
    Key::new(&name, &conversation, Way::Outbound, &message, received, index)
}

pub(super) fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

pub(super) async fn obtain(media: &Media, key: &Key, url: &str, mime: Option<&str>) -> Obtained {
    media.obtain(key.clone(), source(url, mime), PATIENCE).await
}

pub(super) fn source(url: &str, mime: Option<&str>) -> Source {
    Source { url: url.to_owned(), mime: mime.map(str::to_owned), ..Source::default() }
}

/// What a caller gets who follows a link.
pub(super) async fn read(media: &Media, link: &Url, at: Timestamp) -> Result<Vec<u8>, ReadError> {
    let download = follow(media, link, at).await?;
    let chunks: Vec<Bytes> = download.bytes.try_collect().await.map_err(ReadError::Unavailable)?;
    Ok(chunks.concat())
}

/// The beginning of a download.
pub(super) async fn follow(
    media: &Media,
    link: &Url,
    at: Timestamp,
) -> Result<Download, ReadError> {
    let parts: Vec<_> = link.path_segments().unwrap().collect();
    let value = |name: &str| {
        let found = link.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (expires, signature) = (value("expires"), value("signature"));
    media.read(&parts[1..5].join("/"), &expires, &signature, at).await
}

/// A resolver whose answers are given beforehand, one for each question. The last one stays.
pub(super) struct Scripted {
    pub(super) answers: Vec<Vec<IpAddr>>,
    pub(super) asked: AtomicUsize,
}

#[async_trait::async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers[asked.min(self.answers.len() - 1)].clone())
    }
}

/// A listener that must not be dialled. It counts connections.
pub(super) async fn decoy(address: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (address, dialled) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&dialled);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, dialled)
}

/// The bytes of a download, as one stream: for tests that look at single chunks.
pub(super) async fn sizes(media: &Media, key: &Key) -> Vec<usize> {
    let bytes = media.inner.files.read(key).await.unwrap();
    bytes.map_ok(|bytes| bytes.len()).map(Result::unwrap).collect().await
}
