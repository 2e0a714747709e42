//! A chat service that answers with anything except what it should.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversation::{ConversationId, IntegrationName};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{MARKER, Memory, unharmed};
use crate::support::{
    Gateway, Sandbox, WEBHOOK_SECRET, audit, free_port, settled, stored, webhook,
};

/// How a customer's chat service answers, by the customer's name, and the outcome of a message to
/// that customer.
const ANSWERS: [(&str, Result<(), &str>); 13] = [
    ("html", Err("answered 200 with a page")),
    ("hang", Err("did not answer within")),
    ("hang-in-head", Err("did not answer within")),
    ("cut-head", Err("the connection to the chat service broke")),
    ("endless-head", Err("the connection to the chat service broke")),
    ("garbage", Err("the connection to the chat service broke")),
    ("redirect", Err("answered 307")),
    // The status is a success, and the broken rest leaves the fate of the message open.
    ("cut-body", Err("broke off or is too long")),
    ("hang-in-body", Err("broke off or is too long")),
    ("endless-body", Err("broke off or is too long")),
    ("gzip-bomb", Err("broke off or is too long")),
    ("not-json", Err("no JSON object")),
    ("bare", Ok(())),
];

/// The first line belongs to the connector's table.
const SHORT_TIMES: &str = r#"timeout = "500ms"

[integration.hold]
for = "5s"

[integration.delivery]
timeout = "500ms"
give_up_after = "5s"
retry_max = "1s"

[integration.receipts]
delivered_on = "accepted"
"#;

const ENDLESS: usize = 100 << 20;

struct Rude {
    names: HashMap<ConversationId, String>,
    /// The target of a redirect, which must not be called.
    elsewhere: String,
    bomb: Vec<u8>,
    /// The head of every request.
    heads: Mutex<Vec<String>>,
}

impl Rude {
    /// Each connection makes one call.
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let rude = Arc::clone(&self);
            tokio::spawn(async move {
                // A rude service must expect that the gateway hangs up.
                let _ = rude.answer(stream).await;
            });
        }
    }

    async fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let mut path = head.split(' ').nth(1).unwrap_or_default().split('/').skip(2);
        let name = path
            .next()
            .and_then(|id| self.names.get(&ConversationId::new(id)))
            .cloned()
            .unwrap_or_default();
        let call = path.next().unwrap_or_default().to_owned();
        self.heads.lock().expect("no panic").push(head);
        match (call.as_str(), name.strip_prefix("open-")) {
            ("open", Some(how)) => self.misbehave(how, stream.get_mut()).await,
            ("open", None) => respond(stream.get_mut(), "", br#"{"session":"s"}"#).await,
            _ => self.misbehave(&name, stream.get_mut()).await,
        }
    }

    async fn misbehave(&self, how: &str, stream: &mut TcpStream) -> std::io::Result<()> {
        match how {
            "html" => {
                respond(stream, "content-type: text/html\r\n", b"<html>Back in a minute.</html>")
                    .await
            }
            "hang" => hang(stream).await,
            "hang-in-head" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-").await?;
                hang(stream).await
            }
            "hang-in-body" => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"status\":\"deli")
                    .await?;
                hang(stream).await
            }
            "cut-head" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-").await,
            "cut-body" => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"status\":\"deli")
                    .await
            }
            "endless-head" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                let line = format!("x-filler: {}\r\n", "x".repeat(1_000));
                for _ in 0..ENDLESS / line.len() {
                    stream.write_all(line.as_bytes()).await?;
                }
                Ok(())
            }
            "endless-body" => {
                stream
                    .write_all(
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {ENDLESS}\r\n\r\n").as_bytes(),
                    )
                    .await?;
                let chunk = vec![b' '; 64 << 10];
                for _ in 0..ENDLESS / chunk.len() {
                    stream.write_all(&chunk).await?;
                }
                Ok(())
            }
            "garbage" => stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe").await,
            "redirect" => {
                let head = format!(
                    "HTTP/1.1 307 Elsewhere\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
                    self.elsewhere
                );
                stream.write_all(head.as_bytes()).await
            }
            "gzip-bomb" => respond(stream, "content-encoding: gzip\r\n", &self.bomb).await,
            "bare" => respond(stream, "", b"").await,
            "not-json" => respond(stream, "", b"\xff\xfe{\"status\":").await,
            _ => respond(stream, "", br#"{"status":"delivered","message_id":"m"}"#).await,
        }
    }
}

