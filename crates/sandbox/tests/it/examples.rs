//! Every example of the reference against a running sandbox. Requests are accepted, and wrong ones
//! are refused with the right status. The sandbox's own output has everything that the examples
//! have.

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{
    Answer, Bench, CUSTOMER, INTEGRATIONS, MESSAGES, assert_valid, eventually, example,
};

const SETTINGS: &str = "/api/v2/conversations/messaging/settings";
const CONTENT: &str = "/api/v2/conversations/messaging/supportedcontent";
const THREADING: &str = "/api/v2/conversations/messaging/threadingtimeline";

/// The names of the fields that differ from run to run.
const VARIES: [&str; 28] = [
    "CorrelationId",
    "access_token",
    "addressTo",
    "connectUri",
    "connectedTime",
    "contextId",
    "conversationId",
    "dateCreated",
    "dateModified",
    "endTime",
    "eventTime",
    "expires",
    "expires_in",
    "fromAddress",
    "id",
    "interactingDurationMs",
    "messageId",
    "messageTime",
    "messageURI",
    "participantId",
    "peer",
    "providerMessageId",
    "selfUri",
    "sessionId",
    "startTime",
    "time",
    "timestamp",
    "topicName",
];

#[tokio::test]
async fn every_valid_example_is_taken_or_matched() {
    let index = example("index.json");
    let valid = index["valid"].as_object().unwrap();
    assert!(valid.len() > 45, "{}", valid.len());
    for (file, schema) in valid {
        let schema = schema.as_str().unwrap().trim_end_matches(".schema.json");
        let bench = Bench::start().await;
        // The examples have one integration and one flow, whose names differ here.
        let theirs = example(file)
            .to_string()
            .replace("6f1c9a54-2d0b-4b8e-9a77-0c5d3e1f2a10", &bench.integration);
        let mut theirs: Value = serde_json::from_str(&theirs).unwrap();
        if let Some(name) = theirs.pointer_mut("/participants/1/name") {
            *name = "Inbound flow".into();
        }
        let ours = match file.split('-').next().unwrap() {
            "webhook" => webhook(&bench, file, &theirs).await,
            "notify" => notification(&bench, file).await,
            "error" | "oauth" => refusal(&bench, file).await,
            "conversation" | "details" => read(&bench, file, &theirs).await,
            _ => call(&bench, file, theirs.clone()).await,
        };
        if ours != theirs {
            assert_valid(schema, &ours);
            has_all(&ours, &theirs, file);
        }
    }
}

/// Checks that `ours` has everything that `theirs` has, and that all fields that do not vary are
/// equal.
fn has_all(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (field, value) in theirs {
                let mine =
                    ours.get(field).unwrap_or_else(|| panic!("{place}: no {field} in {ours:?}"));
                if VARIES.contains(&field.as_str()) {
                    assert_eq!(
                        std::mem::discriminant(mine),
                        std::mem::discriminant(value),
                        "{place}.{field}"
                    );
                } else {
                    has_all(mine, value, &format!("{place}.{field}"));
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert!(ours.len() >= theirs.len(), "{place}: {ours:?}");
            ours.iter()
                .zip(theirs)
                .enumerate()
                .for_each(|(at, (ours, theirs))| has_all(ours, theirs, &format!("{place}[{at}]")));
        }
        // The seconds that are left vary.
        _ if place == "error-429-rate.json.message" => {
            let kind = |text: &Value| text.as_str().unwrap().split('[').next().map(str::to_owned);
            assert_eq!(kind(ours), kind(theirs));
        }
        _ => assert_eq!(ours, theirs, "{place}"),
    }
}

