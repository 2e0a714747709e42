//! A chat service that opens sockets to the gateway, in the hands of the test: it reads each frame,
//! and says what to answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use connector::http::{Secret, Secrets};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use super::{
    CONNECTOR_SECRET, Gateway, PATIENCE, Sandbox, WEBHOOK_SECRET, eventually, free_port, now, root,
    store_in,
};

/// Short pauses between attempts, so that a test need not wait for them.
const SHORT_PAUSES: &str =
    "[integration.delivery]\nretry_initial = \"20ms\"\nretry_max = \"200ms\"\n";

/// A gateway whose chat service opens sockets, and its sandbox.
pub(crate) struct SocketLoop {
    pub(crate) sandbox: Sandbox,
    pub(crate) gateway: Gateway,
    // Last, so that a test that fails can still show the logs in it.
    pub(crate) dir: TempDir,
}

impl SocketLoop {
    /// `connector` is added to `[integration.connector]`.
    pub(crate) async fn start(connector: &str) -> Self {
        let keep = std::env::var_os("TIDEGATE_KEEP").is_some();
        let dir = tempfile::Builder::new().disable_cleanup(keep).tempdir().expect("a folder");
        let port = free_port();
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        let webhook = format!("http://127.0.0.1:{port}/genesys/acme");
        let id = sandbox.create_integration(&webhook, WEBHOOK_SECRET).await;
        let config =
            Gateway::configure(dir.path(), port, &sandbox.url, &id, "http://x", SHORT_PAUSES);
        opens_sockets(&config, connector);
        let gateway = Gateway::start(&config, port).await;
        Self { sandbox, gateway, dir }
    }

    /// A new socket, after the gateway has said hello.
    pub(crate) async fn socket(&self) -> ServiceSocket {
        ServiceSocket::open(&self.gateway.url).await
    }

    /// The same with a small receive buffer: what the test does not read soon stops the gateway.
    pub(crate) async fn socket_with_small_buffer(&self) -> ServiceSocket {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("a small buffer");
        let address = self.gateway.url.trim_start_matches("http://").parse().expect("an address");
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.expect("it connects"));
        let request = request(&self.gateway.url, "acme", ServiceSocket::signature());
        let (stream, _) = client_async(request, stream).await.expect("the socket opens");
        let mut socket = ServiceSocket::over(stream);
        socket.hello = socket.next().await.expect("a frame");
        socket
    }

    /// The value of a metric of this gateway.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        self.gateway.metric(line).await.unwrap_or_default()
    }

    /// Waits until a metric has this value.
    pub(crate) async fn metric_becomes(&self, line: &str, value: u64) {
        eventually(&format!("{line} is {value}"), async || {
            (self.metric(line).await == value).then_some(())
        })
        .await;
    }

    /// The agent writes, as soon as there is a conversation. Returns the message's id once the
    /// gateway has it.
    pub(crate) async fn agent_writes(&self, customer: &str, text: &str) -> String {
        let send = async || self.sandbox.agent_sends(customer, text).await;
        let message = eventually("the agent has the conversation", send).await;
        eventually("the gateway took it", async || {
            (self.sandbox.details(&message).await["status"] != "queued").then_some(())
        })
        .await;
        message
    }

    /// The store's URL, for the audit.
    pub(crate) fn store(&self) -> String {
        store_in(self.dir.path())
    }
}

/// Changes a configuration of [`Gateway::configure`] to a chat service that opens sockets.
pub(crate) fn opens_sockets(config: &std::path::Path, connector: &str) {
    let text = std::fs::read_to_string(config).expect("the configuration");
    let lines = text.lines().filter(|line| !line.starts_with("url = \"http://x\""));
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.replace("type = \"http\"", &format!("type = \"websocket\"\n{connector}"));
    std::fs::write(config, text).expect("written");
}

