//! The shape of answers and errors, and what calls do.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Bench, CUSTOMER, INTEGRATIONS, MESSAGES, assert_valid, eventually, example,
};

#[tokio::test]
async fn an_error_looks_like_genesys_own() {
    let bench = Bench::start().await;
    let like = |answer: &Answer, name: &str| {
        let (mut ours, mut theirs) = (answer.value(), example(name));
        for body in [&mut ours, &mut theirs] {
            body["contextId"] = Value::Null;
        }
        if answer.status == 400 {
            // Genesys's own answer may omit which field it is; the sandbox names it.
            assert_eq!(ours["details"], json!([{"errorCode": "required", "fieldName": "channel"}]));
            ours["details"] = json!([]);
            for more in ["messageParams", "messageWithParams"] {
                ours.as_object_mut().unwrap().remove(more);
            }
        }
        assert_eq!(ours, theirs);
    };
    like(&bench.post(&bench.inbound("message"), &json!({})).await, "error-400-malformed.json");
    like(&bench.get(&format!("{MESSAGES}/no-such")).await, "error-404-not-found.json");
    like(
        &bench
            .post(
                &format!("{MESSAGES}/none/inbound/open/receipt"),
                &example("receipt-01-delivered.json"),
            )
            .await,
        "error-404-not-found.json",
    );
    let dead =
        bench.client.get(format!("{}{INTEGRATIONS}", bench.running.url())).bearer_auth("dead");
    like(&Answer::of(dead.send().await.unwrap()).await, "error-401-credentials.json");
    assert_eq!(bench.get("/api/v2/no/such/path").await.status, 404);
    assert_eq!(bench.patch(INTEGRATIONS, &json!({})).await.status, 405);
    let xml = bench
        .request(Method::POST, &bench.inbound("message"))
        .header("content-type", "text/xml")
        .body("<a/>");
    assert_eq!(
        Answer::of(xml.send().await.unwrap()).await.value()["code"],
        "unsupported.media.type"
    );
}

