//! A message's deadline is kept whatever happens on the way to the chat service, and nothing leaves
//! after it.

use std::time::Duration;

use conversation::{ConversationId, Fate, IntegrationName, MessageId, Record};
use jiff::{SignedDuration, Timestamp};
use store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::{Gateway, Sandbox, audit, store_in, webhook};

/// How late a fate may be.
const IN_TIME: SignedDuration = SignedDuration::from_secs(1);

#[tokio::test]
async fn a_chat_service_that_never_answers_keeps_no_message_past_its_time() {
    for on_unknown in ["retry", "fail"] {
        let (stage, listener) = Stage::set(on_unknown).await;
        let silent = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                if request(&mut stream).await.contains("/open ") {
                    open(&mut stream).await;
                } else {
                    kept.push(stream);
                }
            }
        });
        let posted = Instant::now();
        stage.post("silent").await;
        let (late, reason) = stage.failed("silent", posted).await;
        assert!(late < IN_TIME, "{on_unknown}: its fate was decided {late:#} after its time");
        assert!(reason.contains("may have arrived"), "{on_unknown}: {reason}");
        silent.abort();
        stage.audited();
    }
}

/// The system accepts a connection only while the listener's queue has room; otherwise the first
/// packet is resent after 1 s and 3 s. Whether the gateway then sends anything on it shows once
/// there is room again.
#[tokio::test]
async fn a_connection_that_comes_about_after_a_messages_time_is_not_used() {
    let (stage, listener) = Stage::set("retry").await;
    let address = listener.local_addr().expect("an address");
    let first = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        assert!(request(&mut stream).await.contains("/open "));
        // Fills the queue before the session opens.
        let mut queue = Vec::new();
        while let Ok(connected) =
            timeout(Duration::from_millis(300), TcpStream::connect(address)).await
        {
            queue.push(connected.expect("a connection"));
        }
        open(&mut stream).await;
        (listener, queue)
    });
    let posted = Instant::now();
    stage.post("late").await;
    let (listener, queue) = first.await.expect("the session is opened");
    let (late, reason) = stage.failed("late", posted).await;
    assert!(late < IN_TIME, "its fate was decided {late:#} after its time");
    assert!(
        reason.contains("cannot be reached") && !reason.contains("may have arrived"),
        "{reason}"
    );
    drop(queue);
    // The gateway waits 5 s at most for a connection.
    let used = timeout(Duration::from_secs(5), async {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let request = request(&mut stream).await;
            if request.contains("/messages ") {
                return request;
            }
        }
    });
    assert!(used.await.is_err(), "the message left after it had failed");
    stage.audited();
}

/// Reads a request up to the end of its JSON body, or of the connection, whichever comes first.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        if stream.read_buf(&mut bytes).await.unwrap_or_default() == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn open(stream: &mut TcpStream) {
    let answer =
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 15\r\n\r\n{\"session\":\"s\"}";
    stream.write_all(answer).await.expect("it is written");
}

struct Stage {
    gateway: Gateway,
    sandbox: Sandbox,
    dir: TempDir,
}

impl Stage {
    /// A gateway whose messages have two seconds, although an attempt may take ten.
    async fn set(on_unknown: &str) -> (Self, TcpListener) {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(1).expect("it listens");
        let chat = format!("http://{}", listener.local_addr().expect("an address"));
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        sandbox.accept_unknown_receipts().await;
        let delivery = format!(
            "[integration.delivery]\ngive_up_after = \"2s\"\ntimeout = \"10s\"\non_unknown = \"{on_unknown}\"\n"
        );
        let gateway = Gateway::beside(&sandbox, dir.path(), &chat, &delivery).await;
        (Self { gateway, sandbox, dir }, listener)
    }

    fn store(&self) -> String {
        store_in(self.dir.path())
    }

    async fn post(&self, id: &str) {
        assert_eq!(
            self.gateway.webhook(webhook(id, "noor", "Hello?").to_string().as_bytes()).await,
            200
        );
    }

    /// Waits until the message has failed, and Genesys knows. Returns how late that was decided by
    /// the gateway's clock, and why. By this test's clock it may take a little longer.
    async fn failed(&self, id: &str, posted: Instant) -> (SignedDuration, String) {
        assert_eq!(self.sandbox.receipt(id).await.0, "Failed");
        let took = posted.elapsed();
        assert!(took < Duration::from_secs(4), "its 2 s were over after {took:?}");
        let store = SqliteStore::open_read_only(&self.store()).expect("the store");
        let noor = ConversationId::of(&IntegrationName::new("acme"), "noor");
        let dossier =
            store.dossier(&noor).await.expect("the store can be read").expect("it is there");
        store.close().await;
        let (id, mut accepted) = (MessageId::from_foreign(id), Timestamp::MAX);
        for row in dossier.journal {
            match row.record.expect("a record") {
                Record::Accepted { message, received, .. } if message == id => accepted = received,
                Record::Settled { message, fate: Fate::Failed { reason }, .. } if message == id => {
                    let took = row.at.duration_since(accepted);
                    return (took - SignedDuration::from_secs(2), reason.to_string());
                }
                _ => {}
            }
        }
        panic!("{id} did not fail");
    }

    fn audited(&self) {
        let (code, report) = audit(&self.store());
        assert_eq!(code, Some(0), "{report}");
    }
}
