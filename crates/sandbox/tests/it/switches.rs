//! What each switch changes.

use sandbox::SandboxConfig;
use serde_json::{Value, json};

use crate::support::{
    Bench, CUSTOMER, INTEGRATIONS, MESSAGES, Mood, assert_valid, eventually, example,
};

async fn switched(switches: Value) -> Bench {
    let bench = Bench::start().await;
    bench.put("/sandbox/switches", &switches).await.json();
    bench.customer_writes(CUSTOMER).await;
    bench
}

async fn sent(bench: &Bench) -> String {
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    bench.settled(&message).await;
    message
}

#[tokio::test]
async fn late_receipts_can_be_refused() {
    let bench =
        switched(json!({"second_final_receipt": "refuse", "receipt_after_end": "refuse"})).await;
    let (first, second) = (sent(&bench).await, sent(&bench).await);
    assert_eq!(bench.receipt(&first, "Delivered", true).await.status, 200);
    assert_eq!(bench.receipt(&first, "Delivered", true).await.status, 409);
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    assert_eq!(bench.receipt(&second, "Delivered", true).await.status, 409);
    assert_eq!(bench.details(&second).await["status"], "sent");
    let verdict = bench.verdict().await;
    assert_eq!(verdict["receipts_after_final"].as_array().unwrap().len(), 1);
    assert_eq!(verdict["without_final_receipt"], json!([]), "it did what it could");
}

#[tokio::test]
async fn receipts_can_come_too_late() {
    let bench = switched(json!({"receipt_window": "10m"})).await;
    let (first, second) = (sent(&bench).await, sent(&bench).await);
    bench.post("/sandbox/clock/advance", &json!({"by": "9m"})).await;
    assert_eq!(bench.receipt(&first, "Delivered", true).await.status, 200);
    bench.post("/sandbox/clock/advance", &json!({"by": "61s"})).await;
    assert_eq!(bench.receipt(&second, "Delivered", true).await.status, 409);
}

#[tokio::test]
async fn interim_receipts_can_be_without_effect() {
    let bench = switched(json!({"interim_receipts": false})).await;
    let message = sent(&bench).await;
    assert_eq!(bench.receipt(&message, "Published", false).await.status, 200);
    assert_eq!(bench.details(&message).await["status"], "sent");
    bench.put("/sandbox/switches", &json!({"interim_receipts": true})).await.json();
    assert_eq!(bench.receipt(&message, "Published", false).await.status, 200);
    assert_eq!(bench.details(&message).await["status"], "published");
}

#[tokio::test]
async fn a_webhook_tried_in_vain_can_take_less_than_a_refused_one() {
    let switches =
        json!({"exhausted_webhook": "message", "webhook_retries": 1, "webhook_pause": "1ms"});
    let bench = switched(switches).await;
    let open = async || {
        let conversation =
            bench.running.handle.conversation_of(&bench.integration, CUSTOMER).unwrap();
        bench.conversation(&conversation).await["participants"][0]["state"] == "connected"
    };
    bench.hook.answers([Mood::Status(503), Mood::Status(503), Mood::Status(404)]);
    sent(&bench).await;
    assert!(open().await);
    sent(&bench).await;
    assert!(!open().await);
}

#[tokio::test]
async fn a_429_names_its_code() {
    for code in ["too.many.requests", "too.many.requests.retry.after"] {
        let bench = switched(json!({"limit_code": code})).await;
        bench.put("/sandbox/switches", &json!({"rate_per_minute": 1})).await.json();
        let answer = bench.get(INTEGRATIONS).await;
        assert_eq!((answer.status, &answer.value()["code"]), (429, &json!(code)));
    }
}

#[tokio::test]
async fn idle_conversations_end() {
    let bench = Bench::with(SandboxConfig { clock_scale: 0.0, ..SandboxConfig::default() }).await;
    bench.put("/sandbox/switches", &json!({"inactivity_timeout": "10m"})).await.json();
    let conversation = bench.customer_writes(CUSTOMER).await;
    let how = async || {
        bench.conversation(&conversation).await["participants"][0]["disconnectType"].clone()
    };
    bench.post("/sandbox/clock/advance", &json!({"by": "9m"})).await;
    bench.agent_writes(CUSTOMER, "still there?").await;
    bench.post("/sandbox/clock/advance", &json!({"by": "9m59s"})).await;
    assert_eq!(how().await, Value::Null);
    // Only the time without a message counts; the check for it may come a little later.
    let ended = async || {
        bench.post("/sandbox/clock/advance", &json!({"by": "1s"})).await;
        (how().await == "inactivity").then_some(())
    };
    eventually("the end", ended).await;
}

#[tokio::test]
async fn there_can_be_limits_that_nobody_has_documented() {
    let bench = switched(
        json!({"max_inbound_text": 19, "max_custom_attributes": 1, "max_integrations": 1}),
    )
    .await;
    let mut message = example("inbound-01-text.json");
    let path = bench.inbound("message");
    message["text"] = "Where is my parcel?".into();
    message["channel"]["metadata"] = json!({"customAttributes": {"a": "1"}});
    assert_eq!(bench.post(&path, &message).await.status, 200);
    message["channel"]["metadata"] = json!({"customAttributes": {"a": "1", "b": "2"}});
    assert_eq!(bench.post(&path, &message).await.status, 400);
    message["channel"]["metadata"] = json!({});
    message["text"] = "Where is my parcel??".into();
    assert_eq!(bench.post(&path, &message).await.status, 400);
    let mut integration = example("integration-01-create.json");
    integration["outboundNotificationWebhookUrl"] = bench.hook.url.clone().into();
    assert_eq!(bench.post(INTEGRATIONS, &integration).await.status, 400);
    bench.put("/sandbox/switches", &json!({"max_integrations": 2})).await.json();
    assert_eq!(bench.post(INTEGRATIONS, &integration).await.status, 200);
}