/// The webhook that corresponds to the example.
async fn webhook(bench: &Bench, file: &str, theirs: &Value) -> Value {
    let conversation = bench.customer_writes(CUSTOMER).await;
    match theirs["type"].as_str().unwrap() {
        "Receipt" => {
            bench.put("/sandbox/switches", &json!({"published_receipts": true})).await.json();
            bench.post(&bench.inbound("message"), &example("inbound-01-text.json")).await.json();
        }
        "Event" => {
            let communication = bench.communication(&conversation).await;
            bench.post(&format!("{communication}/typing"), &example("agent-02-typing.json")).await;
        }
        _ if file == "webhook-13-agentless.json" => {
            call(bench, "agentless-01.json", example("agentless-01.json")).await;
        }
        _ => {
            let made = bench.post(CONTENT, &example("content-01-profile.json")).await.json();
            bench.put(&format!("{CONTENT}/default"), &json!({"id": made["id"]})).await.json();
            let from = if theirs["originatingEntity"] == "Bot" { "bot" } else { "agent" };
            let mut says =
                json!({"customer": CUSTOMER, "from": from, "content": theirs["content"]});
            if theirs["content"].is_null() {
                says["content"] = json!([]);
            }
            if !theirs["text"].is_null() {
                says["text"] = theirs["text"].clone();
            }
            bench.post("/sandbox/agent/send", &says).await.json();
        }
    }
    bench.hook.wait_for(1).await[0].json()
}

/// Makes a call of the middleware, the agent or the administrator, and returns its answer, or the
/// request itself if that is the example.
async fn call(bench: &Bench, file: &str, theirs: Value) -> Value {
    let (of_path, answer) = match file {
        "inbound-04-text-response.json" => ("inbound-01-text.json", true),
        "receipt-05-delivered-response.json" => ("receipt-01-delivered.json", true),
        "event-02-typing-response.json" => ("event-01-typing.json", true),
        "structured-03-response.json" => ("structured-01-quick-reply.json", true),
        "integration-02-created.json"
        | "integration-03-create-initiated.json"
        | "integration-05-listing.json" => ("integration-01-create.json", true),
        _ => (
            file,
            matches!(
                file,
                "threading-01.json" | "setting-01-typing-on.json" | "content-01-profile.json"
            ),
        ),
    };
    let mut body = example(of_path);
    let inbound = |what: &str| bench.inbound(what);
    let taken = match of_path.split('-').next().unwrap() {
        "inbound" => bench.post(&inbound("message?prefetchConversationId=true"), &body).await,
        "event" => bench.post(&inbound("event"), &body).await,
        "structured" => bench.post(&inbound("structured/response"), &body).await,
        "receipt" => {
            bench.customer_writes(CUSTOMER).await;
            body["id"] = bench.agent_writes(CUSTOMER, "hello").await.into();
            bench.post(&inbound("receipt"), &body).await
        }
        "legacy" => {
            bench.put("/sandbox/switches", &json!({"unknown_receipt": "accept"})).await.json();
            let end = if body["type"] == "Receipt" { "from" } else { "to" };
            body["channel"][end]["id"] = bench.integration.clone().into();
            bench.post(&format!("{MESSAGES}/inbound/open"), &body).await
        }
        "integration" if of_path == "integration-04-patch.json" => {
            bench.patch(&format!("{INTEGRATIONS}/{}", bench.integration), &body).await
        }
        "integration" => integration(bench, file, &body).await,
        "setting" => bench.post(SETTINGS, &body).await,
        "content" => bench.post(CONTENT, &body).await,
        "threading" => bench.put(THREADING, &body).await,
        "agentless" => {
            body["fromAddress"] = bench.integration.clone().into();
            bench.post(&format!("{MESSAGES}/agentless"), &body).await
        }
        "agent" => {
            let conversation = bench.customer_writes(CUSTOMER).await;
            let communication = bench.communication(&conversation).await;
            let what = if of_path.contains("typing") { "typing" } else { "messages" };
            bench.post(&format!("{communication}/{what}"), &body).await
        }
        "participant" => {
            let conversation = bench.customer_writes(CUSTOMER).await;
            bench.patch(&format!("{MESSAGES}/{conversation}"), &body).await
        }
        other => panic!("the test does not know {other}: {file}"),
    };
    assert!((200..300).contains(&taken.status), "{file}: {}", taken.text());
    if !answer {
        return theirs;
    }
    taken.value()
}

