//! Callers who begin and never end.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::Gateway;

/// What callers begin with; after that, they send a byte at a time.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// Nothing at all comes.
    Idle,
    /// A request's head, starting with its first byte.
    Head,
    /// A body of unknown length.
    Chunks,
    /// A body with this announced length.
    Announced(usize),
}

pub(super) struct Callers {
    address: String,
    tasks: Vec<JoinHandle<()>>,
    came_back: Arc<AtomicUsize>,
}

/// Raises this process's limit of open files to the maximum, and returns it.
pub(crate) fn files() -> usize {
    let limit = |what: &str| {
        let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .expect("a line")
            .to_owned();
        let column = if what == "soft" { 3 } else { 4 };
        line.split_whitespace().nth(column).expect("a figure").parse().unwrap_or(1 << 20)
    };
    let most: usize = limit("hard");
    let mut raise = Command::new("prlimit");
    raise.args(["--pid", &std::process::id().to_string(), &format!("--nofile={most}:{most}")]);
    assert!(raise.status().expect("prlimit runs").success(), "what it may have it gets");
    limit("soft")
}

impl Callers {
    pub(super) fn of(gateway: &Gateway) -> Self {
        let address = gateway.url.strip_prefix("http://").expect("an address").to_owned();
        Self { address, tasks: Vec::new(), came_back: Arc::default() }
    }

    /// Adds `many` callers who call once, and stay as long as they can.
    pub(super) async fn come(&mut self, many: usize, way: Way) {
        for number in 0..many {
            let stream = begin(&self.address, way, number).await.expect("a connection");
            self.tasks.push(tokio::spawn(go_on(stream, way)));
        }
    }

    /// Adds `many` callers who call again whenever they are disconnected.
    pub(super) async fn stay(&mut self, many: usize, way: Way) {
        for number in 0..many {
            let (address, came_back) = (self.address.clone(), Arc::clone(&self.came_back));
            self.tasks.push(tokio::spawn(async move {
                loop {
                    if let Ok(stream) = begin(&address, way, number).await {
                        go_on(stream, way).await;
                    }
                    came_back.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        crate::support::eventually("some were sent away", async || {
            (self.came_back() > many / 4).then_some(())
        })
        .await;
    }

    /// How many of those who came once are still there.
    pub(super) fn open(&self) -> usize {
        self.tasks.iter().filter(|caller| !caller.is_finished()).count()
    }

    pub(super) fn came_back(&self) -> usize {
        self.came_back.load(Ordering::Relaxed)
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn begin(address: &str, way: Way, number: usize) -> std::io::Result<TcpStream> {
    let path = ["genesys/acme", "connectors/acme/events"][number % 2];
    let head = format!("POST /{path} HTTP/1.1\r\nhost: localhost\r\n");
    let mut stream = TcpStream::connect(address).await?;
    let first = match way {
        Way::Idle => String::new(),
        Way::Head => "POST /".to_owned(),
        Way::Chunks => format!("{head}transfer-encoding: chunked\r\n\r\n10000\r\n{{\"id\":\""),
        Way::Announced(length) => format!("{head}content-length: {length}\r\n\r\n{{\"id\":\""),
    };
    stream.write_all(first.as_bytes()).await?;
    Ok(stream)
}

/// Continues until the gateway ends the connection.
async fn go_on(mut stream: TcpStream, way: Way) {
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    let mut answer = [0; 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if !matches!(read, Ok(1..)) { return },
            _ = beat.tick(), if !matches!(way, Way::Idle) => if stream.write_all(b"x").await.is_err() { return },
        }
    }
}
