//! An integration whose Genesys cannot be reached, and webhooks for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use connector::http::{Inbound, Secret, Secrets};
use connector::{
    Capabilities, CheckError, Connector, ContentKinds, Forward, Open, Refusal, Typing,
};
use conversation::{
    AttemptOutcome, Clock, ConversationId, IntegrationName, MessageId, OpenOutcome, Policy, Reason,
    ReasonCode, Record, SendReceipts,
};
use gateway::{DetectEnd, GatewayCore, Integration, NoticeTexts, SystemClock};
use genesys::{
    Budget, BudgetConfig, CallError, Client, Credentials, Exchange, Hosts, MayLeave, Transport,
    signature,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::memory::{Database, Direct, MemoryStore};
use store::{Append, AppendPriority, Arrival, Direction, NewMessage, Store};
use tokio::time::Instant;
use tower::ServiceExt;

const SECRET: &str = "a-webhook-secret-of-these-tests";
const EVENTS_SECRET: &str = "whsec_c3RyYWlnaHQtc3RyYWlnaHQtc3RyYWlnaHQ=";

/// The part of a chat service that differs between these tests.
#[async_trait]
pub(crate) trait Service: Send + Sync + 'static {
    async fn open(&self, call: &Open) -> OpenOutcome;

    async fn forward(&self, message: &Forward) -> AttemptOutcome;

    async fn message_refused(&self, _: &Refusal) -> Result<(), String> {
        Ok(())
    }

    async fn typing(&self, _: &ConversationId) {}
}

/// The connector to the service.
struct Connected<S> {
    capabilities: Capabilities,
    service: Arc<S>,
}

#[async_trait]
impl<S: Service> Connector for Connected<S> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn open(&self, call: &Open) -> OpenOutcome {
        call.departure.leave().expect("it may leave");
        self.service.open(call).await
    }

    async fn forward(&self, message: &Forward) -> AttemptOutcome {
        message.departure.leave().expect("it may leave");
        self.service.forward(message).await
    }

    async fn message_refused(&self, refusal: &Refusal) -> Result<(), String> {
        refusal.departure.leave().expect("it may leave");
        self.service.message_refused(refusal).await
    }

    async fn typing(&self, conversation: &ConversationId, _: Typing) -> Result<(), String> {
        self.service.typing(conversation).await;
        Ok(())
    }

    async fn close(&self, _: &ConversationId, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn check(&self) -> Result<String, CheckError> {
        Ok("it is there".to_owned())
    }
}

/// The time of the test's runtime.
pub(crate) struct Simulated(Timestamp, Instant);

impl Simulated {
    pub(crate) fn from_now() -> Arc<Self> {
        Arc::new(Self(SystemClock.now(), Instant::now()))
    }
}

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        self.0.checked_add(self.1.elapsed()).expect("in range")
    }
}

/// The integration `acme` with this chat service.
pub(crate) fn acme(service: Arc<impl Service>) -> Integration {
    integration("acme", "b3f0", service)
}

/// An integration with this name, this id at Genesys, and this chat service.
pub(crate) fn integration(name: &str, genesys_id: &str, service: Arc<impl Service>) -> Integration {
    let host = url::Url::parse("https://genesys.invalid").expect("a URL");
    let hosts = Hosts { api: host.clone(), login: host };
    let client = Client::over(
        Arc::new(NoGenesys),
        hosts,
        Credentials { id: "id".into(), secret: "secret".into() },
    );
    let mut policy = Policy::default();
    // No receipts for successes, so that a conversation whose messages are delivered is idle.
    policy.receipts.send = SendReceipts::Failures;
    let secret: Secret = EVENTS_SECRET.parse().expect("a secret");
    Integration {
        name: IntegrationName::new(name),
        genesys_id: genesys_id.to_owned(),
        webhook_secrets: vec![SECRET.into()],
        budget: Budget::new(vec![client], BudgetConfig::default(), fastrand::Rng::with_seed(1)),
        policy,
        fallback: connector::Fallback::default(),
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Off,
        media: None,
        lost_file: gateway::LOST_FILE.to_owned(),
        connector: Arc::new(Connected { capabilities: capabilities(), service }),
        events: Arc::new(Inbound::new(
            Secrets::new(vec![secret]).expect("one secret"),
            Arc::new(SystemClock),
        )),
    }
}

