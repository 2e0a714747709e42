//! Files of messages: fetched before their links die, and passed on under the gateway's own links.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{
    Gateway, Sandbox, WEBHOOK_SECRET, client, delivered, eventually, failed, free_port, tidegate,
    webhook,
};

mod away;
mod bucket;
mod large;
mod odd;

pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and more";
/// What no system but the chat service may learn.
const TOKEN: &str = "bot-token-7f3a";

/// A message with this in its text is not taken the first time.
const AGAIN: &str = "(again)";

/// A chat service that notes what it gets, and serves files.
struct Chat {
    url: String,
    inside: Arc<Inside>,
}

struct Inside {
    handshake: Duration,
    bodies: Mutex<Vec<Value>>,
    /// Whether files are served. Until then, requests for them wait, or are answered 503.
    serves: watch::Sender<bool>,
    is_away: AtomicBool,
    asked: watch::Sender<usize>,
}

impl Chat {
    async fn start(handshake: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let inside = Arc::new(Inside {
            handshake,
            bodies: Mutex::default(),
            serves: watch::Sender::new(true),
            is_away: AtomicBool::new(false),
            asked: watch::Sender::default(),
        });
        let router = Router::new()
            .route("/conversations/{id}/{call}", post(answer))
            .route("/files/{token}/{name}", get(file))
            .with_state(Arc::clone(&inside));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, inside }
    }

    /// A link to a file of this service, with its token.
    fn link(&self, name: &str) -> String {
        format!("{}/files/{TOKEN}/{name}", self.url)
    }

    /// The message with this id, once it has come.
    async fn message(&self, id: &str) -> Value {
        self.attempt(id, 0).await
    }

    /// The same for a later attempt to send it.
    async fn attempt(&self, id: &str, number: usize) -> Value {
        eventually("the chat service gets the message", async || {
            let bodies = self.inside.bodies.lock().expect("no test panicked");
            bodies.iter().filter(|body| body["id"] == id).nth(number).cloned()
        })
        .await
    }
}