/// A new integration: as the call answers it, once it is complete, or in the listing.
async fn integration(bench: &Bench, file: &str, body: &Value) -> Answer {
    let old = format!("{INTEGRATIONS}/{}", bench.integration);
    bench.delete(&old).await;
    let made = bench.post(INTEGRATIONS, body).await;
    if file == "integration-03-create-initiated.json" || file == "integration-01-create.json" {
        return made;
    }
    let path = format!("{INTEGRATIONS}/{}", made.value()["id"].as_str().unwrap());
    bench.post("/sandbox/clock/advance", &json!({"by": "1s"})).await.json();
    bench.get(if file == "integration-05-listing.json" { INTEGRATIONS } else { &path }).await
}

/// A conversation or a message as reads show it.
async fn read(bench: &Bench, file: &str, theirs: &Value) -> Value {
    let inbound = example("inbound-01-text.json");
    let taken =
        bench.post(&bench.inbound("message?prefetchConversationId=true"), &inbound).await.json();
    let conversation = taken["conversationId"].as_str().unwrap().to_owned();
    let says = async |text: &Value| bench.agent_writes(CUSTOMER, text.as_str().unwrap()).await;
    let receipt = |id: &str, theirs: &Value| {
        let mut receipt = example("receipt-01-delivered.json");
        receipt["id"] = id.into();
        receipt["status"] = theirs["status"].clone();
        if !theirs["reasons"].is_null() {
            receipt["reasons"] = theirs["reasons"].clone();
        }
        receipt
    };
    match file {
        "details-04-bulk-request.json" => {
            let answer =
                bench.post(&format!("{MESSAGES}/{conversation}/messages/bulk"), theirs).await;
            assert_eq!((answer.status, answer.value()), (200, json!({"entities": []})));
            theirs.clone()
        }
        "details-01-failed.json" | "details-02-delivered.json" => {
            let id = says(&theirs["normalizedMessage"]["text"]).await;
            bench.settled(&id).await;
            let receipt = receipt(&id, &theirs["normalizedReceipts"][0]);
            bench.post(&bench.inbound("receipt"), &receipt).await.json();
            bench.details(&id).await
        }
        "conversation-01-active.json" | "conversation-02-ended-by-agent.json" => {
            let says_bot = json!({"customer": CUSTOMER, "from": "bot", "text": "One moment."});
            let bot = bench.post("/sandbox/agent/send", &says_bot).await.json();
            bench.settled(bot["id"].as_str().unwrap()).await;
            let agent = theirs["participants"]
                .as_array()
                .unwrap()
                .iter()
                .find(|each| each["purpose"] == "agent");
            for message in agent.unwrap()["messages"].as_array().unwrap() {
                let id = says(&json!("hello")).await;
                bench.settled(&id).await;
                let failed = message["messageStatus"] == "delivery-failed";
                let theirs = if failed {
                    json!({
                        "status": "Failed",
                        "reasons": [
                            {
                                "code": "GeneralError",
                                "message": "Request failed with status code 404",
                            },
                        ],
                    })
                } else {
                    json!({"status": "Delivered"})
                };
                if message["messageStatus"] != "sent" {
                    bench.post(&bench.inbound("receipt"), &receipt(&id, &theirs)).await.json();
                }
            }
            if file == "conversation-02-ended-by-agent.json" {
                bench
                    .patch(
                        &format!("{MESSAGES}/{conversation}"),
                        &example("participant-01-disconnect.json"),
                    )
                    .await
                    .json();
            }
            bench.conversation(&conversation).await
        }
        other => panic!("the test does not know {other}"),
    }
}

