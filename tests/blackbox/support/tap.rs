//! A connection between two programs on which a test listens.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Heard = Arc<Mutex<Vec<u8>>>;

pub(crate) struct Tap {
    pub(crate) url: String,
    heard: Heard,
}

impl Tap {
    /// A tap in front of the listener at `url`, for as long as the test lasts.
    pub(crate) async fn to(url: &str) -> Self {
        let there = url.strip_prefix("http://").expect("an address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let heard = Heard::default();
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let Ok(called) = TcpStream::connect(&there).await else { continue };
                let ((from, to), (back, forth)) = (caller.into_split(), called.into_split());
                tokio::spawn(pass_on(from, forth, Arc::clone(&all)));
                tokio::spawn(pass_on(back, to, Arc::clone(&all)));
            }
        });
        Self { url: format!("http://{here}"), heard }
    }

    /// What followed `mark` each time, up to the end of the line or a quotation mark.
    pub(crate) fn after(&self, mark: &str) -> Vec<String> {
        let heard = self.heard.lock().expect("no test panicked");
        let heard = String::from_utf8_lossy(&heard);
        let word = |rest: &str| rest.split(['\r', '\n', '"']).next().unwrap_or_default().to_owned();
        let mut all: Vec<_> = heard.split(mark).skip(1).map(word).collect();
        all.sort();
        all.dedup();
        all
    }
}

async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, heard: Heard) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        heard.lock().expect("no test panicked").extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
