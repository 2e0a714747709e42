//! An integration without a Genesys, and its webhooks.

use std::sync::Arc;
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
use gateway::{DetectEnd, Integration, NoticeTexts, SystemClock};
use genesys::{
    Budget, BudgetConfig, CallError, Client, Credentials, Exchange, Hosts, MayLeave, Transport,
    signature,
};
use jiff::Timestamp;
use serde_json::json;
use store::memory::{Database, Direct, MemoryStore};
use store::{Append, Arrival, Direction, NewMessage, Store};
use tokio::time::Instant;

const SECRET: &str = "a-webhook-secret-of-these-tests";

/// The part of a chat service that differs between these tests.
#[async_trait]
pub(crate) trait Service: Send + Sync + 'static {
    async fn open(&self, call: &Open) -> OpenOutcome;

    async fn forward(&self, message: &Forward) -> AttemptOutcome;

    async fn message_refused(&self, _: &Refusal) -> Result<(), String> {
        Ok(())
    }
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

    async fn typing(&self, _: &ConversationId, _: Typing) -> Result<(), String> {
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
    let secret: Secret = "whsec_c3RyYWlnaHQtc3RyYWlnaHQtc3RyYWlnaHQ=".parse().expect("a secret");
    Integration {
        name: IntegrationName::new("acme"),
        genesys_id: "b3f0".to_owned(),
        webhook_secrets: vec![SECRET.into()],
        budget: Budget::new(vec![client], BudgetConfig::default(), fastrand::Rng::with_seed(1)),
        policy,
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Off,
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
        typing: false,
        max_text: None,
        media: Vec::new(),
        content: ContentKinds::Any,
    }
}

/// An agent's message to a customer.
pub(crate) fn webhook(id: &str, customer: &str) -> Request<Body> {
    let body = json!({
        "id": id,
        "channel": {
            "id": "b3f0", "platform": "Open", "type": "Private", "messageId": id,
            "to": { "id": customer, "idType": "Opaque" }, "from": { "id": "b3f0", "idType": "Opaque" },
            "time": SystemClock.now().to_string(),
        },
        "type": "Text", "text": id, "originatingEntity": "Human", "direction": "Outbound",
    });
    let body = body.to_string().into_bytes();
    let signed = signature::sign(&SECRET.into(), &body);
    let request =
        Request::post("/genesys/acme").header(signature::HEADER, signed).body(Body::from(body));
    request.expect("a request")
}

/// Genesys has refused messages of a customer, and the chat service has not been told. The store
/// keeps some of them.
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
        snapshot: None,
        lazy: false,
    };
    store.append(append).await.expect("appended");
}

/// Simulated time goes on until it is so.
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
        Box::pin(async { Err(CallError::NotSent { cause: "there is no Genesys here".to_owned() }) })
    }
}
