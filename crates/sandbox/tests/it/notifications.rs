//! Notification channels: topics, frames, heartbeats, the ends of sockets, and frames that get
//! lost.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sandbox::SandboxConfig;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::support::{Bench, CUSTOMER, MESSAGES, assert_valid, eventually};

const CHANNELS: &str = "/api/v2/notifications/channels";
const AGENT: &str = "44444444-aaaa-4bbb-8ccc-000000000007";
const QUEUE: &str = "33333333-aaaa-4bbb-8ccc-000000000009";

/// A channel of a client, and the socket that listens to it.
struct Ear {
    id: String,
    uri: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Ear {
    async fn on(bench: &Bench, topics: &[String]) -> Self {
        let (id, uri) = channel(bench).await;
        let wanted: Vec<Value> = topics.iter().map(|topic| json!({"id": topic})).collect();
        let answer =
            bench.put(&format!("{CHANNELS}/{id}/subscriptions"), &json!(wanted)).await.json();
        assert!(
            answer["entities"].as_array().unwrap().iter().all(|each| each["state"] == "Permitted"),
            "{answer}"
        );
        let socket = connect_async(&uri).await.unwrap().0;
        Self { id, uri, socket }
    }

    /// The next frame; `None` once the socket has ended.
    async fn hears(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next())
            .await
            .expect("something comes");
        let Some(Ok(Message::Text(text))) = next else { return None };
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_valid("notification-envelope", &frame);
        Some(frame)
    }

    /// The next frame's topic and body, which must conform to the schema.
    async fn told(&mut self) -> (String, Value) {
        let mut frame = self.hears().await.expect("a frame");
        let topic = frame["topicName"].as_str().unwrap().to_owned();
        let schemas = [
            (".user.end", "event-user-end"),
            (".customer.end", "event-customer-end"),
            (".acd.end", "event-acd-end"),
            (".acw", "event-acw"),
            (".conversations.messages", "event-conversation-message"),
        ];
        let schema = schemas.iter().find(|(end, _)| topic.ends_with(end));
        let (_, schema) = schema.unwrap_or_else(|| panic!("no frame was expected of {topic}"));
        assert_valid(schema, &frame["eventBody"]);
        assert!(frame["metadata"]["CorrelationId"].is_string() && frame["version"] == "2");
        let kind = schema.trim_start_matches("event-").to_owned();
        (kind, frame["eventBody"].take())
    }
}

/// Creates a channel; returns its id and the address of its socket.
async fn channel(bench: &Bench) -> (String, String) {
    let made = bench.post(CHANNELS, &json!(null)).await.json();
    assert_valid("notification-channel", &made);
    (made["id"].as_str().unwrap().to_owned(), made["connectUri"].as_str().unwrap().to_owned())
}

fn details_of(conversation: &str) -> Vec<String> {
    ["user.end", "customer.end", "acd.end", "acw"]
        .map(|what| format!("v2.detail.events.conversation.{conversation}.{what}"))
        .into()
}

#[tokio::test]
async fn a_teardown_is_told_like_any_other_end_and_only_once() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)[..2]).await;
    let path = format!("/api/v2/conversations/{conversation}");
    assert_eq!(bench.get(&path).await.json().get("endTime"), None);
    for _ in 0..2 {
        assert_eq!(bench.post(&format!("{path}/disconnect"), &json!({})).await.status, 202);
    }
    for kind in ["user-end", "customer-end"] {
        let (told, body) = ear.told().await;
        assert_eq!((&*told, &body["disconnectType"]), (kind, &json!("SYSTEM")));
    }
    let ended = bench.get(&path).await.json();
    assert_valid("conversation", &ended);
    assert!(ended["endTime"].is_string(), "{ended}");
    let say = json!({"customer": CUSTOMER, "text": "Too late."});
    assert_eq!(bench.post("/sandbox/agent/send", &say).await.status, 409);
    for gone in ["/api/v2/conversations/none", "/api/v2/conversations/none/disconnect"] {
        let method =
            if gone.ends_with("disconnect") { reqwest::Method::POST } else { reqwest::Method::GET };
        let answer =
            crate::support::Answer::of(bench.request(method, gone).send().await.unwrap()).await;
        assert_eq!(answer.status, 404, "{gone}");
    }
    // A third frame of the end would come before this one.
    bench.customer_writes(CUSTOMER).await;
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    let (told, body) = ear.told().await;
    assert_eq!((&*told, &body["disconnectType"]), ("user-end", &json!("CLIENT")));
}

