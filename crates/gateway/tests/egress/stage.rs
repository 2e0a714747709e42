//! A gateway on an in-memory store, a chat service that accepts everything, and a Genesys that
//! answers by a script.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use connector::http::{Inbound, Secret, Secrets};
use connector::{
    Capabilities, CheckError, Connector, ContentKinds, Forward, MediaRange, Open, Refusal, Typing,
};
use conversation::{
    AttemptOutcome, Clock, ConversationId, IntegrationName, OpenOutcome, Policy, SessionId,
};
use gateway::{DetectEnd, GatewayCore, Integration, Limits, NoticeTexts};
use genesys::{
    Budget, BudgetConfig, CallError, Client, Credentials, Exchange, Hosts, MayLeave, Transport,
    signature,
};
use jiff::Timestamp;
use media::Media;
use serde_json::{Value, json};
use store::StoreError;
use store::memory::{Database, MemoryStore, SimulatedLink};
use tokio::time::Instant;
use tower::ServiceExt;

const WEBHOOK_SECRET: &str = "a-webhook-secret-of-these-tests";
const EVENTS_SECRET: &str = "whsec_ZWdyZXNzLWVncmVzcy1lZ3Jlc3MtZWdyZXNzLQ==";

/// Genesys's reaction to a call.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// It answers with this status and JSON.
    Json(u16, Value),
    /// It answers with this status and text.
    Text(u16, &'static str),
    /// It answers 429, with this number of seconds in `Retry-After`.
    Limited(u32),
    /// It never answers.
    Nothing,
    /// The connection breaks before the answer.
    Broken,
    /// The answer's body breaks off.
    Cut(u16),
}

/// A call, as a script sees it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `POST receipt`, `POST message`, `GET details`, `GET integration`, ...
    pub(crate) what: String,
    /// A customer's text.
    pub(crate) text: String,
    /// The whole body.
    pub(crate) body: Value,
    /// Whether it is about another integration than the stage's.
    pub(crate) elsewhere: bool,
}

type Script = Box<dyn FnMut(&Call) -> Said + Send>;

/// Genesys.
pub(crate) struct Genesys {
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
}

impl Genesys {
    /// From now on it answers by this script.
    pub(crate) fn answer(&self, script: impl FnMut(&Call) -> Said + Send + 'static) {
        *lock(&self.script) = Box::new(script);
    }

    /// The texts of the customers' messages that were posted, each once, in the order of their
    /// first post.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for call in
            lock(&self.calls).iter().filter(|call| call.what == "POST message" && !call.elsewhere)
        {
            if !texts.contains(&call.text) {
                texts.push(call.text.clone());
            }
        }
        texts
    }

    /// The bodies of the calls of this kind.
    pub(crate) fn bodies(&self, what: &str) -> Vec<Value> {
        let calls = lock(&self.calls);
        calls.iter().filter(|call| call.what == what).map(|call| call.body.clone()).collect()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        lock(&self.calls).iter().filter(|call| call.what == what).count()
    }
}

impl Transport for Genesys {
    fn exchange<'a>(
        &'a self,
        request: Request<Vec<u8>>,
        timeout: Duration,
        may_leave: &'a MayLeave,
    ) -> Exchange<'a> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            if path == "/oauth/token" {
                let token =
                    json!({ "access_token": "token", "token_type": "bearer", "expires_in": 3600 });
                return Ok(Response::new(Ok(token.to_string().into_bytes())));
            }
            let name = match path.rsplit('/').collect::<Vec<_>>().as_slice() {
                [_, "open", "integrations", ..] => "integration",
                [last @ ("message" | "receipt" | "event" | "response" | "details"), ..] => last,
                _ => "conversation",
            };
            may_leave.ask()?;
            let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            let text = body["text"].as_str().unwrap_or_default().to_owned();
            let elsewhere = path.contains("/inbound/open/") && !path.contains("/b3f0/");
            let what = format!("{} {name}", request.method());
            let call = Call { what, text, body, elsewhere };
            lock(&self.calls).push(call.clone());
            let said = (lock(&self.script))(&call);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = |status: u16, body: Result<Vec<u8>, String>| {
                let mut answer = Response::new(body);
                *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
                Ok(answer)
            };
            match said {
                Said::Json(status, body) => answer(status, Ok(body.to_string().into_bytes())),
                Said::Text(status, text) => answer(status, Ok(text.into())),
                Said::Limited(seconds) => {
                    let mut limited = answer(429, Ok(b"{}".to_vec()))?;
                    limited.headers_mut().insert("retry-after", seconds.into());
                    Ok(limited)
                }
                Said::Cut(status) => answer(status, Err("the connection broke".to_owned())),
                Said::Broken => Err(CallError::Unknown { cause: "the connection broke".into() }),
                Said::Nothing => {
                    tokio::time::sleep(timeout).await;
                    Err(CallError::Unknown { cause: "no answer in time".into() })
                }
            }
        })
    }
}