#[tokio::test]
async fn an_integration_is_made_changed_and_deleted() {
    let bench = Bench::start().await;
    bench.put("/sandbox/clock", &json!({"scale": 0})).await.json();
    let made = bench.post(INTEGRATIONS, &example("integration-01-create.json")).await.json();
    assert_eq!(made["createStatus"], "Initiated");
    let path = format!("{INTEGRATIONS}/{}", made["id"].as_str().unwrap());
    bench.post("/sandbox/clock/advance", &json!({"by": "1s"})).await.json();
    let shown = bench.get(&path).await.json();
    assert_valid("integration-response", &shown);
    assert_eq!(shown["createStatus"], "Completed");
    assert!(shown["modifiedBy"]["id"].is_string());
    assert_eq!(
        shown["outboundNotificationWebhookUrl"],
        "https://bridge.example.net/genesys/outbound"
    );

    let changed = bench.patch(&path, &example("integration-04-patch.json")).await.json();
    assert_valid("integration-response", &changed);
    assert_eq!(
        changed["outboundNotificationWebhookUrl"],
        "https://bridge2.example.net/genesys/outbound"
    );
    assert_eq!(changed["webhookHeaders"], json!({"X-Bridge-Tenant": "harbour"}));
    assert_eq!(
        bench
            .patch(&path, &json!({"outboundNotificationWebhookUrl": "https://a.example"}))
            .await
            .status,
        400
    );

    assert_eq!(bench.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(bench.get(&path).await.status, 404);
    assert_eq!(bench.request(Method::DELETE, &path).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_webhook_url_is_https_or_on_this_machine() {
    let bench = Bench::start().await;
    let mut request = example("integration-01-create.json");
    for (url, status) in [
        ("http://127.0.0.1:9/x", 200),
        ("http://[::1]:9/x", 200),
        ("http://localhost/x", 200),
        ("https://bridge.example.net/x", 200),
        ("http://bridge.example.net/x", 400),
        ("http://127.0.0.1.example.net/x", 400),
        ("ftp://127.0.0.1/x", 400),
        ("no url", 400),
    ] {
        request["outboundNotificationWebhookUrl"] = url.into();
        assert_eq!(bench.post(INTEGRATIONS, &request).await.status, status, "{url}");
    }
    bench.put("/sandbox/switches", &json!({"plain_http": "anywhere"})).await.json();
    request["outboundNotificationWebhookUrl"] = "http://gateway:8080/x".into();
    assert_eq!(bench.post(INTEGRATIONS, &request).await.status, 200);
}

#[tokio::test]
async fn integrations_are_listed_by_pages() {
    let bench = Bench::start().await;
    for n in 1..5 {
        let mut request = example("integration-01-create.json");
        request["name"] = format!("number {n}").into();
        bench.post(INTEGRATIONS, &request).await.json();
    }
    let mut names = Vec::new();
    let mut next = Some(format!("{INTEGRATIONS}?pageSize=2"));
    while let Some(path) = next {
        let page = bench.get(&path).await.json();
        assert_valid("integration-listing", &page);
        assert_eq!((&page["total"], &page["pageCount"]), (&json!(5), &json!(3)));
        names.extend(
            page["entities"]
                .as_array()
                .unwrap()
                .iter()
                .map(|each| each["name"].as_str().unwrap().to_owned()),
        );
        next = page["nextUri"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["Harbour Chat", "number 1", "number 2", "number 3", "number 4"]);
    let beyond = bench.get(&format!("{INTEGRATIONS}?pageSize=2&pageNumber=9")).await.json();
    assert_eq!(beyond["entities"], json!([]));
    for wrong in ["pageSize=0", "pageSize=many", "pageNumber=0", "pageSize=101"] {
        assert_eq!(bench.get(&format!("{INTEGRATIONS}?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_conversation_looks_like_the_example() {
    let bench = Bench::start().await;
    let mut body = example("inbound-01-text.json");
    let plain = bench.post(&bench.inbound("message"), &body).await.json();
    assert_eq!(plain.get("conversationId"), None);
    body["channel"]["messageId"] = "client-msg-0002".into();
    let answer =
        bench.post(&bench.inbound("message?prefetchConversationId=true"), &body).await.json();
    let id = answer["conversationId"].as_str().unwrap();
    let conversation = bench.conversation(id).await;
    let participants = conversation["participants"].as_array().unwrap();
    let purposes: Vec<_> =
        participants.iter().map(|each| each["purpose"].as_str().unwrap()).collect();
    assert_eq!(purposes, ["customer", "workflow", "acd", "agent"]);
    let expected = example("conversation-01-active.json");
    for (ours, theirs) in participants.iter().zip(expected["participants"].as_array().unwrap()) {
        for field in ["purpose", "state", "disconnectType", "type", "wrapupRequired"] {
            assert_eq!(ours[field], theirs[field], "{} {field}", ours["purpose"]);
        }
    }
    assert_eq!(participants[0]["attributes"], json!({"orderNumber": "A-10077", "language": "nl"}));
    assert_eq!(participants[0]["fromAddress"]["addressRaw"], CUSTOMER);
    assert_eq!(participants[0]["messages"].as_array().unwrap().len(), 2);
    assert_eq!(participants[0]["messages"][0]["messageStatus"], "received");
}

#[tokio::test]
async fn messages_are_read_one_by_one_and_in_bulk() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let other = bench.customer_writes("somebody else").await;
    let first = bench.agent_writes(CUSTOMER, "one").await;
    let second = bench.agent_writes(CUSTOMER, "two").await;
    let elsewhere = bench.agent_writes("somebody else", "three").await;
    let one = bench.get(&format!("{MESSAGES}/{conversation}/messages/{first}")).await.json();
    assert_valid("message-details", &one);
    assert_eq!(one["normalizedMessage"]["text"], "one");
    assert_eq!(bench.get(&format!("{MESSAGES}/{other}/messages/{first}")).await.status, 404);

    let bulk = format!("{MESSAGES}/{conversation}/messages/bulk");
    let many = bench.post(&bulk, &json!([first, second, elsewhere, "unknown"])).await.json();
    assert_valid("message-listing", &many);
    let texts: Vec<_> = many["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["normalizedMessage"]["text"].clone())
        .collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(bench.post(&bulk, &json!([])).await.status, 400);
    assert_eq!(bench.post(&bulk, &json!(vec!["x"; 1_001])).await.status, 400);
}

#[tokio::test]
async fn the_customer_comes_back_within_the_threading_window() {
    let mut bench = Bench::start().await;
    bench.put("/sandbox/clock", &json!({"scale": 0})).await.json();
    bench.put("/sandbox/switches", &json!({"token_life": "1000h"})).await.json();
    bench.token = bench.new_token().await;
    let first = bench.customer_writes(CUSTOMER).await;
    assert_eq!(bench.customer_writes(CUSTOMER).await, first);
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.post("/sandbox/clock/advance", &json!({"by": "71h"})).await;
    assert_eq!(bench.customer_writes(CUSTOMER).await, first);
    assert_eq!(bench.conversation(&first).await["participants"].as_array().unwrap().len(), 8);
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    bench.post("/sandbox/clock/advance", &json!({"by": "72h"})).await;
    assert_ne!(bench.customer_writes(CUSTOMER).await, first);
}

#[tokio::test]
async fn everything_over_the_wire_is_in_the_transcript() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    bench.settled(&message).await;
    bench.receipt(&message, "Delivered", true).await.json();
    let transcript = eventually("the transcript", async || {
        let all = bench.get("/sandbox/transcript?after=0").await.json();
        let all = all.as_array().unwrap().clone();
        let done = all
            .iter()
            .any(|each| each["path"].as_str().is_some_and(|path| path.ends_with("/receipt")));
        done.then_some(all)
    })
    .await;
    let about = |each: &&Value| each["message"] == message.as_str();
    let told: Vec<_> = transcript
        .iter()
        .filter(about)
        .map(|each| (each["kind"].clone(), each["state"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("webhook"), Value::Null),
            (json!("message"), json!("sent")),
            (json!("message"), json!("delivery-success")),
            (json!("request"), Value::Null),
        ]
    );
    assert!(
        transcript.iter().filter(about).all(|each| each["conversation"] == conversation.as_str())
    );
    assert!(!serde_json::to_string(&transcript).unwrap().contains(&bench.token));
    assert!(!serde_json::to_string(&transcript).unwrap().contains("local-test-secret"));
    let numbers: Vec<_> = transcript.iter().map(|each| each["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let lines = bench
        .request(Method::GET, "/sandbox/transcript?after=2&limit=3")
        .header("accept", "application/x-ndjson");
    let lines = lines.send().await.unwrap().text().await.unwrap();
    let numbers: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 4, 5]);
}