#[tokio::test]
async fn the_agent_ends_and_everybody_who_listens_is_told() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)).await;
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    let shown = bench.conversation(&conversation).await;
    let participant = |at: usize| shown["participants"][at]["id"].clone();
    let (kind, body) = ear.told().await;
    assert_eq!(
        (&*kind, &body["disconnectType"], &body["participantId"]),
        ("user-end", &json!("CLIENT"), &participant(3))
    );
    assert_eq!(
        (&body["mediaType"], &body["messageType"], &body["userId"]),
        (&json!("MESSAGE"), &json!("OPEN"), &json!(AGENT))
    );
    assert_eq!(
        (&body["conversationId"], &body["addressFrom"]),
        (&json!(conversation), &json!(CUSTOMER))
    );
    assert_eq!(ear.told().await.0, "acw");
    let (kind, body) = ear.told().await;
    assert_eq!(
        (&*kind, &body["disconnectType"], &body["participantId"]),
        ("customer-end", &json!("PEER"), &participant(0))
    );
    // A repeated end is published once: the next frames are those of the next stay.
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.customer_writes(CUSTOMER).await;
    assert_eq!(ear.told().await.0, "acd-end");
}

#[tokio::test]
async fn a_transfer_looks_like_an_end_but_for_its_type() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)).await;
    bench.post("/sandbox/agent/transfer", &json!({"customer": CUSTOMER})).await;
    let (kind, body) = ear.told().await;
    assert_eq!((&*kind, &body["acdOutcome"]), ("acd-end", &json!("ANSWERED")));
    let (kind, body) = ear.told().await;
    assert_eq!((&*kind, &body["disconnectType"]), ("user-end", &json!("TRANSFER")));
    assert_eq!(ear.told().await.0, "acw");
    // The next agent writes, then hands over in another way.
    let message = bench.agent_writes(CUSTOMER, "now me").await;
    let shown = bench.conversation(&conversation).await;
    let agents: Vec<_> = shown["participants"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|each| each["purpose"] == "agent")
        .collect();
    assert_eq!((agents.len(), &agents[0]["disconnectType"]), (2, &json!("transfer")));
    assert_eq!(
        (&agents[1]["state"], &agents[1]["messages"][0]["messageId"]),
        (&json!("connected"), &json!(message))
    );
    bench
        .post(
            "/sandbox/agent/transfer",
            &json!({"customer": CUSTOMER, "disconnectType": "transfer.consult"}),
        )
        .await;
    assert_eq!(ear.told().await.0, "acd-end");
    assert_eq!(ear.told().await.1["disconnectType"], "CONSULT_TRANSFER");
    assert_eq!(ear.told().await.0, "acw");
    // A transfer is no end.
    assert_eq!(bench.conversation(&conversation).await["participants"][0]["state"], "connected");
    let nonsense = json!({"customer": CUSTOMER, "disconnectType": "peer"});
    assert_eq!(bench.post("/sandbox/agent/transfer", &nonsense).await.status, 400);
}

#[tokio::test]
async fn the_customer_leaves_or_genesys_ends_it() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)).await;
    let shown = bench.conversation(&conversation).await;
    let customer = shown["participants"][0]["id"].as_str().unwrap();
    let path = format!("{MESSAGES}/{conversation}/participants/{customer}");
    bench.patch(&path, &json!({"state": "disconnected"})).await;
    for (kind, how) in [("user-end", "PEER"), ("acw", ""), ("customer-end", "CLIENT")] {
        let (told, body) = ear.told().await;
        assert_eq!((&*told, body["disconnectType"].as_str().unwrap_or_default()), (kind, how));
    }
    for (named, how) in [("inactivity", "INACTIVITY"), ("session.expired", "SESSION_EXPIRED")] {
        bench.customer_writes(CUSTOMER).await;
        assert_eq!(ear.told().await.0, "acd-end");
        bench
            .post("/sandbox/agent/end", &json!({"customer": CUSTOMER, "disconnectType": named}))
            .await;
        assert_eq!(ear.told().await.1["disconnectType"], how);
        assert_eq!(ear.told().await.0, "acw");
        assert_eq!(ear.told().await.1["disconnectType"], how);
    }
}

