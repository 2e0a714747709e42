//! The webhook: its body and signature, its schedule, and the consequences of its failure.

use genesys::{Secret, signature};
use sandbox::SandboxConfig;
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, Mood, SECRET, assert_valid, eventually, example};

fn fast(scale: f64) -> SandboxConfig {
    SandboxConfig { clock_scale: scale, ..SandboxConfig::default() }
}

#[tokio::test]
async fn a_call_is_signed_and_looks_like_the_example() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let id = bench.agent_writes(CUSTOMER, "Grüße 🚚").await;
    let call = bench.hook.wait_for(1).await.remove(0);
    let signed = call.headers[signature::HEADER].as_bytes();
    assert_eq!(signature::verify(&[Secret::new(SECRET)], Some(signed), &call.body), Ok(()));
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(call.headers["x-bridge-tenant"], "harbour");
    let body = call.json();
    assert_valid("outbound-webhook-message", &body);
    let expected = example("webhook-01-text-human.json");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&body), keys(&expected));
    assert_eq!(keys(&body["channel"]), keys(&expected["channel"]));
    assert_eq!((&body["id"], &body["channel"]["messageId"]), (&json!(id), &json!(id)));
    assert_eq!(
        (&body["text"], &body["conversationId"]),
        (&json!("Grüße 🚚"), &json!(conversation))
    );
    let raw = std::str::from_utf8(&call.body).unwrap();
    assert!(
        raw.starts_with(r#"{"id":""#)
            && raw.contains(r#""text":"Grüße 🚚","originatingEntity":"Human","direction""#)
    );
    let order = [
        "\"id\"",
        "\"channel\"",
        "\"type\":\"Text\"",
        "\"text\"",
        "\"conversationId\"",
        "\"content\":[]",
    ];
    let places: Vec<_> = order.iter().map(|key| raw.find(key).unwrap()).collect();
    assert!(places.is_sorted(), "{raw}");
}

#[tokio::test]
async fn time_outs_and_server_errors_are_tried_again() {
    let bench = Bench::with(fast(100.0)).await;
    bench.customer_writes(CUSTOMER).await;
    bench.hook.answers([Mood::Status(503), Mood::Status(429), Mood::Hang, Mood::Status(500)]);
    let start = tokio::time::Instant::now();
    let id = bench.agent_writes(CUSTOMER, "persistent").await;
    assert_eq!(bench.settled(&id).await, "sent");
    // Four pauses of 5 s and one time-out of 10 s, a hundred times as fast.
    let took = start.elapsed().as_millis();
    assert!((300..1_500).contains(&took), "{took} ms");
    let calls = bench.hook.calls();
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|call| call.body == calls[0].body
        && call.headers[signature::HEADER] == calls[0].headers[signature::HEADER]));
    let verdict = bench.verdict().await;
    let statuses: Vec<_> = verdict["webhook_not_2xx"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["status"].clone())
        .collect();
    assert_eq!(statuses, [503, 429, 500]);
    assert_eq!(verdict["webhook_unanswered"][0]["attempt"], 3);
}

#[tokio::test]
async fn after_85_seconds_of_silence_the_conversation_fails() {
    let bench = Bench::with(fast(250.0)).await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    bench.hook.always(Mood::Hang);
    let before = bench.running.handle.clock().now();
    let id = bench.agent_writes(CUSTOMER, "anybody?").await;
    assert_eq!(bench.settled(&id).await, "delivery-failed");
    let took = bench.running.handle.clock().now().duration_since(before).as_secs();
    assert!((85..150).contains(&took), "{took} s");
    assert_eq!(bench.hook.calls().len(), 6);
    let payload = "GeneralError - timeout of 10000ms exceeded";
    let shown = bench.conversation(&conversation).await;
    assert_eq!(
        shown["participants"][3]["messages"][0]["errorInfo"]["messageParams"]["errorPayload"],
        payload
    );
    assert_eq!(shown["participants"][3]["disconnectType"], "error");
}