/// A connection to the store that takes a moment, and counts its requests.
#[derive(Default)]
struct Counted(AtomicU64);

#[async_trait]
impl SimulatedLink for Counted {
    async fn ask(&self, _: &'static str) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

/// All parts of a test.
pub(crate) struct Stage {
    pub(crate) genesys: Arc<Genesys>,
    pub(crate) database: Arc<Database>,
    /// The refused messages that the chat service was told about.
    pub(crate) refusals: Arc<Mutex<Vec<Refusal>>>,
    pub(crate) store: Arc<MemoryStore>,
    line: Arc<Counted>,
    clock: Arc<SimulatedClock>,
    router: Router,
    inside: GatewayCore,
}

impl Stage {
    pub(crate) fn new(policy: Policy) -> Self {
        let database = Database::new(None);
        let line = Arc::<Counted>::default();
        let store = MemoryStore::alone(&database, Arc::<Counted>::clone(&line));
        Self::over(&database, store, line, policy, |acme| acme)
    }

    /// A gateway that keeps files.
    pub(crate) fn with_files(policy: Policy, media: Media) -> Self {
        let database = Database::new(None);
        let line = Arc::<Counted>::default();
        let store = MemoryStore::alone(&database, Arc::<Counted>::clone(&line));
        let adapt = |acme| Integration { media: Some(media), ..acme };
        Self::over(&database, store, line, policy, adapt)
    }

    /// One of several nodes, with a Genesys that answers it by a script of its own.
    pub(crate) fn node(
        database: &Arc<Database>,
        name: &str,
        takeover: Duration,
        policy: Policy,
    ) -> Self {
        let line = Arc::<Counted>::default();
        let store = MemoryStore::shared(database, Arc::<Counted>::clone(&line), name, takeover);
        Self::over(database, store, line, policy, |acme| acme)
    }

    /// One of several nodes, which asks Genesys at this interval whether conversations have ended.
    pub(crate) fn polling_node(
        database: &Arc<Database>,
        name: &str,
        takeover: Duration,
        every: Duration,
    ) -> Self {
        let line = Arc::<Counted>::default();
        let store = MemoryStore::shared(database, Arc::<Counted>::clone(&line), name, takeover);
        let adapt = |acme| Integration { detect_end: DetectEnd::Poll { every }, ..acme };
        Self::over(database, store, line, Policy::default(), adapt)
    }

    fn over(
        database: &Arc<Database>,
        store: MemoryStore,
        line: Arc<Counted>,
        policy: Policy,
        adapt: impl FnOnce(Integration) -> Integration,
    ) -> Self {
        let genesys = Arc::new(Genesys {
            script: Mutex::new(Box::new(|_: &Call| Said::Json(202, json!({ "id": "x" })))),
            calls: Mutex::default(),
        });
        let clock = Arc::new(SimulatedClock(Instant::now()));
        let (store, refusals) = (Arc::new(store), Arc::default());
        let acme = adapt(integration(&genesys, &refusals, policy, &clock));
        let inside = GatewayCore::start(
            vec![Arc::new(acme)],
            Arc::<MemoryStore>::clone(&store),
            Arc::<SimulatedClock>::clone(&clock),
            Limits::default(),
        );
        let (database, router) = (Arc::clone(database), inside.router());
        Self { genesys, database, refusals, store, line, clock, router, inside }
    }

    /// Sends an agent's message by webhook.
    pub(crate) async fn webhook(&self, id: &str) {
        self.agent_writes(id, "Text", json!([])).await;
    }

    /// Sends an agent's message with content by webhook.
    pub(crate) async fn agent_writes(&self, id: &str, kind: &str, content: Value) {
        let body = json!({
            "id": id,
            "channel": {
                "id": "b3f0", "platform": "Open", "type": "Private", "messageId": id,
                "to": { "id": "noor", "idType": "Opaque" }, "from": { "id": "b3f0", "idType": "Opaque" },
                "time": self.clock.now().to_string(),
            },
            "type": kind, "text": id, "content": content,
            "originatingEntity": "Human", "direction": "Outbound",
        });
        let body = body.to_string().into_bytes();
        let signed = signature::sign(&WEBHOOK_SECRET.into(), &body);
        let request =
            Request::post("/genesys/acme").header(signature::HEADER, signed).body(Body::from(body));
        let answer =
            self.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// Sends a customer's message.
    pub(crate) async fn says(&self, customer: &str, id: &str) {
        self.says_text(customer, id, id).await;
    }

    /// Sends a customer's message with this text.
    pub(crate) async fn says_text(&self, customer: &str, id: &str, text: &str) {
        let customer = json!({ "id": customer });
        let event =
            json!({ "type": "message.created", "id": id, "customer": customer, "text": text });
        self.event(id, &event).await;
    }

    /// Sends a customer's message with a file at this URL beside its text.
    pub(crate) async fn sends_file(&self, customer: &str, id: &str, url: &str) {
        let attachment = json!({ "mediaType": "Image", "url": url, "filename": "a.png" });
        let event = json!({
            "type": "message.created", "id": id, "customer": { "id": customer }, "text": id,
            "content": [{ "contentType": "Attachment", "attachment": attachment }],
        });
        self.event(id, &event).await;
    }

    /// Sends the event that a customer types.
    pub(crate) async fn types(&self, customer: &str, id: &str) {
        let customer = json!({ "id": customer });
        let event = json!({ "type": "typing", "id": id, "customer": customer, "state": "on" });
        self.event(id, &event).await;
    }

    async fn event(&self, id: &str, body: &Value) {
        let body = body.to_string().into_bytes();
        let secret: Secret = EVENTS_SECRET.parse().expect("a secret");
        let now = self.clock.now();
        let request = Request::post("/connectors/acme/events")
            .header(connector::http::WEBHOOK_ID, id)
            .header(connector::http::WEBHOOK_TIMESTAMP, now.as_second())
            .header(connector::http::WEBHOOK_SIGNATURE, secret.sign(id, now, &body))
            .body(Body::from(body));
        let answer =
            self.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 202);
    }

    /// Waits until `is` holds, in simulated time.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..600_000 {
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not within simulated hours: {what}; Genesys got {:?}", lock(&self.genesys.calls));
    }

    /// Waits until the store's inbox and outbox are empty.
    pub(crate) async fn until_done(&self) {
        self.until("everything is done", |stage| stage.database.is_done()).await;
    }

    /// The lines of the metrics that begin with this name.
    pub(crate) async fn metrics(&self, name: &str) -> Vec<String> {
        let request = Request::get("/metrics").body(Body::empty()).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    /// How many requests the store has got so far.
    pub(crate) fn requests(&self) -> u64 {
        self.line.0.load(Ordering::Relaxed)
    }

    pub(crate) async fn shutdown(self) {
        self.inside.shutdown().await;
    }
}

fn integration(
    genesys: &Arc<Genesys>,
    refusals: &Arc<Mutex<Vec<Refusal>>>,
    policy: Policy,
    clock: &Arc<SimulatedClock>,
) -> Integration {
    let host = url::Url::parse("https://genesys.invalid").expect("a URL");
    let hosts = Hosts { api: host.clone(), login: host };
    let transport = Arc::<Genesys>::clone(genesys);
    let client =
        Client::over(transport, hosts, Credentials { id: "id".into(), secret: "secret".into() });
    let secret: Secret = EVENTS_SECRET.parse().expect("a secret");
    Integration {
        name: IntegrationName::new("acme"),
        genesys_id: "b3f0".to_owned(),
        webhook_secrets: vec![WEBHOOK_SECRET.into()],
        budget: Budget::new(vec![client], BudgetConfig::default(), fastrand::Rng::with_seed(1)),
        policy,
        fallback: connector::Fallback::default(),
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Off,
        media: None,
        lost_file: gateway::LOST_FILE.to_owned(),
        connector: Arc::new(Chat {
            capabilities: capabilities(),
            refusals: Arc::clone(refusals),
            fails: AtomicBool::new(true),
        }),
        events: Arc::new(Inbound::new(
            Secrets::new(vec![secret]).expect("one secret"),
            Arc::<SimulatedClock>::clone(clock),
        )),
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        reports_delivery: false,
        idempotent: true,
        typing: false,
        max_text: None,
        media: vec![MediaRange::any()],
        content: ContentKinds::default(),
    }
}

/// The time of the test's runtime.
struct SimulatedClock(Instant);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let began = Timestamp::from_second(1_795_165_200).expect("in range");
        began.checked_add(self.0.elapsed()).expect("in range")
    }
}

/// A chat service that accepts everything at once. The first report of a refused message fails.
struct Chat {
    capabilities: Capabilities,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    fails: AtomicBool,
}

#[async_trait]
impl Connector for Chat {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, _: &Open) -> OpenOutcome {
        OpenOutcome::Opened(SessionId::new("session"))
    }

    async fn forward(&self, _: &Forward) -> AttemptOutcome {
        AttemptOutcome::Delivered { service_id: None }
    }

    async fn typing(&self, _: &ConversationId, _: Typing) -> Result<(), String> {
        Ok(())
    }

    async fn close(&self, _: &ConversationId, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err("not now".to_owned());
        }
        lock(&self.refusals).push(refusal.clone());
        Ok(())
    }

    async fn check(&self) -> Result<String, CheckError> {
        Ok("it is there".to_owned())
    }
}

pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