/// The headers that sign a request for a socket.
pub(crate) type Signature = [(&'static str, String); 3];

/// How the gateway closed a socket.
#[derive(Debug, PartialEq)]
pub(crate) struct Closed {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// The chat service's end of one socket.
pub(crate) struct ServiceSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) hello: Value,
    /// Calls that came while an answer was awaited.
    calls: VecDeque<Value>,
    events: u32,
}

impl ServiceSocket {
    /// Opens a socket, and reads what the gateway says first.
    pub(crate) async fn open(gateway: &str) -> Self {
        let mut socket = Self::connect(gateway).await;
        socket.hello = socket.next().await.expect("a frame");
        assert_eq!(socket.hello["hello"]["version"], 1, "{}", socket.hello);
        socket
    }

    /// Opens a socket, whatever comes then.
    pub(crate) async fn connect(gateway: &str) -> Self {
        let (stream, _) = connect_async(request(gateway, "acme", Self::signature()))
            .await
            .unwrap_or_else(|error| panic!("the socket opens: {error}"));
        Self::over(stream)
    }

    fn over(stream: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { stream, hello: Value::Null, calls: VecDeque::new(), events: 0 }
    }

    /// Asks for a socket. Returns the HTTP status of the refusal, or 101.
    pub(crate) async fn ask(gateway: &str, integration: &str, secret: &str) -> u16 {
        Self::ask_with(gateway, integration, signature(secret)).await
    }

    /// The same with these headers.
    pub(crate) async fn ask_with(gateway: &str, integration: &str, headers: Signature) -> u16 {
        match connect_async(request(gateway, integration, headers)).await {
            Ok(_) => 101,
            Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
            Err(error) => panic!("an answer: {error}"),
        }
    }

    /// The headers that sign a request for a socket.
    pub(crate) fn signature() -> Signature {
        signature(CONNECTOR_SECRET)
    }

    /// The next text frame, or how the socket was closed. The code is 0 if it just broke.
    pub(crate) async fn next(&mut self) -> Result<Value, Closed> {
        let broken = || Closed { code: 0, reason: String::new() };
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text).expect("JSON");
                    described("fromGateway", &frame);
                    return Ok(frame);
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    let reason = frame.reason.to_string();
                    return Err(Closed { code: frame.code.into(), reason });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(broken()),
            }
        }
    }

    /// The next call of the gateway.
    pub(crate) async fn call(&mut self) -> Value {
        if let Some(call) = self.calls.pop_front() {
            return call;
        }
        let frame = self.next().await.expect("a call");
        assert!(frame["call"].is_string(), "a call: {frame}");
        frame
    }

    /// The next call of this kind; answers `open` on the way with a session, and `close` and
    /// `typing` with 202.
    pub(crate) async fn call_of(&mut self, kind: &str) -> Value {
        loop {
            let call = self.call().await;
            match call["call"].as_str().expect("a kind") {
                found if found == kind => return call,
                "open" => self.answer(&call, 200, json!({ "session": "s-1" })).await,
                "close" | "typing" => self.answer(&call, 202, Value::Null).await,
                other => panic!("{other} instead of {kind}"),
            }
        }
    }

    /// Answers a call.
    pub(crate) async fn answer(&mut self, call: &Value, status: u16, body: Value) {
        let frame = json!({ "id": call["id"], "status": status, "body": body });
        described("fromService", &frame);
        self.send(&frame).await;
    }

    /// Answers that a message has arrived.
    pub(crate) async fn delivered(&mut self, call: &Value) {
        let body = json!({ "status": "delivered", "message_id": call["idempotency_key"] });
        self.answer(call, 200, body).await;
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_raw(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("it can be written");
    }

    /// Sends events, and returns the answer.
    pub(crate) async fn events(&mut self, events: Value) -> Value {
        self.events += 1;
        let id = format!("frame-{}", self.events);
        let frame = json!({ "id": id, "events": events });
        described("fromService", &frame);
        self.send(&frame).await;
        self.reply(&json!(id)).await
    }

    /// The answer of the gateway to the frame with this id.
    pub(crate) async fn reply(&mut self, id: &Value) -> Value {
        loop {
            let frame = self.next().await.expect("an answer");
            if frame["call"].is_string() {
                self.calls.push_back(frame);
            } else {
                assert_eq!(frame["id"], *id, "{frame}");
                return frame;
            }
        }
    }

    /// A customer writes.
    pub(crate) async fn customer_writes(&mut self, customer: &str, text: &str) {
        let id = format!("{customer}-{text}");
        let event = json!({ "type": "message.created", "id": id, "text": text,
            "customer": { "id": customer } });
        let reply = self.events(json!([event])).await;
        assert_eq!((&reply["status"], &reply["body"]["accepted"]), (&json!(202), &json!(1)));
    }

    /// Reads one frame, and answers it if it is a ping. Returns whether it was one.
    pub(crate) async fn is_pinged(&mut self) -> bool {
        let frame = timeout(PATIENCE, self.stream.next()).await.expect("a frame in time");
        matches!(frame, Some(Ok(Message::Ping(_))))
    }

    /// Writes bytes past the WebSocket.
    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) {
        let MaybeTlsStream::Plain(stream) = self.stream.get_mut() else { panic!("no TLS here") };
        stream.write_all(bytes).await.expect("it can be written");
    }

    /// Sends a text frame again and again, and reads nothing, until the gateway breaks it off.
    /// Returns how many bytes it could send.
    pub(crate) async fn floods(mut self, text: String) -> usize {
        let length = u16::try_from(text.len()).expect("a short text");
        // A text, masked with zeros, whose length follows in two bytes.
        let mut frame = vec![0x81, 0xfe];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.into_bytes());
        let MaybeTlsStream::Plain(stream) = self.stream.get_mut() else { panic!("no TLS here") };
        let mut sent = 0;
        while stream.write_all(&frame).await.is_ok() {
            sent += frame.len();
        }
        sent
    }

    /// What the gateway has written and the test has not read, to the end of the connection.
    pub(crate) async fn unread_bytes(mut self) -> Vec<u8> {
        let MaybeTlsStream::Plain(stream) = self.stream.get_mut() else { panic!("no TLS here") };
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the gateway ends it");
        bytes
    }

    /// Breaks the connection off, without a word.
    pub(crate) fn breaks(self) {
        if let MaybeTlsStream::Plain(stream) = self.stream.get_ref() {
            // The peer gets a reset, as if the process had been killed.
            let _ = stream.set_zero_linger();
        }
    }

    /// Answers every call until the socket ends, and notes each message in `book`.
    pub(crate) fn works(mut self, book: &Arc<Mutex<Vec<Heard>>>) {
        let (book, socket) = (Arc::clone(book), self.hello["hello"]["node"].to_string());
        let local = self.stream.get_ref();
        let MaybeTlsStream::Plain(stream) = local else { panic!("no TLS here") };
        let socket = format!("{socket} {}", stream.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Some(Ok(message)) = self.stream.next().await {
                let Message::Text(text) = message else { continue };
                let call: Value = serde_json::from_str(&text).expect("JSON");
                let body = match call["call"].as_str() {
                    Some("open") => json!({ "session": "s-1" }),
                    Some("messages") => {
                        let text = |value: &Value| value.as_str().expect("a text").to_owned();
                        book.lock().expect("no test panicked").push(Heard {
                            socket: socket.clone(),
                            conversation: text(&call["conversation"]),
                            text: text(&call["body"]["text"]),
                        });
                        json!({ "status": "delivered", "message_id": call["idempotency_key"] })
                    }
                    _ => Value::Null,
                };
                let answer = json!({ "id": call["id"], "status": 200, "body": body });
                let _ = self.stream.send(Message::text(answer.to_string())).await;
            }
        });
    }
}

/// A message that came over a socket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) socket: String,
    pub(crate) conversation: String,
    pub(crate) text: String,
}

/// Panics unless `docs/socket.asyncapi.json` describes this frame.
fn described(schema: &str, frame: &Value) {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        let text = std::fs::read_to_string(root().join("docs/socket.asyncapi.json"));
        serde_json::from_str(&text.expect("the document")).expect("JSON")
    });
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("socket.json", document.clone()).expect("a document");
    let mut schemas = boon::Schemas::new();
    let at = format!("socket.json#/components/schemas/{schema}");
    let index = compiler.compile(&at, &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
    schemas.validate(frame, index).unwrap_or_else(|error| panic!("{frame}: {error:#}"));
}

/// A signed request for a socket.
fn request(gateway: &str, integration: &str, headers: Signature) -> Request {
    let url = format!("{}/connectors/{integration}/socket", gateway.replace("http", "ws"));
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    request
}

/// The headers of a request that has no body.
fn signature(secret: &str) -> Signature {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let at = now();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let id = format!("socket-{process}-{count}-{}", at.as_microsecond());
    let secret: Secret = secret.parse().expect("a secret");
    let signature = Secrets::from(secret).sign(&id, at, b"");
    let at = at.as_second().to_string();
    [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)]
}