async fn answer(
    State(inside): State<Arc<Inside>>,
    Path((_, call)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    if call == "open" {
        tokio::time::sleep(inside.handshake).await;
        return Json(json!({ "session": "a session" })).into_response();
    }
    if call == "messages" {
        let mut bodies = inside.bodies.lock().expect("no test panicked");
        let is_first = bodies.iter().all(|earlier| earlier["id"] != body["id"]);
        let is_refused = is_first && body["text"].as_str().is_some_and(|text| text.contains(AGAIN));
        bodies.push(body);
        if is_refused {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    Json(json!({ "status": "delivered", "message_id": "theirs" })).into_response()
}

async fn file(
    State(inside): State<Arc<Inside>>,
    Path((token, name)): Path<(String, String)>,
) -> Response {
    inside.asked.send_modify(|asked| *asked += 1);
    if inside.is_away.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let _ = inside.serves.subscribe().wait_for(|serves| *serves).await;
    match name.as_str() {
        _ if token != TOKEN => StatusCode::UNAUTHORIZED.into_response(),
        "drips.png" => Body::from_stream(large::drips()).into_response(),
        "a.png" => ([(header::CONTENT_TYPE, "image/png")], PNG).into_response(),
        "huge.png" => {
            let size = [(header::CONTENT_LENGTH, ((25 << 20) + 1).to_string())];
            (size, Body::from_stream(large::chunks())).into_response()
        }
        "large.png" => Body::from_stream(large::chunks()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The loop with a store for files.
struct Stage {
    sandbox: Sandbox,
    chat: Chat,
    gateway: Gateway,
    dir: TempDir,
}

impl Stage {
    async fn start(handshake: Duration) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = format!("file:{}", dir.path().join("media").display());
        Self::start_with(dir, handshake, &store, "", &[]).await
    }

    /// The same with a folder, and further lines of the configuration: of the integration's tables,
    /// and at the end of `[media]`.
    async fn configured(handshake: Duration, tables: &str, media: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = format!("file:{}\"\n{media}#\"", dir.path().join("media").display());
        Self::start_with(dir, handshake, &store, tables, &[]).await
    }

    async fn start_with(
        dir: TempDir,
        handshake: Duration,
        store: &str,
        tables: &str,
        env: &[(&str, &str)],
    ) -> Self {
        let (port, chat) = (free_port(), Chat::start(handshake).await);
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        let url = format!("http://127.0.0.1:{port}/genesys/acme");
        let id = sandbox.create_integration(&url, WEBHOOK_SECRET).await;
        let media = format!(
            "media = [\"*/*\"]\n{tables}\n[media]\nurl = \"{store}\"\nallow = [\"127.0.0.1\"]\n"
        );
        let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat.url, &media);
        let mut command = tidegate();
        command.envs(env.iter().copied());
        let gateway = Gateway::start_as(command, &config, port).await;
        Self { sandbox, chat, gateway, dir }
    }

    /// A customer writes, so that an agent gets the conversation.
    async fn customer_writes(&self, event: &Value) {
        let (status, answer) = self.gateway.events(event.to_string().as_bytes()).await;
        assert_eq!((status, &answer["accepted"]), (202, &json!(1)), "{answer}");
    }

    /// An agent's message with a text and attachments, through Genesys. Returns its id.
    async fn agent_sends(&self, text: Option<&str>, attachments: &[Value]) -> String {
        let content: Vec<_> = attachments
            .iter()
            .map(|file| json!({ "contentType": "Attachment", "attachment": file }))
            .collect();
        let mut body = json!({ "integration": "acme", "customer": "noor", "content": content });
        if let Some(text) = text {
            body["text"] = text.into();
        }
        eventually("the agent has the conversation", async || {
            let sent = self.sandbox.post("/sandbox/agent/send", &body).await;
            Some(sent["id"].as_str()?.to_owned())
        })
        .await
    }

    /// What Genesys got in its inbound messages.
    async fn inbound(&self, count: usize) -> Vec<Value> {
        eventually("Genesys gets the customer's messages", async || {
            let calls = self.sandbox.transcript().await;
            let is_message = |entry: &&Value| {
                entry["path"].as_str().is_some_and(|path| path.contains("/inbound/open/message"))
            };
            let found: Vec<_> =
                calls.iter().filter(is_message).map(|entry| entry["body"].clone()).collect();
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

fn said(id: &str, files: &[Value]) -> Value {
    let content: Vec<_> = files
        .iter()
        .map(|file| json!({ "contentType": "Attachment", "attachment": file }))
        .collect();
    json!({ "type": "message.created", "id": id, "text": format!("words of {id}"),
        "customer": { "id": "noor" }, "content": content })
}

/// An attachment with this URL.
fn picture(url: &str) -> Value {
    json!({ "mediaType": "Image", "mime": "image/png", "filename": "a.png", "url": url })
}

/// The webhook of an agent's message with attachments.
fn message_with(id: &str, text: &str, files: &[Value]) -> Vec<u8> {
    let mut body = webhook(id, "noor", text);
    let content: Vec<_> = files
        .iter()
        .map(|file| json!({ "contentType": "Attachment", "attachment": file }))
        .collect();
    body["content"] = content.into();
    body.to_string().into_bytes()
}

/// Follows a link, as a chat service or Genesys does.
async fn fetched(link: &str) -> (u16, reqwest::header::HeaderMap, Bytes) {
    let answer = client().get(link).send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.expect("a body"))
}

#[tokio::test]
async fn an_agents_file_outlives_its_link() {
    let all = Stage::start(Duration::from_secs(4)).await;
    let switched = all.sandbox.put("/sandbox/switches", &json!({ "media_life": "1s" })).await;
    let upload =
        all.sandbox.client.post(format!("{}/sandbox/media?filename=a.png", all.sandbox.url));
    let upload = upload.header("content-type", "image/png").body(PNG).send().await;
    let file: Value = upload.expect("an answer").json().await.expect("JSON");
    let link = file["url"].as_str().unwrap_or_else(|| panic!("{file} {switched}")).to_owned();
    all.customer_writes(&said("c-1", &[])).await;
    let message = all.agent_sends(Some("Your label."), &[file]).await;
    let got = all.chat.message(&message).await;
    assert!(fetched(&link).await.0 >= 400, "Genesys's link is dead by now");

    assert_eq!((&got["text"], got.get("unavailable")), (&json!("Your label."), None), "{got}");
    let attachment = &got["content"][0]["attachment"];
    let fields = (&attachment["mime"], &attachment["filename"], &attachment["mediaType"]);
    assert_eq!(fields, (&json!("image/png"), &json!("a.png"), &json!("Image")), "{got}");
    let ours = attachment["url"].as_str().expect("a link");
    assert!(ours.starts_with(&format!("{}/media/", all.gateway.url)), "{ours}");
    let (status, headers, bytes) = fetched(ours).await;
    assert_eq!((status, bytes.as_ref()), (200, PNG));
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "inline; filename=\"a.png\"; filename*=UTF-8''a.png"),
        ("cache-control", "private, no-store"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(headers.get(name).and_then(|value| value.to_str().ok()), Some(value), "{name}");
    }
    for (from, to) in [("expires=", "expires=9"), ("signature=", "signature=A"), ("/acme/", "/b/")]
    {
        let changed = ours.replacen(from, to, 1);
        assert_eq!(fetched(&changed).await.0, 404, "{changed}");
    }
    assert_eq!(fetched(ours.split_once('?').expect("a query").0).await.0, 404);
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
}

#[tokio::test]
async fn a_file_that_cannot_be_had_does_not_hold_up_the_words_beside_it() {
    let all = Stage::start(Duration::ZERO).await;
    all.customer_writes(&said("c-1", &[])).await;
    let file = |url: &str| json!({ "mediaType": "Image", "mime": "image/png", "filename": "a.png", "url": url });
    let (good, dead, inner) = (
        file(&all.chat.link("a.png")),
        file(&all.chat.link("gone.png")),
        file("http://169.254.169.254/latest/meta-data/"),
    );
    let message = all.agent_sends(Some("Look."), &[dead.clone(), good, inner.clone()]).await;
    let got = all.chat.message(&message).await;
    let line = "[File not available: a.png]";
    assert_eq!(got["text"], format!("Look.\n{line}\n{line}"));
    assert_eq!(got["content"].as_array().map(Vec::len), Some(1), "{got}");
    let lost: Vec<_> = got["unavailable"].as_array().expect("an array").iter().collect();
    let reasons: Vec<_> = lost.iter().map(|lost| &lost["reason"]["code"]).collect();
    assert_eq!(reasons, ["GeneralError", "MessageNotAllowed"], "{got}");
    assert!(lost.iter().all(|lost| lost["attachment"].get("url").is_none()), "{got}");
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());

    // Without words there is nothing to deliver.
    for (file, code) in [(dead, "GeneralError"), (inner, "MessageNotAllowed")] {
        let message = all.agent_sends(None, &[file]).await;
        assert_eq!(all.sandbox.final_receipt(&message).await, failed(code));
    }
}

#[tokio::test]
async fn genesys_gets_no_link_of_the_chat_service() {
    let all = Stage::start(Duration::ZERO).await;
    let file = |name: &str| {
        json!({ "mime": "image/png", "filename": name, "url": all.chat.link(name),
            "thumbnail": { "url": all.chat.link("small.png") } })
    };
    let mut first = said("c-1", &[file("a.png"), file("gone.png")]);
    first["customer"]["image"] = all.chat.link("face.png").into();
    all.customer_writes(&first).await;
    let mut alone = said("c-2", &[file("gone.png")]);
    alone.as_object_mut().expect("an event").remove("text");
    all.customer_writes(&alone).await;
    let got = all.inbound(2).await;
    let attachment = &got[0]["content"][0]["attachment"];
    let ours = attachment["url"].as_str().expect("a link");
    assert!(ours.starts_with(&format!("{}/media/", all.gateway.url)), "{ours}");
    let (status, _, bytes) = fetched(ours).await;
    assert_eq!((status, bytes.as_ref()), (200, PNG));
    let lost = "[File not available: gone.png] (the link answered 404)";
    assert_eq!(got[0]["text"], format!("words of c-1\n{lost}"));
    assert_eq!((&got[1]["text"], got[1].get("content")), (&json!(lost), None));
    let told = format!("{:?}", all.sandbox.transcript().await);
    assert!(!told.contains(TOKEN), "Genesys learns the token:\n{told}");
    assert!(!all.gateway.process.log().contains(TOKEN), "the log has the token");
}

#[tokio::test]
async fn a_crash_before_the_file_has_come_loses_neither() {
    let mut all = Stage::start(Duration::ZERO).await;
    all.chat.inside.serves.send_replace(false);
    let link = all.chat.link("a.png");
    let mut body = webhook("m-1", "noor", "Your label.");
    let file = json!({ "mediaType": "Image", "mime": "image/png", "url": link });
    body["content"] = json!([{ "contentType": "Attachment", "attachment": file }]);
    all.sandbox.accept_unknown_receipts().await;
    all.customer_writes(&said("c-1", &[])).await;
    assert_eq!(all.gateway.webhook(body.to_string().as_bytes()).await, 200, "before any fetch");
    let mut asked = all.chat.inside.asked.subscribe();
    asked.wait_for(|asked| *asked > 0).await.expect("the gateway fetches it");
    all.gateway.process.kill();
    all.chat.inside.serves.send_replace(true);
    all.gateway.restart().await;
    let got = all.chat.message("m-1").await;
    let ours = got["content"][0]["attachment"]["url"].as_str().expect("a link");
    assert_eq!(fetched(ours).await.2.as_ref(), PNG);
    assert_eq!(all.dir.path().join("media").read_dir().expect("a folder").count(), 2);
}