/// The answer to a mistake.
async fn refusal(bench: &Bench, file: &str) -> Value {
    let url = bench.running.url();
    let answer = match file {
        "error-400-malformed.json" => bench.post(&bench.inbound("message"), &json!({})).await,
        "error-401-credentials.json" => {
            Answer::of(
                bench
                    .client
                    .get(format!("{url}{INTEGRATIONS}"))
                    .bearer_auth("dead")
                    .send()
                    .await
                    .unwrap(),
            )
            .await
        }
        "error-403-permission.json" => {
            bench
                .put(
                    "/sandbox/clients/sandbox-client",
                    &json!({"secret": "sandbox-secret", "permissions": []}),
                )
                .await;
            bench.post(&bench.inbound("message"), &example("inbound-01-text.json")).await
        }
        "error-404-not-found.json" => bench.get(&format!("{MESSAGES}/no-such")).await,
        "error-429-rate.json" => {
            let mut answer = bench.get(INTEGRATIONS).await;
            while answer.status == 200 {
                answer = bench.get(INTEGRATIONS).await;
            }
            answer
        }
        "oauth-01-token.json" | "oauth-02-error.json" => {
            let secret = if file == "oauth-01-token.json" { "sandbox-secret" } else { "wrong" };
            let request = bench
                .client
                .post(format!("{url}/oauth/token"))
                .basic_auth("sandbox-client", Some(secret));
            Answer::of(request.form(&[("grant_type", "client_credentials")]).send().await.unwrap())
                .await
        }
        other => panic!("the test does not know {other}"),
    };
    let wanted = file.split('-').nth(1).unwrap();
    assert!(
        file.starts_with("oauth") || answer.status.to_string() == wanted,
        "{file}: {}",
        answer.status
    );
    answer.value()
}

/// What a channel publishes when the agent ends the conversation.
async fn notification(bench: &Bench, file: &str) -> Value {
    let channel = bench.post("/api/v2/notifications/channels", &json!({})).await.json();
    if file == "notify-05-channel.json" {
        return channel;
    }
    let conversation = bench.customer_writes(CUSTOMER).await;
    let what = if file == "notify-03-customer-end.json" { "customer.end" } else { "user.end" };
    let topic = format!("v2.detail.events.conversation.{conversation}.{what}");
    let subscriptions =
        format!("/api/v2/notifications/channels/{}/subscriptions", channel["id"].as_str().unwrap());
    bench.put(&subscriptions, &json!([{"id": topic}])).await.json();
    let (mut socket, _) =
        tokio_tungstenite::connect_async(channel["connectUri"].as_str().unwrap()).await.unwrap();
    bench.post("/sandbox/agent/end", &json!({"customer": CUSTOMER})).await;
    let frame = loop {
        let frame = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let frame: Value = serde_json::from_str(&frame).unwrap();
        if frame["topicName"] == topic {
            break frame;
        }
    };
    if file == "notify-04-envelope.json" { frame } else { frame["eventBody"].clone() }
}

#[tokio::test]
async fn invalid_examples_are_refused() {
    let bench = Bench::start().await;
    let invalid: Vec<String> = example("index.json")["invalid"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| format!("invalid/{name}"))
        .collect();
    assert_eq!(invalid.len(), 7);
    for (n, path) in invalid.iter().enumerate() {
        let name = path.trim_start_matches("invalid/");
        let body = example(path);
        let to = match name.split('-').next().unwrap() {
            "receipt" => bench.inbound("receipt"),
            "inbound" => bench.inbound("message"),
            "structured" => bench.inbound("structured/response"),
            _ => INTEGRATIONS.to_owned(),
        };
        let answer = bench.post(&to, &body).await;
        assert_eq!(
            (answer.status, &answer.value()["code"]),
            (400, &"bad.request".into()),
            "{name}"
        );
        let recorded = eventually("the verdict", async || {
            let found = bench.verdict().await["invalid_bodies"].as_array().unwrap().len();
            (found > n).then_some(found)
        });
        assert_eq!(recorded.await, n + 1);
    }
}