#[tokio::test]
async fn a_queue_and_an_agent_can_be_followed_without_knowing_a_conversation() {
    let bench = Bench::start().await;
    let queue = format!("v2.routing.queues.{QUEUE}.conversations.messages");
    let agent = format!("v2.users.{AGENT}.conversations.messages");
    let mut ear = Ear::on(&bench, &[queue, agent]).await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    bench.settled(&message).await;
    bench.receipt(&message, "Failed", true).await;
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    let mut failed = false;
    loop {
        let (kind, body) = ear.told().await;
        assert_eq!((&*kind, &body["id"]), ("conversation-message", &json!(conversation)));
        let people = body["participants"].as_array().unwrap();
        failed |= people[3]["messages"][0]["errorInfo"]["message"]
            .as_str()
            .is_some_and(|it| it.contains("MessageExpired"));
        if people.iter().all(|each| each["state"] == "disconnected") {
            break;
        }
    }
    assert!(failed, "the receipt's reason is shown");
}

#[tokio::test]
async fn topics_are_set_added_listed_and_refused() {
    let bench = Bench::start().await;
    let (id, _) = channel(&bench).await;
    let path = format!("{CHANNELS}/{id}/subscriptions");
    let topics = |answer: &Value| {
        let entities = answer["entities"].as_array().unwrap().iter();
        entities
            .map(|each| each["id"].as_str().unwrap().rsplit('.').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let user = json!([{"id": "v2.detail.events.conversation.c.user.end"}]);
    let unknown = json!([{"id": "v2.detail.events.conversation.c.acw"}, {"id": "v2.made.up"}]);
    bench.put(&path, &user).await.json();
    let answer = bench.post(&path, &unknown).await.json();
    assert_eq!(topics(&answer), ["end", "acw", "up"]);
    let made_up = &answer["entities"][2];
    assert!(made_up["state"] == "Rejected" && made_up["rejectionReason"].is_string(), "{answer}");
    assert_eq!(topics(&bench.get(&path).await.json()), ["end", "acw"]);
    bench.put(&path, &user).await.json();
    assert_eq!(topics(&bench.get(&path).await.json()), ["end"]);
    assert_eq!(bench.request(reqwest::Method::DELETE, &path).send().await.unwrap().status(), 200);
    assert_eq!(topics(&bench.get(&path).await.json()), [""; 0]);
    let many: Vec<Value> = (0..1_001)
        .map(|n| json!({"id": format!("v2.detail.events.conversation.{n}.acw")}))
        .collect();
    bench.put(&path, &json!(many[..1_000])).await.json();
    assert_eq!(bench.put(&path, &json!(many)).await.status, 400);
    assert_eq!(bench.post(&path, &json!(many[1_000..])).await.status, 400);
    assert_eq!(topics(&bench.get(&path).await.json()).len(), 1_000);
    assert_eq!(bench.put(&path, &json!({"id": 1})).await.status, 400);
    assert_eq!(bench.get(&format!("{CHANNELS}/none/subscriptions")).await.status, 404);
    let listed = bench.get(CHANNELS).await.json();
    assert_eq!(
        (listed["entities"].as_array().unwrap().len(), &listed["entities"][0]["id"]),
        (1, &json!(id))
    );
}

#[tokio::test]
async fn the_heart_beats_on_the_sandbox_clock_and_a_day_ends_the_channel() {
    let bench = Bench::with(SandboxConfig { clock_scale: 0.0, ..SandboxConfig::default() }).await;
    let mut ear = Ear::on(&bench, &[]).await;
    ear.socket.send(Message::text(r#"{"message":"ping"}"#)).await.unwrap();
    assert_eq!(ear.hears().await.unwrap()["eventBody"]["message"], "pong");
    for _ in 0..3 {
        bench.post("/sandbox/clock/advance", &json!({"by": "30s"})).await;
        let frame = ear.hears().await.unwrap();
        assert_eq!(
            (&frame["topicName"], &frame["eventBody"]["message"]),
            (&json!("channel.metadata"), &json!("WebSocket Heartbeat"))
        );
    }
    bench.put("/sandbox/switches", &json!({"token_life": "1000h"})).await.json();
    let mut bench = bench;
    bench.token = bench.new_token().await;
    // A new subscription postpones the end.
    bench.post("/sandbox/clock/advance", &json!({"by": "23h"})).await;
    let path = format!("{CHANNELS}/{}/subscriptions", ear.id);
    bench.put(&path, &json!([])).await.json();
    bench.post("/sandbox/clock/advance", &json!({"by": "23h"})).await;
    assert_eq!(ear.hears().await.unwrap()["topicName"], "channel.metadata");
    bench.post("/sandbox/clock/advance", &json!({"by": "2h"})).await;
    while ear.hears().await.is_some() {}
    assert_eq!(bench.get(&path).await.status, 404);
    assert!(connect_async(&ear.uri).await.is_err());
}

#[tokio::test]
async fn a_second_socket_takes_over() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)).await;
    let first = std::mem::replace(&mut ear.socket, connect_async(&ear.uri).await.unwrap().0);
    let mut first = Ear { id: String::new(), uri: String::new(), socket: first };
    assert_eq!(first.hears().await, None);
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    assert_eq!(ear.told().await.0, "user-end");
}

#[tokio::test]
async fn sockets_are_closed_with_and_without_a_warning() {
    let bench = Bench::with(SandboxConfig { clock_scale: 0.0, ..SandboxConfig::default() }).await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)).await;
    let close = "/sandbox/notifications/close";
    assert_eq!(bench.post(close, &json!({"client": "other"})).await.json()["sockets"], 0);
    assert_eq!(bench.post(close, &json!({"warn": true})).await.json()["sockets"], 1);
    assert_eq!(ear.hears().await.unwrap()["topicName"], "v2.system.socket_closing");
    // It still works in its last minute.
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    assert_eq!(ear.told().await.0, "user-end");
    bench.post("/sandbox/clock/advance", &json!({"by": "1m"})).await;
    while ear.hears().await.is_some() {}
    ear.socket = connect_async(&ear.uri).await.unwrap().0;
    bench.post(close, &json!({})).await.json();
    assert_eq!(ear.hears().await, None);
}