/// What the chat services of these tests can do.
fn capabilities() -> Capabilities {
    Capabilities {
        reports_delivery: false,
        idempotent: true,
        typing: true,
        max_text: None,
        media: Vec::new(),
        content: ContentKinds::Any,
    }
}

/// An agent's message to a customer.
pub(crate) fn webhook(id: &str, customer: &str) -> Request<Body> {
    let text = json!({ "type": "Text", "text": id, "originatingEntity": "Human" });
    signed(id, customer, text)
}

/// The agent types to a customer.
pub(crate) fn agent_types(id: &str, customer: &str) -> Request<Body> {
    let typing = json!({ "eventType": "Typing", "typing": { "type": "On", "duration": 5_000 } });
    signed(id, customer, json!({ "type": "Event", "events": [typing] }))
}

fn signed(id: &str, customer: &str, mut body: Value) -> Request<Body> {
    body["id"] = id.into();
    body["direction"] = "Outbound".into();
    body["channel"] = json!({
        "id": "b3f0", "platform": "Open", "type": "Private", "messageId": id,
        "to": { "id": customer, "idType": "Opaque" }, "from": { "id": "b3f0", "idType": "Opaque" },
        "time": SystemClock.now().to_string(),
    });
    let body = body.to_string().into_bytes();
    let signed = signature::sign(&SECRET.into(), &body);
    let request =
        Request::post("/genesys/acme").header(signature::HEADER, signed).body(Body::from(body));
    request.expect("a request")
}

/// Events of the chat service of this integration.
pub(crate) fn events(integration: &str, events: &Value) -> Request<Body> {
    let (body, now) = (events.to_string().into_bytes(), SystemClock.now());
    let secret: Secret = EVENTS_SECRET.parse().expect("a secret");
    let request = Request::post(format!("/connectors/{integration}/events"))
        .header(connector::http::WEBHOOK_ID, "w")
        .header(connector::http::WEBHOOK_TIMESTAMP, now.as_second())
        .header(connector::http::WEBHOOK_SIGNATURE, secret.sign("w", now, &body))
        .body(Body::from(body));
    request.expect("a request")
}

/// The status and the body of the answer to a request.
pub(crate) async fn ask(inside: &GatewayCore, request: Request<Body>) -> (u16, String) {
    let answer = inside.router().oneshot(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// Keeps every record that is appended from now on.
pub(crate) fn journal_of(database: &Database) -> Arc<Mutex<Vec<Record>>> {
    let journal = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&journal);
    database.watch(Arc::new(move |_, _, _, records: &[Record]| {
        told.lock().expect("no test panicked").extend_from_slice(records);
    }));
    journal
}

/// Genesys has refused the messages `refused` of one customer, and the chat service has not been
/// told. The store has the rows of those in `kept`.
pub(crate) async fn are_refused(
    database: &Arc<Database>,
    clock: &dyn Clock,
    kept: &[&str],
    refused: &[&str],
) {
    let store = MemoryStore::alone(database, Arc::new(Direct));
    let (integration, now) = (IntegrationName::new("acme"), clock.now());
    let conversation = ConversationId::of(&integration, "noor");
    let mut records = Vec::new();
    for id in kept {
        let message = NewMessage {
            integration: integration.clone(),
            direction: Direction::Inbound,
            id: MessageId::new(*id),
            foreign_id: (*id).to_owned(),
            conversation: conversation.clone(),
            customer: r#"{"id":"noor"}"#.to_owned(),
            received: now,
            body: Vec::new().into(),
            input: None,
        };
        store.accept(Arrival::Message(message)).await.expect("taken");
    }
    for id in refused {
        let reason = Reason::new(ReasonCode::GeneralError, "Genesys does not take it");
        records.push(Record::RefusalDue { message: MessageId::new(*id), reason });
    }
    let append = Append {
        conversation,
        integration,
        after: 0,
        at: now,
        records,
        taken: Vec::new(),
        due: Some(now),
        watched: None,
        standing: None,
        snapshot: None,
        priority: AppendPriority::Normal,
    };
    store.append(append).await.expect("appended");
}

/// Waits until `is` holds, in simulated time.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within a simulated minute: {what}");
}

struct NoGenesys;

impl Transport for NoGenesys {
    fn exchange<'a>(&'a self, _: Request<Vec<u8>>, _: Duration, _: &'a MayLeave) -> Exchange<'a> {
        Box::pin(async { Err(CallError::NotSent { cause: "there is no Genesys here".into() }) })
    }
}