#[tokio::test]
async fn nobody_listens() {
    let bench = Bench::with(fast(1_000.0)).await;
    bench.customer_writes(CUSTOMER).await;
    let path = format!("{}/{}", crate::support::INTEGRATIONS, bench.integration);
    let nowhere =
        json!({"name": "Harbour Chat", "outboundNotificationWebhookUrl": "http://127.0.0.1:9/"});
    bench.patch(&path, &nowhere).await.json();
    let id = bench.agent_writes(CUSTOMER, "anybody?").await;
    assert_eq!(bench.settled(&id).await, "delivery-failed");
    assert_eq!(bench.verdict().await["webhook_unanswered"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_refusal_fails_the_whole_conversation() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    bench.hook.answers([Mood::Status(404)]);
    let id = bench.agent_writes(CUSTOMER, "hello").await;
    assert_eq!(bench.settled(&id).await, "delivery-failed");
    assert_eq!(bench.hook.calls().len(), 1);
    let shown = bench.conversation(&conversation).await;
    let expected = example("conversation-01-active.json");
    assert_eq!(
        shown["participants"][3]["messages"][0]["errorInfo"],
        expected["participants"][3]["messages"][1]["errorInfo"]
    );
    for n in [0, 3] {
        let participant = &shown["participants"][n];
        assert_eq!(
            (&participant["state"], &participant["disconnectType"]),
            (&json!("disconnected"), &json!("error"))
        );
        assert!(participant["errorInfo"]["message"].as_str().unwrap().contains("status code 404"));
    }
    assert_eq!(bench.verdict().await["failed_webhooks"], json!([id]));
    // The customer may start again.
    assert_eq!(bench.customer_writes(CUSTOMER).await, conversation);
    let again = bench.agent_writes(CUSTOMER, "hello again").await;
    assert_eq!(bench.settled(&again).await, "sent");
}

#[tokio::test]
async fn a_refusal_fails_one_message_where_that_is_the_rule() {
    let bench = Bench::start().await;
    bench.put("/sandbox/switches", &json!({"refused_webhook": "message"})).await.json();
    let conversation = bench.customer_writes(CUSTOMER).await;
    bench.hook.answers([Mood::Status(401)]);
    let id = bench.agent_writes(CUSTOMER, "hello").await;
    assert_eq!(bench.settled(&id).await, "delivery-failed");
    let shown = bench.conversation(&conversation).await;
    assert_eq!(shown["participants"][3]["state"], "connected");
    assert_eq!(shown["participants"][3].get("errorInfo"), None);
    let next = bench.agent_writes(CUSTOMER, "still here").await;
    assert_eq!(bench.settled(&next).await, "sent");
}

#[tokio::test]
async fn messages_leave_in_order_but_overtake_one_that_is_in_its_pause() {
    let bench = Bench::with(fast(20.0)).await;
    bench.customer_writes(CUSTOMER).await;
    for n in 0..20 {
        bench.agent_writes(CUSTOMER, &format!("{n}")).await;
    }
    let texts: Vec<_> = bench
        .hook
        .wait_for(20)
        .await
        .iter()
        .map(|call| call.text().parse::<u32>().unwrap())
        .collect();
    assert_eq!(texts, (0..20).collect::<Vec<_>>());
    let times: Vec<_> =
        bench.hook.calls().iter().map(|call| call.json()["channel"]["time"].to_string()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");

    bench.hook.answers([Mood::Status(503)]);
    bench.agent_writes(CUSTOMER, "late").await;
    bench.agent_writes(CUSTOMER, "early").await;
    let texts: Vec<_> =
        bench.hook.wait_for(23).await[20..].iter().map(crate::support::Call::text).collect();
    assert_eq!(texts, ["late", "early", "late"]);
}

#[tokio::test]
async fn one_slow_target_does_not_stop_others() {
    let bench =
        Bench::with(SandboxConfig { webhook_connections: 4, ..SandboxConfig::default() }).await;
    bench.hook.always(Mood::Hang);
    for n in 0..20 {
        let customer = format!("customer {n}");
        bench.customer_writes(&customer).await;
        bench.agent_writes(&customer, "hello").await;
    }
    assert_eq!(bench.hook.wait_for(4).await.len(), 4);
    let second = crate::support::Hook::start().await;
    let new = sandbox::NewIntegration {
        name: "second".to_owned(),
        webhook_url: second.url.clone(),
        secret: SECRET.to_owned(),
        headers: Vec::new(),
    };
    let integration = bench.running.handle.create_integration(new).unwrap();
    let path = format!("{}/{integration}/inbound/open/message", crate::support::MESSAGES);
    bench.post(&path, &example("inbound-01-text.json")).await.json();
    let sent = bench.running.handle.agent_send("second", CUSTOMER, "hello").unwrap();
    assert_eq!(bench.settled(&sent.id).await, "sent");
    assert_eq!(bench.hook.calls().len(), 4, "no more than that many calls at once");
}

#[tokio::test]
async fn a_subscriber_sees_the_ticks_turn() {
    let bench = Bench::start().await;
    bench.customer_writes(CUSTOMER).await;
    let mut news = bench.running.handle.subscribe();
    let sent = bench.running.handle.agent_send(&bench.integration, CUSTOMER, "hello").unwrap();
    bench.settled(&sent.id).await;
    bench.receipt(&sent.id, "Delivered", true).await.json();
    let mut states = Vec::new();
    eventually("two ticks", async || {
        let entry = news.recv().await.unwrap();
        states.extend(entry.state.clone());
        (states.len() == 2).then_some(())
    })
    .await;
    assert_eq!(states, ["sent", "delivery-success"]);
    bench.running.shutdown().await;
}