#[tokio::test]
async fn frames_are_lost_doubled_and_late_and_sockets_break() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let mut ear = Ear::on(&bench, &details_of(&conversation)).await;
    for action in ["lose", "duplicate", "close"] {
        bench
            .post("/sandbox/faults", &json!({"on": "notification", "action": action, "times": 1}))
            .await
            .json();
    }
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    // The agent's end is lost, the after-call work comes twice, and the socket breaks when the
    // customer's end is due.
    assert_eq!((ear.told().await.0, ear.told().await.0), ("acw".to_owned(), "acw".to_owned()));
    assert_eq!(ear.hears().await, None);
    let told = eventually("the end of the socket", async || {
        let all = bench.get("/sandbox/transcript").await.value();
        let told =
            all.as_array().unwrap().iter().filter(|entry| entry["kind"] == "notification").cloned();
        let told: Vec<Value> = told.collect();
        told.iter().any(|entry| entry["state"] == "closed").then_some(told)
    })
    .await;
    let faults: Vec<_> = told.iter().filter_map(|entry| entry["faults"][0].as_str()).collect();
    assert_eq!(
        faults,
        ["injected: lose", "injected: duplicate", "injected: close", "injected: close"]
    );
}

#[tokio::test]
async fn channels_belong_to_their_client() {
    let clients =
        ["sandbox-client", "other"].map(|id| (id.to_owned(), "sandbox-secret".to_owned())).into();
    let mut bench = Bench::with(SandboxConfig { clients, ..SandboxConfig::default() }).await;
    let (id, _) = channel(&bench).await;
    let token = bench.client.post(format!("{}/oauth/token", bench.running.url()));
    let token = token
        .basic_auth("other", Some("sandbox-secret"))
        .form(&[("grant_type", "client_credentials")]);
    let token: Value = token.send().await.unwrap().json().await.unwrap();
    token["access_token"].as_str().unwrap().clone_into(&mut bench.token);
    assert_eq!(bench.get(&format!("{CHANNELS}/{id}/subscriptions")).await.status, 404);
    assert_eq!(bench.get(CHANNELS).await.json(), json!({"entities": []}));
}