#[tokio::test]
async fn the_webhook_can_be_told_that_an_inbound_message_was_taken() {
    let bench = switched(json!({"published_receipts": true})).await;
    bench.post(&bench.inbound("message"), &example("inbound-01-text.json")).await.json();
    // The first is about the message that began the conversation.
    let call = bench.hook.wait_for(2).await.remove(1).json();
    assert_valid("outbound-webhook-message", &call);
    let mut expected = example("webhook-14-receipt-published.json");
    expected["channel"]["messageId"] =
        example("inbound-01-text.json")["channel"]["messageId"].clone();
    for (field, at) in [("id", ""), ("id", "/channel"), ("time", "/channel"), ("from", "/channel")]
    {
        expected.pointer_mut(at).unwrap()[field] = call.pointer(at).unwrap()[field].clone();
    }
    assert_eq!(call, expected);
    assert_eq!(bench.verdict().await["holds"], true, "no receipt is owed for it");
}

#[tokio::test]
async fn an_event_can_begin_a_conversation() {
    let bench = switched(json!({"event_starts_conversation": true})).await;
    let mut event = example("event-01-typing.json");
    event["channel"]["from"]["id"] = "newcomer".into();
    bench.post(&bench.inbound("event"), &event).await.json();
    assert!(bench.running.handle.conversation_of(&bench.integration, "newcomer").is_ok());
    bench.put("/sandbox/switches", &json!({"event_starts_conversation": false})).await.json();
    event["channel"]["from"]["id"] = "stranger".into();
    bench.post(&bench.inbound("event"), &event).await.json();
    assert!(bench.running.handle.conversation_of(&bench.integration, "stranger").is_err());
}

#[tokio::test]
async fn a_second_socket_can_be_refused() {
    let bench = switched(json!({"second_socket": "refused"})).await;
    let made = bench.post("/api/v2/notifications/channels", &json!({})).await.json();
    let uri = made["connectUri"].as_str().unwrap();
    let first = tokio_tungstenite::connect_async(uri).await.unwrap();
    assert!(tokio_tungstenite::connect_async(uri).await.is_err());
    drop(first);
    eventually("the first socket is gone", async || {
        tokio_tungstenite::connect_async(uri).await.ok()
    })
    .await;
}

#[tokio::test]
async fn redirects_and_retry_after_of_a_webhook_can_be_honoured() {
    use axum::{Router, http::StatusCode, routing::post};
    let bench = switched(json!({"webhook_redirects": true, "refused_webhook": "message"})).await;
    let target = bench.hook.url.clone();
    let moved =
        post(async move || (StatusCode::PERMANENT_REDIRECT, [("location", target.clone())]));
    let busy = post(async || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        axum::serve(listener, Router::new().route("/moved", moved).route("/busy", busy))
            .into_future(),
    );
    let goes_to = async |path: &str| {
        let url = format!("http://{address}{path}");
        let change = json!({"name": "acme", "outboundNotificationWebhookUrl": url});
        bench.patch(&format!("{INTEGRATIONS}/{}", bench.integration), &change).await.json();
    };
    goes_to("/moved").await;
    let message = sent(&bench).await;
    assert_eq!(
        (bench.details(&message).await["status"].as_str(), bench.hook.calls().len()),
        (Some("sent"), 1)
    );
    assert!(bench.hook.calls()[0].headers.contains_key("x-hub-signature-256"));
    bench.put("/sandbox/switches", &json!({"webhook_redirects": false})).await.json();
    let message = sent(&bench).await;
    assert_eq!(bench.details(&message).await["status"], "delivery-failed");

    goes_to("/busy").await;
    let switches =
        json!({"webhook_retry_after": true, "webhook_pause": "1ms", "webhook_retries": 1});
    bench.put("/sandbox/switches", &switches).await.json();
    let message = bench.agent_writes(CUSTOMER, "wait").await;
    let tries = async || {
        let all = bench.get("/sandbox/transcript").await.value();
        all.as_array()
            .unwrap()
            .iter()
            .filter(|it| it["kind"] == "webhook" && it["message"] == *message)
            .count()
    };
    eventually("the first try", async || (tries().await == 1).then_some(())).await;
    bench.post("/sandbox/clock/advance", &json!({"by": "59m"})).await;
    assert_eq!(
        (tries().await, bench.running.handle.message(&message).unwrap()["status"].as_str()),
        (1, Some("queued"))
    );
    bench.post("/sandbox/clock/advance", &json!({"by": "1m"})).await;
    assert_eq!(bench.settled(&message).await, "delivery-failed");
    assert_eq!(tries().await, 2);
    assert!(bench.get(&format!("{MESSAGES}/{message}/details")).await.status < 300);
}
