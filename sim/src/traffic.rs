//! The agents and customers: their webhooks, as Genesys delivers them, and their events, as a chat
//! service does.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use conversation::{MessageId, Written};
use genesys::signature;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::world::World;

/// The secret that signs the webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "a-secret-of-the-simulation";
/// The secret that signs the chat service's events.
pub(crate) const EVENTS_SECRET: &str = "whsec_c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24=";

/// How long Genesys tries to deliver a webhook.
const GENESYS_TRIES: Duration = Duration::from_secs(85);

/// How many options an agent's message offers, if it offers any.
const OPTIONS: u8 = 3;

/// All agents and customers write until all messages are sent.
pub(crate) async fn run(world: &Arc<World>) {
    let mut people = JoinSet::new();
    let customers = world.plan.customers;
    for number in 0..customers {
        let share =
            world.plan.messages / customers + usize::from(number < world.plan.messages % customers);
        let said = share / 5;
        people.spawn(agent(Arc::clone(world), number, share - said));
        people.spawn(talkative(Arc::clone(world), number, said));
    }
    while people.join_next().await.is_some() {}
}

/// The agent of one customer.
async fn agent(world: Arc<World>, number: usize, messages: usize) {
    let mut webhooks = JoinSet::new();
    for count in 0..messages {
        let pause = if world.dice(0.3) { 50 } else { 3_000 };
        tokio::time::sleep(world.between(1, pause)).await;
        let id = format!("{number}-wrote-{count}");
        let written = if world.dice(0.02) { Written::NoTime } else { Written::At(world.now()) };
        world.writes(&id, written);
        let mut body = webhook(&world, number, &id, written);
        if world.dice(0.2) {
            body["type"] = "Structured".into();
            body["content"] = (1..=OPTIONS).map(|option| quick_reply(&id, option)).collect();
        }
        if world.dice(0.02) && !world.plan.faults.poisoned {
            body["type"] = "Unheard".into();
        }
        let bytes = body.to_string().into_bytes();
        webhooks.spawn(deliver(Arc::clone(&world), id.clone(), bytes.clone(), Duration::ZERO));
        if world.fault(world.plan.faults.duplicate) {
            let pause = world.between(0, 60_000);
            webhooks.spawn(deliver(Arc::clone(&world), id, bytes, pause));
        }
        if world.plan.poll.is_some() && world.dice(0.01) {
            world.tell(format_args!(
                "genesys   the agent ends the conversation with customer {number}"
            ));
            world.genesys().end(number);
        }
    }
    while webhooks.join_next().await.is_some() {}
}

fn webhook(world: &World, number: usize, id: &str, written: Written) -> Value {
    let time = match written {
        Written::At(time) => time.to_string(),
        Written::NoTime => "a moment ago".to_owned(),
    };
    json!({
        "id": id,
        "channel": {
            "id": "integration", "platform": "Open", "type": "Private", "messageId": id,
            "to": { "id": world.names[number], "idType": "Opaque" },
            "from": { "id": "integration", "idType": "Opaque" },
            "time": time,
        },
        "type": "Text", "text": format!("these are the words of {id}"),
        "originatingEntity": "Human", "direction": "Outbound",
        "conversationId": world.genesys().conversation(number),
    })
}

fn quick_reply(id: &str, option: u8) -> Value {
    let payload = format!("{id}/{option}");
    json!({ "contentType": "QuickReply",
        "quickReply": { "text": format!("Option {option}"), "payload": payload } })
}

/// Delivers a webhook as Genesys does: until a 2xx comes, or it gives up. A 4xx would be final, and
/// is a breach.
async fn deliver(world: Arc<World>, id: String, body: Vec<u8>, pause: Duration) {
    tokio::time::sleep(pause).await;
    if world.fault(world.plan.faults.late) {
        tokio::time::sleep(world.between(100, 8_000)).await;
    }
    let begun = world.passed();
    while world.since(begun) < GENESYS_TRIES {
        let signed = signature::sign(&WEBHOOK_SECRET.into(), &body);
        let request = Request::post("/genesys/acme")
            .header(signature::HEADER, signed)
            .body(Body::from(body.clone()));
        let to = world.below(world.plan.nodes);
        world.sends(&id);
        let status = post(&world, to, request.expect("a request")).await;
        world.tell(format_args!("webhook   {id} to place {to}: {status:?}"));
        match status {
            Some(status) if status.is_success() => {
                world.promises(&id);
                return;
            }
            Some(status) if status.is_client_error() => {
                world.breach(format!("I1: the webhook of {id} is refused with {status}"));
                return;
            }
            _ => tokio::time::sleep(world.between(200, 5_000)).await,
        }
    }
}

/// A customer who waits until the gateway has each message before they send the next.
async fn talkative(world: Arc<World>, number: usize, messages: usize) {
    for count in 0..messages {
        tokio::time::sleep(world.between(1, 8_000)).await;
        let id = format!("{number}-said-{count}");
        let mut text = format!("these are the words of {id}");
        if world.dice(0.4) {
            let option = u8::try_from(world.between(1, OPTIONS.into()).as_millis()).expect("small");
            world.ledger().typed.insert(MessageId::new(&id), option);
            text = option.to_string();
        }
        let body = json!({
            "type": "message.created", "id": id, "customer": { "id": world.names[number] },
            "text": text, "time": world.now().to_string(),
        });
        if world.fault(world.plan.faults.duplicate) {
            let pause = world.between(0, 60_000);
            // The event comes again, but never before it came for the first time, which would
            // change the order.
            let (again, body) = (Arc::clone(&world), body.clone());
            tell(Arc::clone(&world), id.clone(), body.clone(), Duration::ZERO).await;
            tokio::spawn(tell(again, id, body, pause));
        } else {
            tell(Arc::clone(&world), id, body, Duration::ZERO).await;
        }
    }
}

/// Posts an event until the gateway has it.
pub(crate) async fn tell(world: Arc<World>, id: String, body: Value, pause: Duration) {
    tokio::time::sleep(pause).await;
    let secret: connector::http::Secret = EVENTS_SECRET.parse().expect("a secret");
    let bytes = body.to_string().into_bytes();
    loop {
        tokio::time::sleep(world.between(1, 20)).await;
        let now = world.now();
        let request = Request::post("/connectors/acme/events")
            .header(connector::http::WEBHOOK_ID, &id)
            .header(connector::http::WEBHOOK_TIMESTAMP, now.as_second())
            .header(connector::http::WEBHOOK_SIGNATURE, secret.sign(&id, now, &bytes))
            .body(Body::from(bytes.clone()));
        let to = world.below(world.plan.nodes);
        let status = post(&world, to, request.expect("a request")).await;
        world.tell(format_args!("event     {id} ({}) to place {to}: {status:?}", body["type"]));
        match status {
            Some(StatusCode::ACCEPTED) => return world.accepts_words(&id),
            Some(status) if status.is_client_error() => {
                return world.breach(format!("the event {id} is refused with {status}: {body}"));
            }
            _ => tokio::time::sleep(world.between(200, 3_000)).await,
        }
    }
}

/// Sends a request to a node. `None` if there is no answer or no live process.
async fn post(world: &World, number: usize, request: Request<Body>) -> Option<StatusCode> {
    let (gate, router) = world.nodes().get(number)?.door()?;
    let answered = async {
        gate.pass().await;
        let answer = router.oneshot(request).await.ok()?;
        gate.pass().await;
        Some(answer.status())
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.ok().flatten()
}
