//! A running sandbox with an integration, and a webhook that answers as the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::{Method, Response};
use sandbox::{Running, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "local-test-secret-0123456789";
pub(crate) const CUSTOMER: &str = "cust-48213@chat.example.net";
pub(crate) const MESSAGES: &str = "/api/v2/conversations/messages";
pub(crate) const INTEGRATIONS: &str = "/api/v2/conversations/messaging/integrations/open";

/// A sandbox, a token, an integration, and its webhook.
pub(crate) struct Bench {
    pub(crate) running: Running,
    pub(crate) client: reqwest::Client,
    pub(crate) token: String,
    pub(crate) integration: String,
    pub(crate) hook: Hook,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(SandboxConfig::default()).await
    }

    pub(crate) async fn with(config: SandboxConfig) -> Self {
        let running = Sandbox::start(config).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let hook = Hook::start().await;
        let mut bench =
            Self { running, client, token: String::new(), integration: String::new(), hook };
        bench.token = bench.new_token().await;
        let request = json!({
            "name": "Harbour Chat",
            "outboundNotificationWebhookUrl": bench.hook.url,
            "outboundNotificationWebhookSignatureSecretToken": SECRET,
            "webhookHeaders": {"X-Bridge-Tenant": "harbour"},
        });
        let made = bench.post(INTEGRATIONS, &request).await.json();
        made["id"].as_str().unwrap().clone_into(&mut bench.integration);
        bench
    }

    pub(crate) async fn new_token(&self) -> String {
        let request = self.client.post(format!("{}/oauth/token", self.running.url()));
        let request = request.basic_auth("sandbox-client", Some("sandbox-secret"));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        assert_valid("oauth-token-response", &answer);
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.running.url()))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    /// The path of the agent's calls in a conversation.
    pub(crate) async fn communication(&self, conversation: &str) -> String {
        let shown = self.conversation(conversation).await;
        let participants = shown["participants"].as_array().unwrap();
        let agent = participants.iter().rfind(|each| each["purpose"] == "agent").unwrap();
        format!("{MESSAGES}/{conversation}/communications/{}", agent["id"].as_str().unwrap())
    }

    /// The path of one of the integration's inbound calls.
    pub(crate) fn inbound(&self, what: &str) -> String {
        format!("{MESSAGES}/{}/inbound/open/{what}", self.integration)
    }

    /// The customer writes; returns the conversation's id.
    pub(crate) async fn customer_writes(&self, customer: &str) -> String {
        let body = json!({
            "channel": {
                "from": {"id": customer, "idType": "Opaque", "nickname": "Noor"},
                "time": "2026-11-20T09:10:59.120Z",
            },
            "text": "Where is my parcel?",
        });
        let path = self.inbound("message?prefetchConversationId=true");
        let answer = self.post(&path, &body).await.json();
        answer["conversationId"].as_str().unwrap().to_owned()
    }

    /// The agent answers; returns the message's id.
    pub(crate) async fn agent_writes(&self, customer: &str, text: &str) -> String {
        let answer = self
            .post("/sandbox/agent/send", &json!({"customer": customer, "text": text}))
            .await
            .json();
        answer["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn receipt(&self, message: &str, status: &str, is_final: bool) -> Answer {
        let mut body = receipt(message, CUSTOMER, status, is_final);
        if status == "Failed" {
            body["reasons"] =
                json!([{"code": "MessageExpired", "message": "The chat was not ready in time."}]);
        }
        self.post(&self.inbound("receipt"), &body).await
    }

    pub(crate) async fn details(&self, message: &str) -> Value {
        let answer = self.get(&format!("{MESSAGES}/{message}/details")).await.json();
        assert_valid("message-details", &answer);
        answer
    }

    pub(crate) async fn conversation(&self, id: &str) -> Value {
        let answer = self.get(&format!("{MESSAGES}/{id}")).await.json();
        assert_valid("message-conversation", &answer);
        answer
    }

    pub(crate) async fn verdict(&self) -> Value {
        self.get("/sandbox/verdict").await.json()
    }

    /// The status that the message has once it is no longer queued.
    pub(crate) async fn settled(&self, message: &str) -> String {
        eventually("the webhook's end", async || {
            let status = self.running.handle.message(message).unwrap()["status"]
                .as_str()
                .unwrap()
                .to_owned();
            (status != "queued").then_some(status)
        })
        .await
    }
}

pub(crate) fn receipt(message: &str, customer: &str, status: &str, is_final: bool) -> Value {
    json!({
        "id": message,
        "channel": {"to": {"id": customer, "idType": "Opaque"}, "time": "2026-11-20T09:14:04.900Z"},
        "status": status,
        "isFinalReceipt": is_final,
    })
}

/// An answer; if it is an error, its body has been checked.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let api = response.url().path().starts_with("/api");
        let answer = Self { status, headers, body: response.bytes().await.unwrap() };
        if api && status >= 400 {
            let body = answer.value();
            assert_valid("error-body", &body);
            assert_eq!(body["status"], status);
            assert_eq!(body["contextId"], answer.headers["inin-correlation-id"].to_str().unwrap());
        }
        answer
    }

    /// The body of a success.
    pub(crate) fn json(self) -> Value {
        assert!(self.status < 300, "{} {:?}", self.status, self.body);
        self.value()
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> u64 {
        self.headers[name].to_str().unwrap().parse().unwrap()
    }
}

/// A call that a webhook received.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        self.json()["text"].as_str().unwrap_or_default().to_owned()
    }
}

/// How a webhook answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    Status(u16),
    Hang,
}

#[derive(Default)]
struct Heard {
    calls: Vec<Call>,
    moods: VecDeque<Mood>,
    later: Option<Mood>,
}

/// A webhook that remembers its calls.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) url: String,
    heard: Arc<Mutex<Heard>>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/genesys/outbound", listener.local_addr().unwrap());
        let router = Router::new().route("/genesys/outbound", post(hear)).with_state(heard.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, heard }
    }

    /// Answers the next calls with `moods`, and those after them with 200.
    pub(crate) fn answers(&self, moods: impl IntoIterator<Item = Mood>) {
        self.heard.lock().unwrap().moods = moods.into_iter().collect();
    }

    /// Answers every call with `mood`.
    pub(crate) fn always(&self, mood: Mood) {
        self.heard.lock().unwrap().later = Some(mood);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.heard.lock().unwrap().calls.clone()
    }

    /// The first `count` calls, once they have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Call> {
        let enough = || self.heard.lock().unwrap().calls.len() >= count;
        eventually("webhook calls", async || enough().then(|| self.calls())).await
    }
}

async fn hear(
    State(heard): State<Arc<Mutex<Heard>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mood = {
        let mut heard = heard.lock().unwrap();
        heard.calls.push(Call { headers, body });
        heard.moods.pop_front().or(heard.later).unwrap_or(Mood::Status(200))
    };
    match mood {
        Mood::Status(status) => StatusCode::from_u16(status).unwrap(),
        Mood::Hang => std::future::pending().await,
    }
}

/// Polls until `poll` returns something, for at most a minute.
pub(crate) async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = poll().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), found)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) fn assert_valid(schema: &str, body: &Value) {
    let found = genesys::schema::ALL.iter().find(|each| each.name == schema).unwrap();
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.enable_format_assertions();
    compiler.add_resource("schema:tested", serde_json::from_str(found.json).unwrap()).unwrap();
    let index = compiler.compile("schema:tested", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(body, index) {
        panic!("{schema}: {error} in {body}");
    }
}

/// An example of the reference.
pub(crate) fn example(name: &str) -> Value {
    let path = format!("{}/../genesys/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