async fn respond(stream: &mut TcpStream, header: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{header}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

/// Waits until the other side gives up.
async fn hang(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// 100 MiB of spaces as gzip: a hundred kilobytes.
fn bomb() -> Vec<u8> {
    let script =
        format!("import gzip, sys; sys.stdout.buffer.write(gzip.compress(b' ' * {ENDLESS}, 1))");
    let mut command = std::process::Command::new("python3");
    command.args(["-c", &script]);
    let output = crate::support::output(command);
    assert!(output.status.success(), "python3 makes a bomb");
    output.stdout
}

struct Stage {
    sandbox: Sandbox,
    gateway: Gateway,
    rude: Arc<Rude>,
    elsewhere: TcpListener,
    store: String,
    _dir: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
        let (listener, elsewhere) = (ours.await.expect("a port"), theirs.await.expect("a port"));
        let chat = format!("http://{}", listener.local_addr().expect("an address"));
        let acme = IntegrationName::new("acme");
        let names = ANSWERS.iter().flat_map(|(how, _)| [(*how).to_owned(), format!("open-{how}")]);
        let names = names.map(|name| (ConversationId::of(&acme, &name), name)).collect();
        let elsewhere_url =
            format!("http://{}/stolen", elsewhere.local_addr().expect("an address"));
        let rude = Rude { names, elsewhere: elsewhere_url, bomb: bomb(), heads: Mutex::default() };
        let rude = Arc::new(rude);
        tokio::spawn(Arc::clone(&rude).serve(listener));

        let port = free_port();
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        sandbox.accept_unknown_receipts().await;
        let webhook = format!("http://127.0.0.1:{port}/genesys/acme");
        let id = sandbox.create_integration(&webhook, WEBHOOK_SECRET).await;
        let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat, SHORT_TIMES);
        let gateway = Gateway::start(&config, port).await;
        let store = format!("sqlite:{}", dir.path().join("tidegate.db").display());
        Self { sandbox, gateway, rude, elsewhere, store, _dir: dir }
    }

    async fn post(&self, id: &str, customer: &str) {
        let body = webhook(id, customer, &format!("{MARKER} for {customer}")).to_string();
        assert_eq!(self.gateway.webhook(body.as_bytes()).await, 200, "{id}");
    }

    /// Checks that a customer with a healthy chat service is served while the others' are broken.
    async fn serves_others(&self, meanwhile: &str) {
        for index in 0..10 {
            let id = format!("well-{index}");
            self.post(&id, "well").await;
            assert_eq!(settled(&self.store, &id).await.state, "delivered");
        }
        let open = stored(&self.store, meanwhile).await.expect("it is stored");
        assert_eq!(open.state, "accepted", "no message waited for {meanwhile}");
    }

    async fn is_unharmed(&mut self, memory: &Memory) {
        unharmed(&mut self.gateway).await;
        memory.stayed_small(&self.gateway);
        let (code, report) = audit(&self.store);
        assert_eq!(code, Some(0), "{report}");
        let led = tokio::time::timeout(Duration::ZERO, self.elsewhere.accept()).await;
        assert!(led.is_err(), "no redirect is followed");
        let heads = self.rude.heads.lock().expect("no panic");
        let asks = heads.iter().any(|head| head.to_ascii_lowercase().contains("accept-encoding"));
        assert!(!asks, "the gateway asks for no compressed answers");
    }
}

#[tokio::test]
async fn whatever_a_chat_service_answers_a_message_comes_to_a_true_end() {
    let mut stage = Stage::set().await;
    stage.post("first", "well").await;
    settled(&stage.store, "first").await;
    let memory = Memory::of(&stage.gateway);
    for (how, _) in ANSWERS {
        stage.post(how, how).await;
        stage.post(&format!("behind-{how}"), how).await;
    }
    stage.serves_others("hang").await;
    for (how, end) in ANSWERS {
        for id in [how.to_owned(), format!("behind-{how}")] {
            let row = settled(&stage.store, &id).await;
            let reason = row.reason.unwrap_or_default();
            let status = stage.sandbox.receipt(&id).await;
            match end {
                Ok(()) => {
                    assert_eq!(row.state, "delivered", "{id}: {reason}");
                    assert_eq!(status, ("Delivered".to_owned(), None), "{id}");
                }
                Err(why) => {
                    assert_eq!(row.state, "failed", "{id}");
                    // A message that waited behind others may have had no attempt of its own, or
                    // one of a few milliseconds.
                    let late = [
                        "did not answer within",
                        "waited behind other messages",
                        "there was no connection within",
                        "its time was up before it could be sent",
                    ];
                    let waited = id != how && late.iter().any(|late| reason.contains(late));
                    assert!(
                        waited || (reason.contains(why) && reason.contains("ServerError")),
                        "{id}: {reason}"
                    );
                    assert_eq!(status.0, "Failed", "{id}");
                }
            }
            assert_eq!(stage.sandbox.receipts(&id).await.len(), 1, "{id}");
        }
    }
    stage.is_unharmed(&memory).await;
}

#[tokio::test]
async fn whatever_a_chat_service_answers_to_a_handshake_its_messages_expire_and_say_so() {
    let mut stage = Stage::set().await;
    stage.post("first", "well").await;
    settled(&stage.store, "first").await;
    let memory = Memory::of(&stage.gateway);
    for (how, _) in ANSWERS {
        stage.post(how, &format!("open-{how}")).await;
    }
    stage.serves_others("hang").await;
    for (how, _) in ANSWERS {
        let reason = settled(&stage.store, how).await.reason.unwrap_or_default();
        let receipt = stage.sandbox.receipt(how).await;
        assert_eq!(
            receipt,
            ("Failed".to_owned(), Some("MessageExpired".to_owned())),
            "{how}: {reason}"
        );
    }
    stage.is_unharmed(&memory).await;
}
